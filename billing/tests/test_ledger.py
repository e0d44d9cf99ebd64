"""Accounts, limits and the sweeper, without a provider."""

import logging
import random
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from threading import Barrier, Thread
from typing import Any

import pytest
import time_machine
from django.db import connections, transaction
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from billing.calls import Payer, Usage
from billing.errors import BudgetExceeded
from billing.ledger import Bill, CallPlan, reserve, settle, settle_abandoned
from billing.models import CostRecord, ModelPrice, Outcome, Reservation, SpendAccount
from billing.reconciliation import find_differences, find_unrecorded
from billing.tasks import settle_abandoned as settle_abandoned_task
from billing.tests.conftest import NOBODY

pytestmark = pytest.mark.django_db
DOLLAR_MODEL = "a-dollar-a-million"


@pytest.fixture(autouse=True)
def dollar_price(db: None) -> None:
    """A million tokens, of whatever kind, cost a dollar."""
    ModelPrice.objects.create(
        model=DOLLAR_MODEL,
        valid_from=date(2020, 1, 1),
        input_usd_per_million=1,
        cached_input_usd_per_million=1,
        output_usd_per_million=1,
    )


def plan(payer: Payer = NOBODY, *, micro_usd: int = 1_000_000) -> CallPlan:
    """A call that costs so many millionths of a dollar at worst."""
    return CallPlan(
        payer=payer, purpose="chat", model=DOLLAR_MODEL, count_input=lambda: micro_usd, max_output_tokens=0
    )


def bill(micro_usd: int | None, outcome: Outcome = Outcome.SUCCESS) -> Bill:
    usage = None if micro_usd is None else Usage(micro_usd, 0, 0)
    return Bill(
        outcome=outcome, usage=usage, latency_ms=5, error_type="unknown" if outcome == Outcome.FAILED else ""
    )


def balance(scope: str = "platform", **filters: Any) -> tuple[Decimal, Decimal]:
    account = SpendAccount.objects.get(scope=scope, **filters)
    return account.settled_usd, account.reserved_usd


def test_what_is_reserved_counts_against_the_limit(settings: Any) -> None:
    settings.DAILY_COST_LIMIT = Decimal(2)
    reserve(plan=plan())
    reserve(plan=plan())
    with pytest.raises(BudgetExceeded):
        reserve(plan=plan(micro_usd=1))
    assert balance() == (0, 2)


def test_settling_gives_back_what_was_not_used(settings: Any) -> None:
    settings.DAILY_COST_LIMIT = Decimal(1)
    assert settle(reservation=reserve(plan=plan()), bill=bill(250_000)) == Decimal("0.25")
    assert balance() == (Decimal("0.25"), 0)
    reserve(plan=plan(micro_usd=750_000))
    with pytest.raises(BudgetExceeded):
        reserve(plan=plan(micro_usd=1))


def test_release_leaves_a_record_that_costs_nothing() -> None:
    settle(reservation=reserve(plan=plan()), bill=bill(None, Outcome.FAILED))
    assert Reservation.objects.get().state == "released"
    assert CostRecord.objects.get().cost_usd == 0
    assert balance() == (0, 0)


def test_settling_twice_changes_nothing() -> None:
    reservation = reserve(plan=plan())
    settle(reservation=reservation, bill=bill(500_000))
    assert settle(reservation=reservation, bill=bill(900_000)) == Decimal("0.5")
    assert balance() == (Decimal("0.5"), 0)
    assert CostRecord.objects.count() == 1


def test_true_cost_above_the_reservation_is_booked_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        settle(reservation=reserve(plan=plan(micro_usd=10)), bill=bill(30))
    assert balance() == (Decimal("0.00003"), 0)
    assert "0.00003" in caplog.text


def test_limit_raised_during_the_day_counts_at_once(settings: Any) -> None:
    settings.DAILY_COST_LIMIT = Decimal(1)
    reserve(plan=plan())
    settings.DAILY_COST_LIMIT = Decimal(2)
    reserve(plan=plan())
    assert balance() == (0, 2)


def test_call_belongs_to_the_day_of_its_reservation(settings: Any) -> None:
    settings.DAILY_COST_LIMIT = Decimal(1)
    with time_machine.travel(datetime(2026, 3, 1, 23, 59, 50, tzinfo=UTC), tick=False) as clock:
        reservation = reserve(plan=plan())
        with pytest.raises(BudgetExceeded) as caught:
            reserve(plan=plan())
        assert caught.value.retry_after == 10
        clock.shift(20)
        reserve(plan=plan())  # a new day, a new budget
        settle(reservation=reservation, bill=bill(400_000))
    assert balance(day=date(2026, 3, 1)) == (Decimal("0.4"), 0)
    assert balance(day=date(2026, 3, 2)) == (0, 1)
    assert CostRecord.objects.get().day == date(2026, 3, 1)


def test_price_is_that_of_the_day() -> None:
    ModelPrice.objects.create(
        model=DOLLAR_MODEL,
        valid_from=date(2026, 5, 1),
        input_usd_per_million=2,
        cached_input_usd_per_million=2,
        output_usd_per_million=2,
    )
    with time_machine.travel(datetime(2026, 4, 30, tzinfo=UTC)):
        assert reserve(plan=plan()).amount_usd == 1
    with time_machine.travel(datetime(2026, 5, 1, tzinfo=UTC)):
        assert reserve(plan=plan()).amount_usd == 2


def test_call_of_a_dead_process_is_settled_at_its_worst_cost() -> None:
    dead, alive = reserve(plan=plan()), reserve(plan=plan())
    Reservation.objects.filter(pk=dead.pk).update(created_at=datetime.now(UTC) - timedelta(minutes=13))
    assert settle_abandoned_task() == 1
    record = CostRecord.objects.get()
    assert (record.reservation, record.outcome, record.cost_usd) == (dead, "abandoned", 1)
    assert balance() == (1, 1)
    assert Reservation.objects.get(state="open") == alive


def test_call_that_cannot_be_settled_does_not_hold_up_the_others(caplog: pytest.LogCaptureFixture) -> None:
    reserve(plan=plan())
    reserve(plan=plan(Payer(user_id=77, clone_id=None)))
    SpendAccount.objects.filter(scope="user").update(reserved_usd=0)  # settling would take it below zero
    Reservation.objects.update(created_at=datetime.now(UTC) - timedelta(hours=1))
    Reservation.objects.filter(user_key=77).update(created_at=datetime.now(UTC) - timedelta(hours=2))
    assert settle_abandoned() == 1
    assert "cannot be settled" in caplog.text


def test_call_is_settled_also_when_everything_stood_still_for_a_month() -> None:
    reserve(plan=plan())
    Reservation.objects.update(created_at=datetime.now(UTC) - timedelta(days=40))
    assert settle_abandoned() == 1
    assert balance() == (1, 0)


def test_one_sweep_settles_however_many_calls_a_dead_process_left() -> None:
    for _ in range(600):
        reserve(plan=plan(micro_usd=1))
    Reservation.objects.update(created_at=datetime.now(UTC) - timedelta(hours=1))
    assert settle_abandoned() == 600
    assert not Reservation.objects.filter(state="open").exists()


def test_reserving_costs_two_round_trips_and_settling_one(
    member: Any, clone: Any, django_assert_num_queries: Any
) -> None:
    payer = Payer(user_id=member.pk, clone_id=clone.pk)
    with django_assert_num_queries(2 + 2):  # price and limits, all writes; a savepoint around them
        reservation = reserve(plan=plan(payer))
    with django_assert_num_queries(1 + 2):
        settle(reservation=reservation, bill=bill(1))


@contextmanager
def in_threads(count: int, work: Any) -> Iterator[None]:
    """Runs the work in threads that begin together."""
    barrier = Barrier(count)

    def run() -> None:
        barrier.wait()
        try:
            work()
        finally:
            connections.close_all()

    threads = [Thread(target=run) for _ in range(count)]
    for thread in threads:
        thread.start()
    yield
    for thread in threads:
        thread.join()


@pytest.mark.django_db(transaction=True)
def test_parallel_calls_never_overrun_the_limit(settings: Any, member: Any, clone: Any) -> None:
    settings.DAILY_COST_LIMIT = Decimal(1)
    payers = [NOBODY, Payer(user_id=member.pk, clone_id=None), Payer(user_id=member.pk, clone_id=clone.pk)]
    granted: list[bool] = []
    highest: list[Decimal] = []

    def spend() -> None:
        for number in range(10):
            try:
                reservation = reserve(plan=plan(payers[number % 3], micro_usd=90_000))
            except BudgetExceeded:
                granted.append(False)
                continue
            granted.append(True)
            settle(reservation=reservation, bill=bill(60_000))
            highest.append(sum(balance()))

    with in_threads(8, spend):
        pass
    assert max(highest) <= 1
    assert granted.count(True) == CostRecord.objects.count() >= 11
    assert granted.count(False) >= 1
    assert balance() == (granted.count(True) * Decimal("0.06"), 0)
    assert find_differences() == []
    assert find_unrecorded() == []


EVENTS = st.lists(
    st.tuples(st.integers(0, 2), st.integers(0, 400_000), st.one_of(st.none(), st.integers(0, 500_000))),
    max_size=40,
)


@hypothesis_settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], database=None
)
@given(events=EVENTS)
def test_ledger_sums_to_the_counters_whatever_happens(
    settings: Any, member: Any, clone: Any, events: Any
) -> None:
    settings.DAILY_COST_LIMIT = Decimal(3)
    payers = [NOBODY, Payer(user_id=member.pk, clone_id=None), Payer(user_id=member.pk, clone_id=clone.pk)]
    with transaction.atomic():
        for number, (who, worst, used) in enumerate(events):
            try:
                reservation = reserve(plan=plan(payers[who], micro_usd=worst))
            except BudgetExceeded:
                continue
            if number % 4:
                settle(reservation=reservation, bill=bill(None if used is None else min(used, worst)))
        assert find_differences() == []
        assert find_unrecorded() == []
        assert all(
            sum(balance(pk=pk)) <= 3
            for pk in SpendAccount.objects.filter(scope="platform").values_list("pk", flat=True)
        )
        transaction.set_rollback(True)


EXAMPLES, EVENTS_EACH = 20, 500


class RandomLedger:
    """Calls of three payers that begin, end in all ways, are swept and cross midnights, in any order."""

    def __init__(self, *, seed: int, payers: list[Payer], clock: Any) -> None:
        self.random, self.payers, self.clock = random.Random(seed), payers, clock
        self.open: list[Reservation] = []
        self.closed: list[Reservation] = []

    def reserve(self) -> None:
        payer = self.random.choice(self.payers)
        with suppress(BudgetExceeded):
            self.open.append(reserve(plan=plan(payer, micro_usd=self.random.randrange(400_000))))

    def settle(self) -> None:
        if not self.open:
            return
        reservation = self.open.pop(self.random.randrange(len(self.open)))
        used = self.random.choice([None, 0, self.random.randrange(reservation.input_tokens + 1)])
        outcome = self.random.choice([Outcome.SUCCESS, Outcome.STOPPED, Outcome.FAILED])
        settle(reservation=reservation, bill=bill(used, outcome))
        self.closed.append(reservation)

    def settle_again(self) -> None:
        if self.closed:
            settle(reservation=self.random.choice(self.closed), bill=bill(7))

    def sweep(self) -> None:
        self.clock.shift(timedelta(hours=self.random.randrange(1, 8)))
        settle_abandoned()
        self.closed += self.open
        self.open = []

    def run(self, *, events: int) -> None:
        steps = self.random.choices(
            [self.reserve, self.settle, self.settle_again, self.sweep], weights=[52, 42, 4, 2], k=events
        )
        for step in steps:
            step()


@pytest.mark.django_db(transaction=True)
@hypothesis_settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    database=None,
    phases=[Phase.generate],
)
@given(seed=st.integers(0, 2**32))
def test_ten_thousand_random_events_leave_sums_equal_to_counters(
    settings: Any, member: Any, clone: Any, seed: int
) -> None:
    settings.DAILY_COST_LIMIT, settings.USER_DAILY_COST_LIMIT = Decimal(12), Decimal(8)
    payers = [NOBODY, Payer(user_id=member.pk, clone_id=None), Payer(user_id=member.pk, clone_id=clone.pk)]
    for table in (CostRecord, Reservation, SpendAccount):
        table.objects.all().delete()
    with time_machine.travel(datetime(2026, 3, 1, 20, tzinfo=UTC), tick=False) as clock:
        RandomLedger(seed=seed, payers=payers, clock=clock).run(events=EVENTS_EACH)
    assert CostRecord.objects.count() > EVENTS_EACH / 10
    assert (find_differences(), find_unrecorded()) == ([], [])
    for account in SpendAccount.objects.exclude(scope="clone"):
        limit = 12 if account.scope == "platform" else 8
        assert account.settled_usd + account.reserved_usd <= limit


def test_reconciliation_finds_a_counter_that_is_off() -> None:
    settle(reservation=reserve(plan=plan()), bill=bill(500_000))
    SpendAccount.objects.update(settled_usd=Decimal("0.4"))
    [difference] = find_differences()
    assert (difference.counted_settled_usd, difference.ledger_settled_usd) == (Decimal("0.4"), Decimal("0.5"))


def test_reconciliation_finds_a_call_without_a_record() -> None:
    reservation = reserve(plan=plan())
    settle(reservation=reservation, bill=bill(None))
    CostRecord.objects.all().delete()
    assert find_unrecorded() == [reservation.pk]
