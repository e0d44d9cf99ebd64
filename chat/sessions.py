"""Finding, beginning and ending conversations."""

from uuid import UUID

from django.contrib.auth.models import AnonymousUser
from django.db import transaction
from django.http import Http404
from django.utils import timezone

from chat.models import ChatSession, Memory
from chat.settling import settle
from cloneai.accounts.models import User
from clones.models import Clone

CLOSED_MESSAGE = (
    "This conversation’s clone is no longer open to you: its expert now lets in only people with an invitation. "
    "The conversation cannot be read or continued here; your data export has it."
)


class ConversationClosed(Http404):
    """The person's own conversation, with a clone that no longer lets them in. Carries the session."""

    def __init__(self, session: ChatSession) -> None:
        super().__init__(CLOSED_MESSAGE)
        self.session = session


def find_session(*, user: User | AnonymousUser, session_id: UUID) -> ChatSession:
    """A conversation that this member may read and continue. Raises Http404, or ConversationClosed."""
    session = ChatSession.objects.owned_by(user).select_related("clone", "user").filter(pk=session_id).first()
    if session is None:
        raise Http404
    if not session.is_open:  # type: ignore[attr-defined]
        raise ConversationClosed(session)
    return session


def remove_session(*, user: User | AnonymousUser, session_id: UUID) -> None:
    """Deletes an own conversation with all that hangs on it, also a closed one. Raises Http404."""
    session = ChatSession.objects.owned_by(user).filter(pk=session_id).first()
    if session is None:
        raise Http404
    session.delete()


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
