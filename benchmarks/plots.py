"""Line charts as SVG, for the reports under `results/`; nothing but the standard library."""

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 720, 220, 64, 150, 30, 30
COLOURS = ("#2f6f5e", "#b5562b", "#3b5fa8", "#8a4f9e", "#7a7a2a")
Points = Sequence[tuple[float, float]]


def write_charts(path: Path, charts: Mapping[str, Mapping[str, Points]]) -> None:
    """One chart below the other: title -> name of the line -> (seconds, value) points."""
    parts = [draw(title, lines, top=number * HEIGHT) for number, (title, lines) in enumerate(charts.items())]
    height = HEIGHT * len(charts)
    path.write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" '
        f'font-size="12"><rect width="{WIDTH}" height="{height}" fill="#fff"/>' + "".join(parts) + "</svg>\n"
    )


def draw(title: str, lines: Mapping[str, Points], *, top: int) -> str:
    points = [point for line in lines.values() for point in line]
    longest = max((seconds for seconds, _value in points), default=1.0) or 1.0
    highest = max((value for _seconds, value in points), default=1.0) or 1.0
    wide, high = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM

    def place(seconds: float, value: float) -> tuple[float, float]:
        return LEFT + wide * seconds / longest, top + TOP + high * (1 - value / highest)

    parts = [f'<text x="{LEFT}" y="{top + 18}" font-weight="bold">{escape(title)}</text>']
    for share in (0, 0.5, 1):
        y = place(0, highest * share)[1]
        parts.append(f'<path d="M{LEFT} {y:.1f}h{wide}" stroke="#ddd"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{highest * share:,.4g}</text>')
    for share in (0, 0.25, 0.5, 0.75, 1):
        x = place(longest * share, 0)[0]
        parts.append(
            f'<text x="{x:.1f}" y="{top + HEIGHT - 12}" text-anchor="middle">{longest * share:.0f} s</text>'
        )
    for number, (name, line) in enumerate(lines.items()):
        colour = COLOURS[number % len(COLOURS)]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in (place(*point) for point in line))
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.5"/>')
        y = top + TOP + 14 + 16 * number
        parts.append(f'<text x="{WIDTH - RIGHT + 12}" y="{y}" fill="{colour}">{escape(name)}</text>')
    return "".join(parts)
