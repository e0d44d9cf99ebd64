"""The database's side of a turn: what is saved before, while and after an answer is written. All sync."""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from django.db import transaction
from django.db.models import Q, Sum
from django.utils import timezone

from billing.metering import ChatMessage, MeteredCallError
from billing.model_choice import Task, choose_model
from billing.models import CostRecord, Purpose
from chat.claims import Claim
from chat.context import estimate_tokens, max_question_tokens
from chat.distress import speaks_of_distress
from chat.gaps import record_gap
from chat.grounding import found_nothing
from chat.models import AnswerReceipt, ChatSession, GapReason, Memory, Message, MessageStatus, Role
from chat.source_keeping import save_citations
from chat.titles import first_title
from clones.models import Clone
from knowledge.retrieval import Passage, SearchResult

MAX_HISTORY_MESSAGES = 40
LEAST_QUESTION_TOKENS = 50
VISIBLE = "LNPS"  # Unicode's letters, numbers, punctuation and symbols
STALE_AFTER = timedelta(seconds=20)
INTERRUPTED_MESSAGE = "The answer was interrupted. Try again."
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


class TurnRefused(Exception):  # noqa: N818  (what happened, as the field says it)
    """A turn that cannot begin. `error_type`: invalid_request, turn_running, not_found or rate_limit."""

    def __init__(self, *, error_type: str, message: str, retry_after: int | None = None) -> None:
        super().__init__(message)
        self.error_type = error_type
        self.message = message
        self.retry_after = retry_after


class AnswerFailed(TurnRefused):
    """A turn that began and came to nothing because the provider's call failed; `error_type` is the call's."""


class ConversationGone(TurnRefused):
    """The conversation was deleted meanwhile, alone or with its member."""

    def __init__(self) -> None:
        super().__init__(error_type="not_found", message="This conversation was deleted.")


@dataclass(frozen=True, slots=True)
class StartedTurn:
    """`is_new` is false when this client message id was seen before; `question` is set when one was saved now."""

    user_message_id: UUID
    answer_id: UUID
    is_new: bool
    question: Message | None = None


@dataclass(frozen=True, slots=True)
class AnswerFigures:
    model: str
    processing_time_ms: int
    time_to_first_token_ms: int | None


def check_question(*, clone: Clone, content: str) -> str:
    """The question without surrounding blanks. Raises TurnRefused when it is empty or longer than fits."""
    question = content.replace("\x00", "").strip()
    if not any(unicodedata.category(character)[0] in VISIBLE for character in question):
        raise TurnRefused(
            error_type="invalid_request", message="Your message is empty. Write something first."
        )
    model = choose_model(task=Task.CHAT, override=clone.chat_model)
    limit_tokens = max_question_tokens(clone=clone, model=model)
    if limit_tokens < LEAST_QUESTION_TOKENS:
        raise TurnRefused(
            error_type="invalid_request",
            message="This clone's description leaves no room for a question. Its expert must shorten it, or the "
            "operator raise MAX_CONTEXT_LENGTH.",
        )
    tokens = estimate_tokens(question, model=model)
    if tokens > limit_tokens:
        raise TurnRefused(
            error_type="invalid_request",
            message=f"Your message is too long: about {tokens:,} tokens, and {limit_tokens:,} fit "
            f"(about {limit_tokens * 3 // 4:,} words). Shorten it, or send it in parts.",
        )
    return question


def save_question(*, session: ChatSession, content: str, client_message_id: UUID | None) -> StartedTurn:
    """Question and empty answer in one transaction; the turn that is already there for a known client message id.

    Raises TurnRefused.
    """
    content = check_question(clone=session.clone, content=content)
    with transaction.atomic():
        session = _lock_session(session.pk)
        if client_message_id is not None and (
            known := session.messages.filter(client_message_id=client_message_id).first()
        ):
            answer = known.replies.order_by("-is_current", "-created_at")[0]
            return StartedTurn(user_message_id=known.pk, answer_id=answer.pk, is_new=False)
        _refuse_when_closed_or_running(session)
        question = Message.objects.create(
            session=session,
            role=Role.USER,
            content=content,
            client_message_id=client_message_id,
            is_distress=speaks_of_distress(content),
        )
        session.title = session.title or first_title(content)
        return _save_answer_row(session=session, question=question, is_new_question=True)


def save_regeneration(*, session_id: UUID, answer_id: UUID) -> StartedTurn:
    with transaction.atomic():
        session = _lock_session(session_id)
        _refuse_when_closed_or_running(session)
        current = session.messages.filter(is_current=True)
        old = current.filter(pk=answer_id, role=Role.ASSISTANT).select_related("reply_to").first()
        last = current.filter(role=Role.ASSISTANT).order_by("-created_at").first()
        if old is None or old != last or old.reply_to is None:
            raise TurnRefused(
                error_type="invalid_request", message="Only the last answer can be written anew."
            )
        Message.objects.filter(pk=old.pk).update(is_current=False)
        return _save_answer_row(session=session, question=old.reply_to, is_new_question=False)


def save_edit(*, session: ChatSession, message_id: UUID, content: str) -> StartedTurn:
    content = check_question(clone=session.clone, content=content)
    with transaction.atomic():
        session = _lock_session(session.pk)
        _refuse_when_closed_or_running(session)
        last = session.messages.filter(is_current=True, role=Role.USER).order_by("-created_at").first()
        if last is None or last.pk != message_id:
            raise TurnRefused(error_type="invalid_request", message="Only your last message can be edited.")
        Message.objects.filter(Q(pk=last.pk) | Q(reply_to=last)).update(is_current=False)
        if session.title == first_title(last.content):
            session.title = first_title(content)
        question = Message.objects.create(
            session=session, role=Role.USER, content=content, is_distress=speaks_of_distress(content)
        )
        return _save_answer_row(session=session, question=question, is_new_question=True)


def request_stop(*, session_id: UUID, answer_id: UUID) -> bool:
    """Notes the wish to stop; False when that answer is not running in that session."""
    return bool(
        Message.objects.filter(pk=answer_id, session_id=session_id, status=MessageStatus.STREAMING).update(
            stop_requested=True
        )
    )


def load_turn(*, answer_id: UUID) -> Message:
    """The answer with its question, session and clone in one query; one whose writer died is ended first.

    Raises ConversationGone.
    """
    answer = Message.objects.select_related("reply_to", "session__clone").filter(pk=answer_id).first()
    if answer is None:
        raise ConversationGone
    if answer.is_running and answer.heartbeat_at and answer.heartbeat_at < timezone.now() - STALE_AFTER:
        interrupt_stale_answers(session_id=answer.session_id)
        answer.refresh_from_db()
    return answer


def load_turn_with_history(*, answer_id: UUID) -> tuple[Message, list[ChatMessage]]:
    """What the writer of an answer begins with; two queries. Raises ConversationGone."""
    answer = load_turn(answer_id=answer_id)
    return answer, load_history(answer=answer)


def load_history(*, answer: Message) -> list[ChatMessage]:
    """What was said before this turn, oldest first; failed answers and replaced versions left out."""
    assert answer.reply_to is not None
    earlier = answer.session.messages.filter(is_current=True, created_at__lt=answer.reply_to.created_at)
    recent = earlier.exclude(content="").order_by("-created_at")[:MAX_HISTORY_MESSAGES]
    roles = {Role.USER: "user", Role.ASSISTANT: "assistant"}
    return [ChatMessage(roles[Role(message.role)], message.content) for message in reversed(recent)]  # type: ignore[arg-type]


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
    spent = CostRecord.objects.filter(message_id=answer.pk).aggregate(
        cost=Sum("cost_usd"),
        input=Sum("input_tokens", filter=Q(purpose=Purpose.CHAT)),
        output=Sum("output_tokens", filter=Q(purpose=Purpose.CHAT)),
    )
    answer.content, answer.chunk_ends, answer.status = text, list(chunk_ends), status
    answer.finished_at = answer.heartbeat_at = timezone.now()
    answer.model = figures.model
    answer.processing_time_ms = figures.processing_time_ms
    answer.time_to_first_token_ms = figures.time_to_first_token_ms
    answer.cost_usd = spent["cost"] or answer.cost_usd
    answer.input_tokens, answer.output_tokens = spent["input"] or 0, spent["output"] or 0
    answer.context_chunks_used = len(passages)
    if search is not None:
        answer.retrieval_quality, answer.query_used = search.quality.as_dict(), search.query_used
    if failure is not None:
        answer.error_type, answer.error_message = failure.error_type, failure.user_message
        answer.error_retry_after_seconds = failure.retry_after
    is_gap = search is not None and found_nothing(
        clone=answer.session.clone,
        question=answer.reply_to.content if answer.reply_to else "",
        text=text,
        passages=passages,
        numbers=numbers,
    )
    with transaction.atomic():
        if not Message.objects.filter(pk=answer.pk).update(status=status):
            raise ConversationGone
        answer.save(update_fields=WRITTEN_AT_THE_END)
        if text and not is_gap:
            save_citations(message=answer, passages=passages, numbers=numbers, claims=claims)
        receipt.save()
        answer.memories.set(Memory.objects.active().filter(pk__in=memory_ids))
        if is_gap and failure is None:
            record_gap(answer=answer, reason=GapReason.UNANSWERED)
        ChatSession.objects.filter(pk=answer.session_id).update(last_activity_at=answer.finished_at)
    return answer


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


def interrupt_stale_answers(*, session_id: UUID | None = None) -> list[Message]:
    """Ends answers whose writer has died, keeping their text; in one session, or everywhere."""
    stale = Message.objects.filter(
        status=MessageStatus.STREAMING, heartbeat_at__lt=timezone.now() - STALE_AFTER
    ).select_related("reply_to", "session__clone")
    if session_id is not None:
        stale = stale.filter(session_id=session_id)
    interrupted = []
    for answer in stale:
        changes = {
            "status": MessageStatus.INTERRUPTED,
            "finished_at": timezone.now(),
            "error_type": "interrupted",
            "error_message": INTERRUPTED_MESSAGE,
        }
        if Message.objects.filter(pk=answer.pk, status=MessageStatus.STREAMING).update(**changes):
            for name, value in changes.items():
                setattr(answer, name, value)
            interrupted.append(answer)
    return interrupted


def _lock_session(session_id: UUID) -> ChatSession:
    """The session, locked until the transaction ends. Raises ConversationGone."""
    session = ChatSession.objects.select_for_update(of=("self",)).filter(pk=session_id).first()
    if session is None:
        raise ConversationGone
    return session


def _refuse_when_closed_or_running(session: ChatSession) -> None:
    if session.is_ended:
        raise TurnRefused(
            error_type="invalid_request", message="This conversation has ended. Start a new one to go on."
        )
    interrupt_stale_answers(session_id=session.pk)
    if session.messages.filter(status=MessageStatus.STREAMING).exists():
        raise TurnRefused(
            error_type="turn_running",
            message="An answer is still being written. Wait for it, or stop it first.",
            retry_after=5,
        )


def _save_answer_row(*, session: ChatSession, question: Message, is_new_question: bool) -> StartedTurn:
    answer = Message.objects.create(
        session=session,
        role=Role.ASSISTANT,
        status=MessageStatus.STREAMING,
        reply_to=question,
        heartbeat_at=timezone.now(),
    )
    session.last_activity_at = answer.created_at
    session.save(update_fields=["title", "last_activity_at"])
    return StartedTurn(
        user_message_id=question.pk,
        answer_id=answer.pk,
        is_new=True,
        question=question if is_new_question else None,
    )
