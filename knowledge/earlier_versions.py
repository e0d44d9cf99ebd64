"""The version that answers while a newer one is read or has failed: what its file was, and how to go back to it.

A document's row describes its newest version. What it said of the live one before stays in `Document.earlier`.
"""

from functools import partial
from typing import Any

from django.core.files.storage import default_storage
from django.db import IntegrityError, transaction

from knowledge.errors import UploadRefused
from knowledge.models import Chunk, Document, DocumentPage, Status

# Pages, passages and tokens are counted when a version goes live, so they always are the live one's.
_FIELDS = (
    "file_name", "kind", "size_bytes", "sha256", "warnings", "sketch", "similar_share", "probe_count", "probes_found",
    "probe_note",
)  # fmt: skip


def note_earlier(*, document: Document) -> None:
    """Before its row is made to describe a newer version; `version` is still the one described. Saves nothing."""
    if document.live_version == document.version:
        similar = str(document.similar_document_id) if document.similar_document_id else None
        document.earlier = {
            **{name: getattr(document, name) for name in _FIELDS},
            "similar_document": similar,
        }


def discard_unfinished(*, document: Document) -> None:
    """Drop pages and passages of versions that never became live."""
    for model in (DocumentPage, Chunk):
        model.objects.filter(document=document).exclude(version=document.live_version or 0).delete()


def keep_earlier_version(*, document: Document) -> Document:
    """Give a replacement up that has failed: the document is what it was, ready, and the failed file goes.

    Raises UploadRefused: busy, nothing_earlier, or duplicate when the earlier bytes were uploaded anew meanwhile.
    """
    with transaction.atomic():
        current = Document.objects.select_for_update().get(pk=document.pk)
        if not current.is_final:
            raise UploadRefused(
                code="busy", message="The newer version is being processed. Wait until it ends."
            )
        if not current.has_earlier:
            raise UploadRefused(code="nothing_earlier", message="There is no earlier version to go back to.")
        failed_file = current.file.name
        discard_unfinished(document=current)
        _describe_earlier(current)
        try:
            with transaction.atomic():
                current.save()
        except IntegrityError as error:
            raise _refusal_of_twin(current) from error
        if failed_file and failed_file != current.live_file:
            transaction.on_commit(partial(default_storage.delete, failed_file))
    return current


def _describe_earlier(document: Document) -> None:
    earlier: dict[str, Any] = dict(document.earlier or {})
    similar = Document.objects.filter(pk=earlier.pop("similar_document")).first()
    if similar is None:
        earlier["similar_share"] = 0.0
    restored = {
        **earlier, "similar_document": similar, "file": document.live_file, "version": document.live_version,
        "status": Status.READY, "error_code": "", "error_message": "", "attempts": 0, "earlier": None,
        "stage_done": document.chunk_count, "stage_total": document.chunk_count,
    }  # fmt: skip
    for name, value in restored.items():
        setattr(document, name, value)


def _refusal_of_twin(document: Document) -> UploadRefused:
    twin = Document.objects.exclude(pk=document.pk).get(clone=document.clone_id, sha256=document.sha256)
    return UploadRefused(
        code="duplicate",
        message=f"The earlier file has been uploaded once more meanwhile, as “{twin.title}”. Delete one of the two.",
        existing=twin,
    )
