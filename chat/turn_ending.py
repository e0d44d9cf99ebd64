"""How an answer ends in the database: with its figures, sources and receipt, or as its text alone. All sync."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from django.db import transaction
from django.db.models import Q, Sum
from django.utils import timezone

from billing.metering import MeteredCallError
from billing.models import CostRecord, Purpose
from chat.claims import Claim
from chat.gaps import record_gap
from chat.grounding import find_gap
from chat.models import AnswerReceipt, ChatSession, GapReason, Memory, Message, MessageStatus
from chat.source_keeping import save_citations
from chat.turn_records import INTERRUPTED_MESSAGE, ConversationGone
from knowledge.retrieval import Passage, SearchResult

# Not `is_current`, `rating` or `stop_requested`: others may have changed them since the answer was loaded.
WRITTEN_AT_THE_END = (
    "content",
    "chunk_ends",
    "status",
    "finished_at",
    "heartbeat_at",
    "model",
    "processing_time_ms",
    "time_to_first_token_ms",
    "cost_usd",
    "input_tokens",
    "output_tokens",
    "context_chunks_used",
    "retrieval_quality",
    "query_used",
    "error_type",
    "error_message",
    "error_retry_after_seconds",
)


@dataclass(frozen=True, slots=True)
class AnswerFigures:
    model: str
    processing_time_ms: int
    time_to_first_token_ms: int | None


def save_answer(
    *,
    answer: Message,
    text: str,
    chunk_ends: Sequence[int],
    status: MessageStatus,
    passages: Sequence[Passage],
    numbers: dict[int, int],
    search: SearchResult | None,
    claims: Sequence[Claim],
    receipt: AnswerReceipt,
    memory_ids: Sequence[UUID] = (),
    failure: MeteredCallError | None,
    figures: AnswerFigures,
) -> Message:
    """Ends the answer: text, status, figures from the ledger, citations and a knowledge gap. One transaction.

    Raises ConversationGone, and saves nothing, when the answer was deleted while it was written.
    """
    answer.content, answer.chunk_ends, answer.status = text, list(chunk_ends), status
    answer.finished_at = answer.heartbeat_at = timezone.now()
    answer.context_chunks_used = len(passages)
    _fill_in_figures(answer, figures=figures)
    if search is not None:
        answer.retrieval_quality, answer.query_used = search.quality.as_dict(), search.query_used
    if failure is not None:
        answer.error_type, answer.error_message = failure.error_type, failure.user_message
        answer.error_retry_after_seconds = failure.retry_after
    gap = None
    if search is not None:
        gap = find_gap(
            clone=answer.session.clone,
            question=answer.reply_to.content if answer.reply_to else "",
            text=text,
            passages=passages,
            numbers=numbers,
        )
    with transaction.atomic():
        written = {name: getattr(answer, name) for name in WRITTEN_AT_THE_END}
        if not Message.objects.filter(pk=answer.pk).update(**written):
            raise ConversationGone
        if text and gap != GapReason.UNANSWERED:
            save_citations(message=answer, passages=passages, numbers=numbers, claims=claims)
        receipt.save()
        if memory_ids:
            answer.memories.set(Memory.objects.active().filter(pk__in=memory_ids))
        if gap is not None and failure is None:
            record_gap(answer=answer, reason=gap)
        ChatSession.objects.filter(pk=answer.session_id).update(last_activity_at=answer.finished_at)
    return answer


def _fill_in_figures(answer: Message, *, figures: AnswerFigures) -> None:
    """Model, times and, from the ledger, what it cost. The tokens are those of the answer's own call."""
    spent = CostRecord.objects.filter(message_id=answer.pk).aggregate(
        cost=Sum("cost_usd"),
        input=Sum("input_tokens", filter=Q(purpose=Purpose.CHAT)),
        output=Sum("output_tokens", filter=Q(purpose=Purpose.CHAT)),
    )
    answer.model = figures.model
    answer.processing_time_ms = figures.processing_time_ms
    answer.time_to_first_token_ms = figures.time_to_first_token_ms
    answer.cost_usd = spent["cost"] or answer.cost_usd
    answer.input_tokens, answer.output_tokens = spent["input"] or 0, spent["output"] or 0


def save_only_text(*, answer: Message, text: str, chunk_ends: Sequence[int]) -> Message:
    """Ends an answer that could not be saved whole: its text, as an interrupted one. Raises ConversationGone."""
    answer.content, answer.chunk_ends, answer.finished_at = text, list(chunk_ends), timezone.now()
    answer.status = MessageStatus.INTERRUPTED if text else MessageStatus.FAILED
    answer.error_type, answer.error_message = "interrupted", INTERRUPTED_MESSAGE
    if not Message.objects.filter(pk=answer.pk).exists():
        raise ConversationGone
    answer.save(
        update_fields=["content", "chunk_ends", "finished_at", "status", "error_type", "error_message"]
    )
    return answer
