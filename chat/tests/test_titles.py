"""Titles of conversations: made in the background, never in the way, never over the member's own."""

import asyncio
from typing import Any

import pytest

from billing.models import CostRecord, Purpose
from chat.models import ChatSession, MessageStatus
from chat.tests.conftest import finish_titles
from chat.titles import clean_title
from chat.turns import regenerate_answer, start_turn, wait_for_answer
from cloneai.accounts.models import User
from cloneai.local_ai.faults import Fault
from cloneai.local_ai.testing import FakeProvider
from knowledge.models import Document

pytestmark = pytest.mark.django_db(transaction=True)

QUESTION = "How long does the pepper soup simmer?"


async def ask(session: ChatSession, question: str = QUESTION) -> Any:
    started = await start_turn(session=session, content=question)
    return await wait_for_answer(answer_id=started.answer_id, timeout_seconds=30)


async def until(condition: Any) -> None:
    """Waits until `await condition()` holds."""
    async with asyncio.timeout(20):
        while not await condition():  # noqa: ASYNC110  (other processes and threads change it)
            await asyncio.sleep(0.02)


async def is_title_paid() -> bool:
    return await CostRecord.objects.filter(purpose=Purpose.TITLE).aexists()


async def title_of(session: ChatSession, *, not_yet: str = "") -> str:
    """The title; one that is not `not_yet` any more, when that is given."""

    async def is_new() -> bool:
        await session.arefresh_from_db(fields=["title"])
        return session.title != not_yet

    await until(is_new)
    await finish_titles()
    return session.title


async def test_model_names_the_conversation_and_open_pages_hear_of_it(
    provider: FakeProvider, material: Document, session: ChatSession, member: User, open_socket: Any
) -> None:
    socket = await open_socket(member, session.pk)
    await socket.send(type="message", content=QUESTION)
    await socket.read_answer()
    frame = await socket.receive_title()
    await session.arefresh_from_db(fields=["title"])
    assert frame == {"type": "session_title", "session_id": str(session.pk), "title": session.title}
    assert session.title != QUESTION
    assert "soup" in session.title.lower()
    assert await CostRecord.objects.filter(session=session, purpose=Purpose.TITLE).acount() == 1


async def test_title_is_asked_of_the_cheap_model_once(
    provider: FakeProvider, material: Document, session: ChatSession
) -> None:
    await ask(session)
    await title_of(session, not_yet=QUESTION)
    await ask(session, "When should I give feedback?")
    await finish_titles()
    records = [record async for record in CostRecord.objects.filter(purpose=Purpose.TITLE)]
    assert [record.model for record in records] == ["gpt-4o-mini"]
    assert records[0].cost_usd > 0


async def test_failed_title_leaves_the_first_question_and_the_answer(
    provider: FakeProvider, material: Document, session: ChatSession
) -> None:
    # The answer takes the first fault, which only slows it; the title the second.
    provider.next(
        Fault(path="/chat/completions", answer="Twenty-five minutes [1]."),
        Fault(path="/chat/completions", status=400),
    )
    answer = await ask(session)
    await until(is_title_paid)
    assert await title_of(session) == QUESTION
    assert answer.status == MessageStatus.COMPLETE


async def test_slow_title_does_not_delay_the_answer(
    provider: FakeProvider, material: Document, session: ChatSession
) -> None:
    provider.next(
        Fault(path="/chat/completions", answer="Twenty-five minutes [1]."),
        Fault(path="/chat/completions", delay_seconds=2.5, answer="A soup"),
    )
    answer = await ask(session)
    assert answer.status == MessageStatus.COMPLETE
    await session.arefresh_from_db(fields=["title"])
    assert session.title == QUESTION  # the title is still on its way
    assert await title_of(session, not_yet=QUESTION) == "A soup"


async def test_members_own_title_stays(
    provider: FakeProvider, material: Document, session: ChatSession
) -> None:
    provider.next(
        Fault(path="/chat/completions", answer="Twenty-five minutes [1]."),
        Fault(path="/chat/completions", delay_seconds=1.5, answer="A soup"),
    )
    await ask(session)

    async def is_asked() -> bool:
        return len(provider.requests_to("/chat/completions")) == 2

    await until(is_asked)
    await ChatSession.objects.filter(pk=session.pk).aupdate(title="My soup")
    await until(is_title_paid)
    assert await title_of(session) == "My soup"


async def test_small_talk_is_no_title_and_the_next_question_is(
    provider: FakeProvider, material: Document, session: ChatSession
) -> None:
    await ask(session, "Hello!")
    assert await title_of(session) == "Hello!"
    await ask(session)
    assert "soup" in (await title_of(session, not_yet="Hello!")).lower()


async def test_answer_that_only_a_retry_completed_names_it(
    provider: FakeProvider, material: Document, session: ChatSession
) -> None:
    provider.next(Fault(path="/chat/completions", status=401))
    failed = await ask(session)
    assert not await CostRecord.objects.filter(purpose=Purpose.TITLE).aexists()
    started = await regenerate_answer(session=session, answer_id=failed.pk)
    await wait_for_answer(answer_id=started.answer_id, timeout_seconds=30)
    assert "soup" in (await title_of(session, not_yet=QUESTION)).lower()


async def test_offline_mode_keeps_the_first_question(material: Document, session: ChatSession) -> None:
    await ask(session)
    await finish_titles()
    assert await title_of(session) == QUESTION
    assert not await is_title_paid()


@pytest.mark.parametrize(
    ("written", "title"),
    [
        ("“Simmering pepper soup.”", "Simmering pepper soup"),
        ("**Title: Pepper soup**\n\nMore text", "Pepper soup"),
        ("\n# Pepper soup [1]", "Pepper soup"),
        ("***", ""),
        ("", ""),
        ("word " * 40, "word word word word word word word word word word word word…"),
        ("<script>alert(1)</script>", "<script>alert(1)</script>"),
    ],
)
def test_title_is_one_plain_line(written: str, title: str) -> None:
    assert clean_title(written) == title
