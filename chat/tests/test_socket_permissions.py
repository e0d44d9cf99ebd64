"""The socket's row of the permission matrix: everybody, on own, foreign and missing conversations."""

import uuid
from typing import Any

import pytest

import chat.socket_guard
import chat.socket_watch
from chat.models import ChatSession
from cloneai.accounts.models import User
from cloneai.threads import run_in_thread
from clones.models import Clone

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def quick_checks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A quarter of a second instead of 15 between two looks at whether a socket may stay."""
    assert chat.socket_guard.RECHECK_SECONDS <= 15
    monkeypatch.setattr(chat.socket_guard, "RECHECK_SECONDS", 0.25)


@pytest.fixture
def quick_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """The look at everybody's access alone, ten times a second instead of once."""
    assert chat.socket_watch.LOOK_SECONDS <= 1
    monkeypatch.setattr(chat.socket_watch, "LOOK_SECONDS", 0.1)


async def read_close_code(socket: Any) -> int:
    while (output := await socket.communicator.receive_output(timeout=10))["type"] != "websocket.close":
        pass
    return output["code"]


async def test_only_the_member_may_open_their_conversation(
    session: ChatSession,
    member: User,
    stranger: User,
    expert: User,
    other_expert: User,
    reviewer: User,
    admin: User,
    open_socket: Any,
) -> None:
    assert hasattr(await open_socket(member, session.pk), "send")
    for person in (stranger, expert, other_expert, reviewer, admin):
        for session_id in (session.pk, uuid.uuid4()):
            assert await read_close_code(await open_socket(person, session_id)) == 4404, person
    assert await read_close_code(await open_socket(member, uuid.uuid4())) == 4404


async def test_anonymous_and_inactive_are_refused_before_accept(
    session: ChatSession, member: User, open_socket: Any
) -> None:
    assert await open_socket(None, session.pk) == 4401

    async def deactivated() -> Any:
        return await open_socket(member, session.pk)

    member.is_active = False
    await member.asave(update_fields=["is_active"])
    assert await deactivated() == 4401


async def test_deactivation_closes_open_sockets(
    session: ChatSession, member: User, open_socket: Any, quick_looks: None
) -> None:
    socket = await open_socket(member, session.pk)
    await User.objects.filter(pk=member.pk).aupdate(is_active=False)
    assert await read_close_code(socket) == 4401


async def test_a_deactivated_person_says_nothing_more(
    session: ChatSession, member: User, open_socket: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chat.socket_watch, "LOOK_SECONDS", 60)  # so that only the order is looked at
    socket = await open_socket(member, session.pk)
    await User.objects.filter(pk=member.pk).aupdate(is_active=False)
    await socket.send(type="message", content="One more thing")
    assert await read_close_code(socket) == 4401
    assert not await session.messages.aexists()


async def test_a_new_password_and_a_logout_close_other_sockets(
    session: ChatSession, member: User, open_socket: Any, quick_looks: None
) -> None:
    from django.contrib.sessions.models import Session

    first = await open_socket(member, session.pk)
    member.set_password("another one")
    await member.asave(update_fields=["password"])
    assert await read_close_code(first) == 4401
    second = await open_socket(member, session.pk)
    await run_in_thread(lambda: Session.objects.all().delete())
    assert await read_close_code(second) == 4401


async def test_logout_closes_open_sockets(
    session: ChatSession, member: User, open_socket: Any, quick_checks: None
) -> None:
    from django.contrib.sessions.models import Session

    socket = await open_socket(member, session.pk)
    await run_in_thread(lambda: Session.objects.all().delete())
    assert await read_close_code(socket) == 4401


async def test_lost_invitation_closes_open_sockets(
    session: ChatSession, clone: Clone, member: User, open_socket: Any, quick_checks: None
) -> None:
    socket = await open_socket(member, session.pk)
    await Clone.objects.filter(pk=clone.pk).aupdate(visibility="private")
    assert await read_close_code(socket) == 4404
