"""Close reading finds the passage whose few sentences answer, and does without it when the provider fails."""

import asyncio

import pytest

from billing.metering import MeteredCallError, Payer
from billing.models import CostRecord
from clones.models import Clone
from knowledge import vector_cache
from knowledge.retrieval import SearchResult, search_passages
from knowledge.tests.conftest import SLEEP, SOURDOUGH, ingest, store
from knowledge.word_forms import find_words, stem_words

pytestmark = pytest.mark.django_db(transaction=True)

FILLER = (
    "Our house has a garden with apple trees, and in the evening we sit there and read to each other. " * 12
)
ANSWER = "Never shout at your manager in a meeting; ask for ten minutes alone with her instead. "


@pytest.fixture
def library(clone: Clone, prices: None) -> Clone:
    Clone.objects.filter(pk=clone.pk).update(chunk_tokens=400, chunk_overlap_tokens=0)
    clone.refresh_from_db()
    ingest(store(clone=clone, text=FILLER + ANSWER + FILLER[:600], name="answer.txt"))
    for name, text in {"sleep.txt": SLEEP, "bread.txt": SOURDOUGH}.items():
        ingest(store(clone=clone, text=text, name=name))
    clone.refresh_from_db()
    return clone


def search(clone: Clone, query: str) -> SearchResult:
    payer = Payer(user_id=clone.owner_id, clone_id=clone.pk)
    return asyncio.run(search_passages(clone=clone, query=query, payer=payer, limit=5))


def test_other_words_for_the_same_are_found_in_the_middle_of_a_long_passage(library: Clone):
    library.similarity_threshold = 0.0  # the order is what counts here
    best = search(library, "Is shouting at my boss in a meeting fine?").passages[0]
    assert "Never shout" in best.content


def test_second_search_asks_only_for_what_is_new(library: Clone):
    search(library, "Is shouting at my boss in a meeting fine?")
    before = CostRecord.objects.count()
    search(library, "Is shouting at my boss in a meeting fine?")
    assert CostRecord.objects.count() - before <= 3  # the question; phrasings and their vectors at most


def test_failure_leaves_the_first_search(library: Clone, monkeypatch: pytest.MonkeyPatch):
    async def fail(**_arguments: object) -> None:
        raise MeteredCallError("down")

    monkeypatch.setattr(vector_cache, "embed_texts", fail)
    vector_cache.forget_all()
    assert search(library, "How cool is the bedroom?").passages


def test_stems_are_those_of_the_index():
    words = find_words("The managers’ meetings, meeting again")
    stems = stem_words(words=words, language="english")
    assert stems["the"] == ""
    assert stems["meetings"] == stems["meeting"] == "meet"
    assert stem_words(words=["Häuser".lower()], language="german")["häuser"] == "haus"
