"""Three experts with passages as retrieval would hand them over: wrapped lines, lists, headings, overlaps."""

from __future__ import annotations

import html
from typing import Any

SLEEP = (
    (
        "Sleep guide",
        """2. Sleep pressure and the body clock

Two forces decide when you fall asleep. Sleep pressure builds from the moment
you wake, because a substance called adenosine piles up in the brain. The body
clock, a cluster of cells behind the eyes, sets the time at which you feel alert
or drowsy. Caffeine hides sleep pressure: it sits on the receptors that adenosine
would use. Half of the caffeine of a cup drunk at 3 p.m. is still in the blood at
about 9 p.m. I therefore ask clients to drink their last coffee before noon.

Morning light is the strongest signal to the body clock. Go outside for
ten to fifteen minutes within an hour of waking, even under a grey sky.""",
    ),
    (
        "Sleep guide",
        """Morning light is the strongest signal to the body clock. Go outside for
ten to fifteen minutes within an hour of waking, even under a grey sky.
Indoor lamps reach 300 lux at best; an overcast morning gives 5,000 or more.

3. The bedroom

Keep the bedroom between 16 and 19 degrees. A warm room keeps the core temper-
ature from falling, and without that fall deep sleep is shallow. Darkness mat-
ters as well: cover the small lights of chargers and televisions. If noise wakes you, a
fan or steady rain sounds work better than ear plugs for most people.""",
    ),
    (
        "Workshop notes: insomnia",
        """The twenty-minute rule

If you lie awake for more than about twenty minutes, get up. Sit somewhere dim, read
something dull on paper, and return to bed only when your eyelids are heavy. The bed must
not become the place where you worry. Do not look at the clock; turn it to the wall.

Sleep restriction in four steps:
1. Keep a sleep diary for one week.
2. Work out how many hours you really sleep on average.
3. Allow yourself only that time in bed, never less than five and a half hours.
4. Add fifteen minutes each week once you sleep 85% of the time in bed.

Sleep restriction is not for people with epilepsy or bipolar disorder, nor for anyone who
drives for a living.""",
    ),
    (
        "Shift work and travel",
        """How should I handle jet lag? Shift your bedtime by one hour a day towards the new zone,
starting three days before you fly. After an eastward flight seek light late in the morning,
and after a westward flight in the evening. Melatonin, 0.5 mg, taken five hours before the
usual bedtime helps with eastward travel.

Night-shift workers should wear dark glasses on the way home. A nap of ninety minutes before
the first night shift cuts errors by about a third. Naps on ordinary days should stay under
twenty-five minutes and end before 3 p.m., since longer ones eat into the night's sleep
pressure.""",
    ),
    (
        "Children",
        """Table of contents
Babies .................. 3
Toddlers ................ 7
Teenagers ............... 12

Teenagers are not lazy. Their body clock shifts by about two hours during puberty, which is
why they cannot fall asleep at ten. They need eight to ten hours. A later start of school
raised attendance and lowered car accidents in every district that Dr. Wahlstrom's group
followed.

| Age | Hours of sleep |
|---|---|
| Babies 4-12 months | 12 to 16 hours |
| Toddlers 1-2 years | 11 to 14 hours |""",
    ),
)

FEEDBACK = (
    (
        "Managing people",
        """# Giving feedback

Give feedback within forty-eight hours, while both of you remember what happened. Describe
the behaviour and its effect, and leave the person's character out of it. "You interrupted
Ana three times" can be changed; "you are rude" cannot. Praise in public and correct in
private.

The sandwich, praise wrapped around criticism, does not work. People hear the bread and miss
the filling, or they learn to distrust your compliments.""",
    ),
    (
        "Managing people",
        """# One-on-ones

Hold a one-on-one with each report every week, for thirty minutes. The agenda belongs to the
report, not to you. I start with the same question each time: what is on your mind? Never
cancel; move it within the same week instead. Managers who skip these meetings learn of
resignations on the day they are handed in.

Things to avoid in a one-on-one:
- status updates that could be an e-mail
- checking your phone
- solving the problem before you understood it""",
    ),
    (
        "Delegation handbook",
        """Delegate the outcome, not the method. Say what done looks like, by when, and which limits
there are, then let go. Agree on a check-in at about a third of the way, because that is
early enough to change course and late enough to see something. When work comes back
unfinished, do not finish it yourself; hand it back with one question.

Reasons managers do not delegate include fear of losing control, lack of trust, and the
belief that explaining takes longer than doing. The last one is true once and false ever
after.""",
    ),
    (
        "Hiring",
        """A structured interview asks every candidate the same questions in the same order and scores
each answer before the next. It predicts performance about twice as well as a free
conversation [3]. Use a work sample wherever you can: two hours of paid, realistic work beat
any number of riddles. Reference calls should come last and ask one thing only: would you
hire this person again?

A new hire should ship something small in the first week. Write a plan for the first 30, 60
and 90 days before the person starts, and name a buddy who is not the manager.""",
    ),
    (
        "Conflict",
        """When two people on your team are in conflict, first talk with each of them alone. Then bring
them together and ask each to state the other's position until the other agrees that it is
right. Only after that look for a solution. Do not act as a judge. If the quarrel is about
who owns what, the fault is yours: draw the line and write it down.

Burnout shows first as cynicism, then as exhaustion, and last as poor work. By the time the
work suffers it has been going on for months. Take tasks away before you offer yoga.""",
    ),
)

BREAD = (
    (
        "Sourdough basics",
        """A starter is flour and water in which wild yeast and lactic acid bacteria live together.
Feed it with equal weights of flour and water, at 24 to 26 °C, once a day. It is ready when
it doubles within four to six hours after a feed and smells like yoghurt. A ripe starter
floats in water. Rye flour wakes up a tired starter, since it carries more yeast and
minerals than wheat.

Keep a starter that you use once a week in the fridge. Grey liquid on top is alcohol; pour
it off and feed the starter twice. Pink or orange streaks mean that it is spoiled: throw it
away.""",
    ),
    (
        "Sourdough basics",
        """Hydration is the weight of the water divided by the weight of the flour. A dough of 1,000 g
flour and 700 g water has a hydration of 70%. Beginners should start at 65 to 70%; wetter
dough gives bigger holes and is harder to shape. Salt is 2% of the flour's weight. It
tightens the gluten and slows fermentation.

Bulk fermentation ends when the dough has grown by about half, domes at the edge of the bowl
and jiggles. At 25 °C that takes about five hours. At 20 °C allow eight to nine.""",
    ),
    (
        "Oven",
        """Bake in a cast-iron pot that was heated at 250 °C for 45 minutes. Leave the lid on for the
first twenty minutes: the steam keeps the crust soft, so that the loaf can rise. Then take
the lid off, lower the oven to 220 °C and bake for another twenty-five minutes. The loaf is
done when its core reaches 96 to 98 °C. Let it cool for at least an hour before you cut it,
for the crumb sets while it cools.""",
    ),
    (
        "Troubles",
        """A flat loaf has three usual causes: a weak starter, dough that fermented too long, or loose
shaping. If the crumb is dense with a few big tunnels, the dough was under-fermented. A pale
crust wants a hotter oven or a longer time without the lid. Gummy crumb means that the bread
was cut too soon or baked too short. Burnt bottoms are avoided by a baking tray on the rack
below.""",
    ),
)

PERSONAS = {
    "sleep": ("Dr. Mara Lindqvist", "sleep coach and author", "insomnia, shift work, jet lag, teenagers"),
    "feedback": ("Tomas Adeyemi", "leadership coach", "feedback, delegation, hiring, conflict"),
    "bread": ("Ilse Brandt", "sourdough baker", "starters, hydration, baking"),
}
MATERIAL = {"sleep": SLEEP, "feedback": FEEDBACK, "bread": BREAD}


def system_prompt(*, expert: str, with_passages: bool = True) -> str:
    """Write the system message as CloneAI does."""
    name, headline, expertise = PERSONAS[expert]
    text = (
        f"You are {name}, {headline}.\n\nPERSONALITY TRAITS:\n- Communication Style: warm and plain\n"
        f"- Expertise: {expertise}\n- Background: Twenty years of practice with private clients\n"
    )
    if not with_passages:
        return text
    blocks = "\n".join(
        f'<passage number="{number}" title="{html.escape(title)}" page="{number}">\n'
        f"{html.escape(body, quote=False)}\n</passage>"
        for number, (title, body) in enumerate(MATERIAL[expert], start=1)
    )
    return f"{text}\nAnswer from the passages.\n<passages>\n{blocks}\n</passages>"


def chat_messages(*, expert: str, question: str, with_passages: bool = True) -> list[Any]:
    """Write a whole request's messages for one question."""
    return [
        {"role": "system", "content": system_prompt(expert=expert, with_passages=with_passages)},
        {"role": "user", "content": question},
    ]


# expert, question, words that the answer must quote, numbers of the passages that hold them
ANSWERED = (
    ("sleep", "When should I have my last coffee?", "last coffee before noon", (1,)),
    ("sleep", "Why does caffeine keep me awake?", "Caffeine hides sleep pressure", (1,)),
    ("sleep", "How long should I go outside in the morning?", "ten to fifteen minutes", (1, 2)),
    ("sleep", "What temperature is best for the bedroom?", "between 16 and 19 degrees", (2,)),
    ("sleep", "What can I do about noise at night?", "steady rain sounds", (2,)),
    ("sleep", "I lie awake for hours, what should I do?", "get up", (3,)),
    ("sleep", "How does sleep restriction work?", "Keep a sleep diary for one week", (3,)),
    ("sleep", "Who should not try sleep restriction?", "epilepsy or bipolar disorder", (3,)),
    ("sleep", "What is the best way to deal with jet lag?", "Shift your bedtime by one hour a day", (4,)),
    ("sleep", "How much melatonin should I take?", "0.5 mg", (4,)),
    ("sleep", "How long may a nap be?", "under twenty-five minutes", (4,)),
    ("sleep", "Why can't my teenager fall asleep early?", "shifts by about two hours during puberty", (5,)),
    ("sleep", "How many hours of sleep do toddlers need?", "11 to 14 hours", (5,)),
    ("feedback", "How soon should I give feedback?", "within forty-eight hours", (1,)),
    ("feedback", "Does the feedback sandwich work?", "does not work", (1,)),
    ("feedback", "How often should one-on-ones take place?", "every week, for thirty minutes", (2,)),
    ("feedback", "Who sets the agenda of a one-on-one?", "The agenda belongs to the report", (2,)),
    ("feedback", "What should I avoid in a one-on-one?", "checking your phone", (2,)),
    ("feedback", "When should I check in on delegated work?", "a third of the way", (3,)),
    ("feedback", "Why do managers find it hard to delegate?", "fear of losing control", (3,)),
    (
        "feedback",
        "What do I do when someone returns work that is not finished?",
        "hand it back with one question",
        (3,),
    ),
    ("feedback", "How well do structured interviews predict performance?", "twice as well", (4,)),
    (
        "feedback",
        "What should a new employee do in the first week?",
        "ship something small in the first week",
        (4,),
    ),
    (
        "feedback",
        "Two of my team members keep fighting. How do I handle it?",
        "talk with each of them alone",
        (5,),
    ),
    ("feedback", "What are the early signs of burnout?", "Burnout shows first as cynicism", (5,)),
    ("bread", "How often do I feed my starter?", "once a day", (1,)),
    ("bread", "My starter has pink streaks. Is it still good?", "throw it away", (1,)),
    ("bread", "What does the grey liquid mean?", "alcohol", (1,)),
    ("bread", "How much salt do I need?", "2% of the flour's weight", (2,)),
    ("bread", "What is hydration?", "divided by the weight of the flour", (2,)),
    ("bread", "How long does bulk fermentation take at 20 degrees?", "allow eight to nine", (2,)),
    ("bread", "When do I take the lid off?", "take the lid off", (3,)),
    ("bread", "How do I know that the loaf is done?", "core reaches 96 to 98", (3,)),
    ("bread", "Why is my bread flat?", "three usual causes", (4,)),
    ("bread", "What makes the crumb gummy?", "cut too soon", (4,)),
    ("bread", "The bottom of my loaf burns, any tips?", "baking tray on the rack below", (4,)),
)

UNANSWERED = (
    ("sleep", "What is the capital of Mongolia?"),
    ("sleep", "How do I file my income tax return?"),
    ("sleep", "Which mortgage is right for a first house?"),
    ("sleep", "Can you write me a Python function that sorts a list?"),
    ("feedback", "How do I train for a marathon?"),
    ("feedback", "Who won the football world cup in 2014?"),
    ("feedback", "What is the recipe for tomato soup?"),
    ("feedback", "Which vaccine do I need for Kenya?"),
    ("bread", "How do I change the oil of my motorcycle?"),
    ("bread", "What did Einstein say about gravity?"),
    ("bread", "Should I buy shares or bonds?"),
    ("bread", "How do vaccines protect against measles?"),
)
