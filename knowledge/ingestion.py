"""Turns an uploaded document into searchable passages; enter at `ingest_document`, the background job.

Stages: extract (in a child process) -> clean -> chunk -> embed -> publish. Publication is one transaction. A document
whose vectors come by one request is written there, once; to read it again after a crash costs less. What cost money,
or is large, is written as soon as it is there: the passages in one transaction, vectors request by request. So the job
can die anywhere, and the next attempt goes on where it stopped.
"""

import logging
import uuid
from collections.abc import Sequence
from datetime import timedelta

from django.conf import settings
from django.db import OperationalError
from django.db.models import Exists, OuterRef
from django_q.exceptions import TimeoutException

from billing.metering import MeteredCallError
from cloneai.threads import run_async
from knowledge.drafting import payer_of, read_draft
from knowledge.embedding import (
    EmbeddingModel,
    embed_chunks,
    embedded_text,
    find_pending,
    find_pending_drafted,
    pack_requests,
    request_vectors,
)
from knowledge.errors import IngestionError, LeaseLost
from knowledge.extraction import ExtractionError
from knowledge.leases import (
    Lease,
    Progress,
    claim_document,
    fail_document,
    heartbeat,
    lock_document,
    postpone_document,
)
from knowledge.models import MAX_ATTEMPTS, Chunk, Document, Status
from knowledge.publication import Finished, publish_version
from knowledge.uploads import enqueue_probes
from knowledge.version_text import Draft, keep_draft

logger = logging.getLogger(__name__)

TRANSIENT_ERRORS = ("rate_limit", "connection", "timeout")
BACKOFF = timedelta(seconds=30)


def ingest_document(*, document_id: uuid.UUID) -> None:
    """Process one queued document to its end. A second delivery of the same job does nothing.

    Never raises for a document's fault; raises django-q2's TimeoutException, after recording it.
    """
    lease = claim_document(document_id=document_id)
    if lease is None:
        return
    try:
        with heartbeat(lease=lease) as progress:
            _run_stages(lease=lease, progress=progress)
    except LeaseLost:
        logger.info("Document %s was taken away while it was processed", document_id)
    except (ExtractionError, IngestionError) as error:
        fail_document(lease=lease, code=error.code, message=error.message)
    except MeteredCallError as error:
        _end_or_postpone(
            lease=lease,
            code=error.error_type,
            message=f"{error.user_message} Then retry the document.",
            is_transient=error.error_type in TRANSIENT_ERRORS,
        )
    except OperationalError:
        logger.exception("The database failed while document %s was processed", document_id)
        _end_or_postpone(
            lease=lease,
            code="database",
            is_transient=True,
            message="The database could not be reached. Retry the document.",
        )
    except TimeoutException:
        fail_document(
            lease=lease,
            code="timeout",
            message=f"Processing took longer than {settings.JOB_TIMEOUT_SECONDS // 60} minutes and was "
            "stopped. Retry it to go on where it stopped, or split the file.",
        )
        raise
    except Exception:  # the outermost boundary of the job: a defect must not leave a document stuck
        logger.exception("Document %s met a defect", document_id)
        fail_document(
            lease=lease,
            code="internal_error",
            message="Something went wrong on our side; the log has the details. Retry the document, and "
            "tell the operator if it happens again.",
        )


def _end_or_postpone(*, lease: Lease, code: str, message: str, is_transient: bool) -> None:
    if is_transient and lease.attempt < MAX_ATTEMPTS:
        postpone_document(lease=lease, delay=BACKOFF * lease.attempt)
    else:
        fail_document(lease=lease, code=code, message=message)


def _run_stages(*, lease: Lease, progress: Progress) -> None:
    stored = Chunk.objects.filter(document=OuterRef("pk"), version=lease.version)
    rows = Document.objects.select_related("clone").annotate(has_passages=Exists(stored))
    document = rows.get(pk=lease.document_id)
    model = EmbeddingModel(name=settings.EMBEDDING_MODEL, dimensions=settings.EMBEDDING_DIMENSIONS)
    finished = None
    if not document.has_passages:  # type: ignore[attr-defined]  # the annotation
        draft, is_paid_for = read_draft(document=document, lease=lease, progress=progress)
        requests = list(pack_requests(pending=find_pending_drafted(passages=draft.passages, model=model)))
        if is_paid_for or len(requests) > 1:
            keep_draft(lease=lease, document=document, draft=draft)
        else:
            tokens = sum(one.tokens for one in requests[0])
            finished = _embed_draft(
                lease=lease, document=document, draft=draft, tokens=tokens, model=model, progress=progress
            )
        del draft  # up to 50 MB that embedding has no use for
    if finished is None:
        _embed_stored(lease=lease, document=document, model=model, progress=progress)
    publish_version(lease=lease, document=document, model=model, finished=finished)
    enqueue_probes()


def _embed_draft(
    *,
    lease: Lease,
    document: Document,
    draft: Draft,
    tokens: int,
    model: EmbeddingModel,
    progress: Progress,
) -> Finished:
    """Vectors for all passages by one request. If none come, the draft is kept for the next attempt."""
    progress.show(Status.EMBEDDING, total=len(draft.passages))
    texts = [embedded_text(headings=one.headings, content=one.content) for one in draft.passages]
    try:
        vectors = run_async(
            request_vectors(texts=texts, tokens=tokens, model=model, payer=payer_of(document))
        )
    except Exception:
        keep_draft(lease=lease, document=document, draft=draft)
        raise
    return Finished(draft=draft, vectors=vectors)


def _embed_stored(*, lease: Lease, document: Document, model: EmbeddingModel, progress: Progress) -> None:
    """Embed the stored passages that have no vector yet."""
    chunks = Chunk.objects.filter(document=document, version=lease.version)
    pending = find_pending(chunks=chunks, model=model)
    total = chunks.count()
    done = total - len(pending)
    progress.show(Status.EMBEDDING, done=done, total=total)
    if not pending:
        return

    def report(stored: int) -> None:
        nonlocal done
        done += stored
        progress.show(Status.EMBEDDING, done=done, total=total)

    def hold(passages: Sequence[Chunk]) -> Sequence[Chunk]:
        lock_document(lease=lease)
        return passages

    run_async(
        embed_chunks(pending=pending, model=model, payer=payer_of(document), hold=hold, on_progress=report)
    )
