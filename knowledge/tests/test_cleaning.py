"""Clean-up keeps the words and drops what layout left between them."""

import pytest

from knowledge.cleaning import clean_characters, clean_pages, join_broken_words
from knowledge.extraction import ExtractedPage


def pages_of(*texts: str) -> list[ExtractedPage]:
    return [ExtractedPage(number=number, text=text) for number, text in enumerate(texts, start=1)]


def cleaned(*texts: str, kind: str = "pdf") -> list[str]:
    return [page.text for page in clean_pages(pages=pages_of(*texts), kind=kind)]


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        ("e\ufb03cient \ufb01sh", "efficient fish"),
        ("soft\u00adhyphen and zero\u200bwidth", "softhyphen and zerowidth"),
        ("a\u00a0b\u2003c", "a b c"),
        ("one\r\ntwo\rthree\u2028four", "one\ntwo\nthree\nfour"),
        ("nul\x00 bell\x07 half\ud800", "nul bell half"),
        ("cafe\u0301", "café"),
        ("trailing  \n\n\n\nnext", "trailing\n\nnext"),
    ],
)
def test_characters_become_plain(raw: str, clean: str):
    assert clean_characters(text=raw) == clean


def test_word_broken_over_two_lines_is_joined():
    assert join_broken_words(text="the conver-\nsation went on", known_words=frozenset()) == (
        "the conversation went on"
    )


def test_compound_keeps_its_hyphen_when_the_document_writes_it_so():
    assert cleaned("A well-known rule. It is well-\nknown indeed.") == [
        "A well-known rule. It is well-known indeed."
    ]


@pytest.mark.parametrize("text", ["pages 10-\n12", "Anna-\nMaria", "a list:\n- one\n- two"])
def test_other_hyphens_at_line_ends_stay(text: str):
    assert join_broken_words(text=text, known_words=frozenset()) == text


def test_running_heads_and_page_numbers_go_wherever_the_file_draws_them():
    texts = [
        f"The Guide Page {number}\nText of chapter {word}." for number, word in enumerate("abc", start=1)
    ]
    texts += [
        f"Text of chapter {word}.\nThe Guide Page {number}" for number, word in enumerate("de", start=4)
    ]
    assert cleaned(*texts) == [f"Text of chapter {word}." for word in "abcde"]


def test_first_line_that_differs_from_page_to_page_stays():
    texts = [f"{title}\nBody about {title}." for title in ("Trust", "Time", "Money", "Rest")]
    assert cleaned(*texts) == texts


def test_short_documents_keep_repeated_lines():
    texts = ["Refrain\nVerse one", "Refrain\nVerse two"]
    assert cleaned(*texts) == texts


def test_page_numbers_survive_empty_pages():
    result = clean_pages(pages=pages_of("One", "", "Three"), kind="pdf")
    assert [(page.number, page.text) for page in result] == [(1, "One"), (2, ""), (3, "Three")]


def test_layout_of_text_files_is_left_alone():
    code = "def f():\n    return  1\n\nA hyphen-\nated line"
    assert cleaned(code, kind="md") == [code]


def test_long_runs_take_time_by_their_length_and_not_by_its_square():
    """A file made of one line must not hold a worker for hours."""
    blanks, letters = " \t" * 500_000, "a" * 1_000_000
    assert clean_characters(text=f"{blanks}x{blanks}\nnext") == f"{blanks}x\nnext"
    page = ExtractedPage(number=1, text=f"{letters}1 {letters}-\n{letters}")
    assert clean_pages(pages=[page], kind="pdf")[0].text == f"{letters}1 {letters}{letters}"
