"""Tables are read row by row, and never glued together."""

from __future__ import annotations

from cloneai.local_ai.sentences import split_units

PLAN = """The first week has one purpose, which is to understand the team before it has understood you at all.

A plan for the first days
Day Do Avoid
Monday
Say hello in person. Tell the team how you
want to use the first weeks
A speech about your vision
Tuesday
First two listening talks. Ask your manager
for an interview
Reading old reviews
first
Wednesday
Two more talks
Correcting anything you see
Why not read the old reviews first? Because the first thing that you learn about a person colours what
comes after it."""


def rows(text: str) -> list[str]:
    return [unit.text for unit in split_units(text=text) if unit.kind == "row"]


def test_rows_that_a_pdf_left_as_short_lines_are_told_apart() -> None:
    assert rows(PLAN) == [
        "Monday – Do: Say hello in person. Tell the team how you want to use the first weeks; "
        "Avoid: A speech about your vision",
        "Tuesday – Do: First two listening talks. Ask your manager for an interview; Avoid: Reading old reviews first",
        "Wednesday – Do: Two more talks; Avoid: Correcting anything you see",
    ]


def test_line_above_the_head_of_a_table_is_its_heading() -> None:
    headings = [unit.text for unit in split_units(text=PLAN) if unit.kind == "heading"]
    assert headings == ["A plan for the first days"]


def test_prose_behind_a_table_is_prose() -> None:
    last = split_units(text=PLAN)[-1]
    assert last.kind == "prose"
    assert last.text.startswith("Because the first thing that you learn about a person colours what comes")


def test_lines_that_begin_with_a_range_are_rows() -> None:
    prose = "Hold it between day 31 and day 40, when you know the people in the team and they know you."
    assert rows(f"{prose}\n0 to 10 Why we do this\n10 to 30 Everyone writes alone") == [
        "0 to 10: Why we do this",
        "10 to 30: Everyone writes alone",
    ]


def test_cells_on_one_line_that_cannot_be_told_apart_are_left_out() -> None:
    text = (
        "Say the number of the rung aloud whenever you hand over a piece of work to somebody in the team.\n\n"
        "1 Watch Come along and see. You\n2 Explore Bring me two options. You\n3 Propose Tell me first. You\n"
        "4 Own It is yours alone. They"
    )
    assert [unit.text for unit in split_units(text=text)] == [
        "Say the number of the rung aloud whenever you hand over a piece of work to somebody in the team."
    ]


def test_head_of_a_pipe_table_names_the_further_columns() -> None:
    text = "| You see | What helps | What harms |\n|---|---|---|\n| Tears | A pause. | A hug |\n| Silence | | Haste |"
    assert rows(text) == ["Tears – What helps: A pause; What harms: A hug", "Silence – What harms: Haste"]


def test_pipe_table_of_two_columns_reads_label_and_value() -> None:
    assert rows("| Age | Hours |\n|---|---|\n| Babies | 12 to 16 |") == ["Babies: 12 to 16"]


def test_form_to_fill_in_has_no_rows() -> None:
    assert rows("| Question | Your notes |\n| What happened? | |\n| What is my part? | |") == []


def test_title_page_is_no_table() -> None:
    text = (
        "The First Days of\nLeading\nA guide\nAda Berg\n\n" + "A long line of prose that goes on and on. " * 2
    )
    assert rows(text) == []


def test_head_that_is_marked_names_the_columns_also_when_its_corner_is_empty() -> None:
    text = "|  | Mon | What we talk about on that day |\n| --- | --- | --- |\n| Early | Swim | Rest |"
    assert rows(text) == ["Early – Mon: Swim; What we talk about on that day: Rest"]


def test_mark_of_an_empty_head_names_nothing() -> None:
    assert rows("| | | |\n|---|:-:|--:|\n| Early | Swim | Rest |") == ["Early – Swim; Rest"]
