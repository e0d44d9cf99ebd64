"""The ledger against the counters: what `SpendAccount` says, and what the records and reservations add up to."""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from django.db import connection


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """An account whose counters do not say what the ledger adds up to; US dollars."""

    scope: str
    owner_id: int
    day: date
    counted_settled_usd: Decimal
    ledger_settled_usd: Decimal
    counted_reserved_usd: Decimal
    ledger_reserved_usd: Decimal


# One statement, so that all of it sees the same moment while calls go on.
DIFFERENCES_SQL = """
    WITH call AS (
        SELECT reservation.day, reservation.user_key, reservation.clone_key,
               coalesce(record.cost_usd, 0) AS settled,
               CASE WHEN reservation.state = 'open' THEN reservation.amount_usd ELSE 0 END AS reserved
        FROM billing_reservation AS reservation
        LEFT JOIN billing_costrecord AS record ON record.reservation_id = reservation.id
    ), ledger AS (
        SELECT 'platform' AS scope, 0::bigint AS owner_id, day, sum(settled) AS settled, sum(reserved) AS reserved
        FROM call GROUP BY day
        UNION ALL
        SELECT 'user', user_key, day, sum(settled), sum(reserved)
        FROM call WHERE user_key IS NOT NULL GROUP BY user_key, day
        UNION ALL
        SELECT 'clone', clone_key, day, sum(settled), sum(reserved)
        FROM call WHERE clone_key IS NOT NULL GROUP BY clone_key, day
    )
    SELECT scope, owner_id, day,
           coalesce(account.settled_usd, 0), coalesce(ledger.settled, 0),
           coalesce(account.reserved_usd, 0), coalesce(ledger.reserved, 0)
    FROM ledger
    FULL JOIN (SELECT scope, owner_id, day, settled_usd, reserved_usd FROM billing_spendaccount) AS account
        USING (scope, owner_id, day)
    WHERE coalesce(account.settled_usd, 0) <> coalesce(ledger.settled, 0)
       OR coalesce(account.reserved_usd, 0) <> coalesce(ledger.reserved, 0)
    ORDER BY day, scope, owner_id
"""

UNRECORDED_SQL = """
    SELECT reservation.id
    FROM billing_reservation AS reservation
    LEFT JOIN billing_costrecord AS record ON record.reservation_id = reservation.id
    WHERE (reservation.state = 'open') <> (record.id IS NULL)
    ORDER BY reservation.id
"""


def find_differences() -> list[Difference]:
    """Every account that is off, oldest day first; reads the whole ledger once."""
    with connection.cursor() as cursor:
        cursor.execute(DIFFERENCES_SQL)
        return [
            Difference(
                scope=scope,
                owner_id=owner_id,
                day=day,
                counted_settled_usd=counted_settled,
                ledger_settled_usd=ledger_settled,
                counted_reserved_usd=counted_reserved,
                ledger_reserved_usd=ledger_reserved,
            )
            for (
                scope,
                owner_id,
                day,
                counted_settled,
                ledger_settled,
                counted_reserved,
                ledger_reserved,
            ) in cursor.fetchall()
        ]


def find_unrecorded() -> list[int]:
    """Reservations that are closed without a record, or open with one."""
    with connection.cursor() as cursor:
        cursor.execute(UNRECORDED_SQL)
        return [row[0] for row in cursor.fetchall()]
