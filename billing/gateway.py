"""The only module that talks to the provider. It knows no money: `billing.metering` is its only caller.

Enter at `request_chat`, `stream_chat`, `request_embeddings` and `list_models`. Each fills the `CallTrace`
that it is given, also when it fails, and raises nothing but the `ProviderError` branch of the tree in
`billing.errors`: rate_limit (RateLimited), connection (ConnectionFailed), timeout (CallTimedOut),
authentication (ProviderAuthenticationFailed), invalid_request (RequestRejected, AnswerRefused), unknown
(ProviderFailed, AnswerUnusable, EmbeddingsUnusable), and StreamFault for a stream that broke, stalled, ended
without a finish reason, sent garbage or would not stop.

The client itself retries 408, 409, 429, 5xx, timeouts and lost connections, three times at most, and waits as
`Retry-After` says. A stream is not retried once it has begun. `AI_CALL_TIMEOUT_SECONDS` bounds all of it.
"""

import asyncio
import logging
import math
import re
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

import httpx2
import numpy
import openai
import pydantic
from django.conf import settings

from billing.calls import CallTrace, ChatMessage, Usage, Vectors
from billing.errors import (
    AnswerRefused,
    AnswerUnusable,
    CallTimedOut,
    ConnectionFailed,
    EmbeddingsUnusable,
    ProviderAuthenticationFailed,
    ProviderError,
    ProviderFailed,
    RateLimited,
    RequestRejected,
    StreamFault,
)

logger = logging.getLogger(__name__)
T = TypeVar("T")

MAX_RETRIES = 3
MAX_ANSWER_CHARS = 1_000_000
NEVER_SENT = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout, httpx2.UnsupportedProtocol)
# Parameters that some models or servers refuse, and that a request can do without or name otherwise.
ADAPTABLE = frozenset({"temperature", "max_tokens", "max_completion_tokens"})
UNSUPPORTED = frozenset({"unsupported_parameter", "unsupported_value"})
STATUS_ERRORS: dict[int, type[ProviderError]] = {
    400: RequestRejected,
    401: ProviderAuthenticationFailed,
    403: ProviderAuthenticationFailed,
    404: RequestRejected,
    408: CallTimedOut,
    413: RequestRejected,
    422: RequestRejected,
    429: RateLimited,
}


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where the provider is; None as base URL means OpenAI itself."""

    api_key: str
    base_url: str | None
    organization: str | None
    is_local: bool

    @classmethod
    def configured(cls) -> "Endpoint":
        if settings.AI_OFFLINE:
            return cls(api_key="local", base_url="http://local.invalid/v1", organization=None, is_local=True)
        return cls(
            api_key=settings.OPENAI_API_KEY or "none",
            base_url=settings.OPENAI_BASE_URL or "https://api.openai.com/v1",
            organization=settings.OPENAI_ORG_ID or None,
            is_local=False,
        )


class TracingClient(httpx2.AsyncClient):
    """Notes on the call's trace how many requests were sent, and whether one may have been worked on."""

    async def send(self, request: httpx2.Request, **options: Any) -> httpx2.Response:
        trace = _trace.get()
        trace.requests += 1
        try:
            response = await super().send(request, **options)
        except NEVER_SENT:
            raise
        except BaseException:
            trace.is_sent = True
            raise
        trace.is_sent = trace.is_sent or response.is_success
        return response


_trace: ContextVar[CallTrace] = ContextVar("call_trace")
_clients: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[Endpoint, Any]] = WeakKeyDictionary()
_unsupported: dict[tuple[Endpoint, str], set[str]] = {}


async def _shared_client() -> openai.AsyncOpenAI:
    """The running loop's client. A loop closes its generators at its end, and so the client's connections."""
    loop, endpoint = asyncio.get_running_loop(), Endpoint.configured()
    of_loop = _clients.setdefault(loop, {})
    if endpoint not in of_loop:
        keeper = _keep_client(endpoint)
        of_loop[endpoint] = (await anext(keeper), keeper)
    return of_loop[endpoint][0]


async def _keep_client(endpoint: Endpoint) -> AsyncGenerator[openai.AsyncOpenAI, None]:
    client = _build_client(endpoint)
    try:
        yield client
    finally:
        _clients.pop(asyncio.get_running_loop(), None)
        await client.close()


def _build_client(endpoint: Endpoint) -> openai.AsyncOpenAI:
    transport: httpx2.AsyncBaseTransport | None = None
    if endpoint.is_local:
        from cloneai.local_ai.transport import (
            LocalTransport,
        )  # loads its model; not wanted with a real provider

        transport = LocalTransport()
    return openai.AsyncOpenAI(
        api_key=endpoint.api_key,
        base_url=endpoint.base_url,
        organization=endpoint.organization,
        max_retries=MAX_RETRIES,
        http_client=TracingClient(
            transport=transport,
            follow_redirects=True,
            limits=httpx2.Limits(max_connections=500, max_keepalive_connections=50),
        ),
    )


def _timeout(*, read_seconds: float) -> httpx2.Timeout:
    return httpx2.Timeout(read_seconds, connect=settings.AI_CONNECT_TIMEOUT_SECONDS)


async def _send(*, trace: CallTrace, deadline: float, request: Callable[[], Awaitable[T]]) -> T:
    """Awaits one call of the client with all its retries; raises `ProviderError`."""
    token = _trace.set(trace)
    try:
        async with asyncio.timeout_at(deadline):
            return await request()
    except (openai.OpenAIError, TimeoutError, ValueError) as error:
        raise read_error(error) from None
    finally:
        _trace.reset(token)


def _deadline() -> float:
    return asyncio.get_running_loop().time() + settings.AI_CALL_TIMEOUT_SECONDS


async def request_chat(
    *,
    model: str,
    messages: Sequence[ChatMessage],
    max_output_tokens: int,
    temperature: float,
    trace: CallTrace,
    schema: type[pydantic.BaseModel] | None = None,
) -> str:
    """The whole answer's text; with `schema`, JSON that the provider was told to shape so."""
    completion: Any = await _send_chat(
        trace=trace,
        deadline=_deadline(),
        model=model,
        messages=[{"role": message.role, "content": message.content} for message in messages],
        length=max_output_tokens,
        temperature=temperature,
        **({} if schema is None else {"response_format": _response_format(schema)}),
        timeout=_timeout(read_seconds=settings.AI_READ_TIMEOUT_SECONDS),
    )
    try:
        trace.usage = read_usage(completion.usage)
        choice = completion.choices[0]
        content, refusal = choice.message.content, choice.message.refusal
        trace.finish_reason = str(choice.finish_reason or "")
    except (AttributeError, IndexError, TypeError) as error:
        raise AnswerUnusable(f"The answer is not a completion: {type(error).__name__}.") from None
    trace.pieces.append(str(content or refusal or ""))
    if schema is not None and refusal:
        raise AnswerRefused("The model declined to answer in the schema.")
    _check_answer(trace)
    if schema is not None and trace.finish_reason == "length":
        raise AnswerUnusable("The structured answer was cut off at its longest length.")
    return trace.text


async def stream_chat(
    *,
    model: str,
    messages: Sequence[ChatMessage],
    max_output_tokens: int,
    temperature: float,
    trace: CallTrace,
) -> AsyncGenerator[str, None]:
    """The answer's pieces as they come. Closing it early closes the connection."""
    deadline = _deadline()
    stream: Any = await _send_chat(
        trace=trace,
        deadline=deadline,
        model=model,
        messages=[{"role": message.role, "content": message.content} for message in messages],
        length=max_output_tokens,
        temperature=temperature,
        stream=True,
        stream_options={"include_usage": True},
        timeout=_timeout(read_seconds=settings.AI_STALL_TIMEOUT_SECONDS),
    )
    chars = 0
    try:
        while (piece := await _next_piece(stream=stream, trace=trace, deadline=deadline)) is not None:
            if not piece:
                continue
            trace.add_piece(piece)
            chars += len(piece)
            if chars > MAX_ANSWER_CHARS:
                raise StreamFault(fault="oversized", detail=f"More than {MAX_ANSWER_CHARS} characters came.")
            yield piece
    finally:
        await stream.close()
    if not trace.finish_reason:
        raise StreamFault(fault="unfinished", detail="It ended without a finish reason.")
    _check_answer(trace)


async def _next_piece(*, stream: Any, trace: CallTrace, deadline: float) -> str | None:
    """The next chunk's text, empty when it has none; None at the stream's end."""
    try:
        async with asyncio.timeout_at(deadline):
            chunk = await anext(stream, None)
        if chunk is None:
            return None
        trace.usage = read_usage(chunk.usage) or trace.usage
        if not chunk.choices:
            return ""
        choice = chunk.choices[0]
        trace.finish_reason = choice.finish_reason or trace.finish_reason
        piece = choice.delta.content or choice.delta.refusal or ""
    except (openai.APITimeoutError, TimeoutError):
        raise StreamFault(fault="stalled") from None
    except openai.APIConnectionError:
        raise StreamFault(fault="broken") from None
    except (openai.OpenAIError, ValueError, AttributeError, TypeError, IndexError) as error:
        raise StreamFault(fault="garbled", detail=type(error).__name__) from None
    if not isinstance(piece, str):
        raise StreamFault(fault="garbled", detail="A piece is not text.")
    return piece


def _check_answer(trace: CallTrace) -> None:
    """Raises when a finished answer is of no use to anybody."""
    if trace.text.strip():
        if len(trace.text) > MAX_ANSWER_CHARS:
            raise AnswerUnusable(f"The answer has more than {MAX_ANSWER_CHARS} characters.")
        return
    if trace.finish_reason == "content_filter":
        raise AnswerRefused("The provider's content filter withheld the answer.")
    raise AnswerUnusable(f"The answer is empty (finish reason {trace.finish_reason or 'missing'}).")


async def _send_chat(
    *, trace: CallTrace, deadline: float, model: str, length: int, temperature: float, **parameters: Any
) -> Any:
    """One chat request, with what this model is known to refuse left out.

    OpenAI's newer models want `max_completion_tokens` and no temperature; most compatible servers know
    `max_tokens` only, and would ignore the other and answer without end. So OpenAI gets the new name and
    others the old one, and a refusal that names one of these parameters is remembered for the process and
    the request sent once more.
    """
    client, endpoint = await _shared_client(), Endpoint.configured()
    refused = _unsupported.setdefault((endpoint, model), set())
    while True:
        is_new_name = "api.openai.com" in str(endpoint.base_url)
        if {"max_tokens", "max_completion_tokens"} & refused:
            is_new_name = "max_tokens" in refused
        adapted = {"max_completion_tokens" if is_new_name else "max_tokens": length}
        if "temperature" not in refused:
            adapted["temperature"] = temperature  # type: ignore[assignment]

        async def create(adapted: dict[str, Any] = adapted) -> Any:
            return await client.chat.completions.create(model=model, **adapted, **parameters)

        try:
            return await _send(trace=trace, deadline=deadline, request=create)
        except RequestRejected as error:
            if error.refused_parameter not in ADAPTABLE - refused:
                raise
            refused.add(error.refused_parameter)


async def request_embeddings(
    *, texts: Sequence[str], model: str, dimensions: int, trace: CallTrace
) -> Vectors:
    """One vector a text, in order, checked: as many and as long as asked for, finite, and none all zero."""
    client = await _shared_client()
    response: Any = await _send(
        trace=trace,
        deadline=_deadline(),
        request=lambda: client.embeddings.create(
            input=list(texts),
            model=model,
            dimensions=dimensions,
            timeout=_timeout(read_seconds=settings.AI_READ_TIMEOUT_SECONDS),
        ),
    )
    try:
        trace.usage = read_usage(response.usage)
        items = _in_order(list(response.data))
        if len(items) != len(texts):
            raise EmbeddingsUnusable(f"{len(texts)} vectors were asked for, {len(items)} came.")
        if any(len(item.embedding) != dimensions for item in items):
            raise EmbeddingsUnusable(f"A vector is not {dimensions} numbers long.")
        vectors = numpy.asarray([item.embedding for item in items], dtype=numpy.float32)
    except (AttributeError, TypeError, ValueError) as error:
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
    if sorted(indexes) != list(range(len(items))):
        raise EmbeddingsUnusable("The vectors' indexes are not those of the texts.")
    return sorted(items, key=lambda item: item.index)


async def list_models() -> frozenset[str]:
    """Names of the models that the key can use; free of charge."""
    client = await _shared_client()
    page: Any = await _send(trace=CallTrace(), deadline=_deadline(), request=client.models.list)
    return frozenset(str(getattr(item, "id", "")) for item in getattr(page, "data", None) or [])


def _response_format(schema: type[pydantic.BaseModel]) -> dict[str, Any]:
    """The schema in the strict form that structured outputs ask for."""
    strict = openai.pydantic_function_tool(schema)["function"]["parameters"]
    return {"type": "json_schema", "json_schema": {"name": schema.__name__, "strict": True, "schema": strict}}


def read_usage(reported: Any) -> Usage | None:
    """The provider's figures, or None when they are missing or make no sense."""
    sent, answered = (
        getattr(reported, "prompt_tokens", None),
        getattr(reported, "completion_tokens", None) or 0,
    )
    if not isinstance(sent, int) or not isinstance(answered, int) or sent < 0 or answered < 0:
        return None
    cached = getattr(getattr(reported, "prompt_tokens_details", None), "cached_tokens", None)
    cached = min(cached, sent) if isinstance(cached, int) and cached > 0 else 0
    return Usage(input_tokens=sent, cached_input_tokens=cached, output_tokens=answered)


def read_error(error: Exception) -> ProviderError:
    """Ours for the client's. Never logs a body: it may quote the key or the prompt."""
    if isinstance(error, openai.APIStatusError):
        return _read_status_error(error)
    if isinstance(error, openai.APITimeoutError | TimeoutError):
        found: ProviderError = CallTimedOut()
    elif isinstance(error, openai.APIConnectionError):
        found = ConnectionFailed(f"{type(error.__cause__).__name__} on the way to the provider.")
    elif isinstance(error, ValueError):
        found = AnswerUnusable("The answer is not JSON.")
    else:
        found = ProviderFailed(type(error).__name__)
    logger.warning("The provider call failed: %s. %s", found.error_type, found.detail)
    return found


def _read_status_error(error: openai.APIStatusError) -> ProviderError:
    code = error.code if error.code and re.fullmatch(r"[\w.-]{1,60}", error.code) else "-"
    detail = f"Status {error.status_code}, code {code}, request {error.request_id or '-'}."
    logger.warning("The provider refused a call. %s", detail)
    kind = STATUS_ERRORS.get(error.status_code, ProviderFailed)
    found = kind(detail, retry_after=_read_retry_after(error.response) if kind is RateLimited else None)
    if isinstance(found, RequestRejected) and code in UNSUPPORTED:
        found.refused_parameter = error.param or ""
    return found


def _read_retry_after(response: httpx2.Response) -> int | None:
    """Whole seconds of the `Retry-After` header, when it is a plain number of at most a day."""
    try:
        seconds = float(response.headers.get("retry-after", ""))
    except ValueError:
        return None
    return math.ceil(seconds) if 0 <= seconds <= 86_400 else None
