"""Makes a version the one that answers, and a model the one whose vectors are searched; each in one
transaction.

Rule: a vector is live when its passage is live and its model is the clone's. When the platform's embedding
model changed, new passages are found by their words only until every live passage of the clone has a vector
of the new model; then the clone switches. `manage.py reembed` supplies what is missing.
"""

from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

from django.core.files.storage import default_storage
from django.db import transaction
from django.db.models import Count, Exists, OuterRef, Q, Sum
from django.utils import timezone

from clones.models import Clone
from knowledge.embedding import EmbeddingModel, HalfVectors, VectorOwner, copy_vectors
from knowledge.errors import IngestionError
from knowledge.leases import Lease, lock_document, update_document
from knowledge.models import Chunk, ChunkEmbedding, Document, DocumentPage, Status
from knowledge.version_text import Draft, describe_draft, write_draft


@dataclass(frozen=True, slots=True)
class Finished:
    """A draft and the vectors of its passages, (passages, dimensions)."""

    draft: Draft
    vectors: HalfVectors


class _Counts(NamedTuple):
    pages: int
    passages: int
    tokens: int


def publish_version(
    *, lease: Lease, document: Document, model: EmbeddingModel, finished: Finished | None = None
) -> None:
    """Make the leased version live, drop the one before it, end the lease. Raises LeaseLost.

    `document` is as it was under the lease. What is `finished` is written here, once, and live at once; without it the
    version's rows have been stored before.
    """
    with transaction.atomic():
        if finished is None:
            lock_document(lease=lease)
            update_document(
                lease=lease, **_ready_fields(document, _count_stored(document=document, model=model))
            )
            is_searched = False
        else:
            found = describe_draft(document=document, draft=finished.draft)
            update_document(lease=lease, **found, **_ready_fields(document, _count_draft(finished.draft)))
            is_searched = _is_searched_by(model, clone=document.clone)
            _write_live(document=document, finished=finished, model=model, is_searched=is_searched)
        _take_over(document=document, model=model, is_stored=finished is None, is_searched=is_searched)
    superseded = document.live_file
    if superseded and superseded != document.file.name:
        transaction.on_commit(partial(default_storage.delete, superseded))


def _write_live(*, document: Document, finished: Finished, model: EmbeddingModel, is_searched: bool) -> None:
    keys = write_draft(document=document, draft=finished.draft, is_live=True)
    copy_vectors(
        owners=[VectorOwner(key, document.pk, document.clone_id) for key in keys],
        vectors=finished.vectors,
        model=model,
        is_live=is_searched,
    )


def _take_over(*, document: Document, model: EmbeddingModel, is_stored: bool, is_searched: bool) -> None:
    """Under the clone's lock, taken last because it lets one document of a clone through at a time: the version before
    goes, stored passages become live, and the vectors' state is set right if it is not what was thought of the clone.
    """
    clone = _lock_clone(document.clone_id)
    if document.version > 1:
        _drop_superseded(document=document)
    if is_stored:
        Chunk.objects.filter(document=document, version=document.version).update(is_live=True)
    _switch_when_complete(clone=clone, model=model)
    if is_searched != _is_searched_by(model, clone=clone):
        ChunkEmbedding.objects.filter(
            document=document, model=model.name, dimensions=model.dimensions
        ).update(is_live=not is_searched)


def _lock_clone(clone_id: int) -> Clone:
    """Its model and dimensions; rows may go on pointing to it."""
    rows = Clone.objects.select_for_update(no_key=True).only("embedding_model", "embedding_dimensions")
    return rows.get(pk=clone_id)


def _is_searched_by(model: EmbeddingModel, *, clone: Clone) -> bool:
    return (clone.embedding_model, clone.embedding_dimensions) == (model.name, model.dimensions)


def _drop_superseded(*, document: Document) -> None:
    version = document.version
    for superseded in (
        ChunkEmbedding.objects.filter(document=document).exclude(chunk__version=version),
        Chunk.objects.filter(document=document).exclude(version=version),
        DocumentPage.objects.filter(document=document).exclude(version=version),
    ):
        superseded.delete()


def switch_embedding_model(*, clone_id: int, model: EmbeddingModel) -> bool:
    """Search by this model's vectors from now on, if every live passage has one; else change nothing."""
    with transaction.atomic():
        return _switch_when_complete(clone=_lock_clone(clone_id), model=model)


def _switch_when_complete(*, clone: Clone, model: EmbeddingModel) -> bool:
    of_model = Q(model=model.name, dimensions=model.dimensions)
    vectors = ChunkEmbedding.objects.filter(clone=clone)
    if _is_searched_by(model, clone=clone):
        return True
    # Not `pk__in`: without fresh statistics PostgreSQL looks through all vectors for each passage.
    has_vector = Exists(vectors.filter(of_model, chunk=OuterRef("pk")))
    if Chunk.objects.filter(~has_vector, clone=clone, is_live=True).exists():
        return False
    vectors.exclude(of_model).delete()
    vectors.filter(of_model, chunk__is_live=True).update(is_live=True)
    clone.embedding_model, clone.embedding_dimensions = model.name, model.dimensions
    clone.save(update_fields=["embedding_model", "embedding_dimensions"])
    return True


def _count_draft(draft: Draft) -> _Counts:
    return _Counts(len(draft.pages), len(draft.passages), sum(one.token_count for one in draft.passages))


def _count_stored(*, document: Document, model: EmbeddingModel) -> _Counts:
    """Raises IngestionError when a passage has no vector."""
    passages = Chunk.objects.filter(document=document, version=document.version)
    totals = passages.aggregate(count=Count("pk"), tokens=Sum("token_count"))
    vectors = ChunkEmbedding.objects.filter(
        document=document, chunk__version=document.version, model=model.name, dimensions=model.dimensions
    ).count()
    if not totals["count"] or totals["count"] != vectors:
        raise IngestionError(
            code="bad_vectors",
            message=f"Only {vectors} of {totals['count']} passages have a vector. Retry the document.",
        )
    pages = DocumentPage.objects.filter(document=document, version=document.version)
    return _Counts(pages.count(), totals["count"], totals["tokens"])


def _ready_fields(document: Document, counts: _Counts) -> dict[str, Any]:
    return {
        "live_file": document.file.name or "",
        "live_version": document.version,
        "earlier": None,
        "status": Status.READY,
        "error_code": "",
        "error_message": "",
        "lease_token": None,
        "lease_until": None,
        "ready_at": timezone.now(),
        "page_count": counts.pages,
        "chunk_count": counts.passages,
        "token_count": counts.tokens,
        "stage_done": counts.passages,
        "stage_total": counts.passages,
    }
