"""Turns over a real HTTP provider: well, failing, stopped, and without anybody watching."""

import asyncio
import uuid
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection

from billing.models import CostRecord, Outcome, Purpose, Reservation, ReservationState
from chat import streaming
from chat.models import ChatSession, Message, MessageStatus
from chat.tests.conftest import asked_for_answers
from chat.turn_records import request_stop
from chat.turns import TurnRefused, regenerate_answer, start_turn, stop_answer, wait_for_answer
from cloneai.accounts.models import User
from cloneai.local_ai.faults import Fault
from cloneai.local_ai.testing import FakeProvider
from cloneai.threads import run_in_thread
from clones.models import Clone
from knowledge.models import Document

pytestmark = pytest.mark.django_db(transaction=True)

QUESTION = "How long does the pepper soup simmer?"
LONG = " ".join(f"It simmers for twenty-five minutes, says line {line}." for line in range(30))
SLOW = Fault(path="/chat/completions", chunk_delay_seconds=0.15)


@pytest.fixture
def talk(session: ChatSession, member: User) -> Any:
    """Asks and waits for the finished answer; no socket takes part."""

    async def ask(question: str = QUESTION) -> Message:
        started = await start_turn(session=session, content=question)
        return await wait_for_answer(answer_id=started.answer_id, timeout_seconds=30)

    return ask


async def test_answer_is_written_without_any_socket(
    provider: FakeProvider, material: Document, talk: Any
) -> None:
    answer = await talk()
    assert answer.status == MessageStatus.COMPLETE
    assert "twenty-five minutes" in answer.content
    assert answer.model == "gpt-4o-mini" or answer.model == "gpt-4.1"
    assert answer.cost_usd > 0
    assert answer.input_tokens > 0
    assert answer.output_tokens > 0
    assert answer.time_to_first_token_ms is not None


async def test_prompt_holds_persona_passages_and_question_and_no_key(
    provider: FakeProvider, material: Document, talk: Any
) -> None:
    await talk()
    request = asked_for_answers(provider)[-1]
    system, question = request.json["messages"][0]["content"], request.json["messages"][-1]["content"]
    assert system.startswith("You are Ada Berg, a coach for people who lead their first team.")
    assert "Simmer it for twenty-five minutes." in system
    assert question == QUESTION
    assert "sk-test-secret" not in system


async def test_follow_up_is_searched_for_by_what_it_means_and_asked_as_it_stands(
    provider: FakeProvider, material: Document, talk: Any
) -> None:
    first = await talk(QUESTION)
    answer = await talk("And how many peppers?")
    assert first.query_used == QUESTION
    assert answer.query_used.startswith("And how many peppers, regarding")
    assert "soup" in answer.query_used
    assert "four red peppers" in answer.content
    assert asked_for_answers(provider)[-1].json["messages"][-1]["content"] == "And how many peppers?"
    assert await CostRecord.objects.filter(message_id=answer.pk, purpose=Purpose.REWRITE).acount() == 1


async def test_history_reaches_the_model_in_order(
    provider: FakeProvider, material: Document, talk: Any
) -> None:
    first = await talk("How long does the pepper soup simmer?")
    await talk("When should I give feedback?")
    sent = asked_for_answers(provider)[-1].json["messages"]
    assert [message["role"] for message in sent] == ["system", "user", "assistant", "user"]
    assert sent[2]["content"] == first.content


@pytest.mark.parametrize(
    ("fault", "error_type"),
    [
        (Fault(path="/chat/completions", status=401), "authentication"),
        (Fault(path="/chat/completions", status=400), "invalid_request"),
    ],
)
async def test_a_failing_call_fails_the_answer_with_a_message_for_people(
    fault: Fault, error_type: str, provider: FakeProvider, material: Document, talk: Any
) -> None:
    provider.always(fault)
    answer = await talk()
    assert answer.status == MessageStatus.FAILED
    assert answer.error_type == error_type
    assert answer.error_message.endswith((".", "!"))
    assert "sk-test-secret" not in answer.error_message
    assert not await Reservation.objects.filter(state=ReservationState.OPEN).aexists()


async def test_words_alone_are_searched_when_the_question_cannot_be_embedded(
    provider: FakeProvider, material: Document, talk: Any
) -> None:
    provider.always(Fault(path="/embeddings", status=400))
    answer = await talk()
    assert answer.status == MessageStatus.COMPLETE
    assert "twenty-five minutes" in answer.content


async def test_retry_after_a_failure_answers(
    provider: FakeProvider, material: Document, session: ChatSession, member: User, talk: Any
) -> None:
    provider.next(Fault(path="/chat/completions", status=401))
    failed = await talk()
    started = await regenerate_answer(session=session, answer_id=failed.pk)
    answer = await wait_for_answer(answer_id=started.answer_id, timeout_seconds=30)
    assert answer.status == MessageStatus.COMPLETE
    assert await session.messages.filter(is_current=True).acount() == 2


async def test_stream_that_breaks_keeps_its_text_as_interrupted(
    provider: FakeProvider, material: Document, talk: Any
) -> None:
    provider.next(Fault(path="/chat/completions", reset_after_chunks=3))
    answer = await talk()
    assert answer.status == MessageStatus.INTERRUPTED
    assert answer.content
    assert answer.error_message
    assert answer.chunk_ends[-1] == len(answer.content)
    assert await CostRecord.objects.filter(purpose=Purpose.CHAT, outcome=Outcome.FAILED).acount() == 1


async def test_stop_keeps_what_was_said_and_charges_for_it(
    provider: FakeProvider, material: Document, session: ChatSession, member: User
) -> None:
    provider.next(SLOW)
    started = await start_turn(session=session, content=QUESTION)
    async with asyncio.timeout(20):
        while not asked_for_answers(provider):  # noqa: ASYNC110  (another thread's list)
            await asyncio.sleep(0.05)
    await asyncio.sleep(0.5)
    await stop_answer(session=session, answer_id=started.answer_id)
    answer = await wait_for_answer(answer_id=started.answer_id, timeout_seconds=5)
    assert answer.status == MessageStatus.STOPPED
    record = await CostRecord.objects.aget(purpose=Purpose.CHAT)
    assert record.outcome == Outcome.STOPPED
    assert record.cost_usd > Decimal(0)


async def test_second_message_while_an_answer_is_written_is_refused(
    provider: FakeProvider, material: Document, session: ChatSession, member: User
) -> None:
    provider.next(SLOW)
    started = await start_turn(session=session, content=QUESTION)
    with pytest.raises(TurnRefused, match="still being written"):
        await start_turn(session=session, content="And then?")
    await stop_answer(session=session, answer_id=started.answer_id)
    await wait_for_answer(answer_id=started.answer_id, timeout_seconds=10)


async def test_twenty_sends_of_one_client_message_id_are_one_turn(
    provider: FakeProvider, material: Document, session: ChatSession, member: User
) -> None:
    client_message_id = uuid.uuid4()
    turns = await asyncio.gather(
        *(
            start_turn(session=session, content=QUESTION, client_message_id=client_message_id)
            for _ in range(20)
        )
    )
    await wait_for_answer(answer_id=turns[0].answer_id, timeout_seconds=30)
    assert len({turn.answer_id for turn in turns}) == 1
    assert len(asked_for_answers(provider)) == 1
    assert await session.messages.acount() == 2
    assert await CostRecord.objects.filter(purpose=Purpose.CHAT).acount() == 1


async def test_exhausted_budget_refuses_before_the_provider_is_asked(
    provider: FakeProvider, material: Document, member: User, talk: Any
) -> None:
    await User.objects.filter(pk=member.pk).aupdate(daily_cost_limit_usd=Decimal("0.0000001"))
    asked_before = len(provider.requests)
    answer = await talk()
    assert answer.status == MessageStatus.FAILED
    assert answer.error_type == "budget_exceeded"
    assert 0 < answer.error_retry_after_seconds <= 86_400
    assert len(provider.requests) == asked_before


async def test_invalid_markers_of_the_model_never_reach_the_reader(
    provider: FakeProvider, material: Document, talk: Any
) -> None:
    provider.next(Fault(path="/chat/completions", answer="It simmers long [9]. Twenty-five minutes [1]."))
    answer = await talk()
    assert answer.content == "It simmers long. Twenty-five minutes [1]."
    assert [citation.number async for citation in answer.citations.all()] == [1]


async def test_open_clone_without_passages_answers_as_general_and_records_the_gap(
    provider: FakeProvider, material: Document, clone: Clone, talk: Any
) -> None:
    await Clone.objects.filter(pk=clone.pk).aupdate(is_strict=False, similarity_threshold=0.99)
    provider.next(Fault(path="/chat/completions", json_answer={"queries": []}))  # the poor search's phrasings
    provider.next(Fault(path="/chat/completions", answer="My material does not cover it. In general, yes."))
    answer = await talk("Zyzzyva quokka?")
    assert answer.content.startswith("My material does not cover it.")
    assert "NO PASSAGE" in asked_for_answers(provider)[-1].json["messages"][0]["content"]
    assert await clone.knowledge_gaps.acount() == 1
    assert await answer.citations.acount() == 0


async def test_a_stop_that_the_channel_layer_lost_is_found_in_the_database(
    material: Document, session: ChatSession, provider: FakeProvider
) -> None:
    provider.always(Fault(path="/chat/completions", answer=LONG, chunk_delay_seconds=0.05))
    started = await start_turn(session=session, content=QUESTION)
    assert await run_in_thread(request_stop, session_id=session.pk, answer_id=started.answer_id)
    answer = await wait_for_answer(answer_id=started.answer_id, timeout_seconds=20)
    assert answer.status == MessageStatus.STOPPED
    assert 0 < len(answer.content) < len(LONG)


CONNECTION_LOST, BROKEN_RULE = "08006", "23514"
ENDS_AN_ANSWER = (
    "UPDATE ON chat_message FOR EACH ROW WHEN (NEW.role = 'assistant' AND NEW.status = 'complete')"
)


@pytest.fixture
def break_once(db: None) -> Iterator[Callable[..., None]]:
    """`break_once(code)`: PostgreSQL refuses the first complete answer with this error code."""

    def install(code: str, event: str = ENDS_AN_ANSWER) -> None:
        with connection.cursor() as cursor:
            cursor.execute(
                f"""CREATE SEQUENCE breaks;
                CREATE FUNCTION break_once() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                    IF nextval('breaks') = 1 THEN RAISE EXCEPTION 'broken by a test' USING ERRCODE = '{code}'; END IF;
                    RETURN NEW;
                END $$;
                CREATE TRIGGER break_once BEFORE {event} EXECUTE FUNCTION break_once()"""
            )

    yield install
    with connection.cursor() as cursor:
        cursor.execute("DROP FUNCTION IF EXISTS break_once CASCADE; DROP SEQUENCE IF EXISTS breaks")


async def test_an_answer_that_the_database_fails_says_so(
    material: Document, session: ChatSession, break_once: Any
) -> None:
    await run_in_thread(break_once, CONNECTION_LOST, "INSERT ON billing_reservation FOR EACH ROW")
    started = await start_turn(session=session, content=QUESTION)
    answer = await wait_for_answer(answer_id=started.answer_id, timeout_seconds=20)
    assert (answer.status, answer.error_type) == (MessageStatus.FAILED, "connection")
    assert answer.error_message == "Connection error. Please try again."


async def test_an_answer_is_saved_when_the_database_is_away_at_its_end(
    material: Document, session: ChatSession, provider: FakeProvider, break_once: Any
) -> None:
    await run_in_thread(break_once, CONNECTION_LOST)
    provider.next(Fault(path="/chat/completions", answer=LONG))
    started = await start_turn(session=session, content=QUESTION)
    answer = await wait_for_answer(answer_id=started.answer_id, timeout_seconds=20)
    assert (answer.status, answer.content) == (MessageStatus.COMPLETE, LONG)


async def test_an_answer_that_cannot_be_saved_whole_keeps_its_text(
    material: Document, session: ChatSession, provider: FakeProvider, break_once: Any
) -> None:
    await run_in_thread(break_once, BROKEN_RULE)
    provider.always(Fault(path="/chat/completions", answer=LONG))
    started = await start_turn(session=session, content=QUESTION)
    answer = await wait_for_answer(answer_id=started.answer_id, timeout_seconds=10)
    assert (answer.status, answer.content) == (MessageStatus.INTERRUPTED, LONG)
    again = await regenerate_answer(session=session, answer_id=answer.pk)
    answer = await wait_for_answer(answer_id=again.answer_id, timeout_seconds=20)
    assert (answer.status, answer.content) == (MessageStatus.COMPLETE, LONG)


async def test_a_process_that_is_told_to_stop_ends_its_answers_with_their_text(
    material: Document, session: ChatSession, provider: FakeProvider
) -> None:
    provider.always(Fault(path="/chat/completions", answer=LONG, chunk_delay_seconds=0.05))
    started = await start_turn(session=session, content=QUESTION)
    async with asyncio.timeout(20):
        while not (writer := streaming._running.get(started.answer_id)) or len(writer.text) < 40:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    await streaming.interrupt_running_answers()
    answer = await Message.objects.aget(pk=started.answer_id)
    assert answer.status == MessageStatus.INTERRUPTED
    assert len(answer.content) >= 40
    assert not await Reservation.objects.filter(state=ReservationState.OPEN).aexists()
