"""What form an answer has: whole sentences rather than fragments, numbers where a number is asked for."""

from __future__ import annotations

import re

CUE_BONUS = 0.08
# The first of the cues below ask for a number, how often, and when.
FIGURE_CUES = 3
# Verbs that advice begins with.
VERBS_FIRST = (
    "add|agree|aim|allow|ask|avoid|book|borrow|bring|build|buy|call|check|choose|close|collect|cover|cut|decide|delegate|"
    "describe|do|drink|eat|end|feed|find|finish|follow|get|give|go|hand|hold|keep|leave|let|limit|list|look|make|measure|"
    "meet|move|name|never|note|open|pick|plan|practise|practice|prepare|put|read|record|reduce|remove|replace|review|"
    "schedule|send|set|shift|sit|sleep|speak|spend|start|stay|stop|take|talk|tell|test|track|try|turn|use|wait|wake|walk|"
    "wear|work|write"
)


def rate_form(*, text: str) -> float:
    """Return how quotable a text's form is: 1 for a whole sentence, less for fragments and questions."""
    words = len(text.split())
    letters = sum(character.isalpha() or character.isspace() for character in text)
    if letters < 0.6 * len(text) or words < 3:
        return 0.3
    if text.endswith("?"):
        return 0.45
    factor = 1.0 if text[0].isupper() or not text[0].isalpha() else 0.8
    if words < 5 or words > 70:
        factor *= 0.75
    return factor


def _cue_pair(asks: str, answers: str) -> tuple[re.Pattern[str], re.Pattern[str]]:
    return re.compile(asks, re.IGNORECASE), re.compile(answers, re.IGNORECASE)


_HOW_TO = re.compile(
    r"\bhow (?:do|can|should|could|would|to)\b|\bwhat (?:do|can|should|could|to|must) (?:i|we|one)?\b"
    r"|\bwhat now\b|\bwhat (?:changes|next)\b",
    re.IGNORECASE,
)
_STEP = re.compile(
    rf"^[\"“'‘]?(?:(?:if|when|as soon as|before|after|whenever) [^,]{{3,80}}, )?"
    rf"(?:(?:so|then|now|and|first|second|third|next|finally|instead|always|never|only),? )*"
    rf"(?:(?:do not|don't) \w+|{VERBS_FIRST})\b",
    re.IGNORECASE,
)

# What a question asks for, and the form that an answer to it has.
_CUES = (
    _cue_pair(
        r"\b(?:how (?:many|much|long|old|far|big|large|high|fast)|what (?:percentage|proportion|share|number|"
        r"temperature|age)|at what)\b",
        r"\d|\b(?:one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|fifteen|twenty|thirty|forty|fifty|"
        r"sixty|seventy|eighty|ninety|half|third|quarter|hundred|thousand|million|twice)\b",
    ),
    _cue_pair(
        r"\bhow (?:often|frequently|regularly)\b",
        r"\b(?:once|twice|times|every|daily|weekly|monthly|(?:a|per|each) (?:day|week|month|year|night))\b",
    ),
    _cue_pair(
        r"\bwhen\b|\bwhat (?:time|year|date)\b",
        r"\d|\b(?:before|after|during|until|once|morning|evening|night|week|month)\b",
    ),
    _cue_pair(
        r"\bwhy\b|\breasons?\b|\bwhat causes\b",
        r"\b(?:because|since|so that|therefore|reasons?|due to|causes?|leads? to|which is why)\b",
    ),
    _cue_pair(
        r"\bwhat(?:'s| is| are| does .{1,40} mean)\b|\bdefin",
        r"^(?:an?|the)?\s?[\w'’-]+(?: [\w'’-]+){0,3} (?:is|are|means|refers)\b"
        r"|\b(?:is|are|I) (?:also )?call(?:ed|s)?\b",
    ),
)


def rate_step(*, question: str, text: str) -> float:
    """Return 1 when it is asked what to do and the text tells it, else 0."""
    asks = _HOW_TO.search(question.replace("’", "'")) is not None
    return float(asks and _STEP.search(text) is not None)


def wants_figure(*, question: str) -> bool:
    """Tell whether a number, a length of time or a date is asked for."""
    return any(asks.search(question) for asks, _ in _CUES[:FIGURE_CUES])


def rate_cue(*, question: str, text: str) -> float:
    """Return a small bonus when the text has the form of an answer to this kind of question."""
    question = question.replace("’", "'")
    return (
        CUE_BONUS if any(asks.search(question) and answers.search(text) for asks, answers in _CUES) else 0.0
    )
