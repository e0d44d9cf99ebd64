"""A ledger of made-up calls for tests, benchmarks and pictures: `fill_ledger`. Written by PostgreSQL, so that a
million calls take a minute or two. The same arguments give the same calls.
"""

import math
from collections.abc import Sequence
from datetime import date, timedelta

from django.db import connection, transaction

# Purpose, model, part of all calls, US dollars per million (input, output), mean tokens (in, out), median milliseconds.
KINDS = (
    ("chat", "gpt-4.1", 0.34, "2", "8", 2400, 320, 3200),
    ("query_embedding", "text-embedding-3-large", 0.34, "0.13", "0", 24, 0, 240),
    ("rewrite", "gpt-4o-mini", 0.14, "0.15", "0.6", 420, 30, 620),
    ("title", "gpt-4o-mini", 0.06, "0.15", "0.6", 300, 8, 540),
    ("memory", "gpt-4.1", 0.05, "2", "8", 900, 90, 1800),
    ("summary", "gpt-4.1", 0.04, "2", "8", 3100, 420, 5200),
    ("document_embedding", "text-embedding-3-large", 0.03, "0.13", "0", 42_000, 0, 1900),
)

FILL_SQL = """
    WITH kind AS (
        SELECT * FROM unnest(%(purposes)s::text[], %(models)s::text[], %(upto)s::float[], %(input_prices)s::numeric[],
            %(output_prices)s::numeric[], %(input_means)s::int[], %(output_means)s::int[], %(medians)s::int[])
        AS kind (purpose, model, upto, input_price, output_price, input_mean, output_mean, median_ms)
    ), draw AS MATERIALIZED (
        SELECT nextval(pg_get_serial_sequence('billing_reservation', 'id')) AS id, random() AS which, random() AS luck,
            random() AS who, random() AS whose, random() AS cached, random_normal() AS size, random_normal() AS speed,
            %(day)s::timestamptz + random() * interval '86399 seconds' AS moment
        FROM generate_series(1, %(calls)s)
    ), call AS MATERIALIZED (
        SELECT draw.*, kind.*,
            CASE WHEN luck < 0.97 THEN 'success' WHEN luck < 0.982 THEN 'stopped'
                WHEN luck < 0.9995 THEN 'failed' ELSE 'abandoned' END AS outcome,
            CASE WHEN luck < 0.982 OR luck >= 0.9995 THEN '' WHEN luck < 0.99 THEN 'rate_limit'
                WHEN luck < 0.994 THEN 'timeout' WHEN luck < 0.998 THEN 'connection' ELSE 'unknown' END AS error_type,
            greatest(1, input_mean * exp(size * 0.4))::int AS tokens_in,
            CASE WHEN output_mean = 0 THEN 0 ELSE greatest(1, output_mean * exp(size * 0.5))::int END AS tokens_out,
            greatest(1, median_ms * exp(speed * 0.45))::int AS latency
        FROM draw CROSS JOIN LATERAL (SELECT * FROM kind WHERE which < upto ORDER BY upto LIMIT 1) AS kind
    ), priced AS MATERIALIZED (
        SELECT call.*, CASE WHEN cached < 0.3 THEN tokens_in / 2 ELSE 0 END AS tokens_cached,
            round(CASE WHEN error_type IN ('rate_limit', 'connection') THEN 0
                ELSE (tokens_in * input_price + tokens_out * output_price) / 1000000 END, 10) AS cost,
            (%(users)s::bigint[])[1 + floor(power(who, 2) * cardinality(%(users)s::bigint[]))::int] AS user_id,
            (%(clones)s::bigint[])[1 + floor(power(whose, 1.6) * cardinality(%(clones)s::bigint[]))::int] AS clone_id
        FROM call
    ), held AS (
        INSERT INTO billing_reservation (id, state, day, amount_usd, purpose, model, input_tokens, max_output_tokens,
            input_usd_per_million, cached_input_usd_per_million, output_usd_per_million, user_key, clone_key,
            created_at, closed_at)
        SELECT id, 'settled', %(day)s, cost, purpose, model, tokens_in, tokens_out, input_price, input_price,
            output_price, user_id, clone_id, moment, moment + latency * interval '1 millisecond'
        FROM priced
    )
    INSERT INTO billing_costrecord (reservation_id, day, created_at, purpose, model, user_id, clone_id, input_tokens,
        cached_input_tokens, output_tokens, input_usd_per_million, cached_input_usd_per_million,
        output_usd_per_million, cost_usd, latency_ms, time_to_first_token_ms, retries, outcome, error_type)
    SELECT id, %(day)s, moment + latency * interval '1 millisecond', purpose, model, user_id, clone_id, tokens_in,
        tokens_cached, tokens_out, input_price, input_price, output_price, cost, latency,
        CASE WHEN purpose = 'chat' THEN latency / 5 END, CASE WHEN luck BETWEEN 0.95 AND 0.99 THEN 1 ELSE 0 END,
        outcome, error_type
    FROM priced ORDER BY moment
"""

COUNT_SQL = """
    INSERT INTO billing_spendaccount (scope, owner_id, day, settled_usd, reserved_usd)
    SELECT scope, owner_id, day, sum(cost_usd), 0
    FROM billing_costrecord AS record
    CROSS JOIN LATERAL (VALUES ('platform', 0), ('user', record.user_id), ('clone', record.clone_id))
        AS owner (scope, owner_id)
    WHERE owner_id IS NOT NULL
    GROUP BY scope, owner_id, day
"""


def fill_ledger(
    *,
    calls: int,
    last_day: date,
    days: int,
    user_ids: Sequence[int],
    clone_ids: Sequence[int],
    seed: float = 0.5,
) -> None:
    """Adds so many calls on the days up to `last_day`, weekends quieter, slowly growing; into an empty ledger.

    Counters are made to fit. Afterwards PostgreSQL's statistics are those of a ledger that autovacuum has visited.
    """
    parameters = _kind_columns()
    all_days = [last_day - timedelta(days=ago) for ago in reversed(range(days))]
    weights = [_weight(day=day, progress=number / days) for number, day in enumerate(all_days)]
    with connection.cursor() as cursor:
        cursor.execute("SELECT setseed(%s)", [seed])
        done, passed = 0, 0.0
        for day, weight in zip(all_days, weights, strict=True):
            passed += weight
            wanted = round(calls * passed / sum(weights)) - done
            done += wanted
            with transaction.atomic():
                figures = {"day": day, "calls": wanted}
                cursor.execute(
                    FILL_SQL, parameters | figures | {"users": list(user_ids), "clones": list(clone_ids)}
                )
        cursor.execute(COUNT_SQL)


def vacuum() -> None:
    """What autovacuum does to a ledger that grows by and by; outside a transaction only."""
    with connection.cursor() as cursor:
        for name in (
            "reservation",
            "costrecord",
            "spendaccount",
            "dailyusage",
            "dailypersonusage",
            "dailylatency",
        ):
            cursor.execute(f"VACUUM ANALYZE billing_{name}")


def _weight(*, day: date, progress: float) -> float:
    return (0.45 if day.weekday() >= 5 else 1.0) * (
        0.7 + 0.5 * progress + 0.12 * math.sin(day.toordinal() * 1.7)
    )


def _kind_columns() -> dict[str, list[object]]:
    """The columns of KINDS; `upto` is the running sum of the parts."""
    purposes, models, parts, inputs, outputs, tokens_in, tokens_out, medians = (
        list(c) for c in zip(*KINDS, strict=True)
    )
    upto = [sum(parts[: number + 1]) for number in range(len(parts) - 1)] + [1.01]
    return {
        "purposes": purposes,
        "models": models,
        "upto": upto,
        "input_prices": inputs,
        "output_prices": outputs,
        "input_means": tokens_in,
        "output_means": tokens_out,
        "medians": medians,
    }
