"""Vectors, checked before anybody can store them."""

import base64
from collections.abc import Sequence
from typing import Any

import numpy
from django.conf import settings

from billing.calls import CallTrace, Vectors
from billing.errors import EmbeddingsUnusable
from billing.gateway.client import call_deadline, read_timeout, send, shared_client
from billing.gateway.failures import UNREADABLE, read_usage


async def request_embeddings(
    *, texts: Sequence[str], model: str, dimensions: int, trace: CallTrace
) -> Vectors:
    """One vector a text, in order, checked: as many and as long as asked for, finite, and none all zero."""
    client = await shared_client()
    response: Any = await send(
        trace=trace,
        deadline=call_deadline(),
        request=lambda: client.embeddings.create(
            input=list(texts),
            model=model,
            dimensions=dimensions,
            encoding_format="base64",
            timeout=read_timeout(read_seconds=settings.AI_READ_TIMEOUT_SECONDS),
        ),
    )
    try:
        trace.usage = read_usage(response.usage, has_output=False)
        items = _in_order(list(response.data))
        if len(items) != len(texts):
            raise EmbeddingsUnusable(f"{len(texts)} vectors were asked for, {len(items)} came.")
        with numpy.errstate(over="ignore"):  # too large for float32 becomes infinite, which is refused below
            rows = [_read_vector(item.embedding) for item in items]
        if any(row.shape != (dimensions,) for row in rows):
            raise EmbeddingsUnusable(f"A vector is not {dimensions} numbers long.")
        vectors = numpy.stack(rows)
    except UNREADABLE as error:
        raise EmbeddingsUnusable(f"The answer holds no vectors: {type(error).__name__}.") from None
    if not numpy.isfinite(vectors).all():
        raise EmbeddingsUnusable("A vector holds a number that is not finite.")
    if not vectors.any(axis=1).all():
        raise EmbeddingsUnusable("A vector is all zero.")
    return vectors


def _in_order(items: list[Any]) -> list[Any]:
    """By the provider's `index`, when it gave any."""
    indexes = [getattr(item, "index", None) for item in items]
    if all(index is None for index in indexes):
        return items
    if sorted(index for index in indexes if isinstance(index, int)) != list(range(len(items))):
        raise EmbeddingsUnusable("The vectors' indexes are not those of the texts.")
    return sorted(items, key=lambda item: item.index)


def _read_vector(embedding: Any) -> Vectors:
    """Packed bytes were asked for, a fifth of the memory of numbers; some servers send numbers all the same."""
    if isinstance(embedding, str):
        return numpy.frombuffer(base64.b64decode(embedding, validate=True), dtype="<f4")
    return numpy.asarray(embedding, dtype=numpy.float32)
