"""`/metrics`: who may read it, and what it says."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import DatabaseError, connection
from django.test import Client
from django.utils import timezone
from django_q.models import OrmQ

from billing.models import (
    CostRecord,
    Outcome,
    Purpose,
    Reservation,
    ReservationState,
    Scope,
    SpendAccount,
    utc_today,
)
from chat.models import ChatSession, Message, MessageStatus, Role
from cloneai import metrics
from cloneai.accounts.models import User
from clones.models import Clone


@pytest.fixture(autouse=True)
def fresh_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "_cached", (0.0, []))


def read(client: Client, **headers: str) -> dict[str, float]:
    response = client.get("/metrics", headers=headers)
    assert response.status_code == 200
    assert response["Content-Type"].startswith("text/plain; version=0.0.4")
    lines = [line for line in response.content.decode().splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


def add_call(*, user: User, clone: Clone, error_type: str = "", first_token_ms: int | None = None) -> None:
    common: dict[str, Any] = {
        "day": utc_today(), "purpose": Purpose.CHAT, "model": "m", "input_tokens": 1, "input_usd_per_million": 0,
        "cached_input_usd_per_million": 0, "output_usd_per_million": 0,
    }  # fmt: skip
    reservation = Reservation.objects.create(
        **common, state=ReservationState.SETTLED, amount_usd=0, max_output_tokens=1, closed_at=timezone.now()
    )
    CostRecord.objects.create(
        **common, reservation=reservation, user=user, clone=clone, output_tokens=1, cost_usd=0, latency_ms=9,
        outcome=Outcome.FAILED if error_type else Outcome.SUCCESS, error_type=error_type,
        time_to_first_token_ms=first_token_ms,
    )  # fmt: skip


def test_figures_come_from_the_database(client: Client, clone: Clone, member: User, settings: Any):
    session = ChatSession.objects.create(clone=clone, user=member)
    for status in (MessageStatus.COMPLETE, MessageStatus.COMPLETE, MessageStatus.FAILED):
        Message.objects.create(session=session, role=Role.ASSISTANT, status=status)
    Message.objects.create(session=session, role=Role.USER, content="not a turn of its own")
    for milliseconds in (90, 400, 30_000):
        add_call(user=member, clone=clone, first_token_ms=milliseconds)
    add_call(user=member, clone=clone, error_type="rate_limit")
    OrmQ.objects.create(key="cloneai", payload="", lock=timezone.now() - timedelta(seconds=90))
    SpendAccount.objects.create(
        scope=Scope.PLATFORM, owner_id=0, day=utc_today(), settled_usd=3, reserved_usd=1
    )
    SpendAccount.objects.create(scope=Scope.USER, owner_id=member.pk, day=utc_today(), settled_usd=2)
    User.objects.filter(pk=member.pk).update(daily_cost_limit_usd=Decimal(2))
    settings.DAILY_COST_LIMIT = Decimal(10)
    found = read(client)
    expected = {
        'turns{state="complete"}': 2, 'turns{state="failed"}': 1, 'turns{state="streaming"}': 0,
        'time_to_first_token_seconds_bucket{le="0.1"}': 1, 'time_to_first_token_seconds_bucket{le="0.5"}': 2,
        'time_to_first_token_seconds_bucket{le="20"}': 2, 'time_to_first_token_seconds_bucket{le="+Inf"}': 3,
        "time_to_first_token_seconds_count": 3, "time_to_first_token_seconds_sum": 30.49,
        'provider_calls{outcome="success"}': 3, 'provider_errors{type="rate_limit"}': 1, "jobs_waiting": 1,
        'documents{status="failed"}': 0, 'spend_usd{state="settled"}': 3, 'spend_usd{state="reserved"}': 1,
        "spend_limit_usd": 10, 'owners_at_limit{scope="user"}': 1, 'owners_at_limit{scope="clone"}': 0,
        "database_up": 1,
    }  # fmt: skip
    assert {name: found[f"cloneai_{name}"] for name in expected} == expected
    assert 90 <= found["cloneai_jobs_oldest_seconds"] < 150
    assert {'cloneai_http_requests_total{status="5xx"}', "cloneai_sockets"} <= set(found)


def test_the_database_is_not_asked_for_every_scrape(client: Client, db: None, django_assert_num_queries: Any):
    read(client)
    with django_assert_num_queries(0):
        read(client)


def test_an_outage_is_a_figure_and_not_an_error(client: Client, db: None):
    def refuse(*args: Any) -> None:
        raise DatabaseError("gone")

    with connection.execute_wrapper(refuse):
        assert read(client)["cloneai_database_up"] == 0


@pytest.mark.parametrize(
    ("address", "headers", "status"),
    [
        ("127.0.0.1", {}, 200),
        ("::1", {}, 200),
        ("203.0.113.9", {}, 404),
        ("", {}, 404),
        ("127.0.0.1", {"X-Forwarded-For": "127.0.0.1"}, 404),
        ("127.0.0.1", {"Forwarded": "for=127.0.0.1"}, 404),
        ("203.0.113.9", {"X-Forwarded-For": "127.0.0.1"}, 404),
    ],
)
def test_without_a_token_only_this_machine_may_ask(
    client: Client, db: None, address: str, headers: dict[str, str], status: int
):
    assert client.get("/metrics", REMOTE_ADDR=address, headers=headers).status_code == status


def test_with_a_token_only_its_holders_may_ask(client: Client, db: None, settings: Any):
    settings.METRICS_TOKEN = "a-token"
    assert client.get("/metrics").status_code == 404
    assert client.get("/metrics", headers={"Authorization": "Bearer wrong"}).status_code == 404
    right = {"Authorization": "Bearer a-token", "X-Forwarded-For": "203.0.113.9"}
    assert client.get("/metrics", REMOTE_ADDR="203.0.113.9", headers=right).status_code == 200


def test_labels_are_escaped():
    assert metrics.label("type", 'a"b\\c\nd') == '{type="a\\"b\\\\c\\nd"}'
