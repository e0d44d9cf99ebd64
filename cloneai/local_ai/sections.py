"""Passages as sections: the sentences, items and rows that stand under one heading and can be quoted."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from cloneai.local_ai.language import find_words
from cloneai.local_ai.prompt import Passage
from cloneai.local_ai.relevance import Candidate

# A shorter piece of prose without an end mark is a salutation, a name, a caption.
FRAGMENT_WORDS = 8
MAX_SPEECH_WORDS = 50

_ENDED = re.compile(r"[.!?:…。！？][\"'”’»)\]¹²³⁴-⁹]*$")

Element = tuple[Candidate, ...]


@dataclass(frozen=True, eq=False)
class Section:
    """What stands under one heading of a passage: sentences, items and rows, the latter two whole."""

    passage: Passage
    heading: Candidate | None
    elements: tuple[Element, ...]

    @property
    def units(self) -> list[Candidate]:
        return [unit for element in self.elements for unit in element]


def split_sections(*, candidates: Sequence[Candidate], left_out: str = "") -> Iterator[Section]:
    """Yield the sections of all passages, without fragments and what `left_out` already says."""
    said_before = plain(left_out)
    heading: Candidate | None = None
    elements: list[Element] = []
    for index, item in enumerate(candidates):
        if item.position == 0:
            if elements:
                yield Section(candidates[index - 1].passage, heading, tuple(elements))
            heading, elements = None, []
        if item.unit.kind == "heading" or _is_unfit(item, candidates, index, said_before=said_before):
            if elements:
                yield Section(item.passage, heading, tuple(elements))
            elements = []
            heading = item if item.unit.kind == "heading" else heading
        elif elements and _belongs_to(elements[-1], item):
            elements[-1] = (*elements[-1], item)
        else:
            elements.append((item,))
    if elements:
        yield Section(candidates[-1].passage, heading, tuple(elements))


def _belongs_to(element: Element, item: Candidate) -> bool:
    """An item is quoted whole, and so is what somebody says between quotation marks."""
    if element[0].unit.block != item.unit.block:
        return False
    said = " ".join(unit.unit.text for unit in element)
    is_open = said.count('"') % 2 == 1 or said.count("“") > said.count("”")
    return item.unit.kind == "item" or (is_open and len(said.split()) < MAX_SPEECH_WORDS)


def _is_unfit(item: Candidate, candidates: Sequence[Candidate], index: int, *, said_before: str) -> bool:
    """Tell whether a unit is never quoted: a fragment (the passage may end in one), or said before."""
    text = item.unit.text
    is_last = index + 1 == len(candidates) or candidates[index + 1].position == 0
    fragment = (
        item.unit.kind == "prose"
        and not _ENDED.search(text)
        and len(text.split()) < FRAGMENT_WORDS
        and not (is_last and item.position == 0)
    )
    return fragment or bool(said_before and plain(text) in said_before)


def plain(text: str) -> str:
    """Return only the words of a text, to compare it with another."""
    return " ".join(find_words(text))
