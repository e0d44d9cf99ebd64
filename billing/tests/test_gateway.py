"""The fault matrix: what the provider does wrong, what the person is told, and what is charged."""

import asyncio
import logging
import socket
from collections.abc import Callable, Iterator
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from email.utils import format_datetime
from typing import Any

import pytest

from billing.calls import ChatMessage
from billing.errors import USER_MESSAGES
from billing.gateway.client import shared_client
from billing.metering import (
    MeteredCallError,
    Purpose,
    complete_chat,
    embed_texts,
    list_models,
    stream_chat,
)
from billing.models import CostRecord, Reservation, SpendAccount
from billing.performance import performance_report
from billing.tests.conftest import EMBEDDING_MODEL, MESSAGES, MODEL, NOBODY
from billing.tests.fake_provider import (
    ANSWER,
    DONE,
    FakeProvider,
    Handler,
    Reply,
    chunk,
    completion,
    embeddings,
    event,
    hang,
    json_reply,
    raw,
    refusal,
    stream,
    usage_chunk,
)
from cloneai.accounts.models import User

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("quick_retries")]


@pytest.fixture(autouse=True)
def nothing_secret_is_logged(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Holds for every fault: neither the key, nor what the provider said, nor a trace gets into the log."""
    caplog.set_level(logging.INFO)
    yield
    logged = "\n".join(record.getMessage() for record in caplog.get_records("call"))
    assert not any(record.exc_info for record in caplog.get_records("call"))
    for secret in ("sk-secret", "Incorrect API key", "Traceback", "How do I give feedback"):
        assert secret not in logged


async def ask(*, model: str = MODEL, messages: list[ChatMessage] = MESSAGES) -> Any:
    return await complete_chat(
        payer=NOBODY,
        purpose=Purpose.CHAT,
        model=model,
        messages=messages,
        max_output_tokens=100,
        temperature=0.5,
    )


async def read_stream() -> list[Any]:
    answer = stream_chat(
        payer=NOBODY,
        purpose=Purpose.CHAT,
        model=MODEL,
        messages=MESSAGES,
        max_output_tokens=100,
        temperature=0.5,
    )
    async with aclosing(answer):
        return [item async for item in answer]


async def embed() -> Any:
    return await embed_texts(
        payer=NOBODY, purpose=Purpose.CHECK, texts=["one", "two"], model=EMBEDDING_MODEL, dimensions=4
    )


def fail(work: Callable[[], Any], *, error_type: str | set[str]) -> tuple[MeteredCallError, CostRecord]:
    """Runs a call that must fail, and checks what every failure has in common."""
    with pytest.raises(MeteredCallError) as caught:
        asyncio.run(work())
    error, record = caught.value, CostRecord.objects.get()
    assert error.error_type in ({error_type} if isinstance(error_type, str) else error_type)
    error_type = error.error_type
    assert error.user_message == USER_MESSAGES[error.error_type]
    assert (record.outcome, record.error_type) == ("failed", error_type)
    account = SpendAccount.objects.get()
    assert (account.settled_usd, account.reserved_usd) == (record.cost_usd, Decimal(0))
    stored = [CostRecord.objects.values_list().get(), Reservation.objects.values_list().get()]
    assert "sk-secret" not in f"{error!r} {error} {error.detail} {error.user_message} {stored}"
    assert error.__cause__ is None  # a log would print it along
    assert error.__suppress_context__ or error.__context__ is None
    since = record.created_at - timedelta(minutes=1)
    reviewer = User.objects.create_superuser(email="metrics@example.com")
    report = performance_report(viewer=reviewer, since=since, until=since + timedelta(minutes=2))
    assert report.errors_by_type == {error_type: 1}
    return error, record


def input_cost(*, token_usd: str = "0.00000015") -> Decimal:
    """What the counted input alone costs, with gpt-4o-mini if no other price is given."""
    return Reservation.objects.get().input_tokens * Decimal(token_usd)


@pytest.mark.parametrize(
    ("status", "error_type", "requests"),
    [
        (400, "invalid_request", 1),
        (401, "authentication", 1),
        (403, "authentication", 1),
        (404, "invalid_request", 1),
        (408, "timeout", 4),
        (409, "unknown", 4),
        (422, "invalid_request", 1),
        (429, "rate_limit", 4),
        (500, "unknown", 4),
        (503, "unknown", 4),
    ],
)
@pytest.mark.parametrize("work", [ask, read_stream], ids=["whole", "stream"])
def test_refusal_by_status_is_free_and_retried_only_where_it_helps(
    provider: FakeProvider, work: Callable[[], Any], status: int, error_type: str, requests: int
) -> None:
    provider.replies = [refusal(status)] * 4
    _, record = fail(work, error_type=error_type)
    assert len(provider.requests) == requests
    assert (record.cost_usd, record.retries) == (0, requests - 1)
    assert Reservation.objects.get().state == "released"


def test_key_and_provider_text_stay_out_of_the_log(
    provider: FakeProvider, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    provider.replies = [refusal(401, code="invalid_api_key")]
    fail(ask, error_type="authentication")
    assert "invalid_api_key" in caplog.text
    assert "sk-secret" not in caplog.text
    assert "Traceback" not in caplog.text


@pytest.mark.parametrize(
    ("header", "expected"), [("7", 7), ("1.2", 2), (None, 60), ("soon", 60), ("nan", 60)]
)
def test_rate_limit_says_when_to_come_back(
    provider: FakeProvider, settings: Any, header: str | None, expected: int
) -> None:
    settings.AI_LONGEST_RETRY_WAIT_SECONDS = 0
    provider.replies = [refusal(429, retry_after=header)] * 4
    error, _ = fail(ask, error_type="rate_limit")
    assert error.retry_after == expected


def test_long_retry_after_is_passed_on_instead_of_waited_for(provider: FakeProvider) -> None:
    provider.replies = [refusal(429, retry_after="31")]
    error, _ = fail(ask, error_type="rate_limit")
    assert (error.retry_after, len(provider.requests)) == (31, 1)


def test_retry_after_may_be_a_date(provider: FakeProvider) -> None:
    provider.replies = [refusal(429, retry_after=format_datetime(datetime.now(UTC) + timedelta(minutes=3)))]
    error, _ = fail(ask, error_type="rate_limit")
    assert len(provider.requests) == 1
    assert 170 <= (error.retry_after or 0) <= 180


def test_retry_after_is_waited_for_and_the_retry_counted(provider: FakeProvider) -> None:
    provider.replies = [refusal(429, retry_after="0.01"), refusal(503)]
    result = asyncio.run(ask())
    assert (result.text, result.retries) == (ANSWER, 2)
    assert CostRecord.objects.get().retries == 2


def test_refused_connection_is_free(provider: FakeProvider, settings: Any) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        settings.OPENAI_BASE_URL = f"http://127.0.0.1:{closed.getsockname()[1]}/v1"
        error, record = fail(ask, error_type="connection")
    assert error.retry_after == 30
    assert (record.cost_usd, record.retries) == (0, 3)


def test_connect_timeout_is_free(provider: FakeProvider, settings: Any) -> None:
    """A listening socket whose queue is full never completes a handshake."""
    settings.AI_CONNECT_TIMEOUT_SECONDS = 0.05
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(full.getsockname())
        settings.OPENAI_BASE_URL = f"http://127.0.0.1:{full.getsockname()[1]}/v1"
        _, record = fail(ask, error_type="timeout")
        for filler in fillers:
            filler.close()
    assert record.cost_usd == 0


def test_read_timeout_is_charged_for_the_input_of_each_try(provider: FakeProvider, settings: Any) -> None:
    settings.AI_READ_TIMEOUT_SECONDS = 0.05
    provider.replies = [hang] * 4
    _, record = fail(ask, error_type="timeout")
    assert record.cost_usd == len(provider.requests) * input_cost() == 4 * input_cost() > 0


def test_whole_call_has_a_deadline_whatever_the_retries(provider: FakeProvider, settings: Any) -> None:
    settings.AI_CALL_TIMEOUT_SECONDS = 0.2
    provider.replies = [hang] * 4
    fail(ask, error_type="timeout")
    assert len(provider.requests) == 1


def cut_off(handler: Handler, body: dict[str, Any]) -> None:
    handler.reset()


def test_reset_before_the_answer_is_charged_for_the_input_of_each_try(provider: FakeProvider) -> None:
    provider.replies = [cut_off] * 4
    _, record = fail(ask, error_type="connection")
    assert record.cost_usd == 4 * input_cost() > 0
    assert record.retries == 3


def test_lost_try_is_charged_beside_the_answer_that_came(provider: FakeProvider) -> None:
    provider.replies = [cut_off]
    result = asyncio.run(ask())
    assert result.cost_usd == Decimal("0.0000072") + input_cost() == CostRecord.objects.get().cost_usd


def test_lost_tries_never_cost_more_than_was_held(provider: FakeProvider) -> None:
    provider.replies = [cut_off] * 4
    _, record = fail(embed, error_type="connection")
    assert record.cost_usd == Reservation.objects.get().amount_usd == input_cost(token_usd="0.00000013")


@pytest.mark.parametrize(
    ("reply", "error_type"),
    [
        (json_reply(completion(text="")), "unknown"),
        (json_reply(completion(text=None)), "unknown"),
        (json_reply(completion(text="x" * 10_000_000)), "unknown"),
        (json_reply(completion(text=None, finish_reason="content_filter")), "invalid_request"),
    ],
    ids=["empty", "null", "10 MB", "filtered"],
)
def test_useless_answer_is_charged_as_reported(provider: FakeProvider, reply: Reply, error_type: str) -> None:
    provider.replies = [reply]
    _, record = fail(ask, error_type=error_type)
    assert record.output_tokens == 7


@pytest.mark.parametrize(
    "reply",
    [
        raw(b"{"),
        raw(b"<html>"),
        raw(b"[]"),
        raw(b"null"),
        raw(b'{"choices":[]}'),
        raw(b'{"choices":[{"message":5}]}'),
    ],
    ids=["half JSON", "HTML", "list", "null", "no choice", "odd choice"],
)
def test_answer_that_is_no_completion_is_charged_for_the_input(provider: FakeProvider, reply: Reply) -> None:
    provider.replies = [reply]
    _, record = fail(ask, error_type="unknown")
    assert record.cost_usd == input_cost()


START = chunk(text="Listen first")


@pytest.mark.parametrize(
    ("reply", "error_type"),
    [
        (stream(START, then="reset"), "connection"),
        (stream(START, then="stall"), "timeout"),
        (stream(START), "unknown"),
        (stream(START, DONE), "unknown"),
        (stream(START, b"data: {nonsense\n\n"), "unknown"),
        (stream(START, b"data: 5\n\n"), "unknown"),
        (stream(START, b"data: \xff\xfe\n\n"), "unknown"),
        (stream(START, event({"choices": [{"index": 0, "delta": {"content": 5}}]})), "unknown"),
        (stream(START, event({"error": {"message": "sk-secret overloaded"}})), "unknown"),
    ],
    ids=[
        "reset",
        "stall",
        "no finish",
        "only DONE",
        "bad JSON",
        "number",
        "not UTF-8",
        "odd text",
        "error event",
    ],
)
def test_stream_fault_keeps_the_text_and_charges_what_came(
    provider: FakeProvider, settings: Any, reply: Reply, error_type: str
) -> None:
    settings.AI_STALL_TIMEOUT_SECONDS = 0.3
    provider.replies = [reply]
    error, record = fail(read_stream, error_type=error_type)
    assert error.text_so_far == "Listen first"
    assert record.output_tokens == 2
    assert record.cost_usd == input_cost() + 2 * Decimal("0.0000006")
    assert len(provider.requests) == 1


def test_endless_stream_is_cut(provider: FakeProvider) -> None:
    provider.replies = [stream(*[chunk(text="word " * 20_000)] * 100)]  # ten megabytes
    error, _ = fail(read_stream, error_type="unknown")
    assert 3_000 < len(error.text_so_far) < 200_000  # a hundred tokens were asked for
    assert len(provider.requests) == 1


def test_empty_stream_is_an_error(provider: FakeProvider) -> None:
    provider.replies = [stream(chunk(finish_reason="stop"), usage_chunk(), DONE)]
    _, record = fail(read_stream, error_type="unknown")
    assert record.output_tokens == 7


NESTED = b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}"


def half_of_it(handler: Handler, body: dict[str, Any]) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    handler.wfile.write(b'{"choices"')
    handler.close_connection = True


@pytest.mark.parametrize("work", [ask, read_stream, embed], ids=["whole", "stream", "vectors"])
@pytest.mark.parametrize(
    ("reply", "error_types"),
    [
        (raw(b"<html>busy</html>", content_type="text/html"), {"unknown"}),
        (raw(b"not gzip", encoding="gzip"), {"connection"}),
        (raw(NESTED), {"unknown"}),
        (stream(b"data: " + NESTED + b"\n\n"), {"unknown"}),
        (stream(event({"choices": {"0": 1}})), {"unknown"}),
        (json_reply({"choices": {"0": 1}, "data": {"0": 1}}), {"unknown"}),
        (json_reply({"error": {"message": "sk-secret overloaded"}}), {"unknown"}),
        (half_of_it, {"connection", "unknown"}),
        (json_reply(None, status=204), {"unknown"}),
        (raw(b"", content_type="text/plain"), {"unknown"}),
    ],
    ids=["HTML", "gzip", "nested", "nested event", "event", "shape", "error", "half", "204", "nothing"],
)
def test_whatever_comes_ends_in_an_error_of_the_tree(
    provider: FakeProvider, work: Callable[[], Any], reply: Reply, error_types: set[str]
) -> None:
    provider.replies = [reply] * 4
    _, record = fail(work, error_type=error_types)
    assert input_cost(token_usd="0.00000013" if work is embed else "0.00000015") <= record.cost_usd
    assert record.cost_usd <= Reservation.objects.get().amount_usd


def test_answer_that_is_not_text_is_no_answer(provider: FakeProvider) -> None:
    provider.replies = [json_reply(completion(text=[{"type": "text", "text": "Listen"}]))]  # type: ignore[arg-type]
    fail(ask, error_type="unknown")


def test_text_that_no_database_stores_is_replaced(provider: FakeProvider) -> None:
    provider.replies = [json_reply(completion(text="a\x00b\ud800c"))]
    assert asyncio.run(ask()).text == "a\ufffdb\ufffdc"


@pytest.mark.parametrize(
    "payload",
    [
        embeddings([[1, 2, 3, 4]]),
        embeddings([[1, 2, 3, 4], [1, 2, 3]]),
        embeddings([[1, 2, 3, 4], [1, 2, 3, float("nan")]]),
        embeddings([[1, 2, 3, 4], [1, 2, 3, float("inf")]]),
        embeddings([[1, 2, 3, 4], [0, 0, 0, 0]]),
        embeddings([[1, 2, 3, 4], ["x", 2, 3, 4]]),  # type: ignore[list-item]
        {"data": [{"index": 0, "embedding": [1, 2, 3, 4]}, {"index": 0, "embedding": [1, 2, 3, 4]}]},
        embeddings([[1, 2, 3, 4], [1, 2, 3, 1e300]]),
        {"data": [{"index": i, "embedding": [[1], [2], [3], [4]]} for i in range(2)]},
        {"data": []},
        {"data": None},
        {},
    ],
    ids=[
        "count",
        "length",
        "NaN",
        "infinite",
        "zero",
        "text",
        "same index",
        "too large",
        "nested",
        "none",
        "null",
        "no data",
    ],
)
def test_bad_vectors_never_come_back(provider: FakeProvider, payload: object) -> None:
    provider.replies = [json_reply(payload)]
    _, record = fail(embed, error_type="unknown")
    reported = Decimal("0.00000065") if isinstance(payload, dict) and "usage" in payload else None
    assert record.cost_usd == (reported or input_cost(token_usd="0.00000013")) > 0


@pytest.mark.parametrize(
    ("status", "error_type"), [(400, "invalid_request"), (401, "authentication"), (500, "unknown")]
)
def test_refused_embeddings_are_free(provider: FakeProvider, status: int, error_type: str) -> None:
    provider.replies = [refusal(status)] * 4
    _, record = fail(embed, error_type=error_type)
    assert record.cost_usd == 0


def test_stream_that_never_begins_is_charged_for_the_input(provider: FakeProvider, settings: Any) -> None:
    settings.AI_STALL_TIMEOUT_SECONDS = 0.1
    provider.replies = [hang] * 4
    error, record = fail(read_stream, error_type="timeout")
    assert error.text_so_far == ""
    assert record.cost_usd == 4 * input_cost()


def test_vectors_are_put_in_the_order_of_their_index(provider: FakeProvider) -> None:
    payload = embeddings([[1, 1, 1, 1], [2, 2, 2, 2]])
    payload["data"].reverse()
    provider.replies = [json_reply(payload)]
    assert list(asyncio.run(embed()).vectors[:, 0]) == [1, 2]


def test_compatible_server_is_sent_the_old_name_of_the_length(provider: FakeProvider) -> None:
    asyncio.run(ask())
    assert provider.requests[0]["max_tokens"] == 100
    assert "max_completion_tokens" not in provider.requests[0]


def test_parameters_that_a_model_does_not_take_are_left_out_from_then_on(provider: FakeProvider) -> None:
    provider.replies = [
        refusal(400, code="unsupported_parameter", param="max_tokens"),
        refusal(400, code="unsupported_value", param="temperature"),
    ]

    async def ask_twice() -> list[Any]:
        return [await ask(model="gpt-5"), await ask(model="gpt-5")]

    assert [result.text for result in asyncio.run(ask_twice())] == [ANSWER, ANSWER]
    assert len(provider.requests) == 4
    assert provider.requests[-1]["max_completion_tokens"] == 100
    assert not {"temperature", "max_tokens"} & set(provider.requests[-1])


def test_one_connection_serves_a_loops_calls(provider: FakeProvider) -> None:
    ports = set()

    def note_port(handler: Handler, body: dict[str, Any]) -> None:
        ports.add(handler.client_address[1])
        handler.send_json(completion())

    provider.replies = [note_port] * 3

    async def ask_thrice() -> None:
        for _ in range(3):
            await ask()

    asyncio.run(ask_thrice())
    assert len(ports) == 1


def test_event_loop_closes_its_client_when_it_ends(provider: FakeProvider) -> None:
    assert asyncio.run(shared_client()).is_closed()


def test_models_are_listed(provider: FakeProvider) -> None:
    assert asyncio.run(list_models()) == {"gpt-4.1", "gpt-4o-mini", "text-embedding-3-large"}


def test_offline_mode_answers_over_the_same_path(prices: None, settings: Any) -> None:
    assert settings.AI_OFFLINE
    result = asyncio.run(ask(model=settings.LOCAL_CHAT_MODEL))
    assert result.text
    assert (result.cost_usd, CostRecord.objects.get().outcome) == (0, "success")
