"""What the model would be sent for a search, for the retrieval check. `chat`, which writes prompts, registers how."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from billing.metering import ChatMessage
from clones.models import Clone
from knowledge.retrieval import SearchResult


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptPreview:
    """The first question of a conversation. `numbers`: those that passages have in the prompt, by their chunk's id."""

    model: str
    messages: tuple[ChatMessage, ...]
    numbers: Mapping[int, int]
    input_tokens: int


WritePreview = Callable[[Clone, str, SearchResult], PromptPreview | None]
_write: WritePreview | None = None


def register_prompt_preview(write: WritePreview) -> None:
    """`write(clone, question, search)` calls no provider; None says that no model would be asked."""
    global _write
    _write = write


def preview_prompt(*, clone: Clone, question: str, search: SearchResult) -> PromptPreview | None:
    """The prompt of an answer to `question`; None when the clone would say its "no answer" text instead."""
    return _write(clone, question, search) if _write else None
