"""Markers in streams: whatever way the text is cut, the reader sees the same, and never an invalid marker."""

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it.token import Token

from chat.citations import MarkerFilter
from chat.claims import _find_claims
from chat.markdown import _parser


def run_filter(pieces: list[str], *, passage_count: int) -> tuple[str, MarkerFilter]:
    markers = MarkerFilter(passage_count=passage_count)
    shown = "".join(markers.push(piece) for piece in pieces)
    return shown + markers.flush(), markers


def test_markers_are_numbered_in_order_of_first_use() -> None:
    shown, markers = run_filter(["First [3]. Second [1]. Third [3]."], passage_count=3)
    assert shown == "First [1]. Second [2]. Third [1]."
    assert markers.numbers == {3: 1, 1: 2}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("It is so [9].", "It is so."),
        ("It is so [0].", "It is so."),
        ("Both [1, 2] say so.", "Both [1][2] say so."),
        ("Both [2; 9] say so.", "Both [1] say so."),
        ("Use `list[1]` here.", "Use `list[1]` here."),
        ("```\na[7]\n```\nand [7].", "```\na[7]\n```\nand."),
        ("A stray ` does not hide [9].", "A stray ` does not hide."),
        ("A stray ``` does not hide [2]", "A stray ``` does not hide [1]"),
        ("``` [9]\nx[7]\n", "``` … \nx[7]\n"),
        ("Odd `` runs ` hide [7]\nnothing `", "Odd `` runs ` hide\nnothing `"),
        ("Escaped \\` is no code [9] `", "Escaped \\` is no code `"),
        ("| `a | [9] ` |", "| `a | ` |"),
        ("> ```\n> a[7]\n\nand [7].", "> ```\n> a[7]\n\nand."),
        ("- ```\n  a[7]\n  ```\n- and [7].", "- ```\n  a[7]\n  ```\n- and."),
        ("Nested [[9]9] or [[2]].", "Nested9] or [[1]]."),
        ("`a[9]`[9]`", "`a[9]` … `"),
        ("It lies in [0, 1] [2], or [0;2][2].", "It lies in [0, 1] [1], or [0;2][1]."),
        ("Neither [[0, 2]] nor [ 00 ,2].", "Neither [[0, 2]] nor [ 00 ,2]."),
        ("Of [0,[9]2] and [[9]0, 2].", "Of [0, … 2] and0, 2]."),
        ("An array [a] and [1a] stay.", "An array [a] and [1a] stay."),
        ("Open [1", "Open [1"),
    ],
)
def test_invalid_markers_vanish_and_others_are_understood(text: str, expected: str) -> None:
    assert run_filter([text], passage_count=2)[0] == expected


TEXTS = st.text(alphabet="ab [],;0123`\n.|>- ~\\\\", max_size=60)


@given(text=TEXTS, cuts=st.lists(st.integers(0, 60), max_size=12))
def test_the_way_a_stream_is_cut_does_not_matter(text: str, cuts: list[int]) -> None:
    edges = sorted({0, len(text), *(cut for cut in cuts if cut < len(text))})
    pieces = [text[start:end] for start, end in pairwise(edges)]
    assert run_filter(pieces, passage_count=3)[0] == run_filter([text], passage_count=3)[0]


@given(text=TEXTS)
def test_no_invalid_marker_is_ever_shown_outside_of_code(text: str) -> None:
    shown, markers = run_filter(list(text), passage_count=2)
    read = "".join(_find_text(_parser.parse(shown)))
    assert all(int(number) in markers.numbers.values() for number in re.findall(r"\[(\d+)\]", read))


def _find_text(tokens: Sequence[Token]) -> Iterator[str]:
    for token in tokens:
        if token.type in ("text", "softbreak", "hardbreak"):
            yield token.content or "\n"
        yield from _find_text(token.children or ())


def test_an_interval_is_checked_with_its_statement() -> None:
    [claim] = _find_claims(text="The weight always lies in the interval [0, 7]. [1]", number=1)
    assert "7" in claim


def test_long_runs_of_blanks_take_time_by_their_length_and_not_by_its_square() -> None:
    """Whoever makes a model write a million blanks must not stop everybody's conversations for hours."""
    marker_filter = MarkerFilter(passage_count=1)
    run = " \t" * 500_000
    assert marker_filter.push(f"{run}x{run}[1]{run}") + marker_filter.flush() == f"{run}x{run}[1]{run}"
