"""Large clones are searched through an index of their own: same passages, always as many as asked for."""

import numpy as np
import pytest
from django.db import connection

from cloneai.accounts.models import User
from clones.models import Clone
from knowledge.candidates import find_candidates
from knowledge.embedding import EmbeddingModel
from knowledge.models import Chunk, ChunkEmbedding, Document, Status
from knowledge.vector_index import find_index, forget_indexes, index_name, keep_indexes
from knowledge.word_search import WordHits

pytestmark = pytest.mark.django_db(transaction=True)
MODEL = EmbeddingModel(name="m-1", dimensions=16)


def fill(clone: Clone, *, count: int, seed: int) -> np.ndarray:
    """Random unit vectors, one a passage; returns them in the order of the passages' keys."""
    vectors = np.random.default_rng(seed).standard_normal((count, MODEL.dimensions))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    document = Document.objects.create(clone=clone, title="D", file_name="d", sha256=str(clone.pk), live_version=1,
                                       status=Status.READY, chunk_count=count)  # fmt: skip
    chunks = Chunk.objects.bulk_create(
        Chunk(document=document, clone=clone, version=1, index=index, content=f"passage {index}", start_char=0,
              end_char=9, page_start=1, page_end=1, token_count=2, is_live=True)
        for index in range(count)
    )  # fmt: skip
    ChunkEmbedding.objects.bulk_create(
        ChunkEmbedding(chunk=chunk, document=document, clone=clone, model=MODEL.name, dimensions=MODEL.dimensions,
                       embedding=vector.tolist(), is_live=True)
        for chunk, vector in zip(chunks, vectors, strict=True)
    )  # fmt: skip
    return vectors


def search(clone: Clone, vector: np.ndarray, *, depth: int) -> set[int]:
    found = find_candidates(
        clone_id=clone.pk,
        words=WordHits(),
        vector=vector,
        model=MODEL,
        depth=depth,
    )
    return {one.chunk_id for one in found}


@pytest.fixture
def two_clones(expert: User, clone: Clone, other_clone: Clone):
    forget_indexes()
    yield clone, fill(clone, count=600, seed=1), other_clone, fill(other_clone, count=40, seed=2)
    keep_indexes(large=10_000)
    forget_indexes()


def test_only_the_large_clone_gets_an_index_and_it_finds_the_same(two_clones):
    large, vectors, small, _others = two_clones
    asked = vectors[:20] + 0.1
    exact = [search(large, vector, depth=10) for vector in asked]
    assert keep_indexes(large=500) == [index_name(clone_id=large.pk, model=MODEL)]
    assert keep_indexes(large=500) == []
    assert find_index(clone_id=large.pk, model=MODEL)
    assert not find_index(clone_id=small.pk, model=MODEL)
    indexed = [search(large, vector, depth=10) for vector in asked]
    shared = sum(len(one & other) for one, other in zip(exact, indexed, strict=True))
    assert shared >= 0.99 * 10 * len(asked)
    assert len(search(large, vectors[0], depth=500)) == 500
    assert len(search(small, vectors[0], depth=50)) == 40


def test_index_of_a_clone_that_shrank_is_dropped(two_clones):
    large, _vectors, _small, _others = two_clones
    keep_indexes(large=500)
    ChunkEmbedding.objects.filter(clone=large).update(is_live=False)
    assert keep_indexes(large=500) == []
    assert not find_index(clone_id=large.pk, model=MODEL)
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_indexes WHERE indexname LIKE 'embedding_hnsw_%%'")
        assert cursor.fetchone()[0] == 0
