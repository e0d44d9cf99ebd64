"""What goes into a provider call and what comes out of it, as values. Import them from `billing.metering`."""

import time
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Generic, Literal, TypeVar
from uuid import UUID

import numpy
import numpy.typing
import pydantic

Role = Literal["system", "user", "assistant"]
T = TypeVar("T", bound=pydantic.BaseModel)
Vectors = numpy.typing.NDArray[numpy.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Payer:
    """Whose limits a call is held against, and what it was for. With nobody only the platform's counts."""

    user_id: int | None
    clone_id: int | None
    session_id: UUID | None = None
    message_id: UUID | None = None
    document_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class ChatMessage:
    role: Role
    content: str


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one call. `input_tokens` includes the cached ones; output includes hidden reasoning."""

    input_tokens: int
    cached_input_tokens: int
    output_tokens: int


@dataclass(frozen=True, slots=True)
class TextDelta:
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatResult:
    """A whole answer. `finish_reason` is the provider's: `stop`, `length` (cut off) or `content_filter`."""

    text: str
    finish_reason: str
    usage: Usage
    cost_usd: Decimal
    model: str
    latency_ms: int
    time_to_first_token_ms: int | None
    retries: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StructuredResult(Generic[T]):
    """An answer that was validated against the asked-for schema."""

    value: T
    usage: Usage
    cost_usd: Decimal
    model: str
    latency_ms: int
    retries: int


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddingResult:
    """`vectors` is (number of texts, dimensions) float32, in the texts' order; finite, no row all zero."""

    vectors: Vectors
    usage: Usage
    cost_usd: Decimal
    model: str
    latency_ms: int
    retries: int


@dataclass(slots=True)
class CallTrace:
    """What is known of a call while it runs, and after it failed, so that the charge is right.

    `lost` counts requests that may have reached the provider and brought no answer; `is_answered` is that one did.
    `usage` is what the provider reported, None until then.
    """

    started: float = field(default_factory=time.monotonic)
    requests: int = 0
    lost: int = 0
    is_answered: bool = False
    time_to_first_token_ms: int | None = None
    usage: Usage | None = None
    finish_reason: str = ""
    pieces: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        return "".join(self.pieces)

    @property
    def retries(self) -> int:
        """Requests beyond the first."""
        return max(0, self.requests - 1)

    def elapsed_ms(self) -> int:
        return round((time.monotonic() - self.started) * 1000)

    def add_piece(self, text: str) -> None:
        if self.time_to_first_token_ms is None:
            self.time_to_first_token_ms = self.elapsed_ms()
        self.pieces.append(text)
