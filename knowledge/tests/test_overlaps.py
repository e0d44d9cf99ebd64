"""Found passages never say the same twice, and what remains is still the document's text."""

import uuid

import pytest

from knowledge.candidates import Candidate
from knowledge.overlaps import LEAST_CHARS, select_distinct

TEXT = " ".join(f"word{number}" for number in range(400))
DOCUMENT = uuid.UUID(int=1)


def candidate(
    start: int, end: int, *, chunk_id: int = 1, document: uuid.UUID = DOCUMENT, text: str = TEXT
) -> Candidate:
    return Candidate(
        chunk_id=chunk_id,
        document_id=document,
        document_version=1,
        document_title="Words",
        page_start=1,
        page_end=1,
        start_char=start,
        end_char=end,
        content=text[start:end],
        headings=(),
        similarity=0.5,
        word_share=0.5,
        word_rank=0.1,
    )


def spans(*candidates: Candidate, limit: int = 10) -> list[tuple[int, int]]:
    kept = select_distinct(candidates=candidates, limit=limit)
    assert all(one.content == TEXT[one.start_char : one.end_char] for one in kept)
    return [(one.start_char, one.end_char) for one in kept]


@pytest.mark.parametrize("limit", [1, 2])
def test_distant_passages_stay_in_order_up_to_the_limit(limit: int):
    assert spans(candidate(900, 1400), candidate(0, 500), limit=limit) == [(900, 1400), (0, 500)][:limit]


def test_text_shared_with_a_better_neighbour_is_cut_off():
    (_, (start, end)) = spans(candidate(0, 1000), candidate(800, 1800))
    assert 1000 <= start <= 1001
    assert end == 1800


def test_shared_text_is_cut_off_at_the_front_neighbour_too():
    (_, (start, end)) = spans(candidate(800, 1800), candidate(0, 1000))
    assert start == 0
    assert 790 < end <= 800


def test_small_rest_is_taken_in_by_the_better_neighbour():
    end = 1000 + LEAST_CHARS - 20
    assert spans(candidate(0, 1000), candidate(800, end)) == [(0, end)]


def test_passage_inside_a_better_one_is_left_out():
    assert spans(candidate(0, 1000), candidate(100, 900)) == [(0, 1000)]


def test_neighbour_on_both_sides_loses_both_shared_parts():
    kept = spans(candidate(0, 800), candidate(1400, 2200), candidate(600, 1600))
    assert kept[:2] == [(0, 800), (1400, 2200)]
    assert kept[2][0] >= 800
    assert kept[2][1] <= 1400


def test_near_copy_in_another_document_is_left_out():
    copy = TEXT[:500].replace("word7 ", "word_seven ")
    kept = select_distinct(
        candidates=[candidate(0, 500), candidate(0, 500, document=uuid.UUID(int=2), text=copy)], limit=5
    )
    assert [one.document_id for one in kept] == [DOCUMENT]
