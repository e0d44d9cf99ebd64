"""Whatever colour an expert picks, text stays legible."""

import re
from pathlib import Path

import pytest
from django.conf import settings
from hypothesis import given
from hypothesis import strategies as st

from clones.palette import (
    DARK_PAGE,
    DARK_SUNKEN,
    DEFAULT_ACCENT,
    LIGHT_PAGE,
    LIGHT_SUNKEN,
    contrast_ratio,
    palette_for,
)

colours = st.integers(0, 0xFFFFFF).map(lambda value: f"#{value:06x}")


@given(accent=colours, is_dark=st.booleans())
def test_text_and_labels_reach_the_contrast_of_wcag_aa(accent: str, is_dark: bool) -> None:
    palette = palette_for(accent=accent, is_dark=is_dark)
    backgrounds = (DARK_PAGE, DARK_SUNKEN) if is_dark else (LIGHT_PAGE, LIGHT_SUNKEN)
    assert min(contrast_ratio(palette.text, background) for background in (*backgrounds, palette.soft)) >= 4.5
    assert contrast_ratio(palette.on_fill, palette.fill) >= 4.5


def test_contrast_of_black_on_white_is_21() -> None:
    assert contrast_ratio("#000000", "#ffffff") == pytest.approx(21)


@pytest.mark.parametrize("accent", ["", "red", "#12345", "#12345g", "}body{"])
def test_what_is_no_colour_becomes_the_default(accent: str) -> None:
    assert palette_for(accent=accent) == palette_for(accent=DEFAULT_ACCENT)


def test_stylesheet_has_the_colours_that_contrast_is_computed_against() -> None:
    css = Path(settings.BASE_DIR, "static/css/tokens.css").read_text()
    found = {
        name: re.findall(rf"--{name}: (#\w{{6}});", css)
        for name in ("page", "sunken", "accent", "accent-text")
    }
    assert found["page"] == [LIGHT_PAGE, DARK_PAGE]
    assert found["sunken"] == [LIGHT_SUNKEN, DARK_SUNKEN]
    light, dark = palette_for(accent=DEFAULT_ACCENT), palette_for(accent=DEFAULT_ACCENT, is_dark=True)
    assert found["accent"] == [light.fill, dark.fill]
    assert found["accent-text"] == [light.text, dark.text]
