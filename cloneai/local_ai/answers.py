"""Extractive answers: the best sentences of the passages, quoted in reading order, each with its marker
`[n]`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from cloneai.local_ai.language import find_words, stem
from cloneai.local_ai.prompt import Passage, Persona
from cloneai.local_ai.relevance import Candidate, Question, score_units
from cloneai.local_ai.smalltalk import pick

# Fitted on questions with marked answers against questions that the passages do not answer.
FLOOR = 0.31
CONFIDENT = 0.42
MIN_COVERAGE = 0.25
# A further sentence must come this close to the best one.
NEAR_BEST = 0.7
NEAR_BEST_ELSEWHERE = 0.78
NEIGHBOUR = 0.4
MAX_SENTENCES = 4
MAX_ITEMS = 7

_LIST_QUESTION = re.compile(
    r"\b(?:what|which) (?:\w+ ){0,4}(?:steps|tips|ways|things|signs|rules|reasons|types|kinds|methods|"
    r"tools|foods|"
    r"exercises|examples|options|strategies|techniques|mistakes|stages|phases|factors|benefits|questions|"
    r"symptoms|"
    r"ingredients|principles|habits|causes)\b|\blist\b|\bname (?:some|the|three|five)|\bgive me (?:some|"
    r"\w+ tips)",
    re.IGNORECASE,
)
_BACKWARD = re.compile(
    r"^(?:it|its|this|that|these|those|they|their|he|she|his|her|such|then|however|instead|also|but|and|"
    r"so|otherwise|"
    r"for example|for instance|therefore|because of this|both|neither|even so|in other words)\b",
    re.IGNORECASE,
)
_LEAD_INS = (
    "Here is what my material says about this:",
    "This is how I put it in my material:",
    "I have written about this:",
    "From my material:",
    "These are the points that matter here:",
)
_CLOSEST = (
    "My material does not answer this head-on, but this comes closest:",
    "I have nothing that answers this exactly. The nearest I have written is this:",
)
_NOTHING = (
    "My material does not cover that, so I would rather not guess.",
    "I have nothing on that in my material, and I do not want to make something up.",
    "That is not in my material, so I cannot give you an answer I could stand behind.",
)


def answer_from_passages(
    *, question: Question, passages: Sequence[Passage], persona: Persona, already_said: str = ""
) -> str:
    """Write the answer in Markdown, or say that the material does not cover the question (then without
    markers).
    """
    candidates = [
        candidate
        for candidate in score_units(question=question, passages=passages)
        if not (already_said and _plain(candidate.unit.text) in _plain(already_said))
    ]
    picks = choose_sentences(
        candidates=candidates, wants_list=_LIST_QUESTION.search(question.text) is not None
    )
    if not picks:
        return say_not_covered(question_text=question.text, persona=persona)
    lead = pick(
        options=_LEAD_INS if max(item.score for item in picks) >= CONFIDENT else _CLOSEST, seed=question.text
    )
    return f"{lead}\n\n{_write(picks, bulleted=_LIST_QUESTION.search(question.text) is not None)}"


def say_not_covered(*, question_text: str, persona: Persona) -> str:
    """Say honestly that the material has no answer, and what could be asked instead."""
    if persona.no_answer:
        return persona.no_answer
    text = pick(options=_NOTHING, seed=question_text)
    if persona.expertise:
        text += f" I can help with {', '.join(persona.expertise[:4])}."
    return text


def choose_sentences(*, candidates: Sequence[Candidate], wants_list: bool) -> list[Candidate]:
    """Choose what to quote, in the order to quote it; empty when nothing is relevant enough."""
    quotable = [
        item for item in candidates if item.unit.kind != "heading" and len(item.unit.text.split()) >= 3
    ]
    ranked = sorted(quotable, key=lambda item: (-item.score, item.passage.number, item.position))
    if not ranked or ranked[0].score < FLOOR or ranked[0].coverage < MIN_COVERAGE:
        return []
    best = ranked[0]
    picks = [best, *_list_around(best, candidates, wants_list=wants_list)]
    limit = MAX_ITEMS if len(picks) > 2 else MAX_SENTENCES
    for item in ranked[1:]:
        near = NEAR_BEST if item.passage is best.passage else NEAR_BEST_ELSEWHERE
        if len(picks) >= limit or item.score < FLOOR:
            break
        if item.score >= near * best.score and not item.unit.text.endswith("?") and not _repeats(item, picks):
            picks.append(item)
    picks = _with_antecedents(picks, candidates)
    if len(picks) == 1:
        picks += _neighbour(best, candidates)
    return _reading_order(picks)


def _list_around(best: Candidate, candidates: Sequence[Candidate], *, wants_list: bool) -> list[Candidate]:
    """Return the items that `best` introduces, or, for a list question, the list that it belongs to."""
    siblings = [item for item in candidates if item.passage is best.passage]
    start = next(index for index, item in enumerate(siblings) if item is best)
    if best.unit.text.endswith(":"):
        first = start + 1
    elif best.unit.kind == "item" and wants_list:
        first = start
        while first > 0 and siblings[first - 1].unit.kind == "item":
            first -= 1
        if first > 0 and siblings[first - 1].unit.text.endswith(":"):
            first -= 1
    else:
        return []
    found: list[Candidate] = []
    for item in siblings[first:]:
        if item.unit.kind != "item" and not item.unit.text.endswith(":"):
            break
        if item is not best:
            found.append(item)
    return found[: MAX_ITEMS - 1]


def _with_antecedents(picks: list[Candidate], candidates: Sequence[Candidate]) -> list[Candidate]:
    """Add the sentence before one that cannot stand alone ("It is…"), while there is room."""
    extended = list(picks)
    for item in picks:
        if len(extended) > MAX_SENTENCES or not _BACKWARD.match(item.unit.text):
            continue
        before = _at(candidates, item, offset=-1)
        if before is None or before.unit.kind != "prose" or before.unit.text.endswith("?"):
            continue
        if not _repeats(before, extended):
            extended.append(before)
    return extended


def _neighbour(best: Candidate, candidates: Sequence[Candidate]) -> list[Candidate]:
    """Return the sentence after (or else before) a lone one when it still speaks of the question."""
    for offset in (1, -1):
        item = _at(candidates, best, offset=offset)
        if item and item.unit.kind != "heading" and not item.unit.text.endswith("?"):
            near = item.unit.block == best.unit.block or item.unit.kind == "item"
            if near and item.score >= NEIGHBOUR * best.score and not _repeats(item, [best]):
                return [item]
    return []


def _at(candidates: Sequence[Candidate], item: Candidate, *, offset: int) -> Candidate | None:
    for other in candidates:
        if other.passage is item.passage and other.position == item.position + offset:
            return other
    return None


def _repeats(item: Candidate, others: Sequence[Candidate]) -> bool:
    """Tell whether a sentence says, word for word or nearly, what another one does (passages overlap)."""
    own = {stem(word) for word in find_words(item.unit.text)}
    for other in others:
        if other is item:
            return True
        theirs = {stem(word) for word in find_words(other.unit.text)}
        if len(own & theirs) >= 0.8 * min(len(own), len(theirs)) and min(len(own), len(theirs)) > 2:
            return True
    return False


def _reading_order(picks: Sequence[Candidate]) -> list[Candidate]:
    """Keep each passage's sentences together, in its order; the passage with the best sentence comes
    first.
    """
    best = {item.passage.number: 0.0 for item in picks}
    for item in picks:
        best[item.passage.number] = max(best[item.passage.number], item.score)
    return sorted(picks, key=lambda item: (-best[item.passage.number], item.passage.number, item.position))


def _write(picks: Sequence[Candidate], *, bulleted: bool) -> str:
    """Write quotes as paragraphs, one a passage, with list items (or, for a list question, all of them)
    as bullets.
    """
    lines: list[str] = []
    previous: Candidate | None = None
    for item in picks:
        quote = f"{quote_text(text=item.unit.text, kind=item.unit.kind)} [{item.passage.number}]"
        introduces = item.unit.text.endswith(":")
        as_bullet = not introduces and (item.unit.kind == "item" or (bulleted and len(picks) >= 3))
        if as_bullet and previous is not None and lines[-1].startswith("- "):
            lines.append(f"- {quote}")
        elif as_bullet:
            lines += [*([""] if lines else []), f"- {quote}"]
        elif previous is not None and previous.passage is item.passage and not lines[-1].startswith("- "):
            lines[-1] += f" {quote}"
        else:
            lines += [*([""] if lines else []), quote]
        previous = item
    return "\n".join(lines)


def quote_text(*, text: str, kind: str) -> str:
    """Make a sentence fit to stand alone: show cuts, and turn its own `[3]` into `(3)`, which is no
    marker.
    """
    text = re.sub(r"\[(\d[\d,;\s–-]*)\]", r"(\1)", text)
    words = text.split()
    if len(words) > 80:
        text = " ".join(words[:80]) + " …"
    if text[0].islower() and kind == "prose":
        text = f"… {text}"
    if kind == "prose" and not re.search(r"[.!?:…。！？][\"'”’»)\]]*$", text):
        text += " …"
    return re.sub(r"^([#>+*-]|\d+[.)])(?=\s)", r"\\\1", text)


def _plain(text: str) -> str:
    return " ".join(find_words(text))
