"""Closed days, summed once: what keeps reports quick over a million calls. Enter: `roll_up_closed_days`, by a job.

A day is closed when it has been over for a while and holds no open reservation: every record comes from a
reservation of its day, so none can come any more. Days that are not rolled up are read from the ledger itself,
so a report is right whether or not the job has run. `reconcile_costs` compares both.
"""

import logging
import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from django.db import connection, transaction
from django.db.models import Exists, OuterRef

from billing.models import Reservation, ReservationState, Scope, SpendAccount
from billing.rollup_models import (
    LATENCY_BUCKETS,
    LATENCY_RATIO,
    DailyLatency,
    DailyPersonUsage,
    DailyUsage,
)

logger = logging.getLogger(__name__)

# A reservation takes its day from the clock just before it is written; this is long enough for it to be seen.
CLOSED_AFTER = timedelta(minutes=20)
ROLLUP_LOCK = 7_203_001  # two workers never write the same day

USAGE_SQL = """
    INSERT INTO billing_dailyusage (day, clone_id, model, purpose, outcome, error_type, calls, input_tokens,
        cached_input_tokens, output_tokens, cost_usd, retries, latency_ms)
    SELECT day, clone_id, model, purpose, outcome, error_type, count(*), sum(input_tokens),
        sum(cached_input_tokens), sum(output_tokens), sum(cost_usd), sum(retries),
        CASE WHEN outcome IN ('success', 'stopped') THEN sum(latency_ms) ELSE 0 END
    FROM billing_costrecord WHERE day = %(day)s
    GROUP BY day, clone_id, model, purpose, outcome, error_type
"""

PERSON_SQL = """
    INSERT INTO billing_dailypersonusage (day, user_id, clone_id, calls, input_tokens, cached_input_tokens,
        output_tokens, cost_usd)
    SELECT day, user_id, clone_id, count(*), sum(input_tokens), sum(cached_input_tokens), sum(output_tokens),
        sum(cost_usd)
    FROM billing_costrecord WHERE day = %(day)s
    GROUP BY day, user_id, clone_id
"""

LATENCY_SQL = """
    WITH measured AS (
        SELECT clone_id, model, measure,
            least(%(buckets)s - 1, floor(ln(greatest(ms, 1)::float8) / ln(%(ratio)s::float8)))::int AS bucket
        FROM billing_costrecord
        CROSS JOIN LATERAL (VALUES ('latency', latency_ms), ('first_token', time_to_first_token_ms)) AS m (measure, ms)
        WHERE day = %(day)s AND outcome IN ('success', 'stopped') AND ms IS NOT NULL
    ), filled AS (
        SELECT clone_id, model, measure, bucket, count(*) AS count FROM measured GROUP BY 1, 2, 3, 4
        UNION ALL
        SELECT clone_id, model, measure, bucket, 0
        FROM (SELECT DISTINCT clone_id, model, measure FROM measured) AS groups
        CROSS JOIN generate_series(0, %(buckets)s - 1) AS bucket
    ), summed AS (
        SELECT clone_id, model, measure, bucket, sum(count) AS count FROM filled GROUP BY 1, 2, 3, 4
    )
    INSERT INTO billing_dailylatency (day, clone_id, model, measure, counts)
    SELECT %(day)s, clone_id, model, measure, array_agg(count::real ORDER BY bucket)::vector
    FROM summed GROUP BY clone_id, model, measure
"""


def roll_up_closed_days(*, now: datetime | None = None) -> int:
    """Sums up every closed day that is not yet; one transaction a day. Returns how many there were."""
    days = find_waiting_days(now=now or datetime.now(UTC))
    for day in days:
        roll_up_day(day=day)
    if days:
        logger.info("Rolled up the costs of %d days up to %s.", len(days), days[-1])
    return len(days)


def find_waiting_days(*, now: datetime) -> list[date]:
    """Closed days with calls that are not rolled up, oldest first; one query."""
    open_calls = Reservation.objects.filter(day=OuterRef("day"), state=ReservationState.OPEN)
    waiting = SpendAccount.objects.filter(scope=Scope.PLATFORM, day__lt=(now - CLOSED_AFTER).date()).exclude(
        Exists(DailyUsage.objects.filter(day=OuterRef("day"))) | Exists(open_calls)
    )
    return list(waiting.order_by("day").values_list("day", flat=True))


def roll_up_day(*, day: date) -> None:
    """Sums one day up, in place of what was there."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [ROLLUP_LOCK])
        for table in (DailyUsage, DailyPersonUsage, DailyLatency):
            table.objects.filter(day=day).delete()
        for statement in (USAGE_SQL, PERSON_SQL, LATENCY_SQL):
            cursor.execute(statement, {"day": day, "buckets": LATENCY_BUCKETS, "ratio": LATENCY_RATIO})


def find_rolled_days(*, first_day: date, last_day: date) -> frozenset[date]:
    """The days of a period that reports may read from the rollup."""
    days = DailyUsage.objects.filter(day__range=(first_day, last_day)).values_list("day", flat=True)
    return frozenset(days.distinct())


def middle_ms(bucket: float) -> float:
    """The duration that stands for all of a bucket, in milliseconds."""
    return LATENCY_RATIO ** (bucket + 0.5)


def read_histogram(counts: Iterable[float] | None) -> list[tuple[float, int]]:
    """Milliseconds with how often they occurred. Each stands for its bucket and is at most 2% off."""
    return [
        (middle_ms(bucket), int(count))
        for bucket, count in enumerate(() if counts is None else counts)
        if count
    ]


# sqrt(1.04) - 1: how far the middle of a bucket is from its edges.
LARGEST_ERROR = math.sqrt(LATENCY_RATIO) - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class RollupDifference:
    """A rolled-up day that is not what the ledger adds up to; counts of calls, and US dollars."""

    day: date
    ledger_calls: int
    ledger_cost_usd: Decimal
    usage_calls: int
    usage_cost_usd: Decimal
    person_calls: int
    person_cost_usd: Decimal
    ledger_durations: int
    rolled_durations: int


DIFFERENCES_SQL = """
    WITH ledger AS (
        SELECT day, count(*) AS calls, sum(cost_usd) AS cost, sum(input_tokens + output_tokens) AS tokens,
            count(*) FILTER (WHERE outcome IN ('success', 'stopped'))
                + count(time_to_first_token_ms) FILTER (WHERE outcome IN ('success', 'stopped')) AS durations
        FROM billing_costrecord GROUP BY day
    ), usage AS (
        SELECT day, sum(calls)::bigint AS calls, sum(cost_usd) AS cost, sum(input_tokens + output_tokens) AS tokens
        FROM billing_dailyusage GROUP BY day
    ), person AS (
        SELECT day, sum(calls)::bigint AS calls, sum(cost_usd) AS cost FROM billing_dailypersonusage GROUP BY day
    ), latency AS (
        SELECT day, sum(count)::bigint AS durations
        FROM billing_dailylatency CROSS JOIN LATERAL unnest(counts::real[]) AS count
        GROUP BY day
    )
    SELECT day, coalesce(ledger.calls, 0), coalesce(ledger.cost, 0), coalesce(usage.calls, 0),
        coalesce(usage.cost, 0), coalesce(person.calls, 0), coalesce(person.cost, 0),
        coalesce(ledger.durations, 0), coalesce(latency.durations, 0)
    FROM usage
    FULL JOIN person USING (day) FULL JOIN latency USING (day) LEFT JOIN ledger USING (day)
    WHERE (usage.calls, usage.cost, usage.tokens, person.calls, person.cost, coalesce(latency.durations, 0))
        IS DISTINCT FROM (ledger.calls, ledger.cost, ledger.tokens, ledger.calls, ledger.cost, ledger.durations)
    ORDER BY day
"""


def find_rollup_differences() -> list[RollupDifference]:
    """Rolled-up days that are off, oldest first; reads the whole ledger once."""
    with connection.cursor() as cursor:
        cursor.execute(DIFFERENCES_SQL)
        return [
            RollupDifference(
                day=day,
                ledger_calls=ledger_calls,
                ledger_cost_usd=ledger_cost,
                usage_calls=usage_calls,
                usage_cost_usd=usage_cost,
                person_calls=person_calls,
                person_cost_usd=person_cost,
                ledger_durations=ledger_durations,
                rolled_durations=rolled_durations,
            )
            for (
                day,
                ledger_calls,
                ledger_cost,
                usage_calls,
                usage_cost,
                person_calls,
                person_cost,
                ledger_durations,
                rolled_durations,
            ) in cursor.fetchall()
        ]
