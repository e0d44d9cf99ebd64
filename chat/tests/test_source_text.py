"""Sources read like text again, and no character of them changes."""

import html
import re

from hypothesis import given
from hypothesis import strategies as st

from chat.source_text import CONTEXT_CHARS, SourceText, flow_source
from chat.sources import SourceView

WRAPPED = (
    "Hold a one-on-one with every person each week. It lasts thirty minutes and\n"
    "the agenda belongs to them. Do not cancel it; move it if you have to.\n"
    "Soon, small and specific\n"
    "Give feedback within forty-eight hours of the moment that it is about, and\n"
    "describe what you saw.\n"
    "- first what you saw, and nothing about the person or their reasons\n"
    "- then what it caused"
)


def view(before: str, passage: str, after: str, focus: tuple[int, int] | None = None) -> SourceView:
    return SourceView(
        title="Notes",
        page=1,
        page_end=1,
        page_count=1,
        before=before,
        passage=passage,
        after=after,
        is_document_live=True,
        focus=focus,
    )


def passage_of(text: SourceText) -> str:
    return str(text.lead_in + text.focus + text.lead_out)


def plain(text: SourceText) -> list[str]:
    parts = (text.before, passage_of(text), text.after)
    return [html.unescape(re.sub(r"<br>", "", part)) for part in parts]


@given(before=st.text(), passage=st.text(), after=st.text())
def test_no_character_is_lost_or_added(before: str, passage: str, after: str) -> None:
    before, passage, after = (part.replace("<br>", "") for part in (before, passage, after))
    assert plain(flow_source(source=view(before, passage, after), is_whole=True)) == [before, passage, after]


def test_lines_broken_by_the_page_width_flow_and_meant_breaks_stay() -> None:
    lines = passage_of(flow_source(source=view("", WRAPPED, ""))).split("<br>\n")
    assert [line.split("\n")[0][:12] for line in lines] == [
        "Hold a one-o",
        "Soon, small ",
        "Give feedbac",
        "- first what",
        "- then what ",
    ]
    assert "minutes and\nthe agenda" in lines[0]


def test_text_of_one_line_per_paragraph_keeps_its_paragraphs() -> None:
    paragraphs = "\n".join("word " * 60 for _ in range(3))
    assert passage_of(flow_source(source=view("", paragraphs, ""))).count("<br>") == 2


def test_sentences_that_the_answer_rests_on_are_set_apart() -> None:
    text = flow_source(source=view("Before. ", "One. Two.\n\nThree.", " After.", focus=(5, 9)))
    assert (text.lead_in, text.focus, text.lead_out) == ("One. ", "Two.", "<br>\n<br>\nThree.")


def test_markup_in_a_document_stays_text() -> None:
    text = flow_source(source=view("<b>", "<script>alert(1)</script>", "&amp;"))
    assert (text.before, passage_of(text)) == ("&lt;b&gt;", "&lt;script&gt;alert(1)&lt;/script&gt;")
    assert text.after == "&amp;amp;"


def test_only_the_surroundings_of_the_passage_are_shown_unless_asked() -> None:
    before, after = "early words " * 1000, "later words " * 1000
    cut = flow_source(source=view(before, "the passage", after))
    assert cut.is_cut
    assert len(cut.before) <= CONTEXT_CHARS
    assert before.endswith(str(cut.before))
    assert after.startswith(str(cut.after))
    assert len(cut.after) > CONTEXT_CHARS / 2
    whole = flow_source(source=view(before, "the passage", after), is_whole=True)
    assert not whole.is_cut
    assert plain(whole) == [before, "the passage", after]
