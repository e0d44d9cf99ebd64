"""Chunks are exact: offsets, token counts, pages, and nothing of the text is lost between them."""

import string
from itertools import pairwise

import pytest
import tiktoken
from hypothesis import given, settings
from hypothesis import strategies as st

from knowledge.chunking import (
    PAGE_SEPARATOR,
    DocumentText,
    TextChunk,
    chunk_text,
    count_tokens,
    join_pages,
)
from knowledge.chunking_boundaries import find_headings, sentence_ends
from knowledge.extraction_types import ExtractedPage

ENCODINGS = ("cl100k_base", "o200k_base")
PROSE = (
    "Dr. Lee asked the group to write down one fear each. Nobody spoke for a while! Then, e.g. in the "
    "third row, "
    "someone laughed. Was that allowed? It was, and 3.5 minutes later everyone had finished. "
)
LINES = ("# Title", "Plain words here.", "", "1.2 Part", "word" * 60, "|", "<|endoftext|>")


def as_document(text: str) -> DocumentText:
    return join_pages(pages=[ExtractedPage(number=1, text=text)])


def true_count(text: str, *, encoding_name: str) -> int:
    return len(tiktoken.get_encoding(encoding_name).encode(text, disallowed_special=()))


def assert_exact(
    *, text: str, chunks: list[TextChunk], encoding_name: str, max_tokens: int, overlap_tokens: int
) -> None:
    """Every promise that a chunk list makes, whatever the text."""
    assert [chunk.index for chunk in chunks] == list(range(len(chunks)))
    for chunk in chunks:
        assert text[chunk.start_char : chunk.end_char] == chunk.content
        assert chunk.content.strip()
        assert chunk.token_count == true_count(chunk.content, encoding_name=encoding_name) <= max_tokens
    if not text.strip():
        assert chunks == []
        return
    assert chunks[0].start_char == len(text) - len(text.lstrip())
    assert chunks[-1].end_char == len(text.rstrip())
    for before, after in pairwise(chunks):
        assert before.start_char < after.start_char
        assert before.end_char < after.end_char
        if after.start_char > before.end_char:
            gap = text[before.end_char : after.start_char]
            assert gap.isspace()
            with_next = text[before.end_char : after.start_char + 1]
            assert len(gap) > 256 or true_count(with_next, encoding_name=encoding_name) > max_tokens
        shared = text[after.start_char : before.end_char]
        assert true_count(shared, encoding_name=encoding_name) <= overlap_tokens


texts = st.one_of(
    st.text(max_size=400),
    st.text(alphabet=string.ascii_letters + " .,\n", max_size=1500),
    st.text(alphabet="日本語の文章です。、！\n 한국어漢字", max_size=600),
    st.text(alphabet="👩‍👩‍👧🏽🇩🇪é\u0301\u200d 😀a\n", max_size=200),
    st.text(alphabet=" \n\t\u00a0\u3000x.", max_size=900),
    st.text(alphabet="ab'sS/.!\r\n  1²Ⅷ_", max_size=600),
    st.lists(st.sampled_from(LINES), max_size=60).map("\n".join),
)


@given(
    text=texts,
    sizes=st.integers(8, 60).flatmap(lambda most: st.tuples(st.just(most), st.integers(0, most - 1))),
    encoding_name=st.sampled_from(ENCODINGS),
)
@settings(deadline=None, max_examples=300)
def test_any_text_is_cut_exactly(text: str, sizes: tuple[int, int], encoding_name: str) -> None:
    max_tokens, overlap_tokens = sizes
    document = DocumentText(text=text, page_starts=((0, 1),))
    chunks = chunk_text(
        document=document, encoding_name=encoding_name, max_tokens=max_tokens, overlap_tokens=overlap_tokens
    )
    assert_exact(
        text=text,
        chunks=chunks,
        encoding_name=encoding_name,
        max_tokens=max_tokens,
        overlap_tokens=overlap_tokens,
    )


@pytest.mark.parametrize("encoding_name", ENCODINGS)
@pytest.mark.parametrize(
    "text",
    [
        PROSE * 120,
        "x" * 30_000,
        "これは専門家の知識です。" * 900,
        "語" * 9_000,
        "👩‍👩‍👧‍👦" * 600,
        ("line without end\n" * 40 + "\n") * 30,
        "a" + " " * 60_000 + "b",
        "\n" * 5_000,
    ],
    ids=["prose", "one word", "sentences in Japanese", "one sign", "emoji", "lines", "wide gap", "line ends"],
)
def test_default_sizes_are_exact_on_long_texts(text: str, encoding_name: str) -> None:
    chunks = chunk_text(document=as_document(text), encoding_name=encoding_name)
    assert_exact(
        text=text if text.strip() else "",
        chunks=chunks,
        encoding_name=encoding_name,
        max_tokens=1000,
        overlap_tokens=200,
    )


def test_text_longer_than_one_segment_is_exact() -> None:
    text = (PROSE + "Übung macht den Meister. ") * 3_500
    assert len(text) > 600_000
    chunks = chunk_text(document=as_document(text), encoding_name="cl100k_base")
    assert_exact(text=text, chunks=chunks, encoding_name="cl100k_base", max_tokens=1000, overlap_tokens=200)


def test_prose_is_cut_at_sentences_and_overlaps_by_whole_sentences() -> None:
    chunks = chunk_text(
        document=as_document(PROSE * 30), encoding_name="cl100k_base", max_tokens=100, overlap_tokens=30
    )
    starts = ("Dr. Lee", "Nobody", "Then, e.g.", "Was that", "It was")
    assert len(chunks) > 10
    for before, after in pairwise(chunks):
        assert before.content.endswith(("each.", "while!", "laughed.", "allowed?", "finished."))
        assert after.content.startswith(starts)
        assert after.start_char < before.end_char


def test_default_chunks_of_prose_are_nearly_full() -> None:
    chunks = chunk_text(document=as_document(PROSE * 200), encoding_name="cl100k_base")
    assert all(chunk.token_count > 900 for chunk in chunks[:-2])


def test_short_rest_is_shared_instead_of_left_alone() -> None:
    sentence = "Breathe in slowly and count to four. "
    for repeats in (115, 120, 125, 130, 140):
        chunks = chunk_text(document=as_document(sentence * repeats), encoding_name="cl100k_base")
        assert all(chunk.token_count > 400 for chunk in chunks)


def test_text_within_the_limit_is_one_chunk() -> None:
    chunks = chunk_text(document=as_document("  Short text.\n"), encoding_name="cl100k_base")
    assert [(chunk.content, chunk.start_char, chunk.end_char) for chunk in chunks] == [("Short text.", 2, 13)]


def test_without_overlap_the_chunks_join_to_the_text() -> None:
    text = (PROSE + "\n\n") * 40
    chunks = chunk_text(
        document=as_document(text), encoding_name="o200k_base", max_tokens=64, overlap_tokens=0
    )
    assert "".join(chunk.content for chunk in chunks) == text.strip()


def test_chunk_starts_at_a_marked_heading_and_carries_its_path() -> None:
    text = "# Guide\n\n" + PROSE * 3 + "\n\n## Fears\n\n" + PROSE * 2 + "\n\n## Hopes\n\n" + PROSE * 3
    chunks = chunk_text(
        document=as_document(text), encoding_name="cl100k_base", max_tokens=190, overlap_tokens=40
    )
    by_start = {chunk.content.split("\n")[0]: chunk.headings for chunk in chunks}
    assert by_start["# Guide"] == ("Guide",)
    assert by_start["## Fears"] == ("Guide", "Fears")
    assert chunks[-1].headings == ("Guide", "Hopes")


def test_pages_of_a_chunk_are_those_that_its_characters_stand_on() -> None:
    pages = [
        ExtractedPage(number=1, text="One. " * 30),
        ExtractedPage(number=2, text=""),
        ExtractedPage(number=3, text=" \n"),
        ExtractedPage(number=4, text="Four. " * 30),
        ExtractedPage(number=5, text="Five. " * 30),
    ]
    document = join_pages(pages=pages)
    assert [number for _start, number in document.page_starts] == [1, 4, 5]
    for start, number in document.page_starts:
        assert document.text.startswith(pages[number - 1].text, start)
    chunks = chunk_text(document=document, encoding_name="cl100k_base", max_tokens=40, overlap_tokens=10)
    words = {1: "One.", 4: "Four.", 5: "Five."}
    for chunk in chunks:
        expected = [number for number, word in words.items() if word in chunk.content]
        assert (chunk.page_start, chunk.page_end) == (expected[0], expected[-1])
    assert any(chunk.page_start == 1 and chunk.page_end == 4 for chunk in chunks)


def test_joined_pages_are_parted_by_the_separator() -> None:
    document = join_pages(pages=[ExtractedPage(number=1, text="a"), ExtractedPage(number=2, text="b")])
    assert document.text == f"a{PAGE_SEPARATOR}b"
    assert join_pages(pages=[]).text == ""


def test_names_of_special_tokens_count_as_text() -> None:
    assert count_tokens(text="<|endoftext|>", encoding_name="cl100k_base") > 1
    assert count_tokens(text="", encoding_name="cl100k_base") == 0


@pytest.mark.parametrize(("max_tokens", "overlap_tokens"), [(7, 0), (100, 100), (100, -1)])
def test_sizes_that_cannot_work_are_refused(max_tokens: int, overlap_tokens: int) -> None:
    with pytest.raises(ValueError, match="cannot be made"):
        chunk_text(
            document=as_document("text"),
            encoding_name="cl100k_base",
            max_tokens=max_tokens,
            overlap_tokens=overlap_tokens,
        )


def test_visible_characters_are_not_parted() -> None:
    family = "👩‍👩‍👧‍👦"
    chunks = chunk_text(
        document=as_document(family * 40), encoding_name="cl100k_base", max_tokens=60, overlap_tokens=0
    )
    assert len(chunks) > 5
    assert {chunk.content.replace(family, "") for chunk in chunks} == {""}


def test_headings_of_every_style_are_found() -> None:
    text = (
        "# Book ##\n\nText here.\n\n1.2 Second Part\nIt goes on. 1.3 is a number.\n\n```\n# a "
        "comment\n```\n\n"
        "Chapter 4: Rest\n\nA Quiet Place\n\nThis line ends with a stop.\n\n1. buy milk\n2. Go home\n3. "
        "Eat\n\n"
        "2.1 Contents . . . . . . 12\n"
    )
    found = [heading.path[-1] for heading in find_headings(text=text).headings]
    assert found == ["Book", "1.2 Second Part", "Chapter 4: Rest", "A Quiet Place"]


def test_headings_of_wikis_are_found_with_their_levels() -> None:
    text = "= Bread =\nRye.\n==Starter==\nFeed it.\n = = Oven = = \nHot.\n=== Steam ===\n==\na == b == c\n=== x ==\n"
    headings = find_headings(text=text).headings
    assert [heading.path for heading in headings] == [
        ("Bread",),
        ("Bread", "Starter"),
        ("Bread", "Oven"),
        ("Bread", "Oven", "Steam"),
    ]
    assert all(heading.is_marked for heading in headings)


def test_cut_prefers_a_sentence_near_the_limit_to_a_paragraph_far_from_it() -> None:
    text = "First of all. " * 20 + "\n\n" + "Second to that. " * 40
    chunks = chunk_text(
        document=as_document(text), encoding_name="cl100k_base", max_tokens=120, overlap_tokens=20
    )
    assert chunks[0].content.endswith("Second to that.")
    assert chunks[0].token_count > 110


def test_sentence_ends_pass_over_abbreviations_and_numbers() -> None:
    text = "Mr. A. Weber paid 3.50 euros, i.e. too much. He left? “Yes.” Then No. 4 came.\n\nEnd"
    ends = list(sentence_ends(text=text, low=0, high=len(text)))
    assert [text[:end].split()[-1] for end in ends] == ["much.", "left?", "“Yes.”", "came.", "came."]
