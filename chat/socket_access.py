"""What a socket asks the database about who may see its conversation. All sync."""

from enum import Enum, auto
from uuid import UUID

from django.contrib.sessions.models import Session
from django.db.models import Exists
from django.utils import timezone

from chat.models import ChatSession, Message
from chat.turn_records import interrupt_stale_answers, load_turn
from cloneai.accounts.models import User


class Access(Enum):
    GRANTED = auto()
    LOGIN_LOST = auto()
    SESSION_LOST = auto()


def open_session(*, session_id: UUID, user: User) -> ChatSession | None:
    interrupt_stale_answers(session_id=session_id)
    return ChatSession.objects.visible_to(user).select_related("clone", "user").filter(pk=session_id).first()


def find_answer(*, session_id: UUID, answer_id: UUID) -> Message | None:
    if not Message.objects.filter(pk=answer_id, session_id=session_id, role="assistant").exists():
        return None
    return load_turn(answer_id=answer_id)


def check_access(*, session_id: UUID, user: User, login_key: str | None) -> Access:
    """Whether a socket may stay open. One query while all is well.

    `user` is the person as the socket was opened, when the login was theirs: it ends with its row, and with a new
    password.
    """
    login = Session.objects.filter(session_key=login_key, expire_date__gt=timezone.now())
    session = ChatSession.objects.visible_to(user).filter(pk=session_id)
    if session.filter(Exists(login), user__is_active=True, user__password=user.password).exists():
        return Access.GRANTED
    person = User.objects.filter(pk=user.pk, is_active=True, password=user.password)
    return Access.SESSION_LOST if login.exists() and person.exists() else Access.LOGIN_LOST
