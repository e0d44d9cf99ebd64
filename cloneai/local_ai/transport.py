"""The in-process edge: a transport for httpx2 that answers by `handler` without any network.

Use: `AsyncOpenAI(api_key="local", base_url=BASE_URL, http_client=AsyncClient(transport=LocalTransport()))`.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator

import httpx2

from cloneai.local_ai.handler import DEFAULT_OPTIONS, HandlerOptions, handle_request

BASE_URL = "http://local.invalid/v1"


class _Events(httpx2.AsyncByteStream):
    """A stream's body; closing it early ends the generator behind it."""

    def __init__(self, events: AsyncGenerator[bytes, None]) -> None:
        self._events = events

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for event in self._events:
            yield event

    async def aclose(self) -> None:
        await self._events.aclose()


class LocalTransport(httpx2.AsyncBaseTransport):
    """Answers every request by the local provider, whatever its host."""

    def __init__(self, *, options: HandlerOptions = DEFAULT_OPTIONS) -> None:
        self._options = options

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Answer one request; a stream arrives event by event."""
        answer = await handle_request(
            method=request.method,
            path=request.url.path,
            headers=dict(request.headers),
            body=await request.aread(),
            options=self._options,
        )
        if isinstance(answer.body, bytes):
            return httpx2.Response(
                answer.status, headers=dict(answer.headers), content=answer.body, request=request
            )
        return httpx2.Response(
            answer.status, headers=dict(answer.headers), stream=_Events(answer.body), request=request
        )
