"""Charts as plain geometry for `templates/admin/billing/_chart.html`, which draws them as SVG without any script.

Every chart stands beside a table with the same figures, which is what assistive technology reads. Units are
those of the SVG's own coordinates; colours are CSS classes. Floats are for drawing only: what is written is the
figure itself.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from itertools import groupby
from math import ceil, floor, log10

WIDTH = 960
HEIGHT = 260
LEFT, RIGHT, TOP, BOTTOM = 70, 12, 14, 30
MOST_X_LABELS = 8
MOST_DAYS = 92
ROW_HEIGHT = 26
NAME_WIDTH = 230
VALUE_WIDTH = 90
LONGEST_NAME = 32

Number = Decimal | int | float
Format = Callable[[Number], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """One figure over the days. `style` names a CSS class: first, second or third. None is a gap."""

    name: str
    style: str
    values: Sequence[Number | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    x: float
    y: float
    width: float
    height: float
    style: str
    title: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A path through the days; `dots` are the points that no line reaches."""

    style: str
    path: str
    dots: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    x: float
    y: float
    text: str
    anchor: str = "middle"


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """`gridlines` are heights; `legend` is empty when there is one series."""

    title: str
    width: int
    height: int
    left: int
    right: int
    gridlines: tuple[float, ...] = ()
    labels: tuple[Label, ...] = ()
    bars: tuple[Bar, ...] = ()
    lines: tuple[Line, ...] = ()
    legend: tuple[tuple[str, str], ...] = field(default=())


def draw_days(
    *,
    title: str,
    days: Sequence[date],
    columns: Sequence[Series] = (),
    lines: Sequence[Series] = (),
    show: Format,
    is_monthly: bool = False,
) -> Chart:
    """Columns, stacked in their order, and lines over the days, each of which may stand for its month."""
    sums = [
        sum(float(value or 0) for value in stack) for stack in zip(*(s.values for s in columns), strict=True)
    ]
    highest = max([*sums, *(float(value or 0) for line in lines for value in line.values)], default=0.0)
    ticks = find_ticks(highest)
    step = (WIDTH - LEFT - RIGHT) / max(1, len(days))

    def height_of(value: float) -> float:
        return value / ticks[-1] * (HEIGHT - TOP - BOTTOM)

    every = ceil(len(days) / MOST_X_LABELS)
    names = [f"{day:%b %Y}" if is_monthly else f"{day.day} {day:%b}" for day in days]
    base = HEIGHT - BOTTOM
    x_labels = [
        Label(x=LEFT + (number + 0.5) * step, y=HEIGHT - 8, text=names[number])
        for number in range(0, len(days), every)
    ]
    y_labels = [Label(x=LEFT - 8, y=base - height_of(t) + 4, text=show(t), anchor="end") for t in ticks]
    return Chart(
        title=title,
        width=WIDTH,
        height=HEIGHT,
        left=LEFT,
        right=WIDTH - RIGHT,
        gridlines=tuple(base - height_of(tick) for tick in ticks),
        labels=(*x_labels, *y_labels),
        bars=tuple(_stack(columns, names=names, step=step, height_of=height_of, show=show)),
        lines=tuple(_draw_line(line, step=step, height_of=height_of) for line in lines),
        legend=tuple((s.name, s.style) for s in (*columns, *lines)) if len(columns) + len(lines) > 1 else (),
    )


def draw_ranking(*, title: str, rows: Sequence[tuple[str, Number]], show: Format) -> Chart:
    """A bar for each row with its name on the left and its value on the right."""
    highest = max((float(value) for _, value in rows), default=0.0) or 1.0
    room = WIDTH - NAME_WIDTH - VALUE_WIDTH
    bars, labels = [], []
    for number, (name, value) in enumerate(rows):
        y = TOP + number * ROW_HEIGHT
        width = float(value) / highest * room
        text = name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 1]}…"
        shown = show(value)
        bars.append(
            Bar(
                x=NAME_WIDTH, y=y, width=width, height=ROW_HEIGHT - 8, style="first", title=f"{name}: {shown}"
            )
        )
        labels.append(Label(x=NAME_WIDTH - 10, y=y + 14, text=text, anchor="end"))
        labels.append(Label(x=NAME_WIDTH + width + 8, y=y + 14, text=shown, anchor="start"))
    height = TOP + len(rows) * ROW_HEIGHT + 4
    return Chart(
        title=title,
        width=WIDTH,
        height=height,
        left=NAME_WIDTH,
        right=WIDTH,
        labels=tuple(labels),
        bars=tuple(bars),
    )


def by_month(days: Sequence[date], values: Sequence[Decimal]) -> tuple[list[date], list[Decimal]]:
    """Sums by month, under the month's first day, when there are too many days for a column each."""
    if len(days) <= MOST_DAYS:
        return list(days), list(values)
    months = groupby(zip(days, values, strict=True), key=lambda pair: pair[0].replace(day=1))
    sums = [(month, sum((value for _, value in pairs), Decimal(0))) for month, pairs in months]
    return [month for month, _ in sums], [value for _, value in sums]


def find_ticks(highest: float) -> list[float]:
    """From zero to at least the highest value in three to six round steps."""
    if highest <= 0:
        return [0.0, 1.0]
    rough = highest / 4
    power = 10 ** floor(log10(rough))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= rough)
    return [step * number for number in range(ceil(highest / step - 1e-9) + 1)]


def _stack(
    columns: Sequence[Series],
    *,
    names: Sequence[str],
    step: float,
    height_of: Callable[[float], float],
    show: Format,
) -> Iterable[Bar]:
    gap = min(4.0, step * 0.2)
    for number, name in enumerate(names):
        bottom = float(HEIGHT - BOTTOM)
        for series in columns:
            value = series.values[number] or 0
            if value <= 0:
                continue
            height = max(1.0, height_of(float(value)))
            bottom -= height
            yield Bar(
                x=LEFT + number * step + gap / 2,
                y=bottom,
                width=step - gap,
                height=height,
                style=series.style,
                title=f"{name}, {series.name}: {show(value)}",
            )


def _draw_line(series: Series, *, step: float, height_of: Callable[[float], float]) -> Line:
    points: list[tuple[float, float] | None] = [
        None if value is None else (LEFT + (number + 0.5) * step, HEIGHT - BOTTOM - height_of(float(value)))
        for number, value in enumerate(series.values)
    ]
    runs = [list(run) for is_gap, run in groupby(points, key=lambda point: point is None) if not is_gap]
    path = " ".join(
        "M" + " L".join(f"{point[0]:.1f} {point[1]:.1f}" for point in run if point)
        for run in runs
        if len(run) > 1
    )
    dots = tuple(run[0] for run in runs if len(run) == 1 and run[0])
    return Line(style=series.style, path=path, dots=dots)
