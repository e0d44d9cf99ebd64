"""Makes a version the one that answers, and a model the one whose vectors are searched; each in one
transaction.

Rule: a vector is live when its passage is live and its model is the clone's. When the platform's embedding
model changed, new passages are found by their words only until every live passage of the clone has a vector
of the new model; then the clone switches. `manage.py reembed` supplies what is missing.
"""

from functools import partial

from django.core.files.storage import default_storage
from django.db import transaction
from django.db.models import Count, Exists, OuterRef, Q, Sum
from django.utils import timezone

from clones.models import Clone
from knowledge.embedding import EmbeddingModel
from knowledge.errors import IngestionError
from knowledge.leases import Lease, lock_document
from knowledge.models import Chunk, ChunkEmbedding, Document, DocumentPage, Status


def publish_version(*, lease: Lease, model: EmbeddingModel) -> None:
    """Make the leased version live, drop the one before it, end the lease. Raises LeaseLost."""
    with transaction.atomic():
        document = lock_document(lease=lease)
        clone = Clone.objects.select_for_update().get(pk=document.clone_id)
        chunks = Chunk.objects.filter(document=document, version=lease.version)
        _require_vectors(chunks=chunks.count(), model=model, document=document, version=lease.version)
        if lease.version > 1:
            _drop_superseded(document=document, version=lease.version)
        chunks.update(is_live=True)
        _switch_when_complete(clone=clone, model=model)
        if (clone.embedding_model, clone.embedding_dimensions) == (model.name, model.dimensions):
            ChunkEmbedding.objects.filter(
                document=document, model=model.name, dimensions=model.dimensions
            ).update(is_live=True)
        _mark_ready(document=document, lease=lease)


def _drop_superseded(*, document: Document, version: int) -> None:
    for superseded in (
        ChunkEmbedding.objects.filter(document=document).exclude(chunk__version=version),
        Chunk.objects.filter(document=document).exclude(version=version),
        DocumentPage.objects.filter(document=document).exclude(version=version),
    ):
        superseded.delete()


def switch_embedding_model(*, clone_id: int, model: EmbeddingModel) -> bool:
    """Search by this model's vectors from now on, if every live passage has one; else change nothing."""
    with transaction.atomic():
        clone = Clone.objects.select_for_update().get(pk=clone_id)
        return _switch_when_complete(clone=clone, model=model)


def _switch_when_complete(*, clone: Clone, model: EmbeddingModel) -> bool:
    of_model = Q(model=model.name, dimensions=model.dimensions)
    vectors = ChunkEmbedding.objects.filter(clone=clone)
    if (clone.embedding_model, clone.embedding_dimensions) == (model.name, model.dimensions):
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


def _require_vectors(*, chunks: int, model: EmbeddingModel, document: Document, version: int) -> None:
    vectors = ChunkEmbedding.objects.filter(
        document=document, chunk__version=version, model=model.name, dimensions=model.dimensions
    ).count()
    if not chunks or chunks != vectors:
        raise IngestionError(
            code="bad_vectors",
            message=f"Only {vectors} of {chunks} passages have a vector. Retry the document.",
        )


def _mark_ready(*, document: Document, lease: Lease) -> None:
    superseded = document.live_file
    document.live_file = document.file.name or ""
    document.live_version = lease.version
    document.status = Status.READY
    document.error_code = document.error_message = ""
    document.lease_token = document.lease_until = None
    document.ready_at = timezone.now()
    document.page_count = document.pages.filter(version=lease.version).count()
    chunks = document.chunks.filter(version=lease.version)
    totals = chunks.aggregate(count=Count("pk"), tokens=Sum("token_count"))
    document.chunk_count, document.token_count = totals["count"], totals["tokens"] or 0
    document.stage_done = document.stage_total = document.chunk_count
    document.save()
    if superseded and superseded != document.live_file:
        transaction.on_commit(partial(default_storage.delete, superseded))
