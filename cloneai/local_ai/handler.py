"""The core that every edge shares: method, path and body in, OpenAI's answer out. Enter at `handle_request`."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from cloneai.local_ai.catalogue import Catalogue
from cloneai.local_ai.chat_request import read_chat_request
from cloneai.local_ai.completions import complete, completion_object, stream_completion
from cloneai.local_ai.embeddings import create_embeddings
from cloneai.local_ai.errors import LocalAiError, error_body

JSON_HEADERS = {"content-type": "application/json"}
STREAM_HEADERS = {"content-type": "text/event-stream; charset=utf-8", "cache-control": "no-cache"}


@dataclass(frozen=True)
class HandlerOptions:
    """How to answer: which models exist, the pause between a stream's chunks, and a reply that is always given."""

    catalogue: Catalogue = field(default_factory=Catalogue)
    chunk_delay_seconds: float = 0.0
    reply: str | None = None


@dataclass(frozen=True)
class WireResponse:
    """An answer; a stream's body is an asynchronous generator that the edge must close."""

    status: int
    headers: Mapping[str, str]
    body: bytes | AsyncGenerator[bytes, None]


DEFAULT_OPTIONS = HandlerOptions()


async def handle_request(
    *,
    method: str,
    path: str,
    headers: Mapping[str, str],
    body: bytes,
    options: HandlerOptions = DEFAULT_OPTIONS,
) -> WireResponse:
    """Answer one request to a path below `/v1`; refusals come back as OpenAI's error object, never raised.

    `headers` are not looked at: any key is accepted. The work runs in a thread; the event loop stays free.
    """
    try:
        return await _route(
            method=method.upper(), path=path.split("?", 1)[0].rstrip("/"), body=body, options=options
        )
    except LocalAiError as error:
        return WireResponse(status=error.status, headers=JSON_HEADERS, body=error_body(error=error))


async def _route(*, method: str, path: str, body: bytes, options: HandlerOptions) -> WireResponse:
    if path == "/v1/models":
        _expect(method, "GET", path)
        return _json(options.catalogue.describe_all())
    if path.startswith("/v1/models/"):
        _expect(method, "GET", path)
        return _json(options.catalogue.describe(model=unquote(path.removeprefix("/v1/models/"))))
    if path == "/v1/embeddings":
        _expect(method, "POST", path)
        answer = await asyncio.to_thread(_embed, body, options)
        return WireResponse(status=200, headers=JSON_HEADERS, body=answer)
    if path == "/v1/chat/completions":
        _expect(method, "POST", path)
        return await _chat(body=body, options=options)
    raise LocalAiError(f"Invalid URL ({method} {path})", status=404)


async def _chat(*, body: bytes, options: HandlerOptions) -> WireResponse:
    request = read_chat_request(payload=_parse(body), catalogue=options.catalogue)
    completion = await asyncio.to_thread(complete, request=request, reply=options.reply)
    if not request.stream:
        return _json(completion_object(completion=completion))
    events = stream_completion(
        completion=completion,
        include_usage=request.include_usage,
        chunk_delay_seconds=options.chunk_delay_seconds,
    )
    return WireResponse(status=200, headers=STREAM_HEADERS, body=events)


def _embed(body: bytes, options: HandlerOptions) -> bytes:
    return json.dumps(create_embeddings(payload=_parse(body), catalogue=options.catalogue)).encode()


def _expect(method: str, wanted: str, path: str) -> None:
    if method != wanted:
        raise LocalAiError(
            f"Not allowed to {method} on {path} (HINT: Perhaps you meant to use a different HTTP method?)",
            status=405,
        )


def _parse(body: bytes) -> Mapping[str, Any]:
    try:
        payload = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise LocalAiError("We could not parse the JSON body of your request.") from error
    if not isinstance(payload, dict):
        raise LocalAiError("The JSON body of your request must be an object.")
    return payload


def _json(answer: object) -> WireResponse:
    return WireResponse(
        status=200, headers=JSON_HEADERS, body=json.dumps(answer, ensure_ascii=False).encode()
    )
