"""Is writing vectors by binary COPY worth its code: against `bulk_create` of the same rows, in turns.

Rows a second of `store_vectors`, as ingestion calls it, and of the ORM in batches of 500; 1,536 dimensions.
"""

import time
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.harness import Result
from benchmarks.ingestion_setup import DIMENSIONS, MODEL, make_clone

if TYPE_CHECKING:
    from knowledge.models import Chunk

PASSAGES = 1_000
ROUNDS = 3
PROMISED = 10.0


def run() -> Result:
    from django.db import connection
    from pgvector import HalfVector

    from knowledge.embedding import EmbeddingModel, check_vectors, store_vectors
    from knowledge.models import ChunkEmbedding

    passages = make_passages()
    random = np.random.default_rng(1)
    made = random.standard_normal((PASSAGES, DIMENSIONS)).astype(np.float32)
    vectors = check_vectors(vectors=made, count=PASSAGES, dimensions=DIMENSIONS)
    model = EmbeddingModel(name=MODEL, dimensions=DIMENSIONS)

    def by_copy() -> None:
        store_vectors(chunks=passages, vectors=vectors, model=model, hold=lambda passages: passages)

    def by_orm() -> None:
        rows = [
            ChunkEmbedding(
                chunk=passage,
                document_id=passage.document_id,
                clone_id=passage.clone_id,
                model=model.name,
                dimensions=model.dimensions,
                embedding=HalfVector(vector),
            )
            for passage, vector in zip(passages, vectors, strict=True)
        ]
        ChunkEmbedding.objects.bulk_create(rows, batch_size=500)

    seconds: dict[str, list[float]] = {"bulk_create": [], "binary COPY": []}
    for _round in range(ROUNDS):
        for name, write in (("bulk_create", by_orm), ("binary COPY", by_copy)):
            with connection.cursor() as cursor:
                cursor.execute("TRUNCATE knowledge_chunkembedding")
            started = time.perf_counter()
            write()
            seconds[name].append(time.perf_counter() - started)
            assert ChunkEmbedding.objects.count() == PASSAGES
    rates = {name: PASSAGES / float(np.median(taken)) for name, taken in seconds.items()}
    ratio = rates["binary COPY"] / rates["bulk_create"]
    return Result(
        name="vectors",
        question="how much faster does binary COPY write vectors than the ORM?",
        ratio=ratio,
        ratio_of="vectors a second, binary COPY / bulk_create; at least 10",
        is_good=ratio >= PROMISED,
        columns=("", "vectors a second"),
        rows=[(name, f"{rate:,.0f}") for name, rate in rates.items()],
    )


def make_passages() -> "list[Chunk]":
    from knowledge.models import Chunk, Document

    clone = make_clone()
    document = Document.objects.create(clone=clone, title="Made", file_name="made.txt", sha256="made")
    return Chunk.objects.bulk_create(
        Chunk(
            document=document,
            clone=clone,
            version=1,
            index=number,
            content=f"Passage {number}",
            start_char=number,
            end_char=number + 1,
            page_start=1,
            page_end=1,
            token_count=2,
        )
        for number in range(PASSAGES)
    )
