"""The whole way of a call: reserved, made, settled, recorded."""

import asyncio
import time
from contextlib import aclosing
from decimal import Decimal
from typing import Any
from unittest.mock import patch

import pydantic
import pytest
from django.db import DatabaseError, connections

from billing.metered_call import _settle_call as settle_call
from billing.metering import (
    BudgetExceeded,
    ChatResult,
    MeteredCallError,
    Payer,
    Purpose,
    TextDelta,
    complete_chat,
    complete_structured,
    embed_texts,
    embed_then,
    stream_chat,
)
from billing.models import CostRecord, ModelPrice, Reservation, SpendAccount
from billing.reconciliation import find_differences
from billing.tests.conftest import EMBEDDING_MODEL, MESSAGES, MODEL, NOBODY
from billing.tests.fake_provider import (
    ANSWER,
    DONE,
    PIECES,
    FakeProvider,
    chunk,
    completion,
    event,
    hang,
    json_reply,
    stream,
    usage_chunk,
)
from cloneai.accounts.models import User
from cloneai.threads import run_in_thread
from clones.models import Clone

pytestmark = pytest.mark.django_db(transaction=True)

# gpt-4o-mini: 20 input tokens at $0.15 and 7 output tokens at $0.60 per million.
COST = Decimal("0.0000072000")


def call_chat(payer: Payer = NOBODY, *, max_output_tokens: int = 100, model: str = MODEL) -> ChatResult:
    return asyncio.run(
        complete_chat(
            payer=payer,
            purpose=Purpose.CHAT,
            model=model,
            messages=MESSAGES,
            max_output_tokens=max_output_tokens,
            temperature=0.5,
        )
    )


async def read_stream(*, stop_after: int | None = None) -> list[TextDelta | ChatResult]:
    found: list[TextDelta | ChatResult] = []
    answer = stream_chat(
        payer=NOBODY,
        purpose=Purpose.CHAT,
        model=MODEL,
        messages=MESSAGES,
        max_output_tokens=100,
        temperature=0.5,
    )
    async with aclosing(answer):
        async for item in answer:
            found.append(item)
            if len(found) == stop_after:
                break
    return found


def totals() -> tuple[Decimal, Decimal]:
    account = SpendAccount.objects.get(scope="platform")
    return account.settled_usd, account.reserved_usd


def test_answer_is_settled_at_the_providers_figures(provider: FakeProvider) -> None:
    result = call_chat()
    record = CostRecord.objects.get()
    assert (result.text, result.finish_reason, result.cost_usd) == (ANSWER, "stop", COST)
    assert (record.cost_usd, record.input_tokens, record.output_tokens) == (COST, 20, 7)
    assert (record.outcome, record.error_type, record.retries) == ("success", "", 0)
    assert totals() == (COST, Decimal(0))
    assert Reservation.objects.get().state == "settled"


def test_cached_input_is_charged_at_its_own_price(provider: FakeProvider) -> None:
    usage = {"prompt_tokens": 20, "completion_tokens": 7, "prompt_tokens_details": {"cached_tokens": 20}}
    provider.replies = [json_reply(completion(usage=usage))]
    assert call_chat().cost_usd == Decimal("0.0000057000")


def test_record_points_to_what_the_call_was_for(provider: FakeProvider, member: User, clone: Clone) -> None:
    call_chat(Payer(user_id=member.pk, clone_id=clone.pk))
    record = CostRecord.objects.get()
    assert (record.user, record.clone) == (member, clone)
    scopes = SpendAccount.objects.values_list("scope", "owner_id", "settled_usd")
    assert set(scopes) == {("platform", 0, COST), ("user", member.pk, COST), ("clone", clone.pk, COST)}


def test_record_survives_a_payer_that_was_deleted_meanwhile(provider: FakeProvider, member: User) -> None:
    gone = member.pk

    def delete_member(handler: Any, body: dict[str, Any]) -> None:
        User.objects.filter(pk=gone).delete()
        connections.close_all()  # those of the server's thread
        handler.send_json(completion())

    provider.replies = [delete_member]
    call_chat(Payer(user_id=gone, clone_id=None))
    assert CostRecord.objects.get().user is None
    assert SpendAccount.objects.get(scope="user", owner_id=gone).settled_usd == COST


def test_stream_gives_pieces_then_one_settled_result(provider: FakeProvider) -> None:
    *pieces, result = asyncio.run(read_stream())
    assert [piece.text for piece in pieces if isinstance(piece, TextDelta)] == PIECES
    assert isinstance(result, ChatResult)
    assert (result.text, result.cost_usd) == (ANSWER, COST)
    assert result.time_to_first_token_ms is not None
    assert CostRecord.objects.get().time_to_first_token_ms == result.time_to_first_token_ms
    assert provider.requests[0]["stream_options"] == {"include_usage": True}


@pytest.mark.parametrize(
    "events",
    [
        [chunk(text=ANSWER), chunk(finish_reason="stop"), DONE],
        [chunk(text=ANSWER), chunk(finish_reason="stop"), usage_chunk()],
    ],
    ids=["without usage", "without DONE"],
)
def test_stream_that_says_less_than_it_should_still_succeeds(
    provider: FakeProvider, events: list[bytes]
) -> None:
    provider.replies = [stream(*events)]
    *_, result = asyncio.run(read_stream())
    assert isinstance(result, ChatResult)
    assert result.text == ANSWER
    assert result.usage.output_tokens in (6, 7)
    assert CostRecord.objects.get().outcome == "success"


@pytest.mark.parametrize("then", ["stall", "reset"])
def test_answer_that_was_finished_is_not_lost_with_its_figures(
    provider: FakeProvider, settings: Any, then: str
) -> None:
    settings.AI_STALL_TIMEOUT_SECONDS = 0.3
    provider.replies = [stream(chunk(text=ANSWER), chunk(finish_reason="stop"), then=then)]
    *_, result = asyncio.run(read_stream())
    assert isinstance(result, ChatResult)
    record = CostRecord.objects.get()
    assert (result.text, record.outcome, record.output_tokens) == (ANSWER, "success", 6)


def test_closing_the_stream_charges_the_tokens_seen(provider: FakeProvider) -> None:
    provider.replies = [stream(chunk(text="Listen first"), then="stall")]
    asyncio.run(read_stream(stop_after=1))
    record = CostRecord.objects.get()
    assert (record.outcome, record.output_tokens) == ("stopped", 2)
    assert record.input_tokens == Reservation.objects.get().input_tokens
    assert totals() == (record.cost_usd, Decimal(0))


@pytest.mark.parametrize("is_stream", [True, False])
def test_cancelled_call_is_settled_before_the_cancellation_goes_on(
    provider: FakeProvider, is_stream: bool
) -> None:
    provider.replies = [stream(chunk(text="Listen first"), then="stall") if is_stream else hang]

    async def cancel_when_asked() -> None:
        work = (
            read_stream()
            if is_stream
            else complete_chat(
                payer=NOBODY,
                purpose="chat",
                model=MODEL,
                messages=MESSAGES,
                max_output_tokens=9,
                temperature=0,
            )
        )
        task = asyncio.create_task(work)  # type: ignore[arg-type]
        await asyncio.to_thread(provider.asked.wait, 10)
        await asyncio.sleep(0.1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        provider.hung_up.set()

    asyncio.run(cancel_when_asked())
    record = CostRecord.objects.get()
    assert record.outcome == "stopped"
    assert record.cost_usd > 0
    assert totals() == (record.cost_usd, Decimal(0))


def test_call_over_the_limit_never_reaches_the_provider(provider: FakeProvider, settings: Any) -> None:
    settings.DAILY_COST_LIMIT = Decimal("0.00001")
    with pytest.raises(MeteredCallError) as caught:
        call_chat()
    assert caught.value.error_type == "budget_exceeded"
    assert 0 < (caught.value.retry_after or 0) <= 86_400
    assert provider.requests == []
    assert not Reservation.objects.exists()
    assert not SpendAccount.objects.exclude(reserved_usd=0).exists()


def test_a_refusal_by_one_limit_holds_nothing_against_the_others(
    provider: FakeProvider, settings: Any, member: User, clone: Clone
) -> None:
    settings.USER_DAILY_COST_LIMIT = Decimal(0)
    with pytest.raises(MeteredCallError, match="user"):
        call_chat(Payer(user_id=member.pk, clone_id=clone.pk))
    assert not SpendAccount.objects.exists()


@pytest.mark.parametrize("limited", ["user", "clone"])
def test_own_limits_of_person_and_clone_count(
    provider: FakeProvider, member: User, clone: Clone, limited: str
) -> None:
    owner: User | Clone = member if limited == "user" else clone
    owner.daily_cost_limit_usd = Decimal("0.00001")
    owner.save()
    with pytest.raises(MeteredCallError, match=limited):
        call_chat(Payer(user_id=member.pk, clone_id=clone.pk))
    assert provider.requests == []


def test_unpriced_model_is_refused(provider: FakeProvider) -> None:
    with pytest.raises(MeteredCallError, match="gpt-unheard-of") as caught:
        call_chat(model="gpt-unheard-of")
    assert caught.value.error_type == "unpriced_model"
    assert provider.requests == []


def test_free_model_is_reserved_and_recorded(provider: FakeProvider) -> None:
    ModelPrice.objects.create(
        model="free", input_usd_per_million=0, cached_input_usd_per_million=0, output_usd_per_million=0
    )
    assert call_chat(model="free").cost_usd == 0
    assert CostRecord.objects.get().input_tokens == 20
    assert Reservation.objects.get().amount_usd == 0


class Verdict(pydantic.BaseModel):
    topic: str
    score: int


def ask_verdict() -> Any:
    return asyncio.run(
        complete_structured(
            payer=NOBODY,
            purpose=Purpose.SUMMARY,
            model=MODEL,
            messages=MESSAGES,
            schema=Verdict,
            max_output_tokens=50,
            temperature=0,
        )
    )


def test_structured_answer_is_validated(provider: FakeProvider) -> None:
    provider.replies = [json_reply(completion(text='{"topic":"feedback","score":3}'))]
    assert ask_verdict().value == Verdict(topic="feedback", score=3)
    asked = provider.requests[0]["response_format"]["json_schema"]
    assert asked["strict"] is True
    assert asked["schema"]["additionalProperties"] is False


@pytest.mark.parametrize(
    ("answer", "error_type"),
    [
        (completion(text='{"topic":"feedback"}'), "unknown"),
        (completion(text="Certainly! Here it is."), "unknown"),
        (completion(text='{"topic":"feedback","score":3}', finish_reason="length"), "unknown"),
        (completion(text=None, refusal="I will not."), "invalid_request"),
        (completion(text=None, finish_reason="content_filter"), "invalid_request"),
    ],
    ids=["missing field", "prose", "cut off", "refusal", "filtered"],
)
def test_unusable_structured_answer_is_an_error_and_charged(
    provider: FakeProvider, answer: dict[str, Any], error_type: str
) -> None:
    provider.replies = [json_reply(answer)]
    with pytest.raises(MeteredCallError) as caught:
        ask_verdict()
    record = CostRecord.objects.get()
    assert caught.value.error_type == record.error_type == error_type
    assert record.cost_usd == COST


def embed(texts: list[str]) -> Any:
    return asyncio.run(
        embed_texts(
            payer=NOBODY, purpose=Purpose.QUERY_EMBEDDING, texts=texts, model=EMBEDDING_MODEL, dimensions=4
        )
    )


def test_vectors_come_in_the_texts_order(provider: FakeProvider) -> None:
    result = embed(["a", "b", "c"])
    assert result.vectors.shape == (3, 4)
    assert result.vectors.dtype == "float32"
    assert list(result.vectors[:, 0]) == [1, 2, 3]
    assert CostRecord.objects.get().cost_usd == Decimal("0.0000006500")


def test_no_texts_need_no_call(provider: FakeProvider) -> None:
    assert embed([]).vectors.shape == (0, 4)
    assert provider.requests == []


async def embed_then_use(use: Any) -> Any:
    return await embed_then(
        payer=NOBODY, purpose=Purpose.QUERY_EMBEDDING, text="a", model=EMBEDDING_MODEL, dimensions=4, use=use
    )


def test_vector_is_used_while_the_call_is_being_settled(provider: FakeProvider) -> None:
    async def use(vector: Any) -> tuple[int, bool]:
        return len(vector), await run_in_thread(Reservation.objects.filter(state="open").exists)

    with patch("billing.metered_call._settle_call", side_effect=slow_settlement):
        assert asyncio.run(embed_then_use(use)) == (4, True)
    assert CostRecord.objects.get().outcome == "success"
    assert totals() == (CostRecord.objects.get().cost_usd, Decimal(0))


def slow_settlement(**arguments: Any) -> Any:
    time.sleep(0.3)
    return settle_call(**arguments)


def test_use_that_fails_leaves_the_call_settled_as_it_was(provider: FakeProvider) -> None:
    async def fail(_vector: Any) -> None:
        raise LookupError

    with pytest.raises(LookupError):
        asyncio.run(embed_then_use(fail))
    assert CostRecord.objects.get().outcome == "success"
    assert not find_differences()


def test_vector_that_cannot_be_settled_is_not_used_to_the_end(provider: FakeProvider) -> None:
    heard: list[str] = []

    async def use(_vector: Any) -> None:
        try:
            await asyncio.sleep(30)
        except asyncio.CancelledError:
            await asyncio.sleep(0.05)
            heard.append("use ended")
            raise

    async def embed() -> None:
        with pytest.raises(DatabaseError):
            await embed_then_use(use)
        heard.append("embed_then returned")

    with patch("billing.metered_call._settle_call", side_effect=DatabaseError):
        asyncio.run(embed())
    assert heard == ["use ended", "embed_then returned"]


def test_event_without_choices_is_no_fault(provider: FakeProvider) -> None:
    provider.replies = [
        stream(event({"choices": []}), chunk(text=ANSWER), chunk(finish_reason="stop"), usage_chunk(), DONE)
    ]
    *_, result = asyncio.run(read_stream())
    assert isinstance(result, ChatResult)


def test_parallel_calls_stay_within_the_limit_and_refused_ones_are_never_sent(
    provider: FakeProvider, settings: Any
) -> None:
    settings.DAILY_COST_LIMIT = Decimal("0.001")

    async def ask_at_once() -> list[Any]:
        calls = [
            complete_chat(
                payer=NOBODY,
                purpose="chat",
                model=MODEL,
                messages=MESSAGES,
                max_output_tokens=200,
                temperature=0,
            )
            for _ in range(40)
        ]
        return await asyncio.gather(*calls, return_exceptions=True)

    results = asyncio.run(ask_at_once())
    answered = [result for result in results if isinstance(result, ChatResult)]
    refused = [result for result in results if isinstance(result, BudgetExceeded)]
    assert len(answered) + len(refused) == 40
    assert refused
    assert len(provider.requests) == len(answered) == CostRecord.objects.count()
    assert totals() == (len(answered) * COST, Decimal(0))
    assert find_differences() == []
