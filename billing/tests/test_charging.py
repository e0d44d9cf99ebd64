"""Which figures a call is charged by: a provider's that can be true, or our own."""

import asyncio
from decimal import Decimal
from typing import Any

import pytest

from billing.calls import CallTrace, Usage
from billing.charging import find_charged_usage
from billing.models import CostRecord, Outcome, Reservation
from billing.tests.conftest import MODEL
from billing.tests.fake_provider import FakeProvider, chunk, completion, event, json_reply, stream
from billing.tests.test_metering import call_chat, read_stream, totals


def reservation(**fields: Any) -> Reservation:
    """20 tokens in and at most 100 out, at a dollar a million."""
    return Reservation(
        **{
            "model": MODEL,
            "input_tokens": 20,
            "max_output_tokens": 100,
            "amount_usd": Decimal("0.00012"),
            "input_usd_per_million": Decimal(1),
            "cached_input_usd_per_million": Decimal(1),
            "output_usd_per_million": Decimal(1),
            **fields,
        }
    )


def trace(**fields: Any) -> CallTrace:
    return CallTrace(**{"is_answered": True, "finish_reason": "stop", **fields})


def charge(call: CallTrace, outcome: Outcome = Outcome.SUCCESS, **fields: Any) -> tuple[int, int] | None:
    usage = find_charged_usage(trace=call, reservation=reservation(**fields), outcome=outcome)
    return usage and (usage.input_tokens, usage.output_tokens)


def test_reported_figures_are_booked_also_above_what_was_counted() -> None:
    assert charge(trace(usage=Usage(45, 0, 130))) == (45, 130)


@pytest.mark.parametrize("usage", [Usage(10**15, 0, 7), Usage(20, 0, 10**15), Usage(20, 0, 0)])
def test_figures_that_cannot_be_true_are_not_booked(usage: Usage, caplog: pytest.LogCaptureFixture) -> None:
    assert charge(trace(usage=usage, pieces=["Listen first"])) == (20, 2)
    assert "cannot be" in caplog.text


def test_figures_of_a_streams_beginning_do_not_make_its_text_free() -> None:
    broken = trace(usage=Usage(22, 0, 0), pieces=["Listen first"], finish_reason="")
    assert charge(broken, Outcome.STOPPED) == (22, 2)


def test_request_that_was_never_sent_owes_nothing() -> None:
    assert charge(CallTrace(), Outcome.FAILED) is None


def test_lost_tries_are_charged_as_far_as_money_was_held() -> None:
    assert charge(CallTrace(lost=3), Outcome.FAILED) == (60, 0)
    assert charge(trace(usage=Usage(20, 0, 90), lost=3)) == (20 + 10, 90)
    assert charge(trace(usage=Usage(20, 0, 130), lost=3)) == (20, 130)
    assert charge(CallTrace(lost=3), Outcome.FAILED, input_usd_per_million=Decimal(0)) == (60, 0)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    "usage",
    [
        {"prompt_tokens": 10**15, "completion_tokens": 10**15},
        {"prompt_tokens": 0, "completion_tokens": 0},
        {"prompt_tokens": 5},
        {"prompt_tokens": -1, "completion_tokens": 7},
        {"prompt_tokens": "20", "completion_tokens": "7"},
        {"prompt_tokens": 20.5, "completion_tokens": 7.5},
        [20, 7],
        None,
    ],
    ids=["absurd", "zero", "no output", "negative", "text", "fractions", "list", "none"],
)
def test_senseless_usage_makes_no_answer_free_and_none_unpayable(
    provider: FakeProvider, usage: object
) -> None:
    provider.replies = [json_reply(completion(usage=usage))]
    result = call_chat()
    record = CostRecord.objects.get()
    assert (record.input_tokens, record.output_tokens) == (Reservation.objects.get().input_tokens, 6)
    assert record.cost_usd == result.cost_usd > 0
    assert totals() == (record.cost_usd, Decimal(0))


@pytest.mark.django_db(transaction=True)
def test_stopping_a_stream_that_reports_as_it_goes_is_charged_by_tokens_seen(provider: FakeProvider) -> None:
    begun = {"choices": [], "usage": {"prompt_tokens": 20, "completion_tokens": 0}}
    provider.replies = [stream(event(begun), chunk(text="Listen first"), then="stall")]
    asyncio.run(read_stream(stop_after=1))
    record = CostRecord.objects.get()
    assert (record.outcome, record.input_tokens, record.output_tokens) == ("stopped", 20, 2)
