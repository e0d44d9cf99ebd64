"""Which sentences of a passage an answer rests on."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat.support import find_place, find_statements

PASSAGE = (
    "Hold a one-on-one of thirty minutes with each person every week. The agenda belongs to them.\n"
    "Give feedback within forty-eight hours. Describe what you saw and what it caused.\n"
    "The team's budget is 4,200 euros a quarter. Ask before you spend more than 300 of it."
)


def text_at(statement: str) -> str | None:
    place = find_place(statement=statement, content=PASSAGE)
    return PASSAGE[place.start : place.end] if place else None


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("Give feedback within forty-eight hours.", "Give feedback within forty-eight hours."),
        (
            "You should meet every person weekly, for thirty minutes, one on one.",
            "Hold a one-on-one of thirty minutes",
        ),
        ("Spending over 300 needs a question first.", "Ask before you spend more than 300 of it."),
        ("The quarterly budget is 4,200 euros.", "The team's budget is 4,200 euros a quarter."),
    ],
)
def test_the_sentence_that_says_it_is_found(statement: str, expected: str) -> None:
    found = text_at(statement)
    assert found is not None
    assert found.startswith(expected) or expected in found
    assert len(found) < 120


def test_a_run_of_sentences_under_one_marker_is_found_whole() -> None:
    run = "Hold a one-on-one of thirty minutes with each person every week. The agenda belongs to them."
    answer = f"This helps.\n\n{run} [1]"
    (statement,) = find_statements(answer=answer, number=1)
    found = text_at(statement)
    assert (
        found
        == "Hold a one-on-one of thirty minutes with each person every week. The agenda belongs to them."
    )


def test_line_ends_of_a_pdf_do_not_cut_a_sentence() -> None:
    content = "Never cancel a talk. If you must move it, move\nit within the same week. Say why."
    place = find_place(statement="If you must move it, move it within the same week.", content=content)
    assert place is not None
    assert content[place.start : place.end] == "If you must move it, move\nit within the same week."


def test_what_the_passage_does_not_say_has_no_place() -> None:
    assert text_at("Quantum chromodynamics describes gluons.") is None
    assert text_at("") is None


def test_statements_are_those_in_front_of_the_marker() -> None:
    answer = "First thing [1]. Second thing here [2][1]. Third.\n\n- Fourth [2]"
    assert find_statements(answer=answer, number=1) == ["First thing", "Second thing here"]
    assert find_statements(answer=answer, number=2)[-1] == "- Fourth"
    assert find_statements(answer=answer, number=3) == []


@given(statement=st.text(max_size=80), content=st.text(max_size=300))
def test_a_place_is_always_inside_the_passage(statement: str, content: str) -> None:
    place = find_place(statement=statement, content=content)
    if place is not None:
        assert 0 <= place.start < place.end <= len(content)
        assert 0 < place.share <= 1.000001
