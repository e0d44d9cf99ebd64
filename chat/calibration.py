"""Derives the floor of relevance from judged questions, and says what each floor trades. Enter at `judge_questions`.

A floor refuses questions whose passages do not reach it: those that the documents do not answer (good), and some that
they do (bad). Judged are a clone's evaluation questions: those with expected quotes, and those that expect no answer.
Two floors are told apart, as a search does: the embedding model's, which the best passage must reach while others are
used down to half of it, and the clone's own threshold, below which nothing is used.
"""

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, replace

from asgiref.sync import async_to_sync

from billing.metering import Payer
from chat.evaluation_metrics import K, find_hits
from clones.models import Clone
from knowledge.relevance import KEPT_BELOW_FLOOR
from knowledge.retrieval import search_passages

DEPTH = 20
STEPS = tuple(step / 100 for step in range(100))
MOST_LOST = 0.02


@dataclass(frozen=True, slots=True)
class Judged:
    """A question's passages without any floor, best first: relevance, and whether it holds an expected quote.

    `best` is the highest relevance of them (0 to 1). `is_answerable` is false where no answer is expected.
    """

    is_answerable: bool
    best: float
    passages: tuple[tuple[float, bool], ...]

    def is_found(self, *, floor: float, least: float) -> bool:
        """Whether an expected passage is among the first K that are used."""
        used = [is_right for relevance, is_right in self.passages if relevance >= least]
        return self.best >= floor and any(used[:K])


@dataclass(frozen=True, slots=True)
class Trade:
    """What a floor does: shares (0 to 1) of answerable questions whose passage is found, and of those that expect no
    answer but get passages all the same; None where no such question was judged.
    """

    floor: float
    recall: float
    let_through: float | None


def judge_questions(*, clone: Clone, payer: Payer) -> list[Judged]:
    """Searches for each evaluation question that says what is expected. Metered; raises MeteredCallError."""
    open_clone = copy(clone)
    open_clone.similarity_threshold = 0.0  # nothing is left out
    judged = []
    for question in clone.evaluation_questions.all():
        if not question.quotes and not question.expects_no_answer:
            continue
        found = async_to_sync(search_passages)(
            clone=open_clone, query=question.question, payer=payer, limit=DEPTH
        )
        judged.append(
            Judged(
                is_answerable=bool(question.quotes),
                best=found.quality.score,
                passages=tuple(
                    (one.relevance, bool(any(find_hits(passages=[one.content], quotes=question.quotes))))
                    for one in found.passages
                ),
            )
        )
    return judged


def weigh_floors(*, judged: Sequence[Judged], is_clones_own: bool) -> list[Trade]:
    """What floors from 0 to 0.99 trade. `is_clones_own`: nothing below it is used; else the model's floor."""
    share = 1.0 if is_clones_own else KEPT_BELOW_FLOOR
    answerable = [one for one in judged if one.is_answerable]
    others = [one for one in judged if not one.is_answerable]
    return [
        Trade(
            floor=floor,
            recall=_mean([one.is_found(floor=floor, least=share * floor) for one in answerable]) or 0.0,
            let_through=_mean([one.best >= floor for one in others]),
        )
        for floor in STEPS
    ]


def choose_floor(*, trades: Sequence[Trade], most_lost: float = MOST_LOST) -> Trade:
    """Of the floors that cost at most `most_lost` of the recall without a floor, the lowest that refuses most.

    Without questions that expect no answer: the highest of them, since everything that it refuses is outside of what
    was judged.
    """
    allowed = [one for one in trades if one.recall >= trades[0].recall - most_lost - 1e-9]
    if allowed[0].let_through is None:
        return allowed[-1]
    return min(allowed, key=lambda one: (one.let_through, one.floor))


def trade_at(*, trades: Sequence[Trade], floor: float) -> Trade:
    """What the step at or above `floor` trades."""
    step = next((one for one in trades if one.floor >= floor - 1e-9), trades[-1])
    return replace(step, floor=floor)


def _mean(values: Sequence[bool]) -> float | None:
    return sum(values) / len(values) if values else None
