"""What a conversation leaves behind when it ends or has been idle: a summary and memories, each by its own job.

`ChatSession.settled_at` says up to which activity that was asked for, so that a conversation that goes on after a
pause is looked at again, and none twice.
"""

from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.utils import timezone
from django_q.tasks import async_task

from chat.models import ChatSession, Message, MessageStatus, Role, SummaryType
from chat.summaries import request_summary

IDLE_AFTER = timedelta(minutes=30)
SETTLED_AT_A_TIME = 100
MEMORY_JOB = "chat.tasks.extract_memories"


def settle_idle_sessions(*, now: datetime | None = None) -> int:
    """Every minute: asks for summary and memories of conversations without activity for 30 minutes; how many.

    The scan reads the index of unsettled conversations alone; at most 100 are taken at a time, oldest first.
    """
    idle_since = (now or timezone.now()) - IDLE_AFTER
    due = find_unsettled().filter(last_activity_at__lt=idle_since).order_by("last_activity_at")
    settled = 0
    for session in due.select_related("clone")[:SETTLED_AT_A_TIME]:
        settled += settle(session=session)
    return settled


def find_unsettled() -> QuerySet[ChatSession]:
    return ChatSession.objects.filter(Q(settled_at=None) | Q(settled_at__lt=F("last_activity_at")))


@transaction.atomic
def settle(*, session: ChatSession) -> bool:
    """Queues both jobs, unless nothing was said since the last time or another process was faster."""
    before = session.settled_at
    claimed = (
        find_unsettled().filter(pk=session.pk, settled_at=before).update(settled_at=F("last_activity_at"))
    )
    if not claimed or not has_answers(session):
        return False
    request_summary(session=session, summary_type=SummaryType.DETAILED)
    if session.is_remembered:
        async_task(MEMORY_JOB, str(session.pk), before.isoformat() if before else "")
    return True


def has_answers(session: ChatSession) -> bool:
    answers = Message.objects.filter(session=session, role=Role.ASSISTANT, is_current=True)
    return answers.exclude(status=MessageStatus.FAILED).exists()
