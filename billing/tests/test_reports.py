"""Sums over the ledger, and who may see which."""

import itertools
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser
from django.test import Client

from billing.models import CostRecord, Reservation
from billing.performance import performance_report
from billing.reports import GONE, GroupBy, cost_report, session_cost_usd
from chat.models import ChatSession
from cloneai.accounts.models import ApiKey, User
from clones.models import Clone

pytestmark = pytest.mark.django_db
DAY = date(2026, 3, 1)
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
ZERO_PRICES = dict.fromkeys(
    ("input_usd_per_million", "cached_input_usd_per_million", "output_usd_per_million"), 0
)


def record(**fields: Any) -> CostRecord:
    """A call on 1 March that cost a dollar, unless it says otherwise."""
    values = {
        "day": DAY,
        "purpose": "chat",
        "model": "gpt-4.1",
        "input_tokens": 100,
        "output_tokens": 10,
        "cost_usd": Decimal(1),
        "latency_ms": 100,
        "outcome": "success",
        "created_at": NOON,
        **ZERO_PRICES,
        **fields,
    }
    reservation = Reservation.objects.create(
        state="settled",
        closed_at=NOON,
        day=values["day"],
        amount_usd=values["cost_usd"],
        purpose=values["purpose"],
        model=values["model"],
        input_tokens=1,
        max_output_tokens=1,
        **ZERO_PRICES,
    )
    return CostRecord.objects.create(reservation=reservation, **values)


def rows(viewer: User, group_by: GroupBy) -> list[tuple[str, int, Decimal]]:
    report = cost_report(viewer=viewer, group_by=group_by, first_day=DAY, last_day=DAY + timedelta(days=6))
    return [(row.label, row.calls, row.cost_usd) for row in report.rows]


@pytest.fixture
def ledger(member: User, stranger: User, expert: User, clone: Clone, other_clone: Clone) -> None:
    """Four calls: 1 and 2 dollars at the expert's clone, 4 elsewhere, 8 of nobody a day later."""
    record(user=member, clone=clone)
    record(user=stranger, clone=clone, cost_usd=Decimal(2), model="gpt-4o-mini", purpose="summary")
    record(user=member, clone=other_clone, cost_usd=Decimal(4))
    record(cost_usd=Decimal(8), day=DAY + timedelta(days=1))


@pytest.mark.usefixtures("ledger")
def test_costs_are_summed_by_each_grouping(reviewer: User) -> None:
    assert rows(reviewer, GroupBy.DAY) == [("2026-03-01", 3, 7), ("2026-03-02", 1, 8)]
    assert rows(reviewer, GroupBy.USER) == [
        (GONE, 1, 8),
        ("member@example.com", 2, 5),
        ("stranger@example.com", 1, 2),
    ]
    assert rows(reviewer, GroupBy.CLONE) == [(GONE, 1, 8), ("Bo Holm", 1, 4), ("Ada Berg", 2, 3)]
    assert rows(reviewer, GroupBy.MODEL) == [("gpt-4.1", 3, 13), ("gpt-4o-mini", 1, 2)]
    assert rows(reviewer, GroupBy.PURPOSE) == [("Answer", 3, 13), ("Session summary", 1, 2)]


@pytest.mark.usefixtures("ledger")
def test_total_and_shares_fit_the_rows(reviewer: User) -> None:
    report = cost_report(viewer=reviewer, group_by=GroupBy.MODEL, first_day=DAY, last_day=DAY)
    assert (report.total.calls, report.total.cost_usd, report.total.input_tokens) == (3, 7, 300)
    assert [row.share for row in report.rows] == [Decimal("0.7143"), Decimal("0.2857")]


@pytest.mark.usefixtures("ledger")
def test_expert_sees_own_clones_and_members_by_pseudonym(expert: User, member: User, stranger: User) -> None:
    assert rows(expert, GroupBy.CLONE) == [("Ada Berg", 2, 3)]
    assert rows(expert, GroupBy.USER) == [(stranger.pseudonym, 1, 2), (member.pseudonym, 1, 1)]


@pytest.mark.usefixtures("ledger")
def test_expert_is_given_no_number_of_a_member_but_the_own_one(
    expert: User, member: User, stranger: User, reviewer: User, clone: Clone
) -> None:
    record(user=expert, clone=clone, cost_usd=Decimal(3))
    people = "costs?from=2026-03-01&to=2026-03-01&group_by=user"
    assert [row["key"] for row in api(expert, people).json()["items"]] == [
        str(expert.pk),
        stranger.pseudonym,
        member.pseudonym,
    ]
    assert str(member.pk) in {row["key"] for row in api(reviewer, people).json()["items"]}
    assert [row["key"] for row in api(member, people).json()["items"]] == [str(member.pk)]


@pytest.mark.usefixtures("ledger")
def test_member_sees_own_calls_only(member: User) -> None:
    assert rows(member, GroupBy.USER) == [("member@example.com", 2, 5)]
    assert not CostRecord.objects.visible_to(AnonymousUser()).exists()


def test_nothing_recorded_is_a_report_of_nothing(reviewer: User) -> None:
    assert rows(reviewer, GroupBy.DAY) == []
    report = performance_report(viewer=reviewer, since=NOON, until=NOON + timedelta(hours=1))
    assert (report.total_requests, report.success_rate, report.latency.p50_ms) == (0, 0, None)


def test_cost_report_queries_do_not_grow(
    reviewer: User, clone: Clone, django_assert_num_queries: Any
) -> None:
    assert reviewer.is_reviewer  # its roles are known now
    for number in range(5):
        user = User.objects.create_user(email=f"u{number}@example.com")
        record(user=user, clone=clone)
    with django_assert_num_queries(3):  # which days are rolled up, the sums, the names
        rows(reviewer, GroupBy.USER)


def test_performance_report_has_the_guides_figures_and_percentiles(reviewer: User) -> None:
    for latency in (100, 200, 300):
        record(latency_ms=latency, time_to_first_token_ms=latency // 10, retries=1)
    record(latency_ms=9000, outcome="failed", error_type="timeout", cost_usd=Decimal("0.5"), output_tokens=0)
    record(latency_ms=400, outcome="stopped", model="gpt-4o-mini")
    record(created_at=NOON - timedelta(days=1))
    report = performance_report(viewer=reviewer, since=NOON, until=NOON + timedelta(hours=1))
    assert (report.total_requests, report.successful_requests, report.failed_requests) == (5, 4, 1)
    assert report.success_rate == Decimal("80.00")
    assert (report.total_tokens, report.total_cost_usd, report.retries) == (540, Decimal("4.5"), 3)
    assert report.cost_per_token_usd == Decimal("0.0083333333")
    assert report.average_response_time_ms == 250
    assert (report.latency.p50_ms, report.latency.p95_ms) == (250, pytest.approx(385))
    assert report.time_to_first_token.p50_ms == 20
    assert [(row.model, row.requests, row.failed) for row in report.by_model] == [
        ("gpt-4.1", 4, 1),
        ("gpt-4o-mini", 1, 0),
    ]
    assert report.errors_by_type == {"timeout": 1}


def test_session_cost_counts_every_purpose(member: User, clone: Clone) -> None:
    session, other = itertools.islice(
        iter(lambda: ChatSession.objects.create(clone=clone, user=member), None), 2
    )
    record(session=session)
    record(session=session, purpose="title", cost_usd=Decimal("0.25"))
    record(session=other)
    assert session_cost_usd(session.pk) == Decimal("1.25")
    session.delete()
    assert CostRecord.objects.count() == 3


def api(user: User, path: str) -> Any:
    _, token = ApiKey.issue(user=user, name="test")
    return Client().get(f"/api/billing/{path}", headers={"Authorization": f"Bearer {token}"})


@pytest.mark.usefixtures("ledger")
def test_costs_over_the_api(reviewer: User) -> None:
    response = api(reviewer, "costs?from=2026-03-01&to=2026-03-01&group_by=model&limit=1")
    body = response.json()
    assert response.status_code == 200
    assert (body["count"], len(body["items"]), body["group_by"]) == (2, 1, "model")
    assert body["items"][0] == {
        "key": "gpt-4.1",
        "label": "gpt-4.1",
        "calls": 2,
        "input_tokens": 200,
        "cached_input_tokens": 0,
        "output_tokens": 20,
        "cost": "5.0000000000",
    }
    assert body["total"]["cost"] == "7.0000000000"


@pytest.mark.parametrize("query", ["from=soon", "group_by=moon", "limit=0", "from=2026-03-02&to=2026-03-01"])
def test_senseless_period_is_bad_input(reviewer: User, query: str) -> None:
    response = api(reviewer, f"costs?{query}")
    assert (response.status_code, response.json()["error_type"]) == (422, "invalid_request")


@pytest.mark.usefixtures("ledger")
@pytest.mark.parametrize(
    ("query", "calls"),
    [("from=0001-01-01&to=9999-12-31", 4), ("to=0001-01-02", 0), ("from=9999-12-01&to=9999-12-31", 0)],
)
def test_any_period_can_be_asked_for(reviewer: User, query: str, calls: int) -> None:
    response = api(reviewer, f"costs?{query}")
    assert response.status_code == 200
    assert response.json()["total"]["calls"] == calls


def test_metrics_over_the_api_use_the_guides_names(reviewer: User) -> None:
    now = datetime.now(UTC)
    record(created_at=now - timedelta(minutes=5), day=(now - timedelta(minutes=5)).date())
    body = api(reviewer, "metrics?hours=1").json()
    assert (body["total_requests"], body["success_rate"], body["total_cost"]) == (1, "100.00%", "$1.0000")
    assert (body["total_tokens_used"], body["average_response_time_ms"]) == (110, "100.00")
    assert body["requests_by_model"]["gpt-4.1"]["successful"] == 1
    assert body["response_time_ms"] == {"p50": 100, "p95": 100, "p99": 100}
    assert body["message"] is None


@pytest.mark.parametrize("role", ["member", "expert"])
def test_metrics_are_for_reviewers(request: pytest.FixtureRequest, role: str) -> None:
    assert api(request.getfixturevalue(role), "metrics").status_code == 404


def test_reports_need_a_login() -> None:
    assert Client().get("/api/billing/costs").status_code == 401
