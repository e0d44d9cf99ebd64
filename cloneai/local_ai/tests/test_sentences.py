"""Text with line breaks, abbreviations, lists and headings becomes sentences fit to quote."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloneai.local_ai.queries import clean_text
from cloneai.local_ai.sentences import split_sentences, split_units


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("Dr. Smith slept 7.5 hours. Then he rose.", ["Dr. Smith slept 7.5 hours.", "Then he rose."]),
        ("Use tools, e.g. Slack. Stop.", ["Use tools, e.g. Slack.", "Stop."]),
        ("It ended at 3 p.m. Then we left.", ["It ended at 3 p.m.", "Then we left."]),
        ("J. K. Rowling wrote it. Yes!", ["J. K. Rowling wrote it.", "Yes!"]),
        ("“Really?” she asked. No.", ["“Really?” she asked.", "No."]),
        ("See Fig. 3 and No. 4. Done.", ["See Fig. 3 and No. 4.", "Done."]),
        ("Smith et al. 2019 agree.", ["Smith et al. 2019 agree."]),
        ("It grew in 2019. It fell in 2020.", ["It grew in 2019.", "It fell in 2020."]),
        ("Wait... what? Fine.", ["Wait... what?", "Fine."]),
        ("これは文です。次の文です。", ["これは文です。", "次の文です。"]),
    ],
)
def test_sentences_end_where_they_end(text: str, sentences: list[str]) -> None:
    assert split_sentences(text=text) == sentences


@given(st.text(max_size=200))
def test_splitting_loses_no_character_but_white_space(text: str) -> None:
    assert "".join("".join(split_sentences(text=text)).split()) == "".join(text.split())


@given(st.text(alphabet="ab.- \n#|1Ä•\u00ad", max_size=80))
def test_units_of_any_text_are_clean(text: str) -> None:
    for unit in split_units(text=text):
        assert unit.text == unit.text.strip()
        assert "\n" not in unit.text


def test_wrapped_lines_are_joined_over_hyphens_and_page_numbers() -> None:
    text = (
        "The night is for chil-\ndren and their well-being. A sentence goes\n12\non over the page. "
        "Well-\nbeing counts."
    )
    assert [unit.text for unit in split_units(text=text)] == [
        "The night is for children and their well-being.",
        "A sentence goes on over the page.",
        "Well-being counts.",
    ]


def test_headings_items_and_contents_are_told_apart() -> None:
    text = (
        "# Rules\n\nOverview ...... 3\n\nKeep to these:\n1. Rise early and\nstay up.\n2. Eat.\n\n"
        "Late meals\nDo not eat late."
    )
    assert [(unit.kind, unit.text) for unit in split_units(text=text)] == [
        ("heading", "Rules"),
        ("prose", "Keep to these:"),
        ("item", "Rise early and stay up."),
        ("item", "Eat."),
        ("heading", "Late meals"),
        ("prose", "Do not eat late."),
    ]


def test_underlined_and_wiki_headings_are_headings() -> None:
    text = "Letter 4: To Jonas, who leads\n-----------------------------\nGo home.\n\n = = Plot = = \n\nThey win."
    assert [(unit.kind, unit.text) for unit in split_units(text=text)] == [
        ("heading", "Letter 4: To Jonas, who leads"),
        ("prose", "Go home."),
        ("heading", "Plot"),
        ("prose", "They win."),
    ]


def test_contents_pages_without_dots_are_left_out() -> None:
    text = "Contents\nBefore you start 3\n1. From doing to leading 5\n\nBefore you start\nYou were good at something."
    assert [unit.text for unit in split_units(text=text)] == [
        "Before you start",
        "You were good at something.",
    ]


def test_paragraph_behind_a_list_is_not_its_last_item() -> None:
    text = (
        "Ask everybody in the team the same questions, and write their own words down, not your reading:\n"
        "» What should stay?\n» What should go?\nTalk about it.\nWhen the round is over, tell the team."
    )
    assert [(unit.kind, unit.text) for unit in split_units(text=text)][1:] == [
        ("item", "What should stay?"),
        ("item", "What should go?"),
        ("prose", "Talk about it."),
        ("prose", "When the round is over, tell the team."),
    ]


def test_cleaning_keeps_every_word_and_the_layout() -> None:
    text = (
        "Title\n\nThe  quick bro\u00ad\nwn fox   jumps over the lazy dog and then it\nsleeps.\n\n- one\n- two"
    )
    assert (
        clean_text(text=text)
        == "Title\n\nThe quick brown fox jumps over the lazy dog and then it sleeps.\n\n- one\n- two"
    )
