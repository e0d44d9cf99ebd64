"""What the database knows of a turn: refusals, loading, and the end of answers whose writer died. All sync.

How a turn begins stands in `chat.turn_beginning`, how its answer is saved in the end in `chat.turn_ending`.
"""

from datetime import timedelta
from uuid import UUID

from django.db.models import Sum
from django.utils import timezone

from billing.ledger import settle_calls_of_answer
from billing.metering import ChatMessage
from billing.models import CostRecord
from chat.models import Message, MessageStatus, Role

MAX_HISTORY_MESSAGES = 40
STALE_AFTER = timedelta(seconds=20)
INTERRUPTED_MESSAGE = "The answer was interrupted. Try again."


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


def load_history(*, answer: Message) -> list[ChatMessage]:
    """What was said before this turn, oldest first; failed answers and replaced versions left out."""
    assert answer.reply_to is not None
    earlier = answer.session.messages.filter(is_current=True, created_at__lt=answer.reply_to.created_at)
    recent = earlier.exclude(content="").order_by("-created_at").values_list("role", "content")
    roles = {Role.USER: "user", Role.ASSISTANT: "assistant"}
    return [
        ChatMessage(roles[Role(role)], content)  # type: ignore[arg-type]
        for role, content in reversed(recent[:MAX_HISTORY_MESSAGES])
    ]


def interrupt_stale_answers(*, session_id: UUID | None = None) -> list[Message]:
    """Ends answers whose writer has died, in one session or everywhere: their text stays, their calls are paid."""
    stale = Message.objects.filter(
        status=MessageStatus.STREAMING, heartbeat_at__lt=timezone.now() - STALE_AFTER
    ).select_related("reply_to", "session__clone")
    if session_id is not None:
        stale = stale.filter(session_id=session_id)
    if not stale.exists():  # as nearly always; Django takes several times as long to ask for whole rows
        return []
    return [answer for answer in stale if _interrupt(answer)]


def _interrupt(answer: Message) -> bool:
    """False when another process was faster."""
    changes = {
        "status": MessageStatus.INTERRUPTED,
        "finished_at": timezone.now(),
        "error_type": "interrupted",
        "error_message": INTERRUPTED_MESSAGE,
    }
    mine = Message.objects.filter(pk=answer.pk, status=MessageStatus.STREAMING)
    if not mine.update(**changes):
        return False
    settle_calls_of_answer(message_id=answer.pk)  # not in a transaction, which would keep the accounts locked
    spent = CostRecord.objects.filter(message=answer).aggregate(total=Sum("cost_usd"))["total"]
    changes["cost_usd"] = spent or answer.cost_usd
    Message.objects.filter(pk=answer.pk).update(cost_usd=changes["cost_usd"])
    for name, value in changes.items():
        setattr(answer, name, value)
    return True
