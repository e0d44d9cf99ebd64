"""Markers in streams: whatever way the text is cut, the reader sees the same, and never an invalid marker."""

import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat.citations import MarkerFilter


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
        ("An array [a] and [1a] stay.", "An array [a] and [1a] stay."),
        ("Open [1", "Open [1"),
    ],
)
def test_invalid_markers_vanish_and_others_are_understood(text: str, expected: str) -> None:
    assert run_filter([text], passage_count=2)[0] == expected


TEXTS = st.text(alphabet="ab [],;0123`\n.", max_size=60)


@given(text=TEXTS, cuts=st.lists(st.integers(0, 60), max_size=12))
def test_the_way_a_stream_is_cut_does_not_matter(text: str, cuts: list[int]) -> None:
    edges = sorted({0, len(text), *(cut for cut in cuts if cut < len(text))})
    pieces = [text[start:end] for start, end in pairwise(edges)]
    assert run_filter(pieces, passage_count=3)[0] == run_filter([text], passage_count=3)[0]


@given(text=TEXTS)
def test_no_invalid_marker_is_ever_shown(text: str) -> None:
    shown, markers = run_filter(list(text), passage_count=2)
    outside_code = re.split(r"`", shown)[0]
    assert all(int(number) in markers.numbers.values() for number in re.findall(r"\[(\d+)\]", outside_code))
