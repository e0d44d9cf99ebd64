"""The one door to the provider: reserve the worst cost, call, settle to the true cost, write one record.

Enter at `complete_chat`, `stream_chat`, `complete_structured`, `embed_texts` and `embed_then`. Each makes one thread
hop with one transaction before the call and one after it, and holds no connection meanwhile. All raise
`MeteredCallError`, whose tree is in `billing.errors`. Settlement is shielded: it happens also when the
caller is cancelled or stops reading, and `settle_abandoned` does it for a process that died.

What is charged stands in `billing.charging`: the provider's own figures when it gave them; otherwise the counted
input and the text that came, if the request may have reached the provider; nothing if it certainly did not, or
was refused with a status.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from decimal import Decimal
from importlib import import_module
from typing import Any, TypeVar

import numpy
import pydantic

from billing import gateway
from billing.calls import (
    ChatMessage,
    ChatResult,
    EmbeddingResult,
    Payer,
    StructuredResult,
    TextDelta,
    Usage,
    Vectors,
)
from billing.errors import (
    AnswerUnusable,
    BudgetExceeded,
    MeteredCallError,
    ProviderError,
    UnpricedModel,
)
from billing.ledger import CallPlan
from billing.metered_call import MeteredCall, Settled
from billing.models import Purpose
from billing.tokens import count_chat_tokens, count_schema_tokens, count_tokens

__all__ = [
    "BudgetExceeded",
    "ChatMessage",
    "ChatResult",
    "EmbeddingResult",
    "MeteredCallError",
    "Payer",
    "ProviderError",
    "Purpose",
    "StructuredResult",
    "TextDelta",
    "UnpricedModel",
    "Usage",
    "complete_chat",
    "complete_structured",
    "embed_texts",
    "embed_then",
    "list_models",
    "load_client",
    "stream_chat",
]

Shape = TypeVar("Shape", bound=pydantic.BaseModel)
T = TypeVar("T")


def _plan_chat(
    *,
    payer: Payer,
    purpose: str,
    model: str,
    messages: Sequence[ChatMessage],
    max_output_tokens: int,
    schema: type[pydantic.BaseModel] | None = None,
) -> CallPlan:
    def count_input() -> int:
        extra = count_schema_tokens(schema, model=model) if schema is not None else 0
        return count_chat_tokens(messages, model=model) + extra

    return CallPlan(
        payer=payer,
        purpose=purpose,
        model=model,
        count_input=count_input,
        max_output_tokens=max_output_tokens,
    )


async def complete_chat(
    *,
    payer: Payer,
    purpose: str,
    model: str,
    messages: Sequence[ChatMessage],
    max_output_tokens: int,
    temperature: float,
) -> ChatResult:
    """One whole answer."""
    plan = _plan_chat(
        payer=payer, purpose=purpose, model=model, messages=messages, max_output_tokens=max_output_tokens
    )
    async with MeteredCall(plan) as call:
        await gateway.request_chat(
            model=model,
            messages=messages,
            max_output_tokens=max_output_tokens,
            temperature=temperature,
            trace=call.trace,
        )
        return _chat_result(call=call, settled=await call.succeed())


async def stream_chat(
    *,
    payer: Payer,
    purpose: str,
    model: str,
    messages: Sequence[ChatMessage],
    max_output_tokens: int,
    temperature: float,
) -> AsyncGenerator[TextDelta | ChatResult, None]:
    """The answer's pieces as they come, then its `ChatResult`, already settled.

    `aclose()`, or cancelling the reader, stops the provider; the tokens that came are charged. Close it
    (`contextlib.aclosing`) rather than leave it to the garbage collector, which may come late.
    """
    plan = _plan_chat(
        payer=payer, purpose=purpose, model=model, messages=messages, max_output_tokens=max_output_tokens
    )
    async with MeteredCall(plan) as call:
        pieces = gateway.stream_chat(
            model=model,
            messages=messages,
            max_output_tokens=max_output_tokens,
            temperature=temperature,
            trace=call.trace,
        )
        try:
            async for piece in pieces:
                yield TextDelta(piece)
        finally:
            await pieces.aclose()
        yield _chat_result(call=call, settled=await call.succeed())


async def complete_structured(
    *,
    payer: Payer,
    purpose: str,
    model: str,
    messages: Sequence[ChatMessage],
    schema: type[Shape],
    max_output_tokens: int,
    temperature: float,
) -> StructuredResult[Shape]:
    """One answer in the given shape. A refusal, a cut-off answer and one that does not fit are errors."""
    plan = _plan_chat(
        payer=payer,
        purpose=purpose,
        model=model,
        messages=messages,
        max_output_tokens=max_output_tokens,
        schema=schema,
    )
    async with MeteredCall(plan) as call:
        text = await gateway.request_chat(
            model=model,
            messages=messages,
            max_output_tokens=max_output_tokens,
            temperature=temperature,
            trace=call.trace,
            schema=schema,
        )
        try:
            value = schema.model_validate_json(text)
        except pydantic.ValidationError as error:
            raise AnswerUnusable(f"{error.error_count()} fields do not fit {schema.__name__}.") from None
        settled = await call.succeed()
    return StructuredResult(
        value=value,
        usage=settled.usage,
        cost_usd=settled.cost_usd,
        model=model,
        latency_ms=settled.latency_ms,
        retries=call.trace.retries,
    )


async def embed_texts(
    *,
    payer: Payer,
    purpose: str,
    texts: Sequence[str],
    model: str,
    dimensions: int,
    input_tokens: int | None = None,
) -> EmbeddingResult:
    """Vectors by one request; the caller packs to at most 2,048 texts and 300,000 tokens, 8,192 each.

    `input_tokens` is what they count, or little more, for a caller who has counted them already. Without texts there is
    no call and nothing to pay.
    """
    if not texts:
        nothing = numpy.zeros((0, dimensions), dtype=numpy.float32)
        return EmbeddingResult(
            vectors=nothing, usage=Usage(0, 0, 0), cost_usd=Decimal(0), model=model, latency_ms=0, retries=0
        )
    plan = _plan_embedding(payer=payer, purpose=purpose, texts=texts, model=model, input_tokens=input_tokens)
    async with MeteredCall(plan) as call:
        vectors = await gateway.request_embeddings(
            texts=texts, model=model, dimensions=dimensions, trace=call.trace
        )
        settled = await call.succeed()
    return EmbeddingResult(
        vectors=vectors,
        usage=settled.usage,
        cost_usd=settled.cost_usd,
        model=model,
        latency_ms=settled.latency_ms,
        retries=call.trace.retries,
    )


async def embed_then(
    *,
    payer: Payer,
    purpose: str,
    text: str,
    model: str,
    dimensions: int,
    use: Callable[[Vectors], Coroutine[Any, Any, T]],
) -> T:
    """What `use` makes of the text's vector, for which it need not wait until the call is settled.

    Both have ended when this returns; `use` is cancelled when the call cannot be settled.
    """
    async with MeteredCall(_plan_embedding(payer=payer, purpose=purpose, texts=[text], model=model)) as call:
        vectors = await gateway.request_embeddings(
            texts=[text], model=model, dimensions=dimensions, trace=call.trace
        )
        using = asyncio.ensure_future(use(vectors[0]))
        try:
            await call.succeed()
            return await using
        finally:
            using.cancel()
            await asyncio.gather(using, return_exceptions=True)


def _plan_embedding(
    *, payer: Payer, purpose: str, texts: Sequence[str], model: str, input_tokens: int | None = None
) -> CallPlan:
    def count_input() -> int:
        return (
            sum(count_tokens(text, model=model) for text in texts) if input_tokens is None else input_tokens
        )

    return CallPlan(payer=payer, purpose=purpose, model=model, count_input=count_input, max_output_tokens=0)


async def list_models() -> frozenset[str]:
    """Names of the models that the key can use. Free of charge, so neither reserved nor recorded."""
    return await gateway.list_models()


def load_client() -> None:
    """Loads the provider's client, which blocks for about a second, before the first call wants it."""
    import_module("billing.gateway.chat")


def _chat_result(*, call: MeteredCall, settled: Settled) -> ChatResult:
    return ChatResult(
        text=call.trace.text,
        finish_reason=call.trace.finish_reason,
        usage=settled.usage,
        cost_usd=settled.cost_usd,
        model=call.plan.model,
        latency_ms=settled.latency_ms,
        time_to_first_token_ms=call.trace.time_to_first_token_ms,
        retries=call.trace.retries,
    )
