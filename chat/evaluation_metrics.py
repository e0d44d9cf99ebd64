"""The figures of an evaluation, as pure functions; the textbook's definitions with binary relevance.

`hits[i]` is the set of expected quotes that passage i of the result holds, best passage first. A quote counts once, at
the first passage that holds it: an overlapping neighbour earns nothing more.
"""

import re
from collections.abc import Mapping, Sequence
from math import log2
from statistics import median

K = 5
DEPTH = 10
NANO = 10**9  # money is stored in whole billionths of a dollar: figures are JSON, which has no decimals
Figures = dict[str, float | None]

# What makes a run worse than its baseline: how far a figure may move in the wrong direction. Ratios for the last two.
MOST_LOST = {"recall": 0.02, "mrr": 0.03, "ndcg": 0.03, "answer": 0.05, "right_refusals": 0.02}
MOST_GAINED = {"unsupported": 0.02, "wrong_refusals": 0.02}
MOST_TIMES = {"nano_usd": 1.25, "total_ms": 2.0}
NAMES = {
    "recall": f"Recall@{K}",
    "mrr": "MRR",
    "ndcg": f"nDCG@{DEPTH}",
    "answer": "Words of the expected answer",
    "unsupported": "Unsupported claims",
    "right_refusals": "Declined, and rightly",
    "wrong_refusals": "Declined, though there is an answer",
    "nano_usd": "Cost a question (USD)",
    "total_ms": "Time (median, ms)",
}


def find_hits(*, passages: Sequence[str], quotes: Sequence[str]) -> list[set[int]]:
    """Which quotes each passage holds, whatever the line breaks, marks and capitals."""
    wanted = [_squeeze(quote) for quote in quotes]
    return [
        {index for index, quote in enumerate(wanted) if quote and quote in text}
        for text in map(_squeeze, passages)
    ]


def recall_at(*, hits: Sequence[set[int]], expected: int, k: int) -> float:
    """The share of the expected quotes that the first k passages hold."""
    return len(set().union(*hits[:k])) / expected if expected else 0.0


def reciprocal_rank(*, hits: Sequence[set[int]]) -> float:
    """1 over the place of the first right passage, 0 without one."""
    return next((1 / place for place, found in enumerate(hits, start=1) if found), 0.0)


def ndcg_at(*, hits: Sequence[set[int]], expected: int, k: int) -> float:
    """Discounted gain of new quotes, over that of the best order: one quote in each of the first places."""
    seen: set[int] = set()
    gain = 0.0
    for place, found in enumerate(hits[:k], start=1):
        if found - seen:
            gain += 1 / log2(place + 1)
            seen |= found
    ideal = sum(1 / log2(place + 1) for place in range(1, min(expected, k) + 1))
    return min(gain / ideal, 1.0) if ideal else 0.0


def summarise(results: Sequence[Mapping[str, float | None]]) -> Figures:
    """The mean of each figure over the questions that have it; the median of times; None where no question has it."""
    summary: Figures = {}
    for name in NAMES:
        values = [value for figures in results if (value := figures.get(name)) is not None]
        mean = median if name == "total_ms" else _mean
        summary[name] = round(mean(values), 6) if values else None
    return summary


def find_regressions(*, now: Mapping[str, float | None], before: Mapping[str, float | None]) -> list[str]:
    """In words, which figures are worse than the stated rules allow; empty when the run may be published."""
    worse = []
    for name, title in NAMES.items():
        value, old = now.get(name), before.get(name)
        if value is None or old is None:
            continue
        is_worse = (
            old - value > MOST_LOST.get(name, float("inf")) + 1e-9
            or value - old > MOST_GAINED.get(name, float("inf")) + 1e-9
            or (old > 0 and value > old * MOST_TIMES.get(name, float("inf")))
        )
        if is_worse:
            was, is_now = in_units(name=name, value=old), in_units(name=name, value=value)
            worse.append(f"{title}: {was:.4g} before, {is_now:.4g} now")
    return worse


def in_units(*, name: str, value: float) -> float:
    """As people read it: money in dollars, the others as they are."""
    return value / NANO if name == "nano_usd" else value


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _squeeze(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.casefold()))
