"""How long do reports over 90 days and a million calls take: from the daily sums, and from the ledger alone.

RECORDS sets another number of calls (1,000,000). Writing them takes two minutes or so. Every report is what the admin's
page asks for: the period and the 90 days before it.
"""

import os
import statistics
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from datetime import time as time_of_day

from benchmarks.harness import Result

RECORDS = int(os.environ.get("RECORDS", "1000000"))
DAYS, USERS, CLONES, REPEATS = 90, 500, 20, 3
PROMISED_SECONDS = 1.0


def run() -> Result:
    from billing.models import utc_today
    from billing.performance import daily_performance, performance_report
    from billing.reports import GroupBy, cost_report
    from billing.rollup import roll_up_closed_days
    from billing.tests.sample_ledger import fill_ledger, vacuum
    from cloneai.accounts.models import User
    from clones.models import Clone

    reviewer = User.objects.create_superuser(email="reviewer@example.com")
    users = User.objects.bulk_create([User(email=f"m{number}@example.com") for number in range(USERS)])
    clones = Clone.objects.bulk_create(
        [Clone(owner=reviewer, name=f"Clone {number}", slug=f"clone-{number}") for number in range(CLONES)]
    )
    last_day = utc_today()
    first_day = last_day - timedelta(days=DAYS - 1)
    fill_ledger(
        calls=RECORDS,
        last_day=last_day,
        days=DAYS,
        user_ids=[user.pk for user in users],
        clone_ids=[clone.pk for clone in clones],
    )
    vacuum()
    since = datetime.combine(first_day, time_of_day.min, tzinfo=UTC)

    def costs_by(group_by: GroupBy) -> Callable[[], object]:
        return lambda: cost_report(
            viewer=reviewer, group_by=group_by, first_day=first_day, last_day=last_day, is_compared=True
        )

    reports = {f"costs by {group_by}": costs_by(group_by) for group_by in GroupBy}
    reports["performance"] = lambda: performance_report(
        viewer=reviewer, since=since, until=since + timedelta(days=DAYS)
    )
    reports["performance by day"] = lambda: daily_performance(
        viewer=reviewer, first_day=first_day, last_day=last_day
    )
    from_ledger = {name: time_report(report) for name, report in reports.items()}
    started = time.perf_counter()
    days = roll_up_closed_days()
    rolling = time.perf_counter() - started
    vacuum()
    from_sums = {name: time_report(report) for name, report in reports.items()}
    slowest = max(from_sums.values())
    return Result(
        name="reports",
        question=f"how long do reports over {DAYS} days and {RECORDS:,} calls take?",
        ratio=sum(from_ledger.values()) / sum(from_sums.values()),
        ratio_of="from the ledger alone / with daily sums, all reports together",
        is_good=slowest < PROMISED_SECONDS,
        columns=("seconds", "ledger alone", "with daily sums"),
        rows=[(name, f"{from_ledger[name]:.3f}", f"{from_sums[name]:.3f}") for name in reports],
        notes=(
            f"Summing {days} days up took {rolling:.1f} s, once. With daily sums the slowest report takes "
            f"{slowest:.2f} s (promised: {PROMISED_SECONDS:.0f} s).",
        ),
        figures={"slowest_seconds": slowest, "records": RECORDS},
    )


def time_report(report: Callable[[], object]) -> float:
    """Median seconds of a few runs after a first one."""
    report()
    times = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        report()
        times.append(time.perf_counter() - started)
    return statistics.median(times)
