"""From an uploaded file to passages that are written nowhere yet: extract, clean, cut. Enter at `read_draft`."""

import contextlib
import logging
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from django.conf import settings

from billing.metering import Payer
from billing.tokens import encoding_name_for
from cloneai.threads import run_async
from knowledge.ai_cleaning import clean_with_ai
from knowledge.chunking import chunk_text, join_pages
from knowledge.cleaning import clean_pages
from knowledge.errors import IngestionError
from knowledge.extraction import ExtractedPage, extract_document
from knowledge.leases import Lease, Progress, update_document
from knowledge.models import Document, Status
from knowledge.version_text import Draft

logger = logging.getLogger(__name__)

AI_CLEANED_KINDS = ("pdf", "docx", "txt")  # the others were written as text and hold no layout to mend


def read_draft(*, document: Document, lease: Lease, progress: Progress) -> tuple[Draft, bool]:
    """The file as passages, and whether somebody was paid for them.

    Raises ExtractionError, IngestionError, LeaseLost.
    """
    with _local_copy(document=document) as path:
        extracted = extract_document(path=path, name=document.file_name)
    warnings = list(extracted.warnings)
    progress.show(Status.CLEANING, total=len(extracted.pages))
    pages = clean_pages(pages=extracted.pages, kind=extracted.kind)
    is_cleaned = is_cleaned_with_ai(document=document, kind=extracted.kind)
    if is_cleaned:
        pages = _clean_with_ai(document=document, pages=pages, warnings=warnings, progress=progress)
    progress.show(Status.CHUNKING, total=len(pages))
    text = join_pages(pages=pages)
    passages = chunk_text(
        document=text,
        encoding_name=encoding_name_for(settings.EMBEDDING_MODEL),
        max_tokens=document.clone.chunk_tokens,
        overlap_tokens=document.clone.chunk_overlap_tokens,
    )
    if not passages:
        update_document(lease=lease, kind=extracted.kind, warnings=warnings)
        raise IngestionError(
            code="no_text",
            message="No text was found in the file. If it is a scan, make it searchable with OCR "
            "and upload that.",
        )
    draft = Draft(kind=extracted.kind, warnings=warnings, pages=pages, text=text, passages=passages)
    return draft, is_cleaned


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
    *, document: Document, pages: Sequence[ExtractedPage], warnings: list[str], progress: Progress
) -> tuple[ExtractedPage, ...]:
    """Mends what layout and recognition broke, window by window; a problem is a warning, never a failure."""
    cleaned = run_async(
        clean_with_ai(
            pages=pages,
            payer=payer_of(document),
            on_progress=lambda done, total: progress.show(Status.CLEANING, done=done, total=total),
        )
    )
    logger.info("Document %s: %d of %d windows cleaned by AI", document.pk, cleaned.accepted, cleaned.windows)
    if cleaned.problem:
        warnings.append(
            f"AI cleaning was incomplete ({cleaned.accepted} of {cleaned.windows} parts; {cleaned.problem}). The rest "
            "was taken as it was read; retry the document to clean it again."
        )
    return cleaned.pages


def payer_of(document: Document) -> Payer:
    return Payer(user_id=document.uploaded_by_id, clone_id=document.clone_id, document_id=document.pk)
