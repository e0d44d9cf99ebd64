"""The HTTP edge: a plain ASGI application that answers by `handler`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from typing import Any

from cloneai.local_ai.errors import LocalAiError, error_body
from cloneai.local_ai.handler import JSON_HEADERS, WireResponse, handle_request

# Room for 300,000 tokens of input in any script, and an end to what one request may hold in memory.
MAX_BODY_BYTES = 16 * 1024 * 1024

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


async def application(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    """Serve one HTTP request; a client that leaves ends the stream."""
    if scope["type"] != "http":
        raise ValueError(f"Only HTTP is served here, not {scope['type']}")
    body = await _read_body(receive)
    if body is None:
        return
    if len(body) > MAX_BODY_BYTES:
        error = LocalAiError("The request body is too large.", status=413)
        await _send_whole(
            send, WireResponse(status=413, headers=JSON_HEADERS, body=b""), error_body(error=error)
        )
        return
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
    answer = await handle_request(method=scope["method"], path=scope["path"], headers=headers, body=body)
    if isinstance(answer.body, bytes):
        await _send_whole(send, answer, answer.body)
    else:
        await _send_stream(receive, send, answer, answer.body)


async def _read_body(receive: Receive) -> bytes | None:
    """Return the body, cut just beyond the limit; None when the client left before sending it."""
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        part = message.get("body", b"")
        if size <= MAX_BODY_BYTES:
            parts.append(part)
        size += len(part)
        if not message.get("more_body", False):
            return b"".join(parts)


async def _send_whole(send: Send, answer: WireResponse, body: bytes) -> None:
    headers = [*_encode(answer), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _send_stream(
    receive: Receive, send: Send, answer: WireResponse, events: AsyncGenerator[bytes, None]
) -> None:
    """Send events as they come until they end or the client leaves."""
    sending = asyncio.ensure_future(_pump(send, answer, events))
    leaving = asyncio.ensure_future(_wait_for_disconnect(receive))
    try:
        await asyncio.wait((sending, leaving), return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (sending, leaving):
            task.cancel()
        results = await asyncio.gather(sending, leaving, return_exceptions=True)
    if isinstance(results[0], Exception):
        raise results[0]


async def _pump(send: Send, answer: WireResponse, events: AsyncGenerator[bytes, None]) -> None:
    await send({"type": "http.response.start", "status": answer.status, "headers": _encode(answer)})
    async with aclosing(events):
        async for event in events:
            await send({"type": "http.response.body", "body": event, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


async def _wait_for_disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _encode(answer: WireResponse) -> list[tuple[bytes, bytes]]:
    return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in answer.headers.items()]
