"""Indexes for large clones: one HNSW index a clone, over its live vectors alone, built while searches go on.

Up to `LARGE` passages an exact scan is quicker and misses nothing. Beyond, the clone gets a partial index: the other
clones' vectors are not in it, so a small clone never pays for a large one and no filter thins out what the index finds.
`keep_indexes` is a job; `find_index` is what a search asks.
"""

import hashlib
import logging
import time
from dataclasses import dataclass

from django.db import connection
from django.db.models import Count

from knowledge.embedding import EmbeddingModel
from knowledge.models import ChunkEmbedding

logger = logging.getLogger(__name__)

LARGE = 20_000  # live passages
PREFIX = "embedding_hnsw_"
# pgvector's scan goes on until it has found as many rows as were asked for; this is how many it looks at in a batch.
EF_SEARCH = 200
LOOK_AGAIN_SECONDS = 60.0

_valid: frozenset[str] = frozenset()
_looked_at = float("-inf")


@dataclass(frozen=True, slots=True, kw_only=True)
class LargeClone:
    clone_id: int
    model: EmbeddingModel
    passages: int

    @property
    def index(self) -> str:
        return index_name(clone_id=self.clone_id, model=self.model)


def index_name(*, clone_id: int, model: EmbeddingModel) -> str:
    """One name a clone, model and length; within PostgreSQL's 63 characters."""
    digest = hashlib.sha256(f"{model.name} {model.dimensions}".encode()).hexdigest()[:8]
    return f"{PREFIX}{clone_id}_{digest}"


def find_index(*, clone_id: int, model: EmbeddingModel) -> bool:
    """Whether the clone's vectors of this model have a finished index. One small query a minute and process."""
    global _valid, _looked_at
    if time.monotonic() - _looked_at > LOOK_AGAIN_SECONDS:
        _valid, _looked_at = frozenset(_list_indexes(valid=True)), time.monotonic()
    return index_name(clone_id=clone_id, model=model) in _valid


def forget_indexes() -> None:
    """The next search looks again which indexes there are."""
    global _looked_at
    _looked_at = float("-inf")


def keep_indexes(*, large: int = LARGE) -> list[str]:
    """Builds what is missing and drops what serves nobody any more; returns the names of what was built.

    A build takes minutes and locks nobody out. Must not run in a transaction; a second one waits for the first.
    """
    wanted = {one.index: one for one in find_large_clones(large=large)}
    built = []
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(hashtext(%s))", [PREFIX])
        try:
            for name in set(_list_indexes(valid=False)) | (set(_list_indexes(valid=True)) - wanted.keys()):
                cursor.execute(f'DROP INDEX CONCURRENTLY IF EXISTS "{name}"')
            for name in wanted.keys() - set(_list_indexes(valid=True)):
                _build(wanted[name])
                built.append(name)
        finally:
            cursor.execute("SELECT pg_advisory_unlock(hashtext(%s))", [PREFIX])
    forget_indexes()
    return built


def find_large_clones(*, large: int = LARGE) -> list[LargeClone]:
    """Clones with more live vectors of one model than `large`."""
    rows = (
        ChunkEmbedding.objects.filter(is_live=True)
        .values_list("clone_id", "model", "dimensions")
        .annotate(passages=Count("pk"))
        .filter(passages__gt=large)
    )
    return [
        LargeClone(
            clone_id=clone_id,
            model=EmbeddingModel(name=model, dimensions=dimensions),
            passages=passages,
        )
        for clone_id, model, dimensions, passages in rows
    ]


def _build(one: LargeClone) -> None:
    """The predicate is written as searches write it, so that the planner knows the index by it."""
    logger.info("Building %s over %s vectors", one.index, one.passages)
    with connection.cursor() as cursor:
        cursor.execute(
            f'CREATE INDEX CONCURRENTLY "{one.index}" ON knowledge_chunkembedding '
            f"USING hnsw ((embedding::halfvec({one.model.dimensions:d})) halfvec_cosine_ops) "
            f"WHERE clone_id = {one.clone_id:d} AND is_live AND model = %s AND dimensions = {one.model.dimensions:d}",
            [one.model.name],
        )


def _list_indexes(*, valid: bool) -> list[str]:
    """Names of our indexes; those that are not valid were left by a build that failed or still runs."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT class.relname FROM pg_index JOIN pg_class class ON class.oid = pg_index.indexrelid "
            "WHERE pg_index.indrelid = 'knowledge_chunkembedding'::regclass AND class.relname LIKE %s "
            "AND pg_index.indisvalid = %s",
            [f"{PREFIX}%", valid],
        )
        return [name for (name,) in cursor.fetchall()]
