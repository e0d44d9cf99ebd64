"""Deleting by age, as the installation's settings say. Days count from the last activity."""

from datetime import timedelta

from django.conf import settings
from django.contrib.sessions.backends.db import SessionStore
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from chat.models import ChatSession, Message, MessageStatus

CONVERSATIONS_AT_A_TIME = 200


def delete_old_conversations() -> int:
    """Deletes conversations without activity for RETENTION_DAYS_SESSIONS days (0 = none); returns how many.

    Those in which an answer is being written, or a message just arrives, stay for the next night. A batch is a
    transaction of its own.
    """
    if not settings.RETENTION_DAYS_SESSIONS:
        return 0
    oldest = timezone.now() - timedelta(days=settings.RETENTION_DAYS_SESSIONS)
    running = Message.objects.filter(status=MessageStatus.STREAMING).values("session")
    old = ChatSession.objects.filter(last_activity_at__lt=oldest).exclude(pk__in=running).order_by("pk")
    deleted = 0
    while number := _delete_some(old):
        deleted += number
    return deleted


@transaction.atomic
def _delete_some(old: QuerySet[ChatSession]) -> int:
    free = old.select_for_update(of=("self",), skip_locked=True)
    keys = list(free.values_list("pk", flat=True)[:CONVERSATIONS_AT_A_TIME])
    ChatSession.objects.filter(pk__in=keys).delete()
    return len(keys)


def delete_expired_logins() -> None:
    SessionStore.clear_expired()
