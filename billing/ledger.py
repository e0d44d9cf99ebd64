"""Reserving, settling and sweeping: the database side of a metered call, one short transaction each.

Accounts are always locked in the order clone, person, platform: no two calls can wait for each other, and
the platform's account, which every call needs, is held for the shortest time. A call belongs to the UTC day
on which it was reserved, also when it is settled after midnight.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from math import ceil
from typing import Any

from django.conf import settings
from django.db import DatabaseError, OperationalError, connection, transaction
from django.db.models import F, Subquery
from django.utils import timezone

from billing.calls import Payer, Usage
from billing.errors import BudgetExceeded, UnpricedModel
from billing.models import (
    PLATFORM_OWNER_ID,
    CostRecord,
    ModelPrice,
    Outcome,
    Reservation,
    ReservationState,
    Scope,
    SpendAccount,
)
from billing.prices import cost_usd, price_of, worst_cost_usd
from cloneai.accounts.models import User
from clones.models import Clone

logger = logging.getLogger(__name__)

# Longer than any call may take (AI_CALL_TIMEOUT_SECONDS), so that a living one is never swept.
ABANDONED_AFTER = timedelta(minutes=12)
SWEEP_BATCH = 500


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


@dataclass(frozen=True, slots=True)
class Account:
    """An account that a call is held against, with its limit in US dollars; None is no limit."""

    scope: Scope
    owner_id: int
    limit_usd: Decimal | None


def reserve(*, plan: CallPlan) -> Reservation:
    """Holds the call's worst cost against every payer's limit of today.

    Raises `BudgetExceeded` or `UnpricedModel`; then nothing is held. Queries: one for price and limits, one
    for each account (two or three), one insert.
    """
    input_tokens = plan.count_input()
    now = datetime.now(UTC)
    payer = plan.payer
    price, accounts = _find_price_and_accounts(plan=plan, day=now.date())
    amount = worst_cost_usd(
        input_tokens=input_tokens, max_output_tokens=plan.max_output_tokens, price=price_of(price)
    )
    with transaction.atomic():
        for account in accounts:
            if not _hold(account=account, day=now.date(), amount_usd=amount):
                logger.warning(
                    "Refused a call for $%s: the daily limit of %s %s is reached.",
                    amount,
                    account.scope,
                    account.owner_id or "",
                )
                raise BudgetExceeded(scope=account.scope.value, retry_after=seconds_to_midnight(now=now))
        return Reservation.objects.create(
            day=now.date(),
            amount_usd=amount,
            purpose=plan.purpose,
            model=plan.model,
            input_tokens=input_tokens,
            max_output_tokens=plan.max_output_tokens,
            input_usd_per_million=price.input_usd_per_million,
            cached_input_usd_per_million=price.cached_input_usd_per_million,
            output_usd_per_million=price.output_usd_per_million,
            user_key=payer.user_id,
            clone_key=payer.clone_id,
            session_key=payer.session_id,
            message_key=payer.message_id,
            document_key=payer.document_id,
        )


def settle(*, reservation: Reservation, bill: Bill) -> Decimal:
    """Writes the call's one record, frees what was held and books what it cost; returns that, in US dollars.

    Settling twice changes nothing: the record of the first time stands, and its cost is returned.
    """
    try:
        return _settle(reservation=reservation, bill=bill)
    except (
        OperationalError
    ):  # a deadlock with the deletion of what the record points to; the victim goes again
        return _settle(reservation=reservation, bill=bill)


def settle_abandoned(*, older_than: timedelta = ABANDONED_AFTER) -> int:
    """Settles the calls whose process died; they count as sent, so at their worst cost. Returns how many."""
    stale = Reservation.objects.filter(
        state=ReservationState.OPEN, created_at__lt=timezone.now() - older_than
    ).order_by("created_at")[:SWEEP_BATCH]
    count = 0
    for reservation in stale:
        usage = Usage(
            input_tokens=reservation.input_tokens,
            cached_input_tokens=0,
            output_tokens=reservation.max_output_tokens,
        )
        latency_ms = round((timezone.now() - reservation.created_at).total_seconds() * 1000)
        bill = Bill(outcome=Outcome.ABANDONED, usage=usage, latency_ms=latency_ms)
        try:
            settle(reservation=reservation, bill=bill)
        except DatabaseError:
            logger.exception(
                "Reservation %s cannot be settled.", reservation.pk
            )  # nor may it hold up the others
        else:
            count += 1
    if count:
        logger.warning("Settled %d abandoned calls at their worst cost.", count)
    return count


def seconds_to_midnight(*, now: datetime) -> int:
    """Whole seconds to the next UTC midnight, at least 1."""
    midnight = datetime.combine(now.date() + timedelta(days=1), datetime.min.time(), tzinfo=UTC)
    return max(1, ceil((midnight - now).total_seconds()))


def _find_price_and_accounts(*, plan: CallPlan, day: date) -> tuple[ModelPrice, list[Account]]:
    """Today's price, and the accounts in locking order with their limits of this moment; one query."""
    user_limit = User.objects.filter(pk=plan.payer.user_id or 0).values("daily_cost_limit_usd")
    clone_limit = Clone.objects.filter(pk=plan.payer.clone_id or 0).values("daily_cost_limit_usd")
    price: Any = (
        ModelPrice.objects.filter(model=plan.model, valid_from__lte=day)
        .annotate(user_limit=Subquery(user_limit), clone_limit=Subquery(clone_limit))
        .order_by("-valid_from")
        .first()
    )
    if price is None:
        logger.error("Refused a call: the model %r has no price. Add one in the admin.", plan.model)
        raise UnpricedModel(model=plan.model)
    accounts = []
    if plan.payer.clone_id is not None:
        accounts.append(Account(Scope.CLONE, plan.payer.clone_id, price.clone_limit))
    if plan.payer.user_id is not None:
        limit = settings.USER_DAILY_COST_LIMIT if price.user_limit is None else price.user_limit
        accounts.append(Account(Scope.USER, plan.payer.user_id, limit))
    accounts.append(Account(Scope.PLATFORM, PLATFORM_OWNER_ID, settings.DAILY_COST_LIMIT))
    return price, accounts


HOLD_SQL = f"""
    INSERT INTO {SpendAccount._meta.db_table} AS account (scope, owner_id, day, settled_usd, reserved_usd)
    VALUES (%(scope)s, %(owner_id)s, %(day)s, 0, %(amount)s)
    ON CONFLICT (scope, owner_id, day)
    DO UPDATE SET reserved_usd = account.reserved_usd + excluded.reserved_usd
    WHERE %(limit)s::numeric IS NULL
       OR account.settled_usd + account.reserved_usd + excluded.reserved_usd <= %(limit)s::numeric
"""  # noqa: S608 - the table's name is ours


def _hold(*, account: Account, day: date, amount_usd: Decimal) -> bool:
    """Adds to what is reserved if that stays within the limit; locks the row until the transaction ends."""
    if account.limit_usd is not None and amount_usd > account.limit_usd:
        return False  # the day's first call inserts the row, and an INSERT has no condition
    with connection.cursor() as cursor:
        cursor.execute(
            HOLD_SQL,
            {
                "scope": account.scope.value,
                "owner_id": account.owner_id,
                "day": day,
                "amount": amount_usd,
                "limit": account.limit_usd,
            },
        )
        return cursor.rowcount == 1


def _settle(*, reservation: Reservation, bill: Bill) -> Decimal:
    usage = bill.usage or Usage(0, 0, 0)
    price = price_of(reservation)
    cost = cost_usd(usage=usage, price=price)
    state = ReservationState.RELEASED if bill.usage is None else ReservationState.SETTLED
    with transaction.atomic():
        closed = Reservation.objects.filter(pk=reservation.pk, state=ReservationState.OPEN).update(
            state=state, closed_at=timezone.now()
        )
        if not closed:
            logger.warning("Reservation %s was settled before; its record stands.", reservation.pk)
            return CostRecord.objects.values_list("cost_usd", flat=True).get(reservation=reservation)
        CostRecord.objects.create(
            reservation=reservation,
            day=reservation.day,
            purpose=reservation.purpose,
            model=reservation.model,
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
            **_find_links(reservation=reservation),
        )
        for scope, owner_id in _owners(reservation):
            SpendAccount.objects.filter(scope=scope, owner_id=owner_id, day=reservation.day).update(
                reserved_usd=F("reserved_usd") - reservation.amount_usd, settled_usd=F("settled_usd") + cost
            )
    if cost > reservation.amount_usd:
        logger.warning(
            "A call with %s cost $%s, $%s was held.", reservation.model, cost, reservation.amount_usd
        )
    return cost


def _owners(reservation: Reservation) -> list[tuple[Scope, int]]:
    """The reservation's accounts, in locking order."""
    keys = [
        (Scope.CLONE, reservation.clone_key),
        (Scope.USER, reservation.user_key),
        (Scope.PLATFORM, PLATFORM_OWNER_ID),
    ]
    return [(scope, key) for scope, key in keys if key is not None]


def _find_links(*, reservation: Reservation) -> dict[str, Any]:
    """What still exists of what the call was for, locked against deletion until the record is written.

    Children first, as a deletion goes, so that the two seldom wait for each other.
    """
    keys = {
        "message": reservation.message_key,
        "document": reservation.document_key,
        "session": reservation.session_key,
        "clone": reservation.clone_key,
        "user": reservation.user_key,
    }
    wanted = {name: key for name, key in keys.items() if key is not None}
    if not wanted:
        return {}
    columns = ", ".join(
        f"(SELECT id FROM {_table(name)} WHERE id = %({name})s FOR KEY SHARE)"  # noqa: S608 - the names are ours
        for name in wanted
    )
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {columns}", wanted)
        row = cursor.fetchone()
    return {f"{name}_id": key for name, key in zip(wanted, row, strict=True)}


def _table(link: str) -> str:
    """The table that a record's foreign key points to; chat and knowledge stand above this app."""
    related: Any = CostRecord._meta.get_field(link).related_model
    return str(related._meta.db_table)
