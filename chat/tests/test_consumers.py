"""The socket as a member's browser sees it."""

import asyncio
import re
import time
import uuid
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from channels.layers import get_channel_layer
from django.contrib.sessions.models import Session
from django.db import connection
from django.utils import timezone

import chat.consumers
from billing.ledger import CallPlan, reserve
from billing.metering import Payer
from billing.models import CostRecord, Outcome, Purpose, Reservation, ReservationState
from chat.frames import final_frame, session_group
from chat.models import ChatSession, Citation, Message, MessageStatus
from chat.socket_guard import count_sockets
from chat.socket_watch import watch_of_this_loop
from chat.streaming import send_to_session
from chat.turn_records import STALE_AFTER
from cloneai.accounts.models import User
from cloneai.local_ai.faults import Fault
from cloneai.local_ai.testing import FakeProvider
from cloneai.threads import run_in_thread
from clones.models import Clone
from knowledge.models import Document
from knowledge.uploads import delete_document

pytestmark = pytest.mark.django_db(transaction=True)

QUESTION = "How long does the pepper soup simmer?"


async def test_answer_streams_with_the_source_that_holds_it(
    material: Document, session: ChatSession, member: User, open_socket: Any
) -> None:
    socket = await open_socket(member, session.pk)
    await socket.send(type="message", content=QUESTION, client_message_id=str(uuid.uuid4()))
    frames, final = await socket.read_answer()
    assert [frame["type"] for frame in frames[:2]] == ["user_message", "ai_response_start"]
    chunks = frames[2:-1]
    assert [chunk["seq"] for chunk in chunks] == list(range(len(chunks)))
    assert final["seq"] == len(chunks)
    assert "".join(chunk["content"] for chunk in chunks) == final["full_response"]
    assert final["status"] == "complete"
    assert "twenty-five" in final["full_response"]
    source = final["sources"][0]
    assert source["title"] == "Notes"
    assert final["retrieval_quality"]["chunk_count"] >= 1
    assert final["rag_enabled"] is True
    answer = await Message.objects.aget(pk=final["message_id"])
    citation = await answer.citations.afirst()
    assert "twenty-five minutes" in citation.quote
    assert source["url"] == citation.get_absolute_url()


async def test_same_client_message_id_is_one_turn_and_one_call(
    material: Document, session: ChatSession, member: User, open_socket: Any
) -> None:
    socket = await open_socket(member, session.pk)
    message_id = str(uuid.uuid4())
    await socket.send(type="message", content=QUESTION, client_message_id=message_id)
    _, first = await socket.read_answer()
    await socket.send(type="message", content=QUESTION, client_message_id=message_id)
    _, second = await socket.read_answer()
    assert second["message_id"] == first["message_id"]
    assert second["full_response"] == first["full_response"]
    assert await session.messages.acount() == 2
    assert await CostRecord.objects.filter(session=session, purpose=Purpose.CHAT).acount() == 1


async def test_resume_gives_exactly_the_missed_frames(
    material: Document, session: ChatSession, member: User, open_socket: Any
) -> None:
    socket = await open_socket(member, session.pk)
    await socket.send(type="message", content=QUESTION, client_message_id=str(uuid.uuid4()))
    frames, final = await socket.read_answer()
    chunks = [frame for frame in frames if frame["type"] == "ai_response_chunk"]
    assert len(chunks) > 2
    other = await open_socket(member, session.pk)
    await other.send(type="resume", message_id=final["message_id"], after_seq=0)
    missed, last = await other.read_answer()
    assert [(frame["seq"], frame["content"]) for frame in missed] == [
        (frame["seq"], frame["content"]) for frame in chunks[1:]
    ]
    assert last["full_response"] == final["full_response"]


async def test_resume_behind_a_live_frame_gives_no_frame_twice(
    provider: FakeProvider, material: Document, session: ChatSession, member: User, open_socket: Any
) -> None:
    """Who comes back is in the answer's group before their `resume` is read."""
    provider.next(Fault(path="/chat/completions", answer=LONG_ANSWER, chunk_delay_seconds=0.03))
    asker = await open_socket(member, session.pk)
    await asker.send(type="message", content=QUESTION, client_message_id=str(uuid.uuid4()))
    while (frame := await asker.receive()).get("seq") != 1:
        pass
    back = await open_socket(member, session.pk)
    while (await asker.receive())["seq"] < 4:  # live frames that the other one has met too
        pass
    await back.send(type="resume", message_id=frame["message_id"], after_seq=1)
    _, final = await asker.read_answer()
    missed, last = await back.read_answer()
    assert [frame["seq"] for frame in missed] == list(range(2, final["seq"] + 1))
    assert last["full_response"] == final["full_response"]


async def test_who_comes_into_a_running_answer_silently_is_shown_all_of_it(
    provider: FakeProvider, material: Document, session: ChatSession, member: User, open_socket: Any
) -> None:
    provider.next(Fault(path="/chat/completions", answer=LONG_ANSWER, chunk_delay_seconds=0.03))
    asker = await open_socket(member, session.pk)
    await asker.send(type="message", content=QUESTION, client_message_id=str(uuid.uuid4()))
    while (await asker.receive()).get("seq") != 1:
        pass
    late = await open_socket(member, session.pk)
    start, *chunks = (await late.read_answer())[0]
    assert start["type"] == "ai_response_start"
    chunks = [frame for frame in chunks if frame["type"] != "session_title"]  # it comes when it comes
    assert [chunk["seq"] for chunk in chunks] == list(range(len(chunks)))
    assert "".join(chunk["content"] for chunk in chunks) == chunks[-1]["full_response"]


LONG_ANSWER = """The soup **simmers** for twenty-five minutes [1].

1. Cut four red peppers [1]
   - and one onion

2. Add a litre of stock

```python
minutes = 25  # [1]

print(minutes)
```

| What | How much |
|---|---|
| peppers | four |

That is `all` there [9] is [1]."""


async def test_blocks_come_once_as_they_are_finished_and_are_the_final_html(
    provider: FakeProvider, material: Document, session: ChatSession, member: User, open_socket: Any
) -> None:
    provider.next(Fault(path="/chat/completions", answer=LONG_ANSWER, chunk_delay_seconds=0.02))
    socket = await open_socket(member, session.pk)
    await socket.send(type="message", content=QUESTION)
    frames, final = await socket.read_answer()
    blocks = [block for frame in frames for block in frame.get("blocks", [])]
    assert [block["index"] for block in blocks] == list(range(4))
    streamed = "".join(block["html"] for block in blocks)
    assert final["html"].startswith(streamed)
    assert final["html"].removeprefix(streamed).startswith("<p>That is <code>all</code> there is")
    assert streamed.count('class="cite"') == 2
    assert final["full_response"][blocks[-1]["end"] :].startswith("That is")
    seen_with = [frame["seq"] for frame in frames if frame.get("blocks")]
    assert len(seen_with) > 1  # they did not all come in the end

    other = await open_socket(member, session.pk)
    await other.send(type="resume", message_id=final["message_id"], after_seq=seen_with[0])
    missed, _ = await other.read_answer()
    assert [block for frame in missed for block in frame.get("blocks", [])] == blocks[1:]


async def test_sources_of_a_running_answer_open(
    provider: FakeProvider, material: Document, session: ChatSession, member: User, open_socket: Any
) -> None:
    provider.next(
        Fault(
            path="/chat/completions", answer="It simmers [1].\n\nAnd then" + " on" * 80, stall_after_chunks=20
        )
    )
    socket = await open_socket(member, session.pk)
    await socket.send(type="message", content=QUESTION)
    while not (frame := await socket.receive()).get("blocks"):
        pass
    url = re.search(r'href="([^"]+)"', frame["blocks"][0]["html"])[1]  # type: ignore[index]
    citation = await Citation.objects.aget(message=frame["message_id"])
    assert url == f"{citation.get_absolute_url()}#passage"
    await socket.send(type="stop", message_id=frame["message_id"])
    _, final = await socket.read_answer()
    assert [source["url"] for source in final["sources"]] == [citation.get_absolute_url()]
    saved = await Citation.objects.aget(message=frame["message_id"])
    assert saved.pk == citation.pk
    assert saved.focus_start is not None  # known only with the whole answer


async def test_answer_survives_the_deletion_of_the_document_that_it_rests_on(
    provider: FakeProvider, material: Document, session: ChatSession, member: User, open_socket: Any
) -> None:
    provider.next(
        Fault(path="/chat/completions", answer="It simmers [1]." + " On" * 80, chunk_delay_seconds=0.05)
    )
    socket = await open_socket(member, session.pk)
    await socket.send(type="message", content=QUESTION)
    while "[1]" not in (await socket.receive()).get("content", ""):
        pass
    await run_in_thread(delete_document, document=material)
    _, final = await socket.read_answer()
    assert final["status"] == "complete"
    assert [source["title"] for source in final["sources"]] == ["Notes"]


async def test_two_sockets_see_the_same_answer(
    material: Document, session: ChatSession, member: User, open_socket: Any
) -> None:
    first, second = await open_socket(member, session.pk), await open_socket(member, session.pk)
    await first.send(type="message", content=QUESTION, client_message_id=str(uuid.uuid4()))
    seen_first, _ = await first.read_answer()
    seen_second, _ = await second.read_answer()
    assert seen_first == seen_second


async def test_regenerate_keeps_the_earlier_answer(
    material: Document, session: ChatSession, member: User, open_socket: Any
) -> None:
    socket = await open_socket(member, session.pk)
    await socket.send(type="message", content=QUESTION, client_message_id=str(uuid.uuid4()))
    _, first = await socket.read_answer()
    await socket.send(type="regenerate", message_id=first["message_id"])
    _, second = await socket.read_answer()
    assert second["message_id"] != first["message_id"]
    old = await Message.objects.aget(pk=first["message_id"])
    assert not old.is_current
    assert old.content == first["full_response"]


async def test_edit_replaces_the_last_question(
    material: Document, session: ChatSession, member: User, open_socket: Any
) -> None:
    socket = await open_socket(member, session.pk)
    await socket.send(type="message", content=QUESTION, client_message_id=str(uuid.uuid4()))
    frames, _ = await socket.read_answer()
    await socket.send(type="edit", message_id=frames[0]["message_id"], content="When should I give feedback?")
    _, final = await socket.read_answer()
    assert "forty-eight hours" in final["full_response"]
    assert await session.messages.filter(is_current=True).acount() == 2
    assert await session.messages.acount() == 4


@pytest.mark.parametrize("content", ["", "   \n ", "\x00", "\u200b\u2060"])
async def test_empty_message_is_refused_in_a_sentence(
    content: str, session: ChatSession, member: User, open_socket: Any
) -> None:
    socket = await open_socket(member, session.pk)
    await socket.send(type="message", content=content, client_message_id=str(uuid.uuid4()))
    error = await socket.receive()
    assert (error["type"], error["error_type"]) == ("error", "invalid_request")
    assert "empty" in error["message"]
    assert await session.messages.acount() == 0


async def test_message_beyond_the_context_is_refused_with_the_limit(
    session: ChatSession, member: User, open_socket: Any
) -> None:
    socket = await open_socket(member, session.pk)
    await socket.send(type="message", content="word " * 9000, client_message_id=str(uuid.uuid4()))
    error = await socket.receive()
    assert error["error_type"] == "invalid_request"
    assert "too long" in error["message"]


async def test_strict_clone_says_its_no_answer_text_without_a_model_call(
    material: Document, session: ChatSession, clone: Clone, member: User, open_socket: Any
) -> None:
    socket = await open_socket(member, session.pk)
    await socket.send(
        type="message", content="Which treaty ended the war of 1812?", client_message_id=str(uuid.uuid4())
    )
    _, final = await socket.read_answer()
    assert final["full_response"] == clone.no_answer_text
    assert final["sources"] == []
    assert final["retrieval_quality"]["status"] == "no_context"
    assert not await CostRecord.objects.filter(session=session, purpose=Purpose.CHAT).aexists()
    assert await clone.knowledge_gaps.acount() == 1


async def test_greeting_is_answered_without_a_search(
    material: Document, session: ChatSession, clone: Clone, member: User, open_socket: Any
) -> None:
    socket = await open_socket(member, session.pk)
    await socket.send(type="message", content="Hello!", client_message_id=str(uuid.uuid4()))
    _, final = await socket.read_answer()
    assert final["full_response"] != clone.no_answer_text
    assert final["sources"] == []
    assert not await CostRecord.objects.filter(purpose=Purpose.QUERY_EMBEDDING).aexists()
    assert await clone.knowledge_gaps.acount() == 0


@pytest.mark.parametrize(
    "origin",
    [
        None,
        "null",
        "http://evil.example",
        "http://localhost.evil.example",
        "http://localhost:81",
        "https://localhost",
    ],
)
async def test_foreign_origins_are_refused_before_accept(
    origin: str | None, session: ChatSession, member: User, open_socket: Any
) -> None:
    assert not hasattr(await open_socket(member, session.pk, origin=origin), "send")


async def test_anonymous_is_refused_before_accept(session: ChatSession, open_socket: Any) -> None:
    assert await open_socket(None, session.pk) == 4401


async def test_stranger_and_unknown_session_look_the_same(
    session: ChatSession, stranger: User, open_socket: Any
) -> None:
    for session_id in (session.pk, uuid.uuid4()):
        socket = await open_socket(stranger, session_id)
        assert (await socket.communicator.receive_output())["code"] == 4404


@pytest.mark.parametrize(
    "text",
    ["not json", "[]", '"x"', '{"type":"nonsense"}', '{"type":"stop"}', '{"type":"stop","message_id":"x"}'],
)
async def test_bad_frames_are_answered_and_the_socket_stays(
    text: str, session: ChatSession, member: User, open_socket: Any
) -> None:
    socket = await open_socket(member, session.pk)
    await socket.communicator.send_to(text_data=text)
    assert (await socket.receive())["error_type"] == "invalid_request"
    await socket.send(type="message", content="Hello!", client_message_id=str(uuid.uuid4()))
    await socket.read_answer()


async def test_oversized_and_too_many_frames_close_the_socket(
    session: ChatSession, member: User, open_socket: Any
) -> None:
    socket = await open_socket(member, session.pk)
    await socket.send(type="message", content="x" * 70_000)
    assert (await socket.communicator.receive_output())["code"] == 4413
    socket = await open_socket(member, session.pk)
    for _ in range(60):
        await socket.communicator.send_to(text_data="{}")
    while (output := await socket.communicator.receive_output())["type"] != "websocket.close":
        pass
    assert output["code"] == 4429


async def test_answer_of_a_dead_writer_becomes_interrupted_with_its_text(
    session: ChatSession, member: User, open_socket: Any
) -> None:
    question = await Message.objects.acreate(session=session, role="user", content="Why?")
    answer = await Message.objects.acreate(
        session=session,
        role="assistant",
        reply_to=question,
        content="Because the",
        chunk_ends=[7, 11],
        status=MessageStatus.STREAMING,
        heartbeat_at=timezone.now() - timedelta(seconds=40),
    )
    payer = Payer(user_id=member.pk, clone_id=session.clone_id, session_id=session.pk, message_id=answer.pk)
    plan = CallPlan(
        payer=payer, purpose="chat", model="gpt-4o", count_input=lambda: 1000, max_output_tokens=100
    )
    await run_in_thread(reserve, plan=plan)
    socket = await open_socket(member, session.pk)
    await socket.send(type="resume", message_id=str(answer.pk), after_seq=-1)
    frames, final = await socket.read_answer()
    assert final["status"] == "interrupted"
    assert final["full_response"] == "Because the"
    assert Decimal(final["cost"]) > 0  # the writer's call was paid, without waiting for the sweeper
    assert await CostRecord.objects.filter(message=answer, outcome=Outcome.ABANDONED).acount() == 1
    assert not await Reservation.objects.filter(state=ReservationState.OPEN).aexists()
    assert [frame["content"] for frame in frames[1:-1]] == ["Because", " the"]


async def test_reader_who_comes_back_is_told_of_a_dead_writer_as_soon_as_it_is_sure(
    session: ChatSession, member: User, open_socket: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And not at the next of the looks that every socket takes now and then."""
    monkeypatch.setattr("chat.socket_guard.RECHECK_SECONDS", 3600.0)
    question = await session.messages.acreate(role="user", content="Why?")
    answer = await session.messages.acreate(
        role="assistant", reply_to=question, content="Because", chunk_ends=[7], status=MessageStatus.STREAMING,
        heartbeat_at=timezone.now() - STALE_AFTER + timedelta(seconds=1),
    )  # fmt: skip
    socket = await open_socket(member, session.pk)
    await socket.send(type="resume", message_id=str(answer.pk), after_seq=0)
    _, final = await socket.read_answer()
    assert (final["status"], final["full_response"]) == ("interrupted", "Because")


async def begin_answer(session: ChatSession) -> Message:
    """One that is being written, of two frames so far."""
    question = await session.messages.acreate(role="user", content="Why?")
    return await session.messages.acreate(
        role="assistant", reply_to=question, content="Because of", chunk_ends=[7, 10],
        status=MessageStatus.STREAMING, heartbeat_at=timezone.now(),
    )  # fmt: skip


async def test_an_end_that_got_lost_on_its_way_is_read_from_the_database(
    session: ChatSession, member: User, open_socket: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No gap betrays that the last frame is missing."""
    monkeypatch.setattr("chat.socket_guard.RECHECK_SECONDS", 0.2)
    answer = await begin_answer(session)
    socket = await open_socket(member, session.pk)
    await socket.send(type="resume", message_id=str(answer.pk), after_seq=0)
    await asyncio.sleep(0.5)
    await session.messages.filter(pk=answer.pk).aupdate(status=MessageStatus.COMPLETE, heartbeat_at=None)
    (missed, _), final = await socket.read_answer()
    assert (missed["seq"], missed["content"]) == (1, " of")
    assert (final["status"], final["full_response"]) == ("complete", "Because of")
    await asyncio.sleep(0.5)
    assert await socket.communicator.receive_nothing()


async def test_an_end_that_comes_while_it_is_read_from_the_database_is_shown_once(
    session: ChatSession, member: User, open_socket: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = await begin_answer(session)
    socket = await open_socket(member, session.pk)
    await socket.send(type="resume", message_id=str(answer.pk), after_seq=0)
    await asyncio.sleep(0.3)
    loop = asyncio.get_running_loop()
    find, read = chat.consumers.find_answer, chat.consumers.missed_frames

    def send_end_and_read(**options: Any) -> Any:
        monkeypatch.setattr(chat.consumers, "missed_frames", read)
        monkeypatch.setattr(chat.consumers, "find_answer", find_slowly)
        frame = final_frame(options["answer"])
        asyncio.run_coroutine_threadsafe(send_to_session(session_id=session.pk, frame=frame), loop).result()
        time.sleep(0.1)
        return read(**options)

    def find_slowly(**options: Any) -> Any:
        time.sleep(0.3)
        return find(**options)

    monkeypatch.setattr(chat.consumers, "missed_frames", send_end_and_read)
    await session.messages.filter(pk=answer.pk).aupdate(status=MessageStatus.COMPLETE, heartbeat_at=None)
    for watched in watch_of_this_loop().sockets:
        watched.wake()
    (missed, _), final = await socket.read_answer()
    assert (missed["seq"], final["full_response"]) == (1, "Because of")
    await asyncio.sleep(0.5)
    assert await socket.communicator.receive_nothing()


async def test_readers_are_told_when_the_end_of_an_answer_cannot_be_shown(
    session: ChatSession, member: User, open_socket: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def break_off(answer: Message) -> None:
        raise ValueError("a file that the page needs is missing")

    monkeypatch.setattr("chat.turns.final_frame", break_off)
    socket = await open_socket(member, session.pk)
    await socket.send(type="message", content="hello", client_message_id=str(uuid.uuid4()))
    while (frame := await socket.receive())["type"] != "error":
        assert not frame.get("is_complete")
    answer = await session.messages.aget(role="assistant")
    assert (frame["error_type"], frame["message_id"]) == ("unknown", str(answer.pk))
    assert answer.status == MessageStatus.COMPLETE


async def test_reader_who_saw_more_than_a_dead_writer_saved_is_told_that_it_ended(
    session: ChatSession, member: User, open_socket: Any
) -> None:
    question = await session.messages.acreate(role="user", content="hello")
    answer = await session.messages.acreate(
        role="assistant",
        content="saved",
        chunk_ends=[5],
        status=MessageStatus.INTERRUPTED,
        reply_to=question,
    )
    socket = await open_socket(member, session.pk)
    await socket.send(type="resume", message_id=str(answer.pk), after_seq=7)
    frame = await socket.receive()
    assert (frame["is_complete"], frame["status"], frame["full_response"]) == (True, "interrupted", "saved")


@pytest.mark.parametrize("number", ["1e999", "true"])
async def test_what_is_no_number_of_a_frame_is_answered(
    number: str, session: ChatSession, member: User, open_socket: Any
) -> None:
    socket = await open_socket(member, session.pk)
    await socket.communicator.send_to(
        text_data=f'{{"type":"resume","message_id":"{uuid.uuid4()}","after_seq":{number}}}'
    )
    assert (await socket.receive())["error_type"] == "invalid_request"


async def test_unknown_socket_addresses_are_refused_before_accept(member: User, open_socket: Any) -> None:
    assert await open_socket(member, "abc") == 4404


async def test_a_new_password_ends_the_sockets_of_the_old_one(
    session: ChatSession, member: User, open_socket: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chat.socket_guard.RECHECK_SECONDS", 0.1)
    socket = await open_socket(member, session.pk)
    member.set_password("another good password")
    await member.asave()
    assert (await socket.communicator.receive_output(timeout=10))["code"] == 4401


async def test_sockets_that_end_with_redis_give_their_places_back(
    session: ChatSession, member: User, open_socket: Any, settings: Any
) -> None:
    settings.CHANNEL_LAYERS = {
        "default": {
            "BACKEND": "cloneai.redis_layer.RedisChannelLayer",
            "CONFIG": {"url": "redis://127.0.0.1:1/0"},
        }
    }
    for _ in range(3):
        socket = await open_socket(member, session.pk)
        assert (await socket.communicator.receive_output(timeout=10))["code"] == 4503
    assert count_sockets() == 0
    assert not watch_of_this_loop().sockets


async def test_socket_is_looked_after_again_when_the_database_has_been_away(
    session: ChatSession, member: User, open_socket: Any
) -> None:
    socket = await open_socket(member, session.pk)
    await run_in_thread(run_sql, "ALTER TABLE chat_chatsession RENAME TO away")
    try:
        for watched in watch_of_this_loop().sockets:
            watched.wake()
        await asyncio.sleep(0.3)
    finally:
        await run_in_thread(run_sql, "ALTER TABLE away RENAME TO chat_chatsession")
    await run_in_thread(Session.objects.all().delete)
    assert (await socket.communicator.receive_output(timeout=10))["code"] == 4401


async def test_a_socket_that_ends_with_the_database_leaves_its_group(
    session: ChatSession, member: User, open_socket: Any
) -> None:
    """Nobody calls `disconnect` then."""
    socket = await open_socket(member, session.pk)
    layer: Any = get_channel_layer()
    assert list(layer.groups) == [session_group(session.pk)]
    end = {"type": "ai_response_chunk", "message_id": str(uuid.uuid4()), "seq": 0, "is_complete": False}
    await send_to_session(session_id=session.pk, frame=end)
    await socket.receive()
    await run_in_thread(run_sql, "ALTER TABLE chat_message RENAME TO away")
    try:  # its end comes, with frames missing before it
        await send_to_session(session_id=session.pk, frame={**end, "seq": 9, "is_complete": True})
        assert (await socket.communicator.receive_output(timeout=10))["code"] == 4503
    finally:
        await run_in_thread(run_sql, "ALTER TABLE away RENAME TO chat_message")
    assert not layer.groups


def run_sql(sql: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql)
