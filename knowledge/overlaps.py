"""Passages that say the same twice: neighbours that share text, and copies in other documents.

Pure functions. Offsets count characters of a document's text. Candidates come best first; what is kept stays in that
order.
"""

import re
from collections.abc import Sequence
from dataclasses import replace

from knowledge.candidates import Candidate

# What is left of a neighbour once its shared part is cut off must be worth a place of its own.
LEAST_CHARS = 200
SAME_WORDS = 0.9

_WORD = re.compile(r"\w+")


def select_distinct(*, candidates: Sequence[Candidate], limit: int) -> list[Candidate]:
    """The first `limit` candidates without repeated text.

    A near copy of a better passage (9 of 10 words in common) is left out. Text that a better passage of the
    same document has already is cut off; if little remains, the better passage takes it in.
    """
    kept: list[Candidate] = []
    words: list[frozenset[str]] = []
    for candidate in candidates:
        if len(kept) == limit:
            break
        own = frozenset(_WORD.findall(candidate.content.lower()))
        if any(_is_copy(own, others) for others in words):
            continue
        rest = _without_shared(candidate=candidate, kept=kept)
        if rest is not None:
            kept.append(rest)
            words.append(own)
    return kept


def _is_copy(one: frozenset[str], other: frozenset[str]) -> bool:
    union = len(one | other)
    return not union or len(one & other) / union >= SAME_WORDS


def _without_shared(*, candidate: Candidate, kept: list[Candidate]) -> Candidate | None:
    """What of the candidate no kept passage holds; None when that is nothing or was taken in by a neighbour."""
    rest: Candidate | None = candidate
    for better in kept:
        if rest is not None and _overlap(rest, better):
            rest = _cut(rest, better)
    if rest is None or rest is candidate:
        return rest
    if len(rest.content.strip()) < LEAST_CHARS:
        _give_to_neighbour(rest=rest, kept=kept)
        return None
    return _strip(rest)


def _overlap(one: Candidate, other: Candidate) -> bool:
    return (
        (one.document_id, one.document_version) == (other.document_id, other.document_version)
        and one.start_char < other.end_char
        and other.start_char < one.end_char
    )


def _cut(rest: Candidate, better: Candidate) -> Candidate | None:
    """`rest` without its part in `better`; of two remaining ends the longer one."""
    before, after = better.start_char - rest.start_char, rest.end_char - better.end_char
    if before <= 0 and after <= 0:
        return None
    if after >= before:
        content = rest.content[better.end_char - rest.start_char :]
        return replace(rest, content=content, start_char=better.end_char)
    return replace(rest, content=rest.content[:before], end_char=better.start_char)


def _give_to_neighbour(*, rest: Candidate, kept: list[Candidate]) -> None:
    """Extend the kept passage that the rest was cut from."""
    for index, better in enumerate(kept):
        if (better.document_id, better.document_version) != (rest.document_id, rest.document_version):
            continue
        if better.end_char == rest.start_char:
            longer = better.content + rest.content
            kept[index] = replace(better, content=longer, end_char=rest.end_char, page_end=rest.page_end)
            return
        if better.start_char == rest.end_char:
            longer = rest.content + better.content
            kept[index] = replace(
                better, content=longer, start_char=rest.start_char, page_start=rest.page_start
            )
            return


def _strip(rest: Candidate) -> Candidate:
    start = rest.start_char + len(rest.content) - len(rest.content.lstrip())
    content = rest.content.strip()
    return replace(rest, content=content, start_char=start, end_char=start + len(content))
