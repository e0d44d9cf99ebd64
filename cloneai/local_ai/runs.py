"""Coherent runs of neighbouring sentences, items or rows, and which of them answers a question best.

Scores run from 0 to about 3. Their weights were fitted on questions with marked answers in three sources
(a leadership guide, a speech, encyclopaedia articles), and hold for all three.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from cloneai.local_ai.embedding import Vectors
from cloneai.local_ai.forms import rate_step, wants_figure
from cloneai.local_ai.prompt import Passage
from cloneai.local_ai.relevance import Candidate, Question, Scored
from cloneai.local_ai.sections import Element, Section, split_sections

MAX_WORDS = 115
# A list that is nearly whole is worth finishing.
MAX_LIST_WORDS = 125
MAX_SENTENCES = 6
MAX_ITEMS = 8
# Below this length context is missing; a figure needs less of it.
SHORT_WORDS = 80
FIGURE_WORDS = 40

SIMILARITY_WEIGHT = 0.5
COVERAGE_WEIGHT = 0.35
SECTION_SIMILARITY_WEIGHT = 0.8
SECTION_COVERAGE_WEIGHT = 0.45
HEADING_COVERAGE_WEIGHT = 0.3
HEADING_SIMILARITY_WEIGHT = 0.15
RANK_WEIGHT = 0.2
SHORT_COST = 0.3
HEADING_SHARE = 0.8
HEADING_VECTOR_WORDS = 8
LONG_SENTENCE_WORDS = 25
# What a break in the wrong place costs.
LEANING_COST = 0.1
CUT_LIST_COST = 0.06
CUT_EXPLANATION_COST = 0.08
PARAGRAPH_COST = 0.03
WITHIN_PARAGRAPH_COST = 0.02
CUT_PARAGRAPH_COST = 0.04
# The passage ends here, and another one that overlaps with it goes on.
CUT_PASSAGE_COST = 0.12
STEPS_BONUS = 0.05
LIST_BONUS = 0.12

LEANING = re.compile(
    r"^[\"“'‘]?(?:it|its|this|that|these|those|they|their|he|she|his|her|such|then|however|instead|also|but|"
    r"and|so|otherwise|for example|for instance|therefore|because of this|both|neither|even so|"
    r"in other words|second|third)\b",
    re.IGNORECASE,
)
EXPLAINING = re.compile(
    r"^(?:it is|it's|this is|that is|that means|this means|they are|these are|i mean)\b", re.IGNORECASE
)


@dataclass(frozen=True, eq=False)
class Run:
    """Neighbouring elements of one section. `matches`: how well it speaks of each word of the question; `similarity`:
    the cosine of the question and what is said here as a whole.
    """

    section: Section
    elements: tuple[Element, ...]
    score: float
    words: int
    matches: Vectors
    similarity: float

    @property
    def passage(self) -> Passage:
        return self.section.passage

    @property
    def units(self) -> list[Candidate]:
        return [unit for element in self.elements for unit in element]


def rank_runs(*, scored: Scored, question: Question, wants_list: bool, left_out: str = "") -> list[Run]:
    """Return every run of the passages, the best first; nothing that `left_out` already says."""
    runs: list[Run] = []
    going_on = _find_continued(scored.candidates)
    for section in split_sections(candidates=scored.candidates, left_out=left_out):
        found = _score_section(section, scored=scored, question=question, wants_list=wants_list)
        runs += [_charge_cut(run, going_on) for run in found]
    return sorted(runs, key=lambda run: (-run.score, run.passage.number, run.elements[0][0].position))


def _find_continued(candidates: Sequence[Candidate]) -> frozenset[str]:
    """Return the sentences that the passage's next sentence follows in the same paragraph."""
    pairs = itertools.pairwise(candidates)
    return frozenset(
        one.unit.text for one, other in pairs if other.position and other.unit.block == one.unit.block
    )


def _charge_cut(run: Run, going_on: frozenset[str]) -> Run:
    last = run.elements[-1][-1]
    is_end = last is run.section.elements[-1][-1]
    return replace(run, score=run.score - CUT_PASSAGE_COST) if is_end and last.unit.text in going_on else run


def _score_section(section: Section, *, scored: Scored, question: Question, wants_list: bool) -> list[Run]:
    heading = section.heading
    base = _weigh_similarity(section.units, heading, scored) * SECTION_SIMILARITY_WEIGHT
    matches = _join_matches(section.units, heading, share=1.0)
    base += SECTION_COVERAGE_WEIGHT * float(matches @ scored.word_weights)
    base += RANK_WEIGHT / section.passage.number
    if heading is not None:
        base += HEADING_COVERAGE_WEIGHT * float(heading.matches @ scored.word_weights)
        base += HEADING_SIMILARITY_WEIGHT * max(0.0, float(heading.vector @ scored.asked))
    wanted = FIGURE_WORDS if wants_figure(question=question.text) else SHORT_WORDS
    steps = {unit.position: rate_step(question=question.text, text=unit.unit.text) for unit in section.units}
    runs: list[Run] = []
    for first, after in _bounds(section.elements):
        elements = section.elements[first:after]
        units = [unit for element in elements for unit in element]
        total = sum(unit.words for unit in units)
        held = _join_matches(units, heading, share=HEADING_SHARE)
        similarity = _weigh_similarity(units, heading, scored)
        score = (
            base
            + max(unit.score for unit in units)
            + SIMILARITY_WEIGHT * similarity
            + COVERAGE_WEIGHT * float(held @ scored.word_weights)
            - SHORT_COST * max(0, wanted - total) / wanted
            - _rate_breaks(section.elements, first, after)
            + STEPS_BONUS * sum(steps[unit.position] for unit in units) / len(units)
        )
        if wants_list and sum(element[0].unit.kind != "prose" for element in elements) >= 2:
            score += LIST_BONUS
        runs.append(Run(section, elements, score, total, held, similarity))
    return runs


def _bounds(elements: Sequence[Element]) -> Iterator[tuple[int, int]]:
    """Yield the runs that may be quoted, as (first, after)."""
    for first in range(len(elements)):
        if not _may_begin(elements[first]):
            continue
        words = sentences = 0
        for after in range(first + 1, min(first + MAX_ITEMS, len(elements)) + 1):
            last = elements[after - 1]
            words += sum(unit.words for unit in last)
            sentences += last[0].unit.kind == "prose"
            most = MAX_LIST_WORDS if sentences <= 1 < after - first - 1 else MAX_WORDS
            if after - first > 1 and (words > most or sentences > MAX_SENTENCES):
                break
            if _may_end(elements, after):
                yield first, after


def _may_end(elements: Sequence[Element], after: int) -> bool:
    """A run ends neither in what introduces the next element, nor in a question that the text answers itself."""
    text = elements[after - 1][-1].unit.text
    if after == len(elements):
        return True
    return not text.endswith(":") and not (elements[after - 1][0].unit.kind == "prose" and text.endswith("?"))


def _may_begin(element: Element) -> bool:
    """A run does not begin with a question that the text asks: what follows is the answer."""
    return element[0].unit.kind != "prose" or not element[-1].unit.text.endswith("?")


def _rate_breaks(elements: Sequence[Element], first: int, after: int) -> float:
    """Return what is lost by beginning and ending where the run does."""
    cost = 0.0
    opening = elements[first][0]
    within = bool(first) and elements[first - 1][0].unit.block == opening.unit.block
    if within:
        cost += WITHIN_PARAGRAPH_COST
    if _opens_paragraph(elements, first, after):
        cost += CUT_PARAGRAPH_COST
    if opening.unit.kind == "prose" and LEANING.match(opening.unit.text):
        cost += LEANING_COST
    is_list = opening.unit.kind != "prose"
    if (
        first
        and is_list
        and (_continues_list(elements, first) or elements[first - 1][-1].unit.text.endswith(":"))
    ):
        cost += CUT_LIST_COST
    if after < len(elements) and _continues_list(elements, after):
        cost += CUT_LIST_COST
    if after < len(elements) and EXPLAINING.match(elements[after][0].unit.text):
        cost += CUT_EXPLANATION_COST
    blocks = {element[0].unit.block for element in elements[first:after] if element[0].unit.kind == "prose"}
    return cost + PARAGRAPH_COST * max(0, len(blocks) - 1)


def _opens_paragraph(elements: Sequence[Element], first: int, after: int) -> bool:
    """Tell whether the run ends in the first sentence of a paragraph that goes on."""
    if after - first < 2 or after == len(elements):
        return False
    before, last, following = (elements[after + step][0].unit.block for step in (-2, -1, 0))
    return before != last == following


def _continues_list(elements: Sequence[Element], index: int) -> bool:
    return elements[index - 1][0].unit.kind == elements[index][0].unit.kind != "prose"


def _weigh_similarity(units: Sequence[Candidate], heading: Candidate | None, scored: Scored) -> float:
    """Compare the question with the mean of the units' vectors, longer ones counting more, and the heading's."""
    weights = [min(unit.words, LONG_SENTENCE_WORDS) for unit in units]
    mean = np.array(weights, dtype=np.float32) @ np.array([unit.vector for unit in units])
    if heading is not None:
        mean = mean + HEADING_VECTOR_WORDS * heading.vector
    return float(mean @ scored.asked / max(float(np.linalg.norm(mean)), 1e-6))


def _join_matches(units: Sequence[Candidate], heading: Candidate | None, *, share: float) -> Vectors:
    joined: Vectors = np.max([unit.matches for unit in units], axis=0)
    return joined if heading is None else np.maximum(joined, share * heading.matches)
