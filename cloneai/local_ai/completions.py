"""`/v1/chat/completions`: from a valid request to OpenAI's answer object or its server-sent events."""

from __future__ import annotations

import asyncio
import json
import re
import time
import uuid
from collections.abc import AsyncGenerator
from dataclasses import dataclass

from cloneai.local_ai.chat_request import ChatRequest
from cloneai.local_ai.errors import LocalAiError
from cloneai.local_ai.replies import write_reply
from cloneai.local_ai.tokens import TOKENS_PER_MESSAGE, TOKENS_PER_REPLY, count_tokens, truncate_to_tokens

MAX_CONTEXT_TOKENS = 128_000
WORDS_PER_CHUNK = 3


@dataclass(frozen=True)
class Completion:
    """A finished answer. `finish_reason` is `stop` or `length`."""

    id: str
    created: int
    model: str
    content: str
    finish_reason: str
    prompt_tokens: int
    completion_tokens: int

    @property
    def usage(self) -> dict[str, object]:
        """OpenAI's usage object."""
        return {
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
            "total_tokens": self.prompt_tokens + self.completion_tokens,
            "prompt_tokens_details": {"cached_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 0},
        }


def complete(*, request: ChatRequest, reply: str | None = None) -> Completion:
    """Write the whole answer; raises `LocalAiError`. CPU-bound: call it off the event loop.

    A given `reply` stands in for the written one; limits and token counts apply to it all the same.
    """
    prompt_tokens = TOKENS_PER_REPLY + sum(
        TOKENS_PER_MESSAGE
        + count_tokens(text=message.role, model=request.model)
        + count_tokens(text=message.content, model=request.model)
        for message in request.messages
    )
    if prompt_tokens > MAX_CONTEXT_TOKENS:
        raise LocalAiError(
            f"This model's maximum context length is {MAX_CONTEXT_TOKENS} tokens. However, your messages "
            f"resulted in "
            f"{prompt_tokens} tokens. Please reduce the length of the messages.",
            param="messages",
            code="context_length_exceeded",
        )
    written = write_reply(request=request) if reply is None else reply
    content = _cut_at_stop(written, stops=request.stop)
    truncated = False
    if request.max_tokens is not None:
        content, truncated = truncate_to_tokens(
            text=content, limit_tokens=request.max_tokens, model=request.model
        )
    return Completion(
        id=f"chatcmpl-{uuid.uuid4().hex}",
        created=int(time.time()),
        model=request.model,
        content=content,
        finish_reason="length" if truncated else "stop",
        prompt_tokens=prompt_tokens,
        completion_tokens=count_tokens(text=content, model=request.model),
    )


def completion_object(*, completion: Completion) -> dict[str, object]:
    """Return the answer object of a request that does not stream."""
    message: dict[str, object] = {
        "role": "assistant",
        "content": completion.content,
        "refusal": None,
        "annotations": [],
    }
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": completion.finish_reason}
    return {
        "id": completion.id,
        "object": "chat.completion",
        "created": completion.created,
        "model": completion.model,
        "choices": [choice],
        "usage": completion.usage,
        "service_tier": "default",
        "system_fingerprint": None,
    }


async def stream_completion(
    *, completion: Completion, include_usage: bool, chunk_delay_seconds: float
) -> AsyncGenerator[bytes]:
    """Yield the answer as server-sent events of a few words each, ending with `[DONE]`."""
    opening: dict[str, object] = {"role": "assistant", "content": "", "refusal": None}
    yield _event(_chunk(completion, delta=opening, include_usage=include_usage))
    for piece in split_into_pieces(text=completion.content):
        # A zero delay still gives way to other tasks between chunks.
        await asyncio.sleep(chunk_delay_seconds)
        yield _event(_chunk(completion, delta={"content": piece}, include_usage=include_usage))
    yield _event(_chunk(completion, delta={}, finish=completion.finish_reason, include_usage=include_usage))
    if include_usage:
        last = _chunk(completion, delta={}, include_usage=True)
        yield _event({**last, "choices": [], "usage": completion.usage})
    yield b"data: [DONE]\n\n"


def split_into_pieces(*, text: str) -> list[str]:
    """Split text into pieces of `WORDS_PER_CHUNK` words that join to the same text."""
    words = re.findall(r"\s*\S+|\s+$", text)
    return [
        "".join(words[start : start + WORDS_PER_CHUNK]) for start in range(0, len(words), WORDS_PER_CHUNK)
    ]


def _chunk(
    completion: Completion, *, delta: dict[str, object], include_usage: bool, finish: str | None = None
) -> dict[str, object]:
    chunk: dict[str, object] = {
        "id": completion.id,
        "object": "chat.completion.chunk",
        "created": completion.created,
        "model": completion.model,
        "choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}],
        "service_tier": "default",
        "system_fingerprint": None,
    }
    if include_usage:
        chunk["usage"] = None
    return chunk


def _event(chunk: dict[str, object]) -> bytes:
    return b"data: " + json.dumps(chunk, ensure_ascii=False, separators=(",", ":")).encode() + b"\n\n"


def _cut_at_stop(text: str, *, stops: tuple[str, ...]) -> str:
    positions = [position for stop in stops if (position := text.find(stop)) >= 0]
    return text[: min(positions)] if positions else text
