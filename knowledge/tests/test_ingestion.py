"""The job: a document ends ready or failed with a reason, in at most three attempts, whatever happens to it."""

import uuid
from datetime import timedelta

import pytest
from django.core.files.base import ContentFile
from django.db import connections
from django.utils import timezone

from billing.models import CostRecord
from billing.tests.fake_provider import FakeProvider, Handler, answer_well
from clones.models import Clone
from knowledge import embedding
from knowledge.errors import LeaseLost
from knowledge.ingestion import ingest_document
from knowledge.leases import claim_document, update_document
from knowledge.models import MAX_ATTEMPTS, Chunk, ChunkEmbedding, Document, DocumentPage, Status
from knowledge.publication import publish_version
from knowledge.tests.conftest import MEETINGS, SLEEP, SOURDOUGH, ingest, store, stored_files
from knowledge.tests.made_documents import make_pdf
from knowledge.uploads import delete_document, replace_document, retry_document

pytestmark = pytest.mark.django_db(transaction=True)

LOCAL = embedding.EmbeddingModel(name="local-wordllama-256", dimensions=256)


@pytest.fixture(autouse=True)
def _prices(prices: None) -> None:
    """Every ingestion here is metered."""


@pytest.fixture
def small_chunks(clone: Clone) -> Clone:
    clone.chunk_tokens, clone.chunk_overlap_tokens = 100, 20
    clone.save()
    return clone


def refuse(handler: Handler, body: dict) -> None:
    handler.send_json({"error": {"message": "no", "type": "invalid_request_error"}}, status=400)


def overload(handler: Handler, body: dict) -> None:
    handler.send_json({"error": {"message": "slow down"}}, status=429)


def long_text(passages: int) -> str:
    return "\n\n".join(f"Rule {number}. {SLEEP.split(chr(10))[0]}" for number in range(passages))


def test_document_becomes_ready_with_true_offsets_and_live_vectors(small_chunks: Clone):
    document = ingest(store(clone=small_chunks, text=long_text(30)))
    assert (document.status, document.live_version, document.attempts) == (Status.READY, 1, 1)
    page = DocumentPage.objects.get()
    chunks = list(Chunk.objects.all())
    assert document.chunk_count == len(chunks) > 3
    assert all(page.text[chunk.start_char : chunk.end_char] == chunk.content for chunk in chunks)
    assert all(chunk.is_live for chunk in chunks)
    vectors = ChunkEmbedding.objects.all()
    assert set(vectors.values_list("chunk_id", flat=True)) == {chunk.pk for chunk in chunks}
    assert set(vectors.values_list("model", "dimensions", "is_live")) == {(LOCAL.name, 256, True)}
    small_chunks.refresh_from_db()
    assert (small_chunks.embedding_model, small_chunks.embedding_dimensions) == (LOCAL.name, 256)


def test_passages_know_their_pages(small_chunks: Clone):
    pdf = make_pdf(SLEEP, "", MEETINGS)
    document = ingest(store(clone=small_chunks, text=pdf, name="three.pdf"))
    assert (document.status, document.kind, document.page_count) == (Status.READY, "pdf", 3)
    starts = {page.number: page.start_char for page in DocumentPage.objects.all()}
    for chunk in Chunk.objects.all():
        expected = 3 if chunk.start_char >= starts[3] else 1
        assert chunk.page_start == expected
    assert Chunk.objects.filter(content__contains="agenda").first().page_end == 3


@pytest.mark.parametrize(
    ("content", "name", "code"),
    [
        (make_pdf("", ""), "scan.pdf", "no_text"),
        (b"\x00\x01\x02\x03" * 50, "program.exe", "unsupported_type"),
    ],
)
def test_hopeless_document_fails_with_a_reason_in_one_attempt(
    clone: Clone, content: bytes, name: str, code: str
):
    document = ingest(store(clone=clone, text=content, name=name))
    assert (document.status, document.error_code, document.attempts) == (Status.FAILED, code, 1)
    assert document.error_message.endswith(".")
    assert document.lease_token is None
    assert not CostRecord.objects.exists()


def test_embedding_is_charged_to_uploader_clone_and_document(clone: Clone):
    document = ingest(store(clone=clone, text=SLEEP))
    record = CostRecord.objects.get()
    assert (record.purpose, record.user, record.clone, record.document_id) == (
        "document_embedding",
        clone.owner,
        clone,
        document.pk,
    )


def test_second_delivery_of_a_job_does_nothing(clone: Clone):
    document = ingest(store(clone=clone, text=SLEEP))
    again = ingest(document)
    assert (again.attempts, again.updated_at) == (1, document.updated_at)
    assert CostRecord.objects.count() == 1


def test_leased_document_is_not_processed_twice_at_once(clone: Clone):
    document = store(clone=clone, text=SLEEP)
    assert claim_document(document_id=document.pk)
    assert ingest(document).attempts == 1
    assert not Chunk.objects.exists()


def test_expired_lease_can_be_claimed_until_the_attempts_are_used_up(clone: Clone):
    document = store(clone=clone, text=SLEEP)
    attempts = []
    while lease := claim_document(document_id=document.pk):
        attempts.append(lease.attempt)
        Document.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    assert attempts == list(range(1, MAX_ATTEMPTS + 1))


def test_unknown_document_is_no_error():
    assert claim_document(document_id=uuid.uuid4()) is None


def test_worker_whose_document_was_replaced_can_write_nothing(clone: Clone):
    document = ingest(store(clone=clone, text=SLEEP))
    retry_document(document=document)
    lease = claim_document(document_id=document.pk)
    assert lease is not None
    replace_document(document=document, file=ContentFile(b"Other words."), file_name="b.txt")
    with pytest.raises(LeaseLost):
        update_document(lease=lease, stage_done=5)
    with pytest.raises(LeaseLost):
        publish_version(lease=lease, document=document, model=LOCAL)
    document.refresh_from_db()
    assert (document.version, document.live_version, document.stage_done) == (3, 1, 0)


def test_worker_whose_document_was_deleted_stops_quietly(clone: Clone, provider: FakeProvider):
    document = store(clone=clone, text=SLEEP)

    def delete_meanwhile(handler: Handler, body: dict) -> None:
        delete_document(document=document)
        connections.close_all()
        answer_well(handler, body)

    provider.replies = [delete_meanwhile]
    ingest_document(document_id=document.pk)
    assert not Document.objects.exists()
    assert not ChunkEmbedding.objects.exists()


def test_interrupted_embedding_resumes_and_pays_for_nothing_twice(
    small_chunks: Clone, provider: FakeProvider, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(embedding, "MAX_INPUTS", 2)
    monkeypatch.setattr(embedding, "REQUESTS_IN_FLIGHT", 1)
    provider.replies = [answer_well, answer_well, refuse]
    document = ingest(store(clone=small_chunks, text=long_text(30)))
    assert (document.status, document.error_code) == (Status.FAILED, "invalid_request")
    assert ChunkEmbedding.objects.count() == 4
    paid = [text for request in provider.requests[:2] for text in request["input"]]

    retry_document(document=document)
    document = ingest(document)
    assert document.status == Status.READY
    later = [text for request in provider.requests[3:] for text in request["input"]]
    assert len(paid + later) == len(set(paid + later)) == document.chunk_count
    assert ChunkEmbedding.objects.filter(is_live=True).count() == document.chunk_count


def test_overloaded_provider_postpones_until_the_third_attempt_fails_with_a_cure(
    clone: Clone, provider: FakeProvider
):
    provider.replies = [overload] * 50
    document = ingest(store(clone=clone, text=SLEEP))
    for attempt in (1, 2):
        assert (document.status, document.attempts) == (Status.QUEUED, attempt)
        assert document.lease_until > timezone.now()
        Document.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
        document = ingest(document)
    assert (document.status, document.error_code, document.attempts) == (Status.FAILED, "rate_limit", 3)
    assert "retry" in document.error_message


def test_useless_vectors_fail_the_document_and_are_not_kept(clone: Clone, provider: FakeProvider):
    provider.vector_length = 3
    document = ingest(store(clone=clone, text=SLEEP))
    assert document.status == Status.FAILED
    assert document.error_message
    assert not ChunkEmbedding.objects.exists()


def test_replaced_document_switches_to_the_new_version_and_drops_the_old(clone: Clone, media):
    document = ingest(store(clone=clone, text=SLEEP))
    replace_document(document=document, file=ContentFile(MEETINGS.encode()), file_name="new.txt")
    assert Chunk.objects.get().is_live
    document = ingest(document)
    assert (document.status, document.version, document.live_version) == (Status.READY, 2, 2)
    chunk = Chunk.objects.get()
    assert (chunk.is_live, "agenda" in chunk.content) == (True, True)
    assert ChunkEmbedding.objects.get().chunk == chunk
    assert DocumentPage.objects.get().version == 2
    assert len(stored_files(media)) == 1


def test_failed_replacement_leaves_the_old_version_answering(clone: Clone, media):
    document = ingest(store(clone=clone, text=SLEEP))
    replace_document(document=document, file=ContentFile(make_pdf("")), file_name="scan.pdf")
    document = ingest(document)
    assert (document.status, document.live_version, document.version) == (Status.FAILED, 1, 2)
    assert Chunk.objects.filter(is_live=True, version=1).exists()
    assert ChunkEmbedding.objects.filter(is_live=True).exists()
    assert document.live_file != document.file.name
    assert len(stored_files(media)) == 2
    delete_document(document=document)
    assert not stored_files(media)


def test_ready_document_processed_again_follows_the_clone_s_new_settings(clone: Clone):
    document = ingest(store(clone=clone, text=long_text(30)))
    before = document.chunk_count
    Clone.objects.update(chunk_tokens=100, chunk_overlap_tokens=20)
    retry_document(document=document)
    document = ingest(document)
    assert (document.status, document.live_version) == (Status.READY, 2)
    assert document.chunk_count == Chunk.objects.count() > before


def test_new_embedding_model_takes_over_when_every_live_passage_has_its_vector(
    clone: Clone, provider: FakeProvider, settings
):
    first = ingest(store(clone=clone, text=SLEEP, name="a.txt"))
    settings.EMBEDDING_MODEL = "text-embedding-3-small"
    second = ingest(store(clone=clone, text=SOURDOUGH, name="b.txt"))
    clone.refresh_from_db()
    assert clone.embedding_model == "text-embedding-3-large"
    live = ChunkEmbedding.objects.filter(is_live=True)
    assert set(live.values_list("document_id", "model")) == {(first.pk, "text-embedding-3-large")}
    assert Chunk.objects.filter(document=second, is_live=True).exists()

    retry_document(document=first)
    ingest(first)
    clone.refresh_from_db()
    assert clone.embedding_model == "text-embedding-3-small"
    assert set(ChunkEmbedding.objects.values_list("document_id", "model", "is_live")) == {
        (first.pk, "text-embedding-3-small", True),
        (second.pk, "text-embedding-3-small", True),
    }
