"""What the tests' fake provider can be told to do instead of answering well. Enter at `Fault`."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from cloneai.local_ai.catalogue import Catalogue
from cloneai.local_ai.errors import LocalAiError, error_body
from cloneai.local_ai.handler import JSON_HEADERS, HandlerOptions, WireResponse, handle_request

BROKEN_EVENT = b'data: {"id":"chatcmpl-broken","choices":[{"delta":{"cont\n\n'
DONE = b"data: [DONE]\n\n"


@dataclass(frozen=True)
class RecordedRequest:
    """A request as it arrived. `path` includes `/v1`; `json` is None for a body that is no JSON."""

    method: str
    path: str
    headers: Mapping[str, str]
    json: Any


@dataclass(frozen=True)
class WireAnswer:
    """An answer to send: a whole body, or a stream's events."""

    status: int
    headers: Mapping[str, str]
    body: bytes | list[bytes]


@dataclass(frozen=True)
class Fault:
    """One departure from a good answer; the defaults change nothing.

    Chunks are the events of a stream, counted from its start (the first carries the role). `path` limits it
    to requests whose path ends so. `answer` and `json_answer` replace the text of a chat's answer.
    """

    path: str = ""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    error_message: str = "The fake provider was told to fail."
    error_code: str | None = None
    body: bytes | None = None
    delay_seconds: float = 0.0
    chunk_delay_seconds: float = 0.0
    reset_after_chunks: int | None = None
    stall_after_chunks: int | None = None
    malformed_after_chunks: int | None = None
    omit_done: bool = False
    omit_usage: bool = False
    answer: str | None = None
    json_answer: Any = None
    finish_reason: str | None = None
    refusal: str | None = None
    embedding_count: int | None = None
    embedding_length: int | None = None
    nan_embeddings: bool = False
    zero_embeddings: bool = False


def tokens_per_second(rate: float) -> Fault:
    """Make a fault that streams at about `rate` tokens a second (a chunk has about four)."""
    return Fault(chunk_delay_seconds=4 / rate)


async def answer_with_fault(*, request: RecordedRequest, body: bytes, fault: Fault) -> WireAnswer:
    """Answer a request by the local handler, then spoil the answer as told."""
    if fault.body is not None:
        return WireAnswer(status=fault.status, headers={**JSON_HEADERS, **fault.headers}, body=fault.body)
    if fault.status >= 400:
        return _error(fault)
    reply = fault.answer if fault.json_answer is None else json.dumps(fault.json_answer)
    good = await handle_request(
        method=request.method,
        path=request.path,
        headers=request.headers,
        body=body,
        options=HandlerOptions(catalogue=Catalogue(any_model=True), reply=reply),
    )
    headers = {**good.headers, **fault.headers}
    if isinstance(good.body, bytes):
        return WireAnswer(status=good.status, headers=headers, body=_spoil_whole(good, good.body, fault))
    events = [event async for event in good.body]
    return WireAnswer(status=good.status, headers=headers, body=_spoil_stream(events, fault))


def _error(fault: Fault) -> WireAnswer:
    kinds = {401: "invalid_request_error", 429: "requests", 400: "invalid_request_error"}
    error = LocalAiError(
        fault.error_message, error_type=kinds.get(fault.status, "server_error"), code=fault.error_code
    )
    return WireAnswer(
        status=fault.status, headers={**JSON_HEADERS, **fault.headers}, body=error_body(error=error)
    )


def _spoil_whole(good: WireResponse, body: bytes, fault: Fault) -> bytes:
    answer = json.loads(body)
    if good.status != 200:
        return body
    if answer.get("object") == "list" and answer["data"] and answer["data"][0]["object"] == "embedding":
        answer["data"] = _spoil_vectors(answer["data"], fault)
    for choice in answer.get("choices", []):
        choice["finish_reason"] = fault.finish_reason or choice["finish_reason"]
        if fault.refusal is not None:
            choice["message"].update(content=None, refusal=fault.refusal)
    if fault.omit_usage:
        answer.pop("usage", None)
    return json.dumps(answer).encode()


def _spoil_vectors(data: list[dict[str, Any]], fault: Fault) -> list[dict[str, Any]]:
    if fault.embedding_count is not None:
        data = [{**data[index % len(data)], "index": index} for index in range(fault.embedding_count)]
    return [{**entry, "embedding": _spoil_vector(entry["embedding"], fault)} for entry in data]


def _spoil_vector(embedding: Any, fault: Fault) -> Any:
    packed = isinstance(embedding, str)
    vector = np.frombuffer(base64.b64decode(embedding), dtype="<f4") if packed else np.array(embedding)
    if fault.embedding_length is not None:
        vector = np.resize(vector, fault.embedding_length)
    if fault.nan_embeddings:
        vector = np.full_like(vector, np.nan)
    if fault.zero_embeddings:
        vector = np.zeros_like(vector)
    return base64.b64encode(vector.astype("<f4").tobytes()).decode() if packed else vector.tolist()


def _spoil_stream(events: list[bytes], fault: Fault) -> list[bytes]:
    spoilt: list[bytes] = []
    for event in events:
        if event == DONE:
            spoilt += [] if fault.omit_done else [event]
            continue
        chunk = json.loads(event.removeprefix(b"data: "))
        if not chunk["choices"] and fault.omit_usage:
            continue
        for choice in chunk["choices"]:
            if choice["finish_reason"]:
                choice["finish_reason"] = fault.finish_reason or choice["finish_reason"]
            elif fault.refusal is not None and "content" in choice["delta"] and "role" not in choice["delta"]:
                choice["delta"] = {"refusal": fault.refusal}
        spoilt.append(b"data: " + json.dumps(chunk).encode() + b"\n\n")
    if fault.malformed_after_chunks is not None:
        spoilt.insert(fault.malformed_after_chunks, BROKEN_EVENT)
    return spoilt
