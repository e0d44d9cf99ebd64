"""A poor first search is looked at again; a good one is not, and a failure leaves the first one as it was."""

import asyncio

import pytest

from billing.metering import Payer
from billing.models import CostRecord, Purpose
from billing.tests.fake_provider import FakeProvider, embeddings, json_reply
from clones.models import Clone
from knowledge.candidates import Candidate
from knowledge.models import Document
from knowledge.relevance import calibration_for
from knowledge.retrieval import SearchResult, search_passages
from knowledge.second_look import is_poor
from knowledge.sentences import split_sentences
from knowledge.tests.conftest import MEETINGS, SLEEP, SOURDOUGH, ingest, store

LOCAL = calibration_for(model="local-wordllama-256")


def candidate(*, similarity: float | None, word_share: float) -> Candidate:
    return Candidate(
        chunk_id=1,
        document_id=Document().pk,
        document_version=1,
        document_title="Notes",
        page_start=1,
        page_end=1,
        start_char=0,
        end_char=4,
        content="Text",
        headings=(),
        similarity=similarity,
        word_share=word_share,
        word_rank=word_share,
    )


@pytest.mark.parametrize(
    ("similarity", "word_share", "expected"),
    [
        (0.2, 0.1, True),
        (0.2, 0.6, False),  # the words are there
        (0.7, 0.1, False),  # the sense is
        (None, 0.1, False),  # without vectors a second look has nothing to look with
    ],
)
def test_search_is_poor_when_neither_words_nor_sense_fit(
    similarity: float | None, word_share: float, expected: bool
):
    found = [candidate(similarity=similarity, word_share=word_share)]
    assert is_poor(candidates=found, calibration=LOCAL) is expected


def test_nothing_found_is_not_looked_at_again():
    assert not is_poor(candidates=[], calibration=LOCAL)


def test_sentences_and_lines_are_split():
    assert split_sentences(text="One thing. Another!\n- an item\n\nv2") == [
        "One thing.",
        "Another!",
        "- an item",
    ]


def search(clone: Clone, query: str) -> SearchResult:
    clone.refresh_from_db()
    payer = Payer(user_id=clone.owner_id, clone_id=clone.pk)
    return asyncio.run(search_passages(clone=clone, query=query, payer=payer, limit=3))


@pytest.fixture
def library(clone: Clone, prices: None) -> Clone:
    for name, text in {"sleep.txt": SLEEP, "meetings.txt": MEETINGS, "bread.txt": SOURDOUGH}.items():
        ingest(store(clone=clone, text=text, name=name))
    return clone


@pytest.mark.django_db(transaction=True)
def test_poor_search_is_expanded_and_its_receipt_says_so(library: Clone):
    result = search(library, "Any ideas against insomnia?")
    assert result.passages[0].document_title == "Sleep"
    assert 1 <= len(result.phrasings) <= 3
    assert any("sleep" in phrasing for phrasing in result.phrasings)
    assert result.query_used == "Any ideas against insomnia?"
    records = CostRecord.objects.filter(purpose=Purpose.EXPANSION)
    assert records.count() == 2  # the phrasings, and the vectors of them and of the sentences
    assert result.expansion_ms >= 0


@pytest.mark.django_db(transaction=True)
def test_good_search_is_not_expanded(library: Clone):
    result = search(library, "How cool should I keep the bedroom?")
    assert (result.phrasings, result.expansion_cost_usd) == ((), 0)
    assert not CostRecord.objects.filter(purpose=Purpose.EXPANSION).exists()


@pytest.mark.django_db(transaction=True)
def test_failed_expansion_leaves_the_first_search(clone: Clone, provider: FakeProvider):
    ingest(store(clone=clone, text=SLEEP))
    clone.refresh_from_db()
    unlike = embeddings([[1.0, -1.0, 1.0, -1.0]])
    provider.replies = [json_reply(unlike), *[json_reply({"error": {"message": "down"}}, status=500)] * 20]
    result = search(clone, "zyzzyva")
    assert result.phrasings == ()
    assert CostRecord.objects.filter(purpose=Purpose.EXPANSION, outcome="failed").exists()
    found = (*result.passages, *result.dropped)
    assert "bedroom" in found[0].content
