"""The two writes of a metered call, each one message to PostgreSQL: `write_reservation` and `write_record`.

Every call updates the platform's account, so what counts is how long its row stays locked. A message that goes
from BEGIN to COMMIT holds it for as long as the server needs, and not while Python waits for a turn or the
network for a packet; the platform's account comes last. Nor is it held while a disk writes: the transaction
commits asynchronously, and a second, empty one that nobody waits for flushes the log, for all calls of that
moment at once, before the message returns. So what was reserved is on disk before the request is sent.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from django.db import DatabaseError, IntegrityError, connection, transaction
from django.utils import timezone

from billing.models import CostRecord, Reservation, ReservationState, Scope, SpendAccount

OVER_LIMIT = "spend_account_not_negative"
UNIQUE_VIOLATION = "23505"

BEGIN = ["BEGIN", "SET LOCAL synchronous_commit = off"]
# Writes a record, which is what makes its commit wait for the log.
COMMIT = ["COMMIT", "SELECT pg_logical_emit_message(true, 'cloneai', '')"]


@dataclass(frozen=True, slots=True)
class Account:
    """An account that a call is held against, with its limit in US dollars; None is no limit."""

    scope: Scope
    owner_id: int
    limit_usd: Decimal | None


class LimitReached(Exception):  # noqa: N818 - not an error of the database
    """One of the accounts had no room; nothing was written."""


class SettledBefore(Exception):  # noqa: N818
    """The reservation has its record; nothing was written."""


# An account without room is given a negative balance, which its constraint refuses; that ends the transaction.
HOLD = """
    INSERT INTO billing_spendaccount AS account (scope, owner_id, day, settled_usd, reserved_usd)
    VALUES (%(scope_{n})s, %(owner_{n})s, %(day)s, 0,
        CASE WHEN %(limit_{n})s::numeric IS NULL OR %(amount)s <= %(limit_{n})s::numeric THEN %(amount)s ELSE -1 END)
    ON CONFLICT (scope, owner_id, day) DO UPDATE SET reserved_usd = CASE
        WHEN %(limit_{n})s::numeric IS NULL
            OR account.settled_usd + account.reserved_usd + %(amount)s <= %(limit_{n})s::numeric
        THEN account.reserved_usd + %(amount)s ELSE -1 END
"""
BOOK = """
    UPDATE billing_spendaccount
    SET reserved_usd = reserved_usd - %(amount)s, settled_usd = settled_usd + %(cost)s
    WHERE scope = %(scope_{n})s AND owner_id = %(owner_{n})s AND day = %(day)s
"""
CLOSE = """
    UPDATE billing_reservation SET state = %(state)s, closed_at = %(now)s
    WHERE id = %(reservation)s AND state = 'open'
"""


def write_reservation(*, values: Mapping[str, Any], accounts: Sequence[Account]) -> Reservation:
    """Holds the amount against every account, in the given order, and writes the reservation.

    Raises LimitReached. One round trip.
    """
    reservation = Reservation(**values)
    row = {column: getattr(reservation, name) for column, name in _columns(Reservation)}
    figures = {"amount": reservation.amount_usd, "day": reservation.day}
    holds = [HOLD.format(n=number) for number in range(len(accounts))]
    try:
        [[reservation.pk]] = _send(
            [_insert(Reservation, row, returning=True), *holds], row | figures | _numbered(accounts)
        )
    except IntegrityError as error:
        if _diagnosis(error, "constraint_name") == OVER_LIMIT:
            raise LimitReached from None
        raise
    reservation._state.adding = False
    return reservation


def write_record(*, record: CostRecord, accounts: Sequence[Account], state: ReservationState) -> None:
    """Writes the call's record, closes its reservation and books the cost on every account.

    What the record points to and is gone becomes NULL; the rest is kept from being deleted until the end, children
    first, as a deletion goes, so that the two seldom wait for each other. Raises SettledBefore. One round trip.
    """
    reservation = record.reservation
    row = {column: getattr(record, name) for column, name in _columns(CostRecord)}
    links = {f"{name}_id": table for name, table in _linked_tables().items()}
    row = {column: row[column] for column in links} | row
    expressions = {
        column: f"(SELECT id FROM {table} WHERE id = %({column})s FOR KEY SHARE)"  # noqa: S608 - the names are ours
        for column, table in links.items()
    }
    books = [BOOK.format(n=number) for number in range(len(accounts))]
    figures = {
        "amount": reservation.amount_usd,
        "cost": record.cost_usd,
        "day": reservation.day,
        "state": state.value,
        "reservation": reservation.pk,
        "now": timezone.now(),
    }
    try:
        _send(
            [_insert(CostRecord, row, expressions=expressions), CLOSE, *books],
            row | figures | _numbered(accounts),
        )
    except IntegrityError as error:
        if _diagnosis(error, "sqlstate") == UNIQUE_VIOLATION:
            raise SettledBefore from None
        raise


def find_room(*, accounts: Sequence[Account], day: date) -> dict[Account, Decimal]:
    """What is left of each limit of that day, in US dollars; accounts without a limit are left out. One query."""
    limits = {account: account.limit_usd for account in accounts if account.limit_usd is not None}
    rows = SpendAccount.objects.filter(day=day, owner_id__in=[account.owner_id for account in limits])
    spent = {
        (scope, owner_id): settled_usd + reserved_usd
        for scope, owner_id, settled_usd, reserved_usd in rows.values_list(
            "scope", "owner_id", "settled_usd", "reserved_usd"
        )
    }
    return {
        account: limit_usd - spent.get((account.scope.value, account.owner_id), Decimal(0))
        for account, limit_usd in limits.items()
    }


def _columns(model: Any) -> list[tuple[str, str]]:
    """Column and attribute of every field but the key."""
    fields = [field for field in model._meta.concrete_fields if not field.primary_key]
    return [(field.column, field.attname) for field in fields]


def _linked_tables() -> dict[str, str]:
    """The tables that a record points to, children first; chat and knowledge stand above this app."""
    names = ("message", "document", "session", "clone", "user")
    related: dict[str, Any] = {name: CostRecord._meta.get_field(name).related_model for name in names}
    return {name: model._meta.db_table for name, model in related.items()}


def _insert(
    model: Any,
    row: Mapping[str, Any],
    *,
    expressions: Mapping[str, str] | None = None,
    returning: bool = False,
) -> str:
    """An INSERT of one row whose values are parameters named like the columns."""
    values = [(expressions or {}).get(column, f"%({column})s") for column in row]
    end = " RETURNING id" if returning else ""
    return f"INSERT INTO {model._meta.db_table} ({', '.join(row)}) VALUES ({', '.join(values)}){end}"  # noqa: S608


def _numbered(accounts: Sequence[Account]) -> dict[str, Any]:
    parameters: dict[str, Any] = {}
    for number, account in enumerate(accounts):
        parameters |= {
            f"scope_{number}": account.scope.value,
            f"owner_{number}": account.owner_id,
            f"limit_{number}": account.limit_usd,
        }
    return parameters


def _send(statements: Sequence[str], parameters: Mapping[str, Any]) -> list[Any]:
    """All statements as one transaction and one message; the rows of the first one.

    Inside somebody else's transaction it is theirs to commit, and a savepoint keeps it whole.
    """
    if connection.in_atomic_block:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(";".join(statements), parameters)
            return list(cursor.fetchall()) if cursor.description else []
    with connection.cursor() as cursor:
        try:
            cursor.execute(";".join([*BEGIN, *statements, *COMMIT]), parameters)
        except DatabaseError:
            _roll_back()
            raise
        for _ in BEGIN:
            cursor.nextset()
        return list(cursor.fetchall()) if cursor.description else []


def _roll_back() -> None:
    """Ends the failed transaction; a connection that cannot even do that is of no use to anybody."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("ROLLBACK")
    except DatabaseError:
        connection.close()


def _diagnosis(error: IntegrityError, name: str) -> str | None:
    """What PostgreSQL said of an error: `sqlstate` or `constraint_name`."""
    return getattr(getattr(error.__cause__, "diag", None), name, None)
