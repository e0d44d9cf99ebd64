"""Documents that say nearly the same are flagged, others are not."""

import pytest

from clones.models import Clone
from knowledge.models import Status
from knowledge.similarity import LEAST_SHARE, make_sketch, share_of
from knowledge.tests.conftest import ingest, store

WORDS = [f"word{number}" for number in range(600)]


def text_of(words: list[str]) -> str:
    return " ".join(words)


@pytest.mark.parametrize(("kept", "expected"), [(600, 1.0), (540, 0.9), (450, 0.75), (300, 0.5), (0, 0.0)])
def test_share_is_estimated_within_a_few_points(kept: int, expected: float) -> None:
    # The first words of the one are all of the other, so the runs in common are those of the shorter text.
    other = WORDS[:kept] or [f"other{number}" for number in range(600)]
    share = share_of(make_sketch(text=text_of(WORDS)), make_sketch(text=text_of(other)))
    assert share == pytest.approx(expected, abs=0.08)


def test_case_and_punctuation_make_no_difference() -> None:
    first = text_of(WORDS)
    assert make_sketch(text=first) == make_sketch(text=first.upper().replace(" ", ",\n"))


def test_sketch_does_not_depend_on_the_blocks_it_is_made_in(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = make_sketch(text=text_of(WORDS))
    assert len(whole) == len(set(whole)) == 256
    assert whole == sorted(whole)
    for characters in (1, 3, 7, 599, 5_000):
        monkeypatch.setattr("knowledge.similarity.BLOCK_CHARS", characters)
        assert make_sketch(text=text_of(WORDS)) == whole


def test_order_of_words_makes_a_difference() -> None:
    swapped = [word for pair in zip(WORDS[1::2], WORDS[::2], strict=True) for word in pair]
    assert share_of(make_sketch(text=text_of(WORDS)), make_sketch(text=text_of(swapped))) == 0


def test_short_text_has_no_sketch() -> None:
    assert make_sketch(text="only a few words") == []


@pytest.mark.django_db(transaction=True)
def test_nearly_the_same_document_is_flagged_with_the_other(clone: Clone, prices: None) -> None:
    first = ingest(store(clone=clone, text=text_of(WORDS), name="first.txt"))
    stranger = ingest(store(clone=clone, text=text_of([f"x{word}" for word in WORDS]), name="stranger.txt"))
    second = ingest(store(clone=clone, text=text_of([*WORDS[:580], "another", "end"]), name="second.txt"))
    assert second.status == Status.READY
    assert second.similar_document == first
    assert second.similar_share >= LEAST_SHARE
    assert (first.similar_document, stranger.similar_document) == (None, None)
