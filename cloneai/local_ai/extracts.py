"""What summaries and insights are made of: sentences of a conversation, picked by what they are about."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

import numpy as np

from cloneai.local_ai.conversation import subject_words
from cloneai.local_ai.embedding import embed_texts
from cloneai.local_ai.forms import VERBS_FIRST
from cloneai.local_ai.language import STOP_WORDS, find_words, is_question_word, stem
from cloneai.local_ai.tongues import ENGLISH, Tongue, read_tongue, unframe
from cloneai.local_ai.transcripts import Extract, Turn, split_turns

_ACTION = re.compile(
    rf"^(?:please |then |next,? |first,? |second,? |finally,? |always |also,? |just )*(?:{VERBS_FIRST})\b"
    r"|\b(?:you|we) (?:should|need to|must|could|can start|might want to|ought to|have to)\b"
    r"|\bi(?:'d| would)? (?:recommend|suggest|advise)\b"
    r"|\b(?:make sure|remember to|be sure to|it helps to|let's)\b"
    r"|\bi(?:'ll| will| am going to|'m going to| plan to) (?!be\b)\w+"
    r"|, (?:then )?(?:get up|try|start|stop|write|keep|call|ask)\b",
    re.IGNORECASE,
)
# What shows that a member's sentence belongs to one of the guide's kinds of insight.
INSIGHT_CUES = {
    "user_preferences": (
        r"\b(?:prefer|like|love|hate|rather|favou?rite|enjoy|dislike|can't stand|short answers?|examples?|"
        r"step by step|in plain|bullet|detail(?:ed|s)?|quick|visual)\b"
    ),
    "user_goals": (
        r"\b(?:i (?:want|would like|wish|hope|need|aim|plan|intend)|i'd (?:like|love)|"
        r"my (?:goal|aim|plan|dream)|trying to|(?:so|in order) that i can|"
        r"by (?:the end|next|summer|winter|spring|autumn|christmas))\b"
    ),
    "progress_indicators": (
        r"\b(?:i(?:'ve| have) (?:\w+ )?(?:started|stopped|tried|managed|done|been|finished|kept|begun)|"
        r"i (?:managed|tried|started|stopped|finished|kept|finally|did|cut)|better|worse|improved|progress|"
        r"already|still (?:can't|cannot|struggle|wake|have)|finally|struggl\w+|setback|relapse|so far|"
        r"since last)\b"
    ),
    "context_to_remember": (
        r"\b(?:i(?:'m| am) (?:an?|the|in|from|on|currently|\d)|i work|i live|i have (?:an?|two|three|\d)|"
        r"my (?:wife|husband|partner|son|daughter|child|children|kids|baby|mother|father|family|job|boss|"
        r"team|company|doctor|name|age|house|dog|cat|schedule|shift|manager|business)|years old|diagnosed|"
        r"allerg\w+|pregnant|vegetarian|vegan)\b"
    ),
    # What they ask about is no interest of theirs: a question says nothing of the one who asks.
    "expertise_interests": (
        r"\b(?:i(?:'m| am) (?:\w+ )?(?:interested in|curious about|fascinated by|passionate about|into)|"
        r"i care (?:\w+ )?about|(?:interests|fascinates) me|my (?:hobby|hobbies|passion)|ich interessiere mich|"
        r"interessiert mich|m'intéresse|me interesa|mi interessa)\b"
    ),
}
_HIGH = re.compile(
    r"\b(?:must|never|always|important|urgent|today|immediately|first|essential|critical|make sure)\b",
    re.IGNORECASE,
)
_LOW = re.compile(
    r"\b(?:maybe|could|might|optional|if you (?:like|want)|perhaps|later|some day|when you have time)\b",
    re.IGNORECASE,
)
_QUICK = re.compile(r"\b(?:minutes?|today|once|now|call|e-?mail|note|turn|ask)\b", re.IGNORECASE)
_LONG = re.compile(
    r"\b(?:months?|project|plan|build|course|program(?:me)?|weeks|train|restructure)\b", re.IGNORECASE
)
_WISH = re.compile(r"\bi (?:want|would like|hope|wish|need|plan)\b|\bi'd (?:like|love)\b", re.IGNORECASE)
_LATER = re.compile(r"\b(?:next time|later|another time|follow up|come back)\b", re.IGNORECASE)
_TALK = re.compile(r"\blet's (?:talk|discuss|speak|continue|go on)\b", re.IGNORECASE)
# Words that stand where a subject could stand, but name none.
_VAGUE_TEXT = """
able already also always answer answers anybody anything anyone back bad big bit day days end enough everybody
everything far feel felt finally first fine great half hard hour hours idea important last less little long
main maybe minute minutes month months morning need needs new next nice night nobody nothing noted now old
part perhaps point prefer put second short side soon sorry start still somebody something stuff sure things
third three time times today tomorrow tried twenty two usual wake way week weeks well whole year years
yesterday
"""
_VAGUE = frozenset(_VAGUE_TEXT.split())


def rank_central(*, extracts: Sequence[Extract]) -> list[Extract]:
    """Order sentences by how much they say of what the whole conversation says, without repeats."""
    if not extracts:
        return []
    vectors = embed_texts(texts=[extract.text for extract in extracts])
    centre = vectors.mean(axis=0)
    lengths = np.array([min(len(extract.text.split()), 25) / 25 for extract in extracts])
    scores = vectors @ (centre / max(float(np.linalg.norm(centre)), 1e-6)) + 0.3 * lengths
    kept: list[int] = []
    for index in np.argsort(-scores, kind="stable").tolist():
        if all(float(vectors[index] @ vectors[other]) < 0.92 for other in kept):
            kept.append(index)
    return [extracts[index] for index in kept]


def find_topics(*, turns: Sequence[Turn], limit: int = 5) -> list[str]:
    """Return the phrases that the conversation turns on, most frequent first; questions count more."""
    counts: Counter[tuple[str, ...]] = Counter()
    shown: dict[tuple[str, ...], str] = {}
    tongue = _tongue_of(turns)
    for extract in split_turns(turns=turns):
        # A question names its subject; what else a member says is mostly about themselves.
        weight = 3 if extract.text.endswith("?") else 1
        for phrase in _phrases(extract.text, tongue=tongue):
            for size in (1, 2, 3):
                for start in range(len(phrase) - size + 1):
                    words = phrase[start : start + size]
                    key = tuple(stem(word) for word in words)
                    counts[key] += weight
                    shown.setdefault(key, " ".join(words))
    ranked = sorted(
        counts, key=lambda key: (-counts[key] * (1 + 0.7 * (len(key) - 1)), -len(key), shown[key])
    )
    chosen: list[tuple[str, ...]] = []
    for key in ranked:
        if len(chosen) < limit and not any(set(key) & set(other) for other in chosen):
            chosen.append(key)
    return [shown[key] for key in chosen]


def find_actions(*, turns: Sequence[Turn], limit: int = 8) -> list[Extract]:
    """Return sentences that tell or promise to do something, in the order they were said."""
    advice = _tongue_of(turns).advice
    found = [
        Extract(text=extract.text, turn=extract.turn, kind="action_item")
        for extract in split_turns(turns=turns)
        if not extract.text.endswith("?")
        and (_ACTION.search(extract.text) or (advice and advice.search(extract.text)))
        and not _TALK.search(extract.text)
    ]
    return _distinct(found)[:limit]


def find_insights(*, turns: Sequence[Turn], kind: str, limit: int = 4) -> list[Extract]:
    """Return what a member said of themselves that is of one of the guide's kinds."""
    own = [item for item in split_turns(turns=turns) if item.turn and item.turn.speaker == "member"]
    if kind == "follow_up_topics":
        later = [
            item
            for item in own
            if re.search(r"\b(?:next time|later|another time|follow up|come back)\b", item.text)
        ]
        open_questions = [item for item in own if item.text.endswith("?")][-2:]
        chosen = _distinct([*later, *open_questions])
    else:
        cue = re.compile(INSIGHT_CUES[kind], re.IGNORECASE)
        chosen = _distinct([item for item in own if cue.search(item.text) and not item.text.endswith("?")])
        if kind == "progress_indicators":
            chosen = [item for item in chosen if not _WISH.search(item.text)]
    return [Extract(text=item.text, turn=item.turn, kind=kind) for item in chosen[:limit]]


def priority_of(*, text: str) -> str:
    """Return high, medium or low by the wording."""
    return "high" if _HIGH.search(text) else "low" if _LOW.search(text) else "medium"


def effort_of(*, text: str) -> str:
    """Return high, medium or low by the wording."""
    return "high" if _LONG.search(text) else "low" if _QUICK.search(text) else "medium"


def summarise(*, turns: Sequence[Turn]) -> str:
    """Write two or three sentences: what was asked first and last, and what the answers came down to, in their words.

    Lines that are summaries themselves are taken out of their frames.
    """
    said = split_turns(turns=turns)
    tongue = _tongue_of(turns)
    asked = [item for item in said if item.turn and item.turn.speaker == "member"]
    told = [
        Extract(text=unframe(item.text), turn=item.turn)
        for item in said
        if item.turn and item.turn.speaker == "expert"
    ]
    answered = rank_central(extracts=[item for item in told if item.text])
    parts: list[str] = []
    if asked:
        questions = [item.text for item in asked if item.text.endswith("?")] or [item.text for item in asked]
        end = f" {tongue.at_the_end} “{questions[-1]}”" if questions[-1] != questions[0] else ""
        parts.append(f"{tongue.asked} “{questions[0]}”{end}")
        answered = answered[:1] if end else answered
    parts += [
        f"{frame} “{item.text}”"
        for frame, item in zip((tongue.answered, tongue.also_said), answered, strict=False)
    ]
    return " ".join(parts) or "Nothing of substance was said."


def assess(*, turns: Sequence[Turn]) -> str:
    """Say in a sentence or two what the session came to, from what can be counted."""
    tongue = _tongue_of(turns)
    topics, actions = find_topics(turns=turns, limit=2), find_actions(turns=turns)
    about = tongue.about.format(f" {tongue.joined_by} ".join(topics)) if topics else tongue.no_subject
    return f"{about} {tongue.steps.format(len(actions)) if actions else tongue.no_step}"


def _tongue_of(turns: Sequence[Turn]) -> Tongue:
    return read_tongue(texts=[turn.text for turn in turns])


def _phrases(text: str, *, tongue: Tongue) -> list[list[str]]:
    """Split a sentence at stop words and punctuation into runs of words that may name a subject."""
    phrases: list[list[str]] = []
    for part in re.split(r"[^\w'’ -]+", text):
        run: list[str] = []
        for word in find_words(part):
            plain = (
                word not in STOP_WORDS
                and (tongue is ENGLISH or word not in tongue.small_words)
                and not is_question_word(word)
                and len(word) > 2
                and not word[0].isdigit()
            )
            if plain and word not in _VAGUE and not re.fullmatch(rf"\w+(?:ly|ed)|{VERBS_FIRST}", word):
                run.append(word)
            elif run:
                phrases.append(run)
                run = []
        if run:
            phrases.append(run)
    return phrases


def _distinct(extracts: Sequence[Extract]) -> list[Extract]:
    seen: set[frozenset[str]] = set()
    kept: list[Extract] = []
    for item in extracts:
        key = frozenset(stem(word) for word in subject_words(item.text) or find_words(item.text))
        if key not in seen:
            seen.add(key)
            kept.append(item)
    return kept
