"""OpenAI's wire format of chat completions: what is read, what is written, and how errors look.

Reading is lenient where nothing is lost (`seed`, `top_p`, penalties and unknown fields are ignored) and refuses what
would otherwise be silently missing from the answer: tools, several choices, images, JSON mode, stop words.
"""

import json
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, ValidationError

from billing.metering import ChatMessage, MeteredCallError, Usage
from chat.completions import CompletionEnd, CompletionOrder, ContextTooLong
from chat.models import Citation
from cloneai.api_input import NOT_A_FLAG
from clones.models import Clone

DONE = b"data: [DONE]\n\n"
INVALID_REQUEST = "invalid_request_error"
UNSUPPORTED = {
    "tools": "Clones use no tools",
    "functions": "Clones use no functions",
    "stop": "Stop sequences are not supported",
    "audio": "Clones answer in text",
    "logprobs": "Log probabilities are not available",
}


class ApiError(Exception):
    """An answer of OpenAI's error format. `is_final` tells the official clients not to try again by themselves."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        error_type: str = INVALID_REQUEST,
        code: str | None = None,
        param: str | None = None,
        retry_after: int | None = None,
        is_final: bool = False,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after = retry_after
        self.is_final = is_final
        self.body = {"error": {"message": message, "type": error_type, "param": param, "code": code}}


Whole = Annotated[int, NOT_A_FLAG]


class ContentPart(BaseModel):
    type: str
    text: str | None = None


class MessageIn(BaseModel):
    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | list[ContentPart] | None = None


class StreamOptions(BaseModel):
    include_usage: bool | None = None


class CompletionIn(BaseModel, extra="allow"):
    """A request's body. What is not named here is in `model_extra`."""

    model: str = Field(min_length=1)
    messages: list[MessageIn] = Field(min_length=1, max_length=2048)
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: Whole | None = Field(None, ge=1)
    max_completion_tokens: Whole | None = Field(None, ge=1)
    temperature: Annotated[float, NOT_A_FLAG] | None = Field(None, ge=0, le=2)
    n: Whole | None = None
    response_format: dict[str, Any] | None = None


def read_completion(body: bytes) -> CompletionIn:
    """Raises ApiError 400, which names the field."""
    try:
        request = CompletionIn.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        if not first["loc"]:
            raise ApiError(400, "The body must be a valid JSON object.") from None
        param = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in first["loc"])[1:]
        raise ApiError(400, f"{first['msg']} (in {param}).", param=param) from None
    _refuse_unsupported(request)
    return request


def _refuse_unsupported(request: CompletionIn) -> None:
    for name, reason in UNSUPPORTED.items():
        if (request.model_extra or {}).get(name):
            raise ApiError(400, f"{reason}: leave “{name}” out.", param=name, code="unsupported_parameter")
    if request.n not in (None, 1):
        raise ApiError(400, "One choice at a time: n must be 1.", param="n", code="unsupported_value")
    if (request.response_format or {}).get("type", "text") != "text":
        raise ApiError(400, "Clones answer in text.", param="response_format.type", code="unsupported_value")
    if request.stream_options is not None and not request.stream:
        raise ApiError(400, "stream_options needs stream to be true.", param="stream_options")


def read_order(request: CompletionIn) -> CompletionOrder:
    """Question, history and wishes out of the messages. Raises ApiError 400."""
    wishes: list[str] = []
    said: list[ChatMessage] = []
    for index, message in enumerate(request.messages):
        text = _read_text(message, param=f"messages[{index}]")
        if message.role in {"system", "developer"}:
            wishes.append(text)
        elif text:
            said.append(ChatMessage("user" if message.role == "user" else "assistant", text))
    if not said or said[-1].role != "user":
        raise ApiError(400, "The last message must be a question of the user.", param="messages")
    return CompletionOrder(
        question=said[-1].content,
        history=tuple(said[:-1]),
        wishes="\n".join(wish for wish in wishes if wish),
        max_output_tokens=request.max_completion_tokens or request.max_tokens,
        temperature=request.temperature,
    )


def _read_text(message: MessageIn, *, param: str) -> str:
    if message.role in {"tool", "function"}:
        raise ApiError(400, "Clones use no tools.", param=f"{param}.role", code="unsupported_value")
    if not isinstance(message.content, list):
        return (message.content or "").replace("\x00", "").strip()
    for number, part in enumerate(message.content):
        if part.type != "text" or part.text is None:
            raise ApiError(
                400,
                "Clones read text only.",
                param=f"{param}.content[{number}].type",
                code="unsupported_value",
            )
    return "\n".join(part.text or "" for part in message.content).replace("\x00", "").strip()


@dataclass(frozen=True, slots=True)
class CompletionWriter:
    """Writes one completion: a whole object, or chunks that share id, time and model."""

    model: str
    includes_usage: bool = False
    completion_id: str = field(default_factory=lambda: f"chatcmpl-{uuid.uuid4().hex}")
    created: int = field(default_factory=lambda: int(time.time()))

    def whole(self, *, text: str, end: CompletionEnd) -> dict[str, Any]:
        message: dict[str, Any] = {"role": "assistant", "content": text, "refusal": None, "annotations": []}
        return {
            **self._head("chat.completion"),
            "choices": [
                {"index": 0, "message": message, "logprobs": None, "finish_reason": end.finish_reason}
            ],
            "usage": describe_usage(end.usage),
            "citations": describe_citations(end.citations),
        }

    def delta(self, **delta: str) -> bytes:
        return self._chunk(choices=[self._choice(delta=delta)])

    def end(self, end: CompletionEnd) -> bytes:
        """The closing chunks: the finish reason, then the usage if it was asked for; both with the citations."""
        citations = describe_citations(end.citations)
        last = self._chunk(
            choices=[self._choice(delta={}, finish_reason=end.finish_reason)], citations=citations
        )
        if self.includes_usage:
            last += self._chunk(choices=[], usage=describe_usage(end.usage), citations=citations)
        return last + DONE

    def _head(self, kind: str) -> dict[str, Any]:
        return {
            "id": self.completion_id,
            "object": kind,
            "created": self.created,
            "model": self.model,
            "system_fingerprint": None,
        }

    def _choice(self, *, delta: dict[str, str], finish_reason: str | None = None) -> dict[str, Any]:
        return {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}

    def _chunk(self, **fields: Any) -> bytes:
        usage = {"usage": None} if self.includes_usage else {}
        return write_event({**self._head("chat.completion.chunk"), **usage, **fields})


def write_event(data: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(data, ensure_ascii=False).encode() + b"\n\n"


def describe_model(clone: Clone) -> dict[str, Any]:
    return {
        "id": clone.slug,
        "object": "model",
        "created": int(clone.created_at.timestamp()),
        "owned_by": "cloneai",
    }


def describe_usage(usage: Usage) -> dict[str, Any]:
    """Tokens of the answer's model call; all 0 when none was needed."""
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.input_tokens + usage.output_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_input_tokens},
    }


def describe_citations(citations: Sequence[Citation]) -> list[dict[str, Any]]:
    return [
        {
            "number": citation.number,
            "title": citation.title,
            "page": citation.page,
            "quote": citation.quote,
            "similarity_score": round(citation.similarity_score, 4),
            "chunk_id": str(citation.chunk_id or ""),
            "document_id": str(citation.document_id or ""),
            "is_supported": citation.is_supported,
        }
        for citation in citations
    ]


def describe_too_long(error: ContextTooLong) -> ApiError:
    return ApiError(
        400,
        f"This clone's maximum context length is {error.limit_tokens} tokens. Your messages need about "
        f"{error.tokens} tokens, its own instructions included. Please reduce the length of the messages.",
        param="messages",
        code="context_length_exceeded",
    )


def describe_failed_call(error: MeteredCallError) -> ApiError:
    """What a metered call raised, as OpenAI would say it. Final, because the gateway has already tried again."""
    kinds = {
        "budget_exceeded": (429, "insufficient_quota", "insufficient_quota"),
        "rate_limit": (429, "rate_limit_error", "rate_limit_exceeded"),
        "unknown": (502, "server_error", "provider_error"),
        "invalid_request": (502, "server_error", "provider_error"),
    }
    status, error_type, code = kinds.get(error.error_type, (503, "server_error", "service_unavailable"))
    return ApiError(
        status,
        error.user_message,
        error_type=error_type,
        code=code,
        retry_after=error.retry_after,
        is_final=True,
    )
