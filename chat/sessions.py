"""Beginning and ending conversations."""

from django.db import transaction
from django.utils import timezone

from chat.models import ChatSession, Message, MessageStatus, Role, SummaryType
from chat.summaries import request_summary
from cloneai.accounts.models import User
from clones.models import Clone


def create_session(*, user: User, clone: Clone) -> ChatSession:
    """A new conversation; the caller has found the clone through `visible_to`."""
    return ChatSession.objects.create(user=user, clone=clone)


def end_session(*, session: ChatSession) -> None:
    """Closes the conversation and, when something was said, queues its detailed summary; once."""
    with transaction.atomic():
        ended = ChatSession.objects.filter(pk=session.pk, ended_at=None).update(ended_at=timezone.now())
        if ended and _has_answers(session):
            request_summary(session=session, summary_type=SummaryType.DETAILED)
    session.refresh_from_db(fields=["ended_at"])


def _has_answers(session: ChatSession) -> bool:
    return (
        Message.objects.filter(session=session, role=Role.ASSISTANT, is_current=True)
        .exclude(status=MessageStatus.FAILED)
        .exists()
    )
