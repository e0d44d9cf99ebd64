"""The figures against ones computed by hand."""

from math import log2

import pytest

from chat.evaluation_metrics import (
    find_hits,
    find_regressions,
    ndcg_at,
    recall_at,
    reciprocal_rank,
    summarise,
)


def test_hits_look_past_line_breaks_marks_and_capitals():
    passages = ["Hold a *one-on-one*\nevery week.", "Nothing", "EVERY WEEK, and feedback: soon!"]
    assert find_hits(passages=passages, quotes=["one-on-one every week", "feedback soon"]) == [
        {0},
        set(),
        {1},
    ]


def test_figures_of_two_quotes_at_places_two_and_four():
    hits = [set(), {0}, {0}, {1}, set()]
    assert recall_at(hits=hits, expected=2, k=3) == 0.5
    assert recall_at(hits=hits, expected=2, k=5) == 1.0
    assert reciprocal_rank(hits=hits) == 0.5
    # The neighbour at place three holds nothing new and earns nothing.
    expected = (1 / log2(3) + 1 / log2(5)) / (1 + 1 / log2(3))
    assert ndcg_at(hits=hits, expected=2, k=10) == pytest.approx(expected)


def test_nothing_found_is_zero_and_perfect_order_is_one():
    assert (
        recall_at(hits=[], expected=1, k=5),
        reciprocal_rank(hits=[]),
        ndcg_at(hits=[], expected=1, k=10),
    ) == (0, 0, 0)
    assert ndcg_at(hits=[{0}, {1}], expected=2, k=10) == 1.0


def test_summary_is_the_mean_of_what_applies_and_the_median_of_times():
    summary = summarise(
        [{"recall": 1.0, "total_ms": 10}, {"recall": 0.0, "total_ms": 500}, {"recall": None, "total_ms": 20}]
    )
    assert (summary["recall"], summary["total_ms"], summary["answer"]) == (0.5, 20, None)


@pytest.mark.parametrize(
    ("now", "before", "worse"),
    [
        ({"recall": 0.90}, {"recall": 0.92}, False),
        ({"recall": 0.89}, {"recall": 0.92}, True),
        ({"unsupported": 0.10}, {"unsupported": 0.05}, True),
        ({"unsupported": 0.05}, {"unsupported": 0.10}, False),
        ({"nano_usd": 13_000_000}, {"nano_usd": 10_000_000}, True),
        ({"nano_usd": 12_000_000}, {"nano_usd": 10_000_000}, False),
        (
            {"nano_usd": 100_000_000},
            {"nano_usd": 0},
            False,
        ),  # from free to paid is a decision, not a regression
        ({"recall": None}, {"recall": 0.9}, False),
    ],
)
def test_regressions_follow_the_stated_rules(now, before, worse):
    assert bool(find_regressions(now=now, before=before)) is worse
