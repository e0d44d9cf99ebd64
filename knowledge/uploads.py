"""What an expert does with files: upload, replace, retry, delete. Enter at `create_document`.

Row, stored file and background job come and go together: the job is written to the same database in the same
transaction, files are removed after the commit that makes them superfluous.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

from django.conf import settings
from django.core.files import File
from django.core.files.storage import default_storage
from django.db import IntegrityError, transaction
from django.db.models import Q
from django_q.tasks import async_task

from cloneai.accounts.models import User
from clones.models import Clone
from knowledge.earlier_versions import discard_unfinished, note_earlier
from knowledge.errors import UploadRefused
from knowledge.file_names import clean_line, make_safe_name, suffix_of, title_from
from knowledge.models import ChunkEmbedding, Document, Status, storage_folder
from knowledge.stored_files import (
    find_stored_files,
    inspect_upload,
    remove_files,
    remove_folder,
    store_file,
)

__all__ = [
    "UploadRefused",
    "create_document",
    "delete_document",
    "enqueue_ingestion",
    "replace_document",
    "retry_document",
]

FAULTS_OF_NAME = ("type_mismatch", "unsupported_type")
JOB = "knowledge.tasks.ingest"
PROBE_JOB = "knowledge.tasks.probe_ready"


def create_document(
    *,
    clone: Clone,
    file: File[bytes],
    file_name: str,
    title: str = "",
    uploaded_by: User | None,
    is_cleaning_on: bool = True,
) -> Document:
    """Store an upload and queue its ingestion. Raises UploadRefused and then stores nothing.

    A file that failed for its name alone, and comes again under another one, is that document's correction.
    """
    sha256, size_bytes = inspect_upload(file=file)
    safe_name = make_safe_name(name=file_name)
    title = clean_line(text=title)[:200] or title_from(file_name=safe_name)
    existing = _find_by_bytes(clone=clone, sha256=sha256)
    if existing and _is_misnamed(existing, file_name=safe_name):
        with transaction.atomic():
            existing.title, existing.is_cleaning_on = title, is_cleaning_on
            existing.save(update_fields=["title", "is_cleaning_on"])
            return replace_document(
                document=existing, file=file, file_name=safe_name, uploaded_by=uploaded_by
            )
    _refuse_duplicate(existing)
    document = Document(
        clone=clone,
        title=title,
        file_name=safe_name,
        size_bytes=size_bytes,
        sha256=sha256,
        uploaded_by=uploaded_by,
        is_cleaning_on=is_cleaning_on,
    )
    _store(document=document, file=file)
    return document


def replace_document(
    *, document: Document, file: File[bytes], file_name: str, uploaded_by: User | None = None
) -> Document:
    """Give a document new bytes. The version that answers now goes on answering until the new one is ready."""
    sha256, size_bytes = inspect_upload(file=file)
    with transaction.atomic():
        current = Document.objects.select_for_update().get(pk=document.pk)
        if not (current.status == Status.FAILED and current.sha256 == sha256):  # the same again, say renamed
            _refuse_duplicate(_find_by_bytes(clone=current.clone, sha256=sha256))
        superseded = "" if current.file.name == current.live_file else current.file.name
        discard_unfinished(document=current)
        note_earlier(document=current)
        current.file_name = make_safe_name(name=file_name)
        current.size_bytes = size_bytes
        current.sha256 = sha256
        current.uploaded_by = uploaded_by or current.uploaded_by
        current.version += 1
        _reset(document=current)
        _store(document=current, file=file)
        if superseded:
            transaction.on_commit(partial(default_storage.delete, superseded))
    return current


def retry_document(*, document: Document) -> None:
    """Process a failed document again from where it broke; a ready one from the start, as a new version.

    Raises UploadRefused ("busy") while it is being processed.
    """
    with transaction.atomic():
        current = Document.objects.select_for_update().get(pk=document.pk)
        if not current.is_final:
            raise UploadRefused(
                code="busy", message="This document is being processed already. Wait until it ends."
            )
        if current.live_version == current.version:
            note_earlier(document=current)
            current.version += 1
        _reset(document=current)
        current.save()
        enqueue_ingestion(document=current)
    document.refresh_from_db()


def delete_document(*, document: Document) -> None:
    """Delete the document with its pages, passages, vectors and files. Citations keep their snapshot."""
    with transaction.atomic():
        current = Document.objects.select_for_update().filter(pk=document.pk).first()
        if current is None:
            return
        names = find_stored_files(Q(pk=current.pk))
        ChunkEmbedding.objects.filter(document=current).delete()
        current.delete()
        transaction.on_commit(partial(remove_files, names))


def prepare_file_removal(clone: Clone) -> Callable[[], None]:
    """What to do with the files of a clone once its rows are gone; registered with `clones.deletion`."""
    return partial(remove_folder, storage_folder(clone_id=clone.pk), find_stored_files(Q(clone=clone)))


def enqueue_ingestion(*, document: Document) -> None:
    """Queue the job, with the id only. Inside a transaction it appears together with the row."""
    async_task(JOB, str(document.pk), task_name=f"ingest {document.pk}"[:100], save=False)


def enqueue_probes() -> None:
    """Queue the proof that ready documents are found, unless others wait to be read or the setting is off."""
    if settings.DOCUMENT_PROBES and not Document.objects.filter(status=Status.QUEUED).exists():
        async_task(PROBE_JOB, task_name="probe ready documents", save=False)


def _find_by_bytes(*, clone: Clone, sha256: str) -> Document | None:
    """At most one has them: each file is taken once per clone."""
    return Document.objects.filter(clone=clone, sha256=sha256).first()


def _is_misnamed(document: Document, *, file_name: str) -> bool:
    """Whether it failed because its name says another type than `file_name` does."""
    is_fault_of_name = document.status == Status.FAILED and document.error_code in FAULTS_OF_NAME
    return is_fault_of_name and suffix_of(file_name=document.file_name) != suffix_of(file_name=file_name)


def _refuse_duplicate(existing: Document | None) -> None:
    if existing is None:
        return
    if existing.needs_other_file:
        cure = "It could not be read: open that one for the reason, and upload a mended file"
    else:
        cure = "Retry that one instead" if existing.status == Status.FAILED else "There is nothing to do"
    raise UploadRefused(
        code="duplicate",
        message=f"This clone already has this file: “{existing.title}”. {cure}.",
        existing=existing,
    )


def _store(*, document: Document, file: File[bytes]) -> None:
    """Save file and row and queue the job, all or nothing. Two uploads of the same bytes at once: one wins."""
    name = store_file(document=document, file=file)
    document.file = name
    try:
        with transaction.atomic():
            document.save()
            enqueue_ingestion(document=document)
    except BaseException as error:
        default_storage.delete(name)
        if isinstance(error, IntegrityError):
            _refuse_duplicate(_find_by_bytes(clone=document.clone, sha256=document.sha256))
        raise


def _reset(*, document: Document) -> None:
    fresh: dict[str, Any] = {
        "status": Status.QUEUED, "stage_done": 0, "stage_total": 0, "error_code": "", "error_message": "",
        "warnings": [], "attempts": 0, "lease_token": None, "lease_until": None,
        "probe_count": 0, "probes_found": 0, "probe_note": "",
    }  # fmt: skip
    for name, value in fresh.items():
        setattr(document, name, value)
