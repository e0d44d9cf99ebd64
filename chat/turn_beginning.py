"""How a turn begins in the database: question and empty answer in one transaction. All sync.

Enter at `save_question`, `save_regeneration` and `save_edit`; all raise TurnRefused.
"""

import unicodedata
from dataclasses import dataclass
from uuid import UUID

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from billing.metering import ChatMessage
from billing.model_choice import Task, choose_model
from chat.context import estimate_tokens, max_question_tokens
from chat.distress import speaks_of_distress
from chat.models import ChatSession, Message, MessageStatus, Role
from chat.titles import first_title
from chat.turn_records import ConversationGone, TurnRefused, interrupt_stale_answers, load_history
from clones.models import Clone

LEAST_QUESTION_TOKENS = 50
VISIBLE = "LNPS"  # Unicode's letters, numbers, punctuation and symbols


@dataclass(frozen=True, slots=True, kw_only=True)
class WritingTask:
    """What an answer's writer begins with: the answer with its question, session and clone, and what was said before.

    `new_question` is set when the question was saved with it.
    """

    answer: Message
    history: list[ChatMessage]
    new_question: Message | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StartedTurn:
    """A turn by its two messages. `task` is None when this client message id was seen before."""

    user_message_id: UUID
    answer_id: UUID
    task: WritingTask | None = None

    @property
    def is_new(self) -> bool:
        return self.task is not None


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
        if session.is_ended or _is_anything_in_the_way(session, client_message_id):
            if client_message_id is not None and (known := _find_turn(session, client_message_id)):
                return known
            _refuse_when_closed_or_running(session)
        question = Message(
            session=session,
            role=Role.USER,
            content=content,
            client_message_id=client_message_id,
            is_distress=speaks_of_distress(content),
        )
        session.title = session.title or first_title(content)
        answer = _save_turn(session=session, question=question)
    return _describe_start(answer, is_new_question=True)


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
        answer = _save_turn(session=session, question=old.reply_to)
    return _describe_start(answer, is_new_question=False)


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
        question = Message(
            session=session, role=Role.USER, content=content, is_distress=speaks_of_distress(content)
        )
        answer = _save_turn(session=session, question=question)
    return _describe_start(answer, is_new_question=True)


def _lock_session(session_id: UUID) -> ChatSession:
    """The session with its clone, locked until the transaction ends. Raises ConversationGone."""
    sessions = ChatSession.objects.select_for_update(of=("self",)).select_related("clone")
    session = sessions.filter(pk=session_id).first()
    if session is None:
        raise ConversationGone
    return session


def _is_anything_in_the_way(session: ChatSession, client_message_id: UUID | None) -> bool:
    """Whether something may be in a new turn's way: one question for what is nearly always not so."""
    in_the_way = Q(status=MessageStatus.STREAMING)
    if client_message_id is not None:
        in_the_way |= Q(client_message_id=client_message_id)
    return session.messages.filter(in_the_way).exists()


def _find_turn(session: ChatSession, client_message_id: UUID) -> StartedTurn | None:
    """The turn that began with this client message id, by its newest answer."""
    turns = session.messages.filter(client_message_id=client_message_id)
    found = (
        turns.order_by("-replies__is_current", "-replies__created_at").values_list("pk", "replies").first()
    )
    return StartedTurn(user_message_id=found[0], answer_id=found[1]) if found else None


def _refuse_when_closed_or_running(session: ChatSession) -> None:
    if session.is_ended:
        raise TurnRefused(
            error_type="invalid_request", message="This conversation has ended. Start a new one to go on."
        )
    running = session.messages.filter(status=MessageStatus.STREAMING)
    if not running.exists():
        return
    interrupt_stale_answers(session_id=session.pk)
    if running.exists():
        raise TurnRefused(
            error_type="turn_running",
            message="An answer is still being written. Wait for it, or stop it first.",
            retry_after=5,
        )


def _save_turn(*, session: ChatSession, question: Message) -> Message:
    """Saves the empty answer, its question where that is new, and the session's title and time."""
    answer = Message(
        session=session,
        role=Role.ASSISTANT,
        status=MessageStatus.STREAMING,
        reply_to=question,
        heartbeat_at=timezone.now(),
    )
    Message.objects.bulk_create([question, answer] if question._state.adding else [answer])
    session.last_activity_at = answer.created_at
    session.save(update_fields=["title", "last_activity_at"])
    return answer


def _describe_start(answer: Message, *, is_new_question: bool) -> StartedTurn:
    """What the writer begins with, so that it need not come back for it.

    To be called behind the transaction: others wait for its lock.
    """
    question = answer.reply_to
    assert question is not None
    return StartedTurn(
        user_message_id=question.pk,
        answer_id=answer.pk,
        task=WritingTask(
            answer=answer,
            history=load_history(answer=answer),
            new_question=question if is_new_question else None,
        ),
    )
