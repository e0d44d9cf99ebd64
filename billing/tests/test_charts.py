"""Geometry of the charts, and harmless CSV."""

from datetime import date, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.charts import (
    BOTTOM,
    HEIGHT,
    LEFT,
    RIGHT,
    TOP,
    WIDTH,
    Series,
    by_month,
    draw_days,
    draw_ranking,
    find_ticks,
)
from billing.csv_export import disarm
from billing.periods import list_presets, read_period

DAYS = [date(2026, 3, 1) + timedelta(days=number) for number in range(30)]


@given(st.floats(min_value=1e-9, max_value=1e12))
def test_axis_reaches_the_highest_value_in_few_even_steps(highest: float) -> None:
    ticks = find_ticks(highest)
    assert ticks[0] == 0
    assert ticks[-1] >= highest * (1 - 1e-6)
    assert 3 <= len(ticks) <= 6
    assert ticks[-2] < highest * (1 + 1e-6)


def test_bars_stand_on_the_axis_within_the_frame() -> None:
    values = [Decimal(number) / 7 for number in range(30)]
    chart = draw_days(
        title="t", days=DAYS, columns=[Series(name="cost", style="first", values=values)], show=str
    )
    assert len(chart.bars) == 29  # nothing on the first day, and no bar for it
    for bar in chart.bars:
        assert LEFT <= bar.x < bar.x + bar.width <= WIDTH - RIGHT
        assert bar.y >= TOP - 1
        assert bar.y + bar.height == pytest.approx(HEIGHT - BOTTOM)
    heights = [bar.height for bar in chart.bars]
    assert heights == sorted(heights)
    assert heights[-1] / heights[9] == pytest.approx(29 / 10)


def test_stacked_bars_do_not_overlap() -> None:
    good, bad = (
        Series(name="good", style="first", values=[10] * 30),
        Series(name="bad", style="second", values=[5] * 30),
    )
    chart = draw_days(title="t", days=DAYS, columns=[good, bad], show=str)
    lower, upper = chart.bars[:2]
    assert upper.y + upper.height == pytest.approx(lower.y)
    assert chart.legend == (("good", "first"), ("bad", "second"))


def test_line_has_gaps_where_nothing_was_measured() -> None:
    values = [1.0, 2.0, None, 3.0, *[None] * 26]
    [line] = draw_days(
        title="t", days=DAYS, lines=[Series(name="p50", style="third", values=values)], show=str
    ).lines
    assert line.path.count("M") == 1
    assert len(line.dots) == 1


def test_ranking_is_drawn_to_scale_and_shortens_long_names() -> None:
    chart = draw_ranking(title="t", rows=[("x" * 50, Decimal(4)), ("short", Decimal(1))], show=str)
    assert chart.bars[0].width == pytest.approx(4 * chart.bars[1].width)
    assert chart.labels[0].text == "x" * 31 + "…"
    assert "x" * 50 in chart.bars[0].title


@pytest.mark.parametrize("rows", [[], [("free", Decimal(0))]])
def test_nothing_to_show_is_no_division_by_zero(rows: list[tuple[str, Decimal]]) -> None:
    assert draw_ranking(title="t", rows=rows, show=str).height > 0
    assert draw_days(title="t", days=DAYS[:1], columns=[], show=str).bars == ()


def test_long_periods_are_drawn_by_month() -> None:
    days = [date(2026, 1, 1) + timedelta(days=number) for number in range(120)]
    months, sums = by_month(days, [Decimal(1)] * 120)
    assert months == [date(2026, month, 1) for month in (1, 2, 3, 4)]
    assert sums == [31, 28, 31, 30]


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "  =1", "＝1"])
def test_formula_becomes_text(text: str) -> None:
    assert disarm(text) == f"'{text}"


def test_ordinary_text_is_left_alone() -> None:
    assert disarm("Mara Lindqvist - coach") == "Mara Lindqvist - coach"


def test_presets_are_the_usual_periods() -> None:
    found = {name: (first, last) for name, first, last in list_presets(today=date(2026, 3, 5))}
    assert found["Today"] == (date(2026, 3, 5), date(2026, 3, 5))
    assert found["7 days"] == (date(2026, 2, 27), date(2026, 3, 5))
    assert found["This month"] == (date(2026, 3, 1), date(2026, 3, 5))
    assert found["Last month"] == (date(2026, 2, 1), date(2026, 2, 28))


@pytest.mark.parametrize(
    "query",
    [
        {"first_day": "1990-01-01", "last_day": "1990-01-05"},
        {"first_day": "x"},
        {"first_day": "2012-01-01"},
        {},
    ],
)
def test_senseless_period_falls_back_to_thirty_days(query: dict[str, str]) -> None:
    assert len(read_period(query).days) == 30


def test_months_are_called_by_their_names() -> None:
    months = [date(2026, 1, 1), date(2026, 2, 1)]
    columns = [Series(name="cost", style="first", values=[1, 2])]
    chart = draw_days(title="t", days=months, columns=columns, show=str, is_monthly=True)
    assert [label.text for label in chart.labels][:2] == ["Jan 2026", "Feb 2026"]
    assert chart.bars[0].title == "Jan 2026, cost: 1"
