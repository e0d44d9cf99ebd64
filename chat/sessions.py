"""Beginning and ending conversations."""

from django.db import transaction
from django.utils import timezone

from chat.models import ChatSession, Memory
from chat.settling import settle
from cloneai.accounts.models import User
from clones.models import Clone


def create_session(*, user: User, clone: Clone) -> ChatSession:
    """A new conversation; the caller has found the clone through `visible_to`."""
    return ChatSession.objects.create(user=user, clone=clone)


def end_session(*, session: ChatSession) -> None:
    """Closes the conversation and, when something was said since it was last settled, queues what remains of it."""
    with transaction.atomic():
        ended = ChatSession.objects.filter(pk=session.pk, ended_at=None).update(ended_at=timezone.now())
        if ended:
            session.refresh_from_db(fields=["settled_at", "is_remembered"])
            settle(session=session)
    session.refresh_from_db(fields=["ended_at", "settled_at"])


def set_remembered(*, session: ChatSession, is_remembered: bool) -> None:
    """Whether the conversation may use and leave memories. Switched off, what it left already goes."""
    with transaction.atomic():
        ChatSession.objects.filter(pk=session.pk).update(is_remembered=is_remembered)
        if not is_remembered:
            Memory.objects.filter(message__session=session).delete()
    session.is_remembered = is_remembered
