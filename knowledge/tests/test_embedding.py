"""Vectors: packed to the provider's limits, checked, and stored as they came."""

import numpy as np
import pytest
from django.db import connection

from clones.models import Clone
from knowledge.embedding import (
    MAX_INPUTS,
    MAX_REQUEST_TOKENS,
    EmbeddingModel,
    PendingChunk,
    check_vectors,
    embedded_text,
    pack_requests,
    store_vectors,
)
from knowledge.errors import IngestionError
from knowledge.models import Chunk, ChunkEmbedding
from knowledge.tests.conftest import SLEEP, store

MODEL = EmbeddingModel(name="some-model", dimensions=4)


def batches(*tokens: int) -> list[list[int]]:
    pending = [PendingChunk(id=number, tokens=count) for number, count in enumerate(tokens)]
    return [[chunk.tokens for chunk in batch] for batch in pack_requests(pending=pending)]


def test_requests_are_filled_up_to_the_token_limit():
    third = MAX_REQUEST_TOKENS // 3
    assert batches(third, third, third, third) == [[third] * 3, [third]]


def test_requests_hold_at_most_the_provider_s_number_of_inputs():
    assert [len(batch) for batch in batches(*[1] * (2 * MAX_INPUTS + 1))] == [MAX_INPUTS, MAX_INPUTS, 1]


def test_nothing_pending_makes_no_request():
    assert batches() == []


@pytest.mark.parametrize(
    "vectors",
    [
        np.array([[1, 0, 0, 0], [0, 0, 0, 0]], dtype=np.float32),
        np.array([[1, 0, 0, 0], [np.nan, 0, 0, 1]], dtype=np.float32),
        np.array([[1, 0, 0, 0], [np.inf, 0, 0, 1]], dtype=np.float32),
        np.array([[1, 0, 0, 0], [1e-9, 0, 0, 0]], dtype=np.float32),
        np.ones((1, 4), dtype=np.float32),
        np.ones((2, 3), dtype=np.float32),
    ],
    ids=["zero", "nan", "infinite", "zero in half precision", "one missing", "too short"],
)
def test_unusable_vectors_are_refused(vectors):
    with pytest.raises(IngestionError) as error:
        check_vectors(vectors=vectors, count=2, dimensions=4)
    assert error.value.code == "bad_vectors"


def test_headings_are_embedded_before_the_text():
    assert embedded_text(headings=["Part 1", "Rest"], content="Sleep well.") == "Part 1 > Rest\n\nSleep well."
    assert embedded_text(headings=[], content="Sleep well.") == "Sleep well."


def test_binary_copy_stores_exactly_what_it_is_given(clone: Clone):
    document = store(clone=clone, text=SLEEP)
    chunks = [
        Chunk.objects.create(
            document=document, clone=clone, version=1, index=index, content="text", start_char=index,
            end_char=index + 1, page_start=1, page_end=1, token_count=1,
        )
        for index in range(3)
    ]  # fmt: skip
    vectors = np.random.default_rng(7).standard_normal((3, 4)).astype(np.float16)
    store_vectors(chunks=chunks, vectors=vectors, model=MODEL, hold=lambda passages: passages)
    rows = list(ChunkEmbedding.objects.order_by("chunk__index"))
    assert [row.chunk_id for row in rows] == [chunk.pk for chunk in chunks]
    assert {(row.document_id, row.clone_id, row.model, row.dimensions, row.is_live) for row in rows} == {
        (document.pk, clone.pk, "some-model", 4, False)
    }
    stored = np.array([list(row.embedding) for row in rows], dtype=np.float16)
    assert np.array_equal(stored, vectors)


def test_vectors_lie_in_the_row_itself(db):
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT attstorage FROM pg_attribute WHERE attname = 'embedding' "
            "AND attrelid = 'knowledge_chunkembedding'::regclass"
        )
        assert cursor.fetchone() == ("p",)
