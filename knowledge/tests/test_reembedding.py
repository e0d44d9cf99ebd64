"""While a clone moves to another model, people upload, delete and ask; the move may break off and go on."""

import asyncio
from collections.abc import Callable
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import connections

from billing.metering import Payer
from billing.models import CostRecord
from billing.tests.fake_provider import FakeProvider, Handler, answer_well, refusal
from clones.models import Clone
from knowledge import embedding
from knowledge.ingestion import ingest_document
from knowledge.models import Chunk, ChunkEmbedding, Document, Status
from knowledge.retrieval import SearchResult, search_passages
from knowledge.tests.conftest import MEETINGS, SLEEP, SOURDOUGH, ingest, store
from knowledge.uploads import delete_document

pytestmark = pytest.mark.django_db(transaction=True)

NEW = "text-embedding-3-small"


@pytest.fixture
def one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """A passage a request, one request at a time, so that something can happen between them."""
    monkeypatch.setattr(embedding, "MAX_INPUTS", 1)
    monkeypatch.setattr(embedding, "REQUESTS_IN_FLIGHT", 1)


@pytest.fixture
def library(clone: Clone, provider: FakeProvider, one_by_one: None, settings) -> list[Document]:
    """Two documents of one passage each by the old model; the new one is configured."""
    documents = [ingest(store(clone=clone, text=text, name=f"{text[:5]}.txt")) for text in (SLEEP, MEETINGS)]
    provider.requests.clear()
    settings.EMBEDDING_MODEL = NEW
    return documents


def reembed() -> str:
    out = StringIO()
    call_command("reembed", "ada", stdout=out, stderr=out)
    return out.getvalue()


def before_answering(act: Callable[[], object]) -> Callable[[Handler, dict], None]:
    """A reply that lets something happen first, as another process would do it."""

    def reply(handler: Handler, body: dict) -> None:
        act()
        connections.close_all()
        answer_well(handler, body)

    return reply


def assert_all_is_live_by_the_new_model(clone: Clone) -> None:
    clone.refresh_from_db()
    assert clone.embedding_model == NEW
    assert set(ChunkEmbedding.objects.values_list("model", "is_live")) == {(NEW, True)}
    assert ChunkEmbedding.objects.count() == Chunk.objects.filter(is_live=True).count()


def test_document_deleted_meanwhile_is_left_out(
    clone: Clone, library: list[Document], provider: FakeProvider
) -> None:
    provider.replies = [before_answering(lambda: delete_document(document=library[0]))]
    assert "live now" in reembed()
    assert set(Chunk.objects.values_list("document_id", flat=True)) == {library[1].pk}
    assert_all_is_live_by_the_new_model(clone)


def test_document_that_became_ready_meanwhile_is_taken_along(
    clone: Clone, library: list[Document], provider: FakeProvider
) -> None:
    late = store(clone=clone, text=SOURDOUGH, name="late.txt")
    provider.replies = [before_answering(lambda: ingest_document(document_id=late.pk))]
    reembed()
    late.refresh_from_db()
    assert late.status == Status.READY
    assert ChunkEmbedding.objects.filter(document=late, is_live=True).exists()
    assert_all_is_live_by_the_new_model(clone)


def test_questions_are_answered_by_the_old_vectors_until_the_switch(
    clone: Clone, library: list[Document], provider: FakeProvider
) -> None:
    found: list[SearchResult] = []

    def ask() -> None:
        search = search_passages(
            clone=Clone.objects.get(),
            query="How cool is the bedroom?",
            payer=Payer(user_id=None, clone_id=None),
        )
        found.append(asyncio.run(search))

    provider.replies = [before_answering(ask)]
    reembed()
    assert [passage.document_id for passage in found[0].passages][:1] == [library[0].pk]
    assert not found[0].is_lexical_only
    asked_models = [request["model"] for request in provider.requests]
    assert asked_models == [NEW, "text-embedding-3-large", NEW]
    assert_all_is_live_by_the_new_model(clone)


def test_interrupted_move_goes_on_and_pays_for_nothing_twice(
    clone: Clone, library: list[Document], provider: FakeProvider
) -> None:
    provider.replies = [answer_well, refusal(400)]
    with pytest.raises(CommandError, match="keep their old vectors"):
        reembed()
    clone.refresh_from_db()
    assert clone.embedding_model == "text-embedding-3-large"
    live = ChunkEmbedding.objects.filter(is_live=True)
    assert set(live.values_list("model", flat=True)) == {"text-embedding-3-large"}
    assert live.count() == 2

    assert f"1 vector by {NEW}" in reembed()
    paid = [text for request in (provider.requests[0], *provider.requests[2:]) for text in request["input"]]
    assert len(paid) == len(set(paid)) == 2
    assert CostRecord.objects.filter(model=NEW).count() == len(provider.requests)
    assert_all_is_live_by_the_new_model(clone)
