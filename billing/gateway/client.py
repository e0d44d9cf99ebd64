"""One client for each event loop, and one way to send by it: traced, bounded in time, its errors ours."""

import asyncio
import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

import httpx2
import openai
from django.conf import settings

from billing.calls import CallTrace
from billing.gateway.failures import UNREADABLE, read_error, read_retry_after

T = TypeVar("T")
MAX_RETRIES = 3
NEVER_SENT = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout, httpx2.UnsupportedProtocol)

_trace: ContextVar[CallTrace] = ContextVar("call_trace")
_clients: WeakKeyDictionary[asyncio.AbstractEventLoop, dict["Endpoint", Any]] = WeakKeyDictionary()


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where the provider is, and as whom it is asked."""

    api_key: str
    base_url: str
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
    """Notes on the call's trace how many requests were sent, and whether one may have been worked on.

    Also tells the client above not to wait for a `Retry-After` that no person would wait for.
    """

    async def send(self, request: httpx2.Request, **options: Any) -> httpx2.Response:
        trace = _trace.get()
        trace.requests += 1
        try:
            response = await super().send(request, **options)
        except NEVER_SENT:
            raise
        except BaseException:
            trace.lost += 1
            raise
        trace.is_answered = response.is_success
        if (read_retry_after(response) or 0) > settings.AI_LONGEST_RETRY_WAIT_SECONDS:
            response.headers["x-should-retry"] = "false"
        return response


async def shared_client() -> openai.AsyncOpenAI:
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


@cache
def _tls_context() -> ssl.SSLContext:
    """Reading the authorities takes some 40 ms, and each document's job has a loop, so a client, of its own."""
    return httpx2.create_ssl_context()


def _build_client(endpoint: Endpoint) -> openai.AsyncOpenAI:
    transport: httpx2.AsyncBaseTransport | None = None
    if endpoint.is_local:
        # Here, because it loads numbers that nobody wants who has a real provider.
        from cloneai.local_ai.transport import LocalTransport

        transport = LocalTransport()
    return openai.AsyncOpenAI(
        api_key=endpoint.api_key,
        base_url=endpoint.base_url,
        organization=endpoint.organization,
        max_retries=MAX_RETRIES,
        http_client=TracingClient(
            transport=transport,
            verify=_tls_context(),
            follow_redirects=True,
            limits=httpx2.Limits(max_connections=500, max_keepalive_connections=50),
        ),
    )


def read_timeout(*, read_seconds: float) -> httpx2.Timeout:
    return httpx2.Timeout(read_seconds, connect=settings.AI_CONNECT_TIMEOUT_SECONDS)


async def send(*, trace: CallTrace, deadline: float, request: Callable[[], Awaitable[T]]) -> T:
    """Awaits one call of the client with all its retries; raises `ProviderError`."""
    token = _trace.set(trace)
    try:
        async with asyncio.timeout_at(deadline):
            return await request()
    except (openai.OpenAIError, TimeoutError, *UNREADABLE) as error:
        raise read_error(error) from None
    finally:
        _trace.reset(token)


def call_deadline() -> float:
    return asyncio.get_running_loop().time() + settings.AI_CALL_TIMEOUT_SECONDS


async def list_models() -> frozenset[str]:
    """Names of the models that the key can use; free of charge."""
    client = await shared_client()
    page: Any = await send(trace=CallTrace(), deadline=call_deadline(), request=client.models.list)
    return frozenset(str(getattr(item, "id", "")) for item in getattr(page, "data", None) or [])
