"""Percentiles of counted values. Pure; durations are milliseconds."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

Durations = list[tuple[float, int]]  # each with how often it occurred


@dataclass(frozen=True, slots=True, kw_only=True)
class Percentiles:
    """Milliseconds; None when nothing was measured."""

    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None


def find_percentiles(durations: Durations) -> Percentiles:
    """The 50th, 95th and 99th percentile of counted values, interpolated and rounded to a tenth."""
    ordered = sorted(durations)
    count = sum(number for _, number in ordered)
    if not count:
        return Percentiles(p50_ms=None, p95_ms=None, p99_ms=None)

    def value_at(position: int) -> float:
        passed = 0
        for value, number in ordered:
            passed += number
            if position < passed:
                return value
        raise AssertionError("A position lies within the count.")

    def percentile(percent: int) -> float:
        whole, rest = divmod(percent * (count - 1), 100)
        lower = value_at(whole)
        return round(lower + (value_at(whole + 1) - lower) * rest / 100, 1) if rest else lower

    return Percentiles(p50_ms=percentile(50), p95_ms=percentile(95), p99_ms=percentile(99))


def merge_durations(groups: Iterable[Durations]) -> Durations:
    merged: Counter[float] = Counter()
    for durations in groups:
        for value, number in durations:
            merged[value] += number
    return list(merged.items())
