"""Line charts as SVG, for the reports under `results/`; nothing but the standard library."""

import math
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 720, 220, 64, 150, 30, 30
COLOURS = ("#2f6f5e", "#b5562b", "#3b5fa8", "#8a4f9e", "#7a7a2a")
Points = Sequence[tuple[float, float]]


def write_charts(path: Path, charts: Mapping[str, Mapping[str, Points]], *, seconds: float) -> None:
    """One chart below the other, of so many seconds each: title -> name of the line -> (seconds, value) points."""
    parts = [
        draw(title, lines, top=number * HEIGHT, longest=seconds)
        for number, (title, lines) in enumerate(charts.items())
    ]
    height = HEIGHT * len(charts)
    path.write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" '
        f'font-size="12"><rect width="{WIDTH}" height="{height}" fill="#fff"/>' + "".join(parts) + "</svg>\n"
    )


def tick_step(highest: float, *, ticks: int, steps: Sequence[float] = (1, 2, 2.5, 5, 10)) -> float:
    """The smallest round step that reaches `highest` in so many."""
    power = 10 ** math.floor(math.log10(highest / ticks))
    return next(step * power for step in steps if step * power * ticks >= highest)


def draw(title: str, lines: Mapping[str, Points], *, top: int, longest: float) -> str:
    found = max((value for line in lines.values() for _seconds, value in line), default=1.0) or 1.0
    step = tick_step(found, ticks=4)
    count = math.ceil(found / step)
    highest = step * count
    wide, high = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM

    def place(seconds: float, value: float) -> tuple[float, float]:
        return LEFT + wide * seconds / longest, top + TOP + high * (1 - value / highest)

    parts = [f'<text x="{LEFT}" y="{top + 18}" font-weight="bold">{escape(title)}</text>']
    for number in range(count + 1):
        y = place(0, number * step)[1]
        parts.append(f'<path d="M{LEFT} {y:.1f}h{wide}" stroke="#ddd"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{number * step:,.4g}</text>')
    minutes = longest >= 180
    for number in range(6):
        at = longest * number / 5
        x, label = place(at, 0)[0], f"{at / 60:g} min" if minutes else f"{at:g} s"
        parts.append(f'<text x="{x:.1f}" y="{top + HEIGHT - 12}" text-anchor="middle">{label}</text>')
    for number, (name, line) in enumerate(lines.items()):
        colour = COLOURS[number % len(COLOURS)]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in (place(*point) for point in line))
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.5"/>')
        y = top + TOP + 14 + 16 * number
        parts.append(f'<text x="{WIDTH - RIGHT + 12}" y="{y}" fill="{colour}">{escape(name)}</text>')
    return "".join(parts)
