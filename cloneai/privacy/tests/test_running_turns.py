"""People who are erased while an answer to them is being written."""

import asyncio
import logging
from typing import Any

import pytest
from django.core.files.base import ContentFile

from billing.models import CostRecord, Outcome, Reservation, ReservationState
from billing.reconciliation import find_differences
from chat import streaming
from chat.models import ChatSession, Citation, KnowledgeGap, Message
from chat.turn_records import ConversationGone
from chat.turns import start_turn, wait_for_answer
from cloneai.accounts.models import User
from cloneai.local_ai.faults import Fault
from cloneai.local_ai.testing import FakeProvider
from cloneai.privacy.erasure import erase_person
from cloneai.threads import run_in_thread
from clones.models import Clone
from knowledge.ingestion import ingest_document
from knowledge.uploads import create_document

pytestmark = pytest.mark.django_db(transaction=True)

SLOW = Fault(path="/chat/completions", chunk_delay_seconds=0.1)


@pytest.fixture
def session(member: User, clone: Clone, expert: User, provider: FakeProvider) -> ChatSession:
    """A conversation with a clone that has something to say, slowly."""
    file = ContentFile(
        b"# Soup\n\nThe pepper soup simmers for twenty-five minutes in a closed pot.", name="a.md"
    )
    document = create_document(clone=clone, file=file, file_name="a.md", uploaded_by=expert)
    ingest_document(document_id=document.pk)
    provider.always(SLOW)
    return ChatSession.objects.create(clone=clone, user=member)


async def wait_until_streaming(answer_id: Any) -> asyncio.Task[None]:
    """The task that writes the answer, once there is text."""
    async with asyncio.timeout(20):
        while answer_id not in streaming._running or not streaming._running[answer_id].text:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    return next(task for task in streaming._tasks if task.get_coro().__name__ == "write_answer")


async def test_running_answer_ends_quietly_and_brings_nothing_back(
    session: ChatSession, member: User, caplog: pytest.LogCaptureFixture
) -> None:
    started = await start_turn(session=session, content="How long does the pepper soup simmer?")
    writing = await wait_until_streaming(started.answer_id)
    with caplog.at_level(logging.WARNING):
        receipt = await run_in_thread(erase_person, person=member, actor=None, way="command")
        await writing  # raises what the writer raised
    assert receipt.rows["chat.Message"] == 2
    assert [record.getMessage() for record in caplog.records] == []
    assert await run_in_thread(count_leftovers) == [0, 0, 0, 0]


async def test_call_of_an_erased_person_is_stopped_and_booked_without_them(
    session: ChatSession, member: User
) -> None:
    started = await start_turn(session=session, content="How long does the pepper soup simmer?")
    writing = await wait_until_streaming(started.answer_id)
    await run_in_thread(erase_person, person=member, actor=None, way="command")
    await writing
    assert await run_in_thread(list_payers) == [(None, None, None)]
    assert await CostRecord.objects.filter(purpose="chat", outcome=Outcome.STOPPED).acount() == 1
    assert not await Reservation.objects.filter(state=ReservationState.OPEN).aexists()
    assert await run_in_thread(find_differences) == []


async def test_new_message_and_waiting_say_that_the_conversation_is_gone(
    session: ChatSession, member: User
) -> None:
    started = await start_turn(session=session, content="How long does the pepper soup simmer?")
    writing = await wait_until_streaming(started.answer_id)
    await run_in_thread(erase_person, person=member, actor=None, way="command")
    with pytest.raises(ConversationGone):
        await wait_for_answer(answer_id=started.answer_id, timeout_seconds=20)
    with pytest.raises(ConversationGone):
        await start_turn(session=session, content="And then?")
    await writing
    assert await run_in_thread(count_leftovers) == [0, 0, 0, 0]


def count_leftovers() -> list[int]:
    return [model.objects.count() for model in (ChatSession, Message, Citation, KnowledgeGap)]


def list_payers() -> list[tuple[Any, ...]]:
    """Links of the calls for the chat; the expert paid for the document's vectors."""
    calls = CostRecord.objects.exclude(purpose="document_embedding")
    return list(calls.values_list("user", "session", "message").distinct().order_by())
