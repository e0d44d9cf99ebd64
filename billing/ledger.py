"""Reserving, settling and sweeping: the database side of a metered call, one short transaction each.

Accounts are always locked in the order clone, person, platform: no two calls can wait for each other, and
the platform's account, which every call needs, is held for the shortest time (see `billing.ledger_writes`). A call
belongs to the UTC day on which it was reserved, also when it is settled after midnight.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from math import ceil
from uuid import UUID

from django.conf import settings
from django.db import DatabaseError, OperationalError, connection
from django.db.models import QuerySet
from django.utils import timezone

from billing.alerts import warn_of_refusal
from billing.calls import Payer, Usage
from billing.errors import BudgetExceeded, UnpricedModel
from billing.ledger_writes import (
    Account,
    LimitReached,
    SettledBefore,
    find_room,
    write_record,
    write_reservation,
)
from billing.models import (
    PLATFORM_OWNER_ID,
    CostRecord,
    Outcome,
    Reservation,
    ReservationState,
    Scope,
)
from billing.prices import TokenPrice, cost_usd, price_of, worst_cost_usd

logger = logging.getLogger(__name__)

# Longer than any call may take (AI_CALL_TIMEOUT_SECONDS), so that a living one is never swept.
ABANDONED_AFTER = timedelta(minutes=12)
LONGEST_LATENCY_MS = 2**31 - 1  # what the column holds: 24 days, and a machine may have been off for longer


@dataclass(frozen=True, slots=True, kw_only=True)
class CallPlan:
    """A call to be paid for. `count_input` counts its input tokens; it runs in the reserving thread."""

    payer: Payer
    purpose: str
    model: str
    count_input: Callable[[], int]
    max_output_tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Bill:
    """How a call went. Cost follows from `usage`, which is None when nothing is owed."""

    outcome: Outcome
    usage: Usage | None
    latency_ms: int
    time_to_first_token_ms: int | None = None
    retries: int = 0
    error_type: str = ""


def reserve(*, plan: CallPlan) -> Reservation:
    """Holds the call's worst cost against every payer's limit of today.

    Raises `BudgetExceeded` or `UnpricedModel`; then nothing is held. Two round trips: price and limits, then all else.
    """
    input_tokens = plan.count_input()
    now = datetime.now(UTC)
    payer = plan.payer
    try:
        price, accounts = find_price_and_accounts(payer=payer, model=plan.model, day=now.date())
    except UnpricedModel:
        logger.error("Refused a call: the model %r has no price. See refresh_prices.", plan.model)
        raise
    amount = worst_cost_usd(input_tokens=input_tokens, max_output_tokens=plan.max_output_tokens, price=price)
    values = {
        "day": now.date(),
        "amount_usd": amount,
        "purpose": plan.purpose,
        "model": plan.model,
        "input_tokens": input_tokens,
        "max_output_tokens": plan.max_output_tokens,
        "input_usd_per_million": price.input_usd,
        "cached_input_usd_per_million": price.cached_input_usd,
        "output_usd_per_million": price.output_usd,
        "user_key": payer.user_id,
        "clone_key": payer.clone_id,
        "session_key": payer.session_id,
        "message_key": payer.message_id,
        "document_key": payer.document_id,
    }
    try:
        return write_reservation(values=values, accounts=accounts)
    except LimitReached:
        room = find_room(accounts=accounts, day=now.date())
        refusing = min(room, key=room.__getitem__)
    _report_refusal(refusing, day=now.date(), amount_usd=amount)
    raise BudgetExceeded(scope=refusing.scope.value, retry_after=seconds_to_midnight(now=now))


def settle(*, reservation: Reservation, bill: Bill) -> Decimal:
    """Writes the call's one record, frees what was held and books what it cost; returns that, in US dollars.

    Settling twice changes nothing: the record of the first time stands, and its cost is returned.
    """
    try:
        return _settle(reservation=reservation, bill=bill)
    except OperationalError:
        # A deadlock with the deletion of what the record points to; the victim goes again.
        return _settle(reservation=reservation, bill=bill)


def settle_abandoned(*, older_than: timedelta = ABANDONED_AFTER) -> int:
    """Settles all calls whose process died; they count as sent, so at their worst cost. Returns how many."""
    return _settle_at_worst(Reservation.objects.filter(created_at__lt=timezone.now() - older_than))


def settle_calls_of_answer(*, message_id: UUID) -> int:
    """As `settle_abandoned`, at once, for the calls of an answer that is known to have lost its writer."""
    return _settle_at_worst(Reservation.objects.filter(message_key=message_id))


def _settle_at_worst(reservations: QuerySet[Reservation]) -> int:
    """The open ones among them."""
    count = 0
    for reservation in reservations.filter(state=ReservationState.OPEN).order_by("created_at"):
        usage = Usage(
            input_tokens=reservation.input_tokens,
            cached_input_tokens=0,
            output_tokens=reservation.max_output_tokens,
        )
        age_ms = round((timezone.now() - reservation.created_at).total_seconds() * 1000)
        bill = Bill(outcome=Outcome.ABANDONED, usage=usage, latency_ms=min(age_ms, LONGEST_LATENCY_MS))
        try:
            settle(reservation=reservation, bill=bill)
        except DatabaseError:  # it may not hold up the others
            logger.exception("Reservation %s cannot be settled.", reservation.pk)
        else:
            count += 1
    if count:
        logger.warning("Settled %d abandoned calls at their worst cost.", count)
    return count


def seconds_to_midnight(*, now: datetime) -> int:
    """Whole seconds to the next UTC midnight, at least 1."""
    midnight = datetime.combine(now.date() + timedelta(days=1), datetime.min.time(), tzinfo=UTC)
    return max(1, ceil((midnight - now).total_seconds()))


# By hand: it runs before every call, and building it from the ORM takes longer than running it.
PRICE_SQL = """
    SELECT input_usd_per_million, cached_input_usd_per_million, output_usd_per_million,
        (SELECT daily_cost_limit_usd FROM accounts_user WHERE id = %(user_id)s),
        (SELECT daily_cost_limit_usd FROM clones_clone WHERE id = %(clone_id)s)
    FROM billing_modelprice
    WHERE model = %(model)s AND valid_from <= %(day)s
    ORDER BY valid_from DESC LIMIT 1
"""


def find_price_and_accounts(*, payer: Payer, model: str, day: date) -> tuple[TokenPrice, list[Account]]:
    """The day's price, and the accounts in locking order with their limits of this moment; one query.

    Raises UnpricedModel.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            PRICE_SQL, {"user_id": payer.user_id, "clone_id": payer.clone_id, "model": model, "day": day}
        )
        found = cursor.fetchone()
    if found is None:
        raise UnpricedModel(model=model)
    *figures, user_limit, clone_limit = found
    accounts = []
    if payer.clone_id is not None:
        accounts.append(Account(Scope.CLONE, payer.clone_id, clone_limit))
    if payer.user_id is not None:
        limit = settings.USER_DAILY_COST_LIMIT if user_limit is None else user_limit
        accounts.append(Account(Scope.USER, payer.user_id, limit))
    accounts.append(Account(Scope.PLATFORM, PLATFORM_OWNER_ID, settings.DAILY_COST_LIMIT))
    return TokenPrice(*figures), accounts


def _report_refusal(account: Account, *, day: date, amount_usd: Decimal) -> None:
    """A line in the log for every refusal, and a warning to staff for the first of the day."""
    owner = account.owner_id or ""
    logger.warning(
        "Refused a call for $%s: the daily limit of %s %s is reached.", amount_usd, account.scope, owner
    )
    warn_of_refusal(
        scope=account.scope, owner_id=account.owner_id, day=day, limit_usd=account.limit_usd or Decimal(0)
    )


def _settle(*, reservation: Reservation, bill: Bill) -> Decimal:
    usage = bill.usage or Usage(0, 0, 0)
    price = price_of(reservation)
    cost = cost_usd(usage=usage, price=price)
    record = CostRecord(
        reservation=reservation,
        day=reservation.day,
        purpose=reservation.purpose,
        model=reservation.model,
        user_id=reservation.user_key,
        clone_id=reservation.clone_key,
        session_id=reservation.session_key,
        message_id=reservation.message_key,
        document_id=reservation.document_key,
        input_tokens=usage.input_tokens,
        cached_input_tokens=usage.cached_input_tokens,
        output_tokens=usage.output_tokens,
        input_usd_per_million=price.input_usd,
        cached_input_usd_per_million=price.cached_input_usd,
        output_usd_per_million=price.output_usd,
        cost_usd=cost,
        latency_ms=bill.latency_ms,
        time_to_first_token_ms=bill.time_to_first_token_ms,
        retries=bill.retries,
        outcome=bill.outcome,
        error_type=bill.error_type,
    )
    state = ReservationState.RELEASED if bill.usage is None else ReservationState.SETTLED
    try:
        write_record(record=record, accounts=_accounts_of(reservation), state=state)
    except SettledBefore:
        logger.warning("Reservation %s was settled before; its record stands.", reservation.pk)
        return CostRecord.objects.values_list("cost_usd", flat=True).get(reservation=reservation)
    if cost > reservation.amount_usd:
        logger.warning(
            "A call with %s cost $%s, $%s was held.", reservation.model, cost, reservation.amount_usd
        )
    return cost


def _accounts_of(reservation: Reservation) -> list[Account]:
    """The accounts that the reservation was held against, in locking order."""
    keys = [
        (Scope.CLONE, reservation.clone_key),
        (Scope.USER, reservation.user_key),
        (Scope.PLATFORM, PLATFORM_OWNER_ID),
    ]
    return [Account(scope, key, None) for scope, key in keys if key is not None]
