"""A clone's accent colour made legible: fills, text and tints for the light and the dark theme.

Colours are `#rrggbb`. Contrast is the ratio of WCAG 2.2, 1 to 21: text needs 4.5.
"""

import re
from dataclasses import dataclass

DEFAULT_ACCENT = "#2f6f5e"
# --page and --sunken in static/css/tokens.css; --surface lies on the safe side of them
LIGHT_PAGE, LIGHT_SUNKEN = "#fbfaf7", "#f3f0ea"
DARK_PAGE, DARK_SUNKEN = "#171614", "#262420"
TEXT_CONTRAST = 4.6  # a little above the norm, so that rounding never falls below it
SHAPE_CONTRAST = 1.5  # fills carry a label of their own; this only keeps them from sinking into the page
LIGHT_SOFT_SHARE, DARK_SOFT_SHARE = 0.1, 0.17
STEP = 0.04

Rgb = tuple[int, int, int]
BLACK: Rgb = (0, 0, 0)
WHITE: Rgb = (255, 255, 255)


@dataclass(frozen=True, slots=True, kw_only=True)
class Palette:
    """One theme: `fill` with `on_fill` written on it; `text` on any background of the page or on `soft`."""

    fill: str
    on_fill: str
    text: str
    soft: str


def palette_for(*, accent: str, is_dark: bool = False) -> Palette:
    """The accent for one theme; anything that is no colour counts as the default accent."""
    page, sunken = (
        (_parse(DARK_PAGE), _parse(DARK_SUNKEN)) if is_dark else (_parse(LIGHT_PAGE), _parse(LIGHT_SUNKEN))
    )
    colour = _parse(accent if re.fullmatch(r"#[0-9a-fA-F]{6}", accent) else DEFAULT_ACCENT)
    away_from_page = WHITE if is_dark else BLACK
    fill = _strengthen(colour, towards=away_from_page, against=(page, sunken), ratio=SHAPE_CONTRAST)
    soft = _mix(page, colour, share=DARK_SOFT_SHARE if is_dark else LIGHT_SOFT_SHARE)
    text = _strengthen(colour, towards=away_from_page, against=(page, sunken, soft), ratio=TEXT_CONTRAST)
    on_fill = max(WHITE, BLACK, key=lambda ink: _contrast(ink, fill))
    return Palette(fill=_format(fill), on_fill=_format(on_fill), text=_format(text), soft=_format(soft))


def contrast_ratio(first: str, second: str) -> float:
    """WCAG contrast of two `#rrggbb` colours, 1 to 21."""
    return _contrast(_parse(first), _parse(second))


def _strengthen(colour: Rgb, *, towards: Rgb, against: tuple[Rgb, ...], ratio: float) -> Rgb:
    """The nearest mix of `colour` with `towards` that stands out from every background."""
    share, mixed = 0.0, colour
    while share < 1 and min(_contrast(mixed, background) for background in against) < ratio:
        share = min(1.0, share + STEP)
        mixed = _mix(colour, towards, share=share)
    return mixed


def _contrast(first: Rgb, second: Rgb) -> float:
    darker, lighter = sorted((_luminance(first), _luminance(second)))
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(colour: Rgb) -> float:
    """Relative luminance as WCAG 2.2 defines it."""
    red, green, blue = (
        value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4
        for value in (channel / 255 for channel in colour)
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _mix(first: Rgb, second: Rgb, *, share: float) -> Rgb:
    """`first` with `share` of `second`, 0 to 1."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(first, second, strict=True))
    return red, green, blue


def _parse(colour: str) -> Rgb:
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


def _format(colour: Rgb) -> str:
    return "#{:02x}{:02x}{:02x}".format(*colour)
