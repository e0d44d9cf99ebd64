"""Turns an uploaded document into searchable passages; enter at `ingest_document`, the background job.

Stages: extract (in a child process) -> clean -> chunk -> embed -> publish. The passages of a version are written
in one transaction, vectors request by request, and publication is one transaction, so the job can die anywhere
and the next attempt goes on where it stopped.
"""

import asyncio
import contextlib
import logging
import tempfile
import uuid
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path

from django.conf import settings
from django.db import OperationalError
from django_q.exceptions import TimeoutException

from billing.metering import MeteredCallError, Payer
from billing.tokens import encoding_name_for
from cloneai.threads import run_in_thread
from knowledge.ai_cleaning import CleanedPages, clean_with_ai
from knowledge.chunking import chunk_text, join_pages
from knowledge.cleaning import clean_pages
from knowledge.embedding import EmbeddingModel, embed_chunks, find_pending
from knowledge.errors import IngestionError, LeaseLost
from knowledge.extraction import ExtractedPage, ExtractionError, extract_document
from knowledge.leases import (
    Lease,
    claim_document,
    fail_document,
    heartbeat,
    lock_document,
    postpone_document,
    update_document,
)
from knowledge.models import MAX_ATTEMPTS, Chunk, ChunkEmbedding, Document, Status
from knowledge.publication import publish_version
from knowledge.uploads import enqueue_probes
from knowledge.version_text import write_pages, write_passages

logger = logging.getLogger(__name__)

TRANSIENT_ERRORS = ("rate_limit", "connection", "timeout")
BACKOFF = timedelta(seconds=30)
AI_CLEANED_KINDS = ("pdf", "docx", "txt")  # the others were written as text and hold no layout to mend
PROGRESS_SECONDS = 2.0


def ingest_document(*, document_id: uuid.UUID) -> None:
    """Process one queued document to its end. A second delivery of the same job does nothing.

    Never raises for a document's fault; raises django-q2's TimeoutException, after recording it.
    """
    lease = claim_document(document_id=document_id)
    if lease is None:
        return
    try:
        with heartbeat(lease=lease):
            _run_stages(lease=lease)
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


def _run_stages(*, lease: Lease) -> None:
    document = Document.objects.select_related("clone").get(pk=lease.document_id)
    if not Chunk.objects.filter(document=document, version=lease.version).exists():
        pages = _read_pages(document=document, lease=lease)
        _store_text(lease=lease, document=document, pages=pages)
        del pages  # up to 50 MB that embedding has no use for
    model = EmbeddingModel(name=settings.EMBEDDING_MODEL, dimensions=settings.EMBEDDING_DIMENSIONS)
    _embed(lease=lease, document=document, model=model)
    publish_version(lease=lease, model=model)
    enqueue_probes()


def _read_pages(*, document: Document, lease: Lease) -> tuple[ExtractedPage, ...]:
    update_document(lease=lease, status=Status.EXTRACTING, stage_done=0, stage_total=0)
    with _local_copy(document=document) as path:
        extracted = extract_document(path=path, name=document.file_name)
    document.warnings = list(extracted.warnings)
    update_document(
        lease=lease,
        kind=extracted.kind,
        warnings=document.warnings,
        status=Status.CLEANING,
        stage_done=0,
        stage_total=len(extracted.pages),
    )
    pages = clean_pages(pages=extracted.pages, kind=extracted.kind)
    if is_cleaned_with_ai(document=document, kind=extracted.kind):
        pages = _clean_with_ai(lease=lease, document=document, pages=pages)
    return pages


def is_cleaned_with_ai(*, document: Document, kind: str) -> bool:
    """Off by the platform's setting, the clone's, the document's, and offline, where the model cannot mend text."""
    return (
        settings.DOCUMENT_CLEANING
        and not settings.AI_OFFLINE
        and document.clone.is_cleaning_on
        and document.is_cleaning_on
        and kind in AI_CLEANED_KINDS
    )


@contextlib.contextmanager
def _local_copy(*, document: Document) -> Iterator[Path]:
    """The document's file as a path: itself when the storage is a folder, else a temporary copy."""
    try:
        path = document.file.path
    except NotImplementedError:
        path = ""
    if path:
        yield Path(path)
        return
    with tempfile.NamedTemporaryFile(prefix="document-") as copy:
        with document.file.open("rb") as source:
            for piece in source.chunks():
                copy.write(piece)
        copy.flush()
        yield Path(copy.name)


def _clean_with_ai(
    *, lease: Lease, document: Document, pages: Sequence[ExtractedPage]
) -> tuple[ExtractedPage, ...]:
    """Mends what layout and recognition broke, window by window; a problem is a warning, never a failure."""
    payer = Payer(user_id=document.uploaded_by_id, clone_id=document.clone_id, document_id=document.pk)
    progress = {"done": 0}

    async def clean() -> CleanedPages:
        report = asyncio.create_task(_report_progress(lease=lease, progress=progress))
        try:
            return await clean_with_ai(
                pages=pages,
                payer=payer,
                on_progress=lambda done, total: progress.update(done=done, total=total),
            )
        finally:
            report.cancel()

    cleaned = asyncio.run(clean())
    logger.info("Document %s: %d of %d windows cleaned by AI", document.pk, cleaned.accepted, cleaned.windows)
    if cleaned.problem:
        document.warnings.append(
            f"AI cleaning was incomplete ({cleaned.accepted} of {cleaned.windows} parts; {cleaned.problem}). The rest "
            "was taken as it was read; retry the document to clean it again."
        )
        update_document(lease=lease, warnings=document.warnings)
    return cleaned.pages


async def _report_progress(*, lease: Lease, progress: dict[str, int]) -> None:
    while True:
        await asyncio.sleep(PROGRESS_SECONDS)
        if "total" in progress:
            await run_in_thread(
                update_document, lease=lease, stage_done=progress["done"], stage_total=progress["total"]
            )


def _store_text(*, lease: Lease, document: Document, pages: Sequence[ExtractedPage]) -> None:
    """Write the pages, cut their text into passages and write those. Passages show that both are complete."""
    update_document(lease=lease, status=Status.CHUNKING, stage_done=0, stage_total=len(pages))
    text = join_pages(pages=pages)
    write_pages(lease=lease, document=document, pages=pages, text=text)
    chunks = chunk_text(
        document=text,
        encoding_name=encoding_name_for(settings.EMBEDDING_MODEL),
        max_tokens=document.clone.chunk_tokens,
        overlap_tokens=document.clone.chunk_overlap_tokens,
    )
    if not chunks:
        raise IngestionError(
            code="no_text",
            message="No text was found in the file. If it is a scan, make it searchable with OCR "
            "and upload that.",
        )
    write_passages(lease=lease, document=document, text=text, chunks=chunks)


def _embed(*, lease: Lease, document: Document, model: EmbeddingModel) -> None:
    """Embed the passages that have no vector yet. The only place where the job enters async code."""
    chunks = Chunk.objects.filter(document=document, version=lease.version)
    pending = find_pending(chunks=chunks, model=model)
    total = chunks.count()
    done = total - len(pending)
    update_document(lease=lease, status=Status.EMBEDDING, stage_done=done, stage_total=total)
    if not pending:
        return

    def report() -> None:
        stored = ChunkEmbedding.objects.filter(
            document=document, chunk__version=lease.version, model=model.name, dimensions=model.dimensions
        ).count()
        update_document(lease=lease, stage_done=stored)

    def hold(passages: Sequence[Chunk]) -> Sequence[Chunk]:
        lock_document(lease=lease)
        return passages

    payer = Payer(user_id=document.uploaded_by_id, clone_id=document.clone_id, document_id=document.pk)
    asyncio.run(
        embed_chunks(
            pending=pending,
            model=model,
            payer=payer,
            hold=hold,
            on_progress=report,
        )
    )
