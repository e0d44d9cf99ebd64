"""Vectors for the passages of a document: packed requests, checked results, binary COPY. Enter at
`embed_chunks` for stored passages, at `request_vectors` for texts of one request.

Interrupted work resumes at the first passage without a vector: each request's vectors are stored as soon as
they arrive. Vectors are float16 (passages, dimensions), stored as halfvec.
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple
from uuid import UUID

import numpy as np
import numpy.typing as npt
from django.db import connection, transaction
from django.db.models import Exists, OuterRef, QuerySet

from billing.metering import Payer, embed_texts
from billing.models import Purpose
from billing.tokens import count_tokens
from cloneai.threads import run_in_thread
from knowledge.chunking import TextChunk
from knowledge.errors import IngestionError
from knowledge.models import Chunk, ChunkEmbedding

# OpenAI's published limits of one request; a chunk is at most 4,000 tokens, so the 8,192 of one input is
# never met.
MAX_INPUTS = 2048
MAX_REQUEST_TOKENS = 300_000
REQUESTS_IN_FLIGHT = 3
HEADING_CHARS = 200

Vectors = npt.NDArray[np.float32]
HalfVectors = npt.NDArray[np.float16]
# Called within the transaction that writes: locks what the vectors are for and returns the passages that may be
# written, or raises when none of them is ours any more.
Hold = Callable[[Sequence[Chunk]], Sequence[Chunk]]


@dataclass(frozen=True, slots=True)
class EmbeddingModel:
    """Which vectors are meant: a model's name and the length asked of it."""

    name: str
    dimensions: int


@dataclass(frozen=True, slots=True)
class PendingChunk:
    """A passage without a vector; `tokens` is an upper bound of what its text will count."""

    id: int
    tokens: int


class VectorOwner(NamedTuple):
    """The passage that a vector is of, with its document and clone."""

    chunk_id: int
    document_id: UUID
    clone_id: int


def find_pending(*, chunks: QuerySet[Chunk], model: EmbeddingModel) -> list[PendingChunk]:
    """Those of the passages that have no vector of this model yet, in reading order. One query."""
    vectors = ChunkEmbedding.objects.filter(
        chunk=OuterRef("pk"), model=model.name, dimensions=model.dimensions
    )
    rows = chunks.filter(~Exists(vectors)).order_by("document_id", "index")
    return [
        PendingChunk(id=pk, tokens=tokens + _prefix_tokens(tuple(headings), model=model.name))
        for pk, tokens, headings in rows.values_list("pk", "token_count", "headings")
    ]


def find_pending_drafted(*, passages: Sequence[TextChunk], model: EmbeddingModel) -> list[PendingChunk]:
    """All of these passages, which are stored nowhere yet; `id` is their index."""
    return [
        PendingChunk(id=one.index, tokens=one.token_count + _prefix_tokens(one.headings, model=model.name))
        for one in passages
    ]


def pack_requests(*, pending: Sequence[PendingChunk]) -> Iterator[list[PendingChunk]]:
    """Group passages into as few requests as the provider's limits allow, keeping their order."""
    batch: list[PendingChunk] = []
    tokens = 0
    for chunk in pending:
        if batch and (len(batch) == MAX_INPUTS or tokens + chunk.tokens > MAX_REQUEST_TOKENS):
            yield batch
            batch, tokens = [], 0
        batch.append(chunk)
        tokens += chunk.tokens
    if batch:
        yield batch


async def embed_chunks(
    *,
    pending: Sequence[PendingChunk],
    model: EmbeddingModel,
    payer: Payer,
    hold: Hold,
    on_progress: Callable[[int], None],
) -> None:
    """Embed and store passages, a few requests in flight.

    `hold` runs inside each writing transaction, in a thread; `on_progress` after it, with the number of passages.
    Raises what a request or either of them raised, after what else is in flight has been stored: that is paid for.
    """
    batches = pack_requests(pending=pending)
    failures: list[BaseException] = []

    async def work() -> None:
        for batch in batches:
            if failures:
                return
            try:
                await _embed_batch(batch=batch, model=model, payer=payer, hold=hold)
                on_progress(len(batch))
            except Exception as error:  # noqa: BLE001 - raised again below, when the others have stored theirs
                failures.append(error)

    await asyncio.gather(*(work() for _ in range(REQUESTS_IN_FLIGHT)))
    if failures:
        raise failures[0]


def embedded_text(*, headings: Sequence[str], content: str) -> str:
    """What a passage's vector is made of: the headings it stands under, then its text."""
    return _prefix(tuple(headings)) + content


def check_vectors(*, vectors: Vectors, count: int, dimensions: int) -> HalfVectors:
    """The vectors as half precision. Raises IngestionError unless each is finite, not zero and as long as asked."""
    half = vectors.astype(np.float16) if vectors.shape == (count, dimensions) else None
    if half is None or not np.isfinite(half).all() or not half.any(axis=1).all():
        raise IngestionError(
            code="bad_vectors",
            message=f"The provider returned vectors that cannot be used ({count} of {dimensions} values "
            "were expected, none of them zero). Nothing of them was kept. Retry the document; if it "
            "happens again, check EMBEDDING_MODEL and EMBEDDING_DIMENSIONS.",
        )
    return half


async def request_vectors(
    *, texts: Sequence[str], tokens: int, model: EmbeddingModel, payer: Payer
) -> HalfVectors:
    """A checked vector for each text, by one request. Raises MeteredCallError, IngestionError.

    `tokens` is what the texts count at most.
    """
    result = await embed_texts(
        payer=payer,
        purpose=Purpose.DOCUMENT_EMBEDDING,
        texts=texts,
        model=model.name,
        dimensions=model.dimensions,
        input_tokens=tokens,
    )
    return check_vectors(vectors=result.vectors, count=len(texts), dimensions=model.dimensions)


def store_vectors(
    *, chunks: Sequence[Chunk], vectors: HalfVectors, model: EmbeddingModel, hold: Hold
) -> None:
    """Write the vectors of those passages that `hold` returns, in one transaction; nothing of it is live yet."""
    with transaction.atomic():
        held = {chunk.pk for chunk in hold(chunks)}
        places = [place for place, chunk in enumerate(chunks) if chunk.pk in held]
        owners = [
            VectorOwner(chunks[place].pk, chunks[place].document_id, chunks[place].clone_id)
            for place in places
        ]
        copy_vectors(owners=owners, vectors=vectors[places], model=model, is_live=False)


def copy_vectors(
    *, owners: Sequence[VectorOwner], vectors: HalfVectors, model: EmbeddingModel, is_live: bool
) -> None:
    """Write the vectors by binary COPY, about 30 times faster than `bulk_create`."""
    with (
        connection.cursor() as cursor,
        cursor.copy(
            "COPY knowledge_chunkembedding "
            "(chunk_id, document_id, clone_id, model, dimensions, embedding, is_live) "
            "FROM STDIN (FORMAT BINARY)"
        ) as copy,
    ):
        copy.write(_copy_payload(owners=owners, vectors=vectors, model=model, is_live=is_live))


async def _embed_batch(
    *, batch: Sequence[PendingChunk], model: EmbeddingModel, payer: Payer, hold: Hold
) -> None:
    chunks = await run_in_thread(_load, [chunk.id for chunk in batch])
    if not chunks:
        return
    texts = [embedded_text(headings=chunk.headings, content=chunk.content) for chunk in chunks]
    tokens = sum(chunk.tokens for chunk in batch)
    vectors = await request_vectors(texts=texts, tokens=tokens, model=model, payer=payer)
    await run_in_thread(store_vectors, chunks=chunks, vectors=vectors, model=model, hold=hold)


def _load(ids: Sequence[int]) -> list[Chunk]:
    fields = ("pk", "document_id", "clone_id", "headings", "content")
    return list(Chunk.objects.filter(pk__in=ids).order_by("pk").only(*fields))


def _prefix(headings: tuple[str, ...]) -> str:
    return " > ".join(heading[:HEADING_CHARS] for heading in headings[-4:]) + "\n\n" if headings else ""


def _prefix_tokens(headings: tuple[str, ...], *, model: str) -> int:
    return count_tokens(_prefix(headings), model=model) + 1 if headings else 0


def _copy_payload(
    *, owners: Sequence[VectorOwner], vectors: HalfVectors, model: EmbeddingModel, is_live: bool
) -> bytes:
    """PostgreSQL's binary COPY format; halfvec's wire form is int16 length, int16 zero, then big-endian halves."""
    name = model.name.encode()
    size = vectors.shape[1]
    row = np.dtype(
        [
            ("fields", ">i2"),
            ("chunk_len", ">i4"), ("chunk", ">i8"),
            ("document_len", ">i4"), ("document", "V16"),
            ("clone_len", ">i4"), ("clone", ">i8"),
            ("model_len", ">i4"), ("model", f"V{len(name)}"),
            ("dimensions_len", ">i4"), ("dimensions", ">i2"),
            ("embedding_len", ">i4"), ("size", ">i2"), ("unused", ">i2"), ("values", ">f2", (size,)),
            ("is_live_len", ">i4"), ("is_live", "u1"),
        ]
    )  # fmt: skip
    table = np.zeros(len(owners), dtype=row)
    table["fields"] = 7
    table["chunk_len"] = table["clone_len"] = 8
    table["chunk"] = [owner.chunk_id for owner in owners]
    table["document_len"] = 16
    table["document"] = np.array([np.void(owner.document_id.bytes) for owner in owners], dtype="V16")
    table["clone"] = [owner.clone_id for owner in owners]
    table["model_len"], table["model"] = len(name), np.void(name)
    table["dimensions_len"], table["dimensions"] = 2, model.dimensions
    table["embedding_len"], table["size"], table["values"] = 4 + 2 * size, size, vectors
    table["is_live_len"], table["is_live"] = 1, is_live
    return b"PGCOPY\n\xff\r\n\0" + bytes(8) + table.tobytes() + b"\xff\xff"
