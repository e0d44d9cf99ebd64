"""Closed days summed up: reports say the same with and without, and what is off is found."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from billing.models import CostRecord, Reservation, SpendAccount
from billing.performance import daily_performance, performance_report
from billing.reports import CostReport, GroupBy, cost_report
from billing.rollup import (
    LARGEST_ERROR,
    find_rollup_differences,
    find_waiting_days,
    roll_up_closed_days,
    roll_up_day,
)
from billing.rollup_models import DailyLatency, DailyPersonUsage, DailyUsage
from billing.tests.sample_ledger import fill_ledger
from cloneai.accounts.models import User
from clones.models import Clone

pytestmark = pytest.mark.django_db
LAST_DAY = date(2026, 3, 10)
FIRST_DAY = date(2026, 3, 6)
MORNING_AFTER = datetime(2026, 3, 11, 1, tzinfo=UTC)


@pytest.fixture
def ledger(member: User, stranger: User, clone: Clone, other_clone: Clone) -> None:
    """Some 800 calls of two people with two clones over five days."""
    fill_ledger(
        calls=800,
        last_day=LAST_DAY,
        days=5,
        user_ids=[member.pk, stranger.pk],
        clone_ids=[clone.pk, other_clone.pk],
    )


def costs(viewer: User, group_by: GroupBy) -> CostReport:
    return cost_report(
        viewer=viewer,
        group_by=group_by,
        first_day=LAST_DAY - timedelta(days=2),
        last_day=LAST_DAY,
        is_compared=True,
    )


def performance(viewer: User) -> Any:
    since = datetime(2026, 3, 6, tzinfo=UTC)
    return performance_report(viewer=viewer, since=since, until=since + timedelta(days=5))


@pytest.mark.usefixtures("ledger")
@pytest.mark.parametrize("role", ["reviewer", "expert", "member"])
@pytest.mark.parametrize("rolled", [5, 3], ids=["all days", "some days"])
def test_reports_say_the_same_from_the_rollup(
    request: pytest.FixtureRequest, role: str, rolled: int, django_assert_max_num_queries: Any
) -> None:
    viewer = request.getfixturevalue(role)
    before = {group_by: costs(viewer, group_by) for group_by in GroupBy}
    went = performance(viewer)
    days = daily_performance(viewer=viewer, first_day=FIRST_DAY, last_day=LAST_DAY)
    for number in range(rolled):
        roll_up_day(day=FIRST_DAY + timedelta(days=number))
    for group_by, report in before.items():
        assert costs(viewer, group_by) == report
    now = performance(viewer)
    exact = (
        "total_requests",
        "successful_requests",
        "total_tokens",
        "total_cost_usd",
        "retries",
        "errors_by_type",
    )
    assert {name: getattr(now, name) for name in exact} == {name: getattr(went, name) for name in exact}
    assert now.total_requests > 0
    assert now.average_response_time_ms == pytest.approx(went.average_response_time_ms)
    for name in ("p50_ms", "p95_ms", "p99_ms"):
        for measure in ("latency", "time_to_first_token"):
            found, true = getattr(getattr(now, measure), name), getattr(getattr(went, measure), name)
            assert found == pytest.approx(
                true, rel=2 * LARGEST_ERROR
            )  # interpolated between two that are off
    assert [(row.model, row.requests, row.failed) for row in now.by_model] == [
        (row.model, row.requests, row.failed) for row in went.by_model
    ]
    assert [(row.day, row.requests, row.failed) for row in days] == [
        (row.day, row.requests, row.failed)
        for row in daily_performance(viewer=viewer, first_day=FIRST_DAY, last_day=LAST_DAY)
    ]


@pytest.mark.usefixtures("ledger")
def test_rolled_up_days_are_not_read_from_the_ledger(reviewer: User) -> None:
    assert roll_up_closed_days(now=MORNING_AFTER) == 5
    report = costs(reviewer, GroupBy.MODEL)
    CostRecord.objects.all().delete()
    assert costs(reviewer, GroupBy.MODEL) == report


@pytest.mark.usefixtures("ledger")
def test_day_is_closed_when_it_is_over_and_holds_no_open_call() -> None:
    assert LAST_DAY not in find_waiting_days(now=datetime(2026, 3, 11, 0, 10, tzinfo=UTC))
    assert LAST_DAY in find_waiting_days(now=MORNING_AFTER)
    Reservation.objects.filter(pk=Reservation.objects.filter(day=LAST_DAY)[0].pk).update(
        state="open", closed_at=None
    )
    assert LAST_DAY not in find_waiting_days(now=MORNING_AFTER)
    assert roll_up_closed_days(now=MORNING_AFTER) == 4
    assert find_waiting_days(now=MORNING_AFTER) == []


@pytest.mark.usefixtures("ledger")
def test_summing_a_day_up_again_changes_nothing() -> None:
    roll_up_day(day=LAST_DAY)
    counts = [table.objects.count() for table in (DailyUsage, DailyPersonUsage, DailyLatency)]
    roll_up_day(day=LAST_DAY)
    assert [table.objects.count() for table in (DailyUsage, DailyPersonUsage, DailyLatency)] == counts
    assert find_rollup_differences() == []


@pytest.mark.usefixtures("ledger")
def test_sums_outlive_person_and_clone(member: User, other_clone: Clone, reviewer: User) -> None:
    roll_up_closed_days(now=MORNING_AFTER)
    total = costs(reviewer, GroupBy.USER).total
    member.delete()
    other_clone.delete()
    assert costs(reviewer, GroupBy.USER).total == total
    assert costs(reviewer, GroupBy.CLONE).total == total
    assert find_rollup_differences() == []


@pytest.mark.usefixtures("ledger")
@pytest.mark.parametrize(
    ("table", "change"),
    [
        (DailyUsage, {"cost_usd": Decimal(9)}),
        (DailyUsage, {"input_tokens": 1}),
        (DailyPersonUsage, {"calls": 1_000_000}),
        (DailyLatency, {"counts": [1] * 350}),
    ],
    ids=["cost", "tokens", "people", "durations"],
)
def test_reconciliation_finds_and_repairs_a_day_that_is_off(table: Any, change: dict[str, Any]) -> None:
    roll_up_closed_days(now=MORNING_AFTER)
    table.objects.filter(pk=table.objects.filter(day=LAST_DAY)[0].pk).update(**change)
    assert [difference.day for difference in find_rollup_differences()] == [LAST_DAY]
    out = StringIO()
    with pytest.raises(CommandError, match="1 closed days"):
        call_command("reconcile_costs", stdout=out)
    assert out.getvalue().startswith("2026-03-10: the ledger has")
    call_command("reconcile_costs", "--repair", stdout=out)
    assert find_rollup_differences() == []


@pytest.mark.usefixtures("ledger")
def test_rollup_without_a_ledger_is_a_difference() -> None:
    roll_up_day(day=LAST_DAY)
    CostRecord.objects.filter(day=LAST_DAY).delete()
    assert [difference.ledger_calls for difference in find_rollup_differences()] == [0]


@pytest.mark.usefixtures("ledger")
def test_sample_ledger_fits_its_counters() -> None:
    assert CostRecord.objects.count() == 800
    assert SpendAccount.objects.filter(scope="platform").count() == 5
    call_command("reconcile_costs", stdout=StringIO())
