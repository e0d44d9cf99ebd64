"""Costs by day, person, clone, model or purpose, summed by PostgreSQL. Enter: `cost_report`.

A report sees what `CostRecord.objects.visible_to(viewer)` lets the viewer see: reviewers everything, experts
their clones, members themselves. Closed days come from the rollup, all others from the ledger. Days are UTC and
inclusive; money is `Decimal` US dollars.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from enum import StrEnum
from functools import reduce
from operator import or_
from typing import Any
from uuid import UUID

from django.contrib.auth.models import AnonymousUser
from django.db.models import Count, F, Q, QuerySet, Sum
from django.db.models.functions import Coalesce

from billing.models import CostRecord, Purpose
from billing.rollup import find_rolled_days
from billing.rollup_models import DailyPersonUsage, DailyUsage
from cloneai.accounts.models import User
from clones.models import Clone

GONE = "Nobody, or deleted"
ZERO = Decimal(0)
SHARE_PRECISION = Decimal("0.0001")
ONE_DAY = timedelta(days=1)
DayRange = tuple[date, date]  # both included


class GroupBy(StrEnum):
    DAY = "day"
    USER = "user"
    CLONE = "clone"
    MODEL = "model"
    PURPOSE = "purpose"


@dataclass(frozen=True, slots=True, kw_only=True)
class CostRow:
    """One group's sums. `key` is what the group is filtered by, `share` its part of the cost, 0 to 1.

    People who are not named to the viewer have their pseudonym for a key too.
    `previous_cost_usd` is the group's cost in the period before, None when that was not asked for.
    """

    key: str
    label: str
    calls: int
    input_tokens: int
    cached_input_tokens: int
    output_tokens: int
    cost_usd: Decimal
    share: Decimal
    previous_cost_usd: Decimal | None = None

    @property
    def share_percent(self) -> Decimal:
        return (self.share * 100).quantize(Decimal("0.1"))

    @property
    def trend_percent(self) -> Decimal | None:
        """Growth against the period before: 25 is a quarter more. None without a cost to compare with."""
        if not self.previous_cost_usd:
            return None
        return ((self.cost_usd / self.previous_cost_usd - 1) * 100).quantize(Decimal("0.1"))


@dataclass(frozen=True, slots=True, kw_only=True)
class CostReport:
    """`rows` go by day, and otherwise from the dearest group to the cheapest; they may be fewer than the groups."""

    group_by: GroupBy
    first_day: date
    last_day: date
    rows: tuple[CostRow, ...]
    group_count: int
    total: CostRow


@dataclass(frozen=True, slots=True, kw_only=True)
class Sums:
    """What is added up of some calls."""

    calls: int = 0
    input_tokens: int = 0
    cached_input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: Decimal = ZERO

    def __add__(self, other: "Sums") -> "Sums":
        return Sums(
            calls=self.calls + other.calls,
            input_tokens=self.input_tokens + other.input_tokens,
            cached_input_tokens=self.cached_input_tokens + other.cached_input_tokens,
            output_tokens=self.output_tokens + other.output_tokens,
            cost_usd=self.cost_usd + other.cost_usd,
        )


NOTHING = Sums()
# Not named like the columns, which an annotation may not be.
SUMS = {
    "sum_input": Coalesce(Sum("input_tokens"), 0),
    "sum_cached": Coalesce(Sum("cached_input_tokens"), 0),
    "sum_output": Coalesce(Sum("output_tokens"), 0),
    "sum_cost": Coalesce(Sum("cost_usd"), ZERO),
}
RECORD_SUMS = {"sum_calls": Count("pk"), **SUMS}
ROLLUP_SUMS = {"sum_calls": Coalesce(Sum("calls"), 0), **SUMS}


def cost_report(
    *,
    viewer: User | AnonymousUser,
    group_by: GroupBy,
    first_day: date,
    last_day: date,
    is_compared: bool = False,
    at_most: int | None = None,
) -> CostReport:
    """Sums by group, on demand with the same of as many days before, and of `at_most` groups, the first in order.

    Three queries a period, and one more for the names of people or clones.
    """
    found = _sum_by_group(viewer=viewer, group_by=group_by, first_day=first_day, last_day=last_day)
    before: dict[Any, Sums] | None = None
    if is_compared:
        earlier = period_before(first_day=first_day, last_day=last_day)
        before = _sum_by_group(viewer=viewer, group_by=group_by, first_day=earlier[0], last_day=earlier[1])
        if group_by == GroupBy.DAY:  # the first day against the first day, and so on
            before = {day + (first_day - earlier[0]): sums for day, sums in before.items()}
    total = sum(found.values(), NOTHING)
    shown = _in_order(found, by_key=group_by == GroupBy.DAY)[:at_most]
    label = _labels(group_by=group_by, keys=[key for key, _ in shown], viewer=viewer)

    def row(key: Any, name: str, sums: Sums, previous: Sums | None) -> CostRow:
        if group_by == GroupBy.USER and key is not None and not _is_named_to(viewer, person_id=key):
            key = name  # a person's number is no more for experts than the address
        return _cost_row(key=key, label=name, sums=sums, total_cost=total.cost_usd, previous=previous)

    return CostReport(
        group_by=group_by,
        first_day=first_day,
        last_day=last_day,
        rows=tuple(
            row(key, label(key), sums, None if before is None else before.get(key, NOTHING))
            for key, sums in shown
        ),
        group_count=len(found),
        total=row(None, "Total", total, None if before is None else sum(before.values(), NOTHING)),
    )


def period_before(*, first_day: date, last_day: date) -> tuple[date, date]:
    """As many days, ending the day before the period begins."""
    return first_day - (last_day - first_day) - ONE_DAY, first_day - ONE_DAY


def session_cost_usd(session_id: UUID) -> Decimal:
    """What a conversation has cost so far, all purposes together; one query."""
    return CostRecord.objects.filter(session=session_id).aggregate(cost=Coalesce(Sum("cost_usd"), ZERO))[
        "cost"
    ]


def days_of_ledger(
    *, viewer: User | AnonymousUser, first_day: date, last_day: date
) -> tuple[frozenset[date], list[DayRange]]:
    """The period's days that this viewer's report reads from the rollup, and those of the ledger; one query.

    A member's own calls are few, and are always read from the ledger.
    """
    is_staff = isinstance(viewer, User) and (viewer.is_reviewer or viewer.is_expert)
    rolled = find_rolled_days(first_day=first_day, last_day=last_day) if is_staff else frozenset()
    live, begin = [], first_day
    for day in sorted(rolled):
        if begin < day:
            live.append((begin, day - ONE_DAY))
        begin = day + ONE_DAY
    return rolled, [*live, (begin, last_day)] if begin <= last_day else live


def within(days: Iterable[DayRange]) -> Q:
    """The records of these days."""
    return reduce(or_, (Q(day__range=pair) for pair in days), Q(day__in=[]))


def _sum_by_group(
    *, viewer: User | AnonymousUser, group_by: GroupBy, first_day: date, last_day: date
) -> dict[Any, Sums]:
    """Sums by the group's raw key, from the rollup and from the ledger."""
    column = f"{group_by}_id" if group_by in (GroupBy.USER, GroupBy.CLONE) else group_by.value
    rolled, days = days_of_ledger(viewer=viewer, first_day=first_day, last_day=last_day)
    table: Any = DailyPersonUsage if group_by == GroupBy.USER else DailyUsage
    found: dict[Any, Sums] = {}
    if rolled:
        rows = table.objects.visible_to(viewer).filter(day__range=(first_day, last_day))
        _add_groups(found, rows, column=column, sums=ROLLUP_SUMS)
    if days:
        records = CostRecord.objects.visible_to(viewer).filter(within(days))
        _add_groups(found, records, column=column, sums=RECORD_SUMS)
    return found


def _add_groups(found: dict[Any, Sums], rows: QuerySet[Any], *, column: str, sums: Mapping[str, Any]) -> None:
    for row in rows.order_by().values(group=F(column)).annotate(**sums):
        found[row["group"]] = found.get(row["group"], NOTHING) + Sums(
            calls=row["sum_calls"],
            input_tokens=row["sum_input"],
            cached_input_tokens=row["sum_cached"],
            output_tokens=row["sum_output"],
            cost_usd=row["sum_cost"],
        )


def _in_order(found: Mapping[Any, Sums], *, by_key: bool) -> list[tuple[Any, Sums]]:
    if by_key:
        return sorted(found.items())
    return sorted(found.items(), key=lambda item: (-item[1].cost_usd, -item[1].calls, str(item[0])))


def _labels(*, group_by: GroupBy, keys: list[Any], viewer: User | AnonymousUser) -> Callable[[Any], str]:
    """A group's name. People are named by address to reviewers and to themselves, by pseudonym to others."""
    names: dict[Any, str] = {}
    if group_by == GroupBy.USER:
        for user in User.objects.filter(pk__in=keys).only("email", "date_joined"):  # there may be many
            is_named = _is_named_to(viewer, person_id=user.pk)
            names[user.pk] = user.email if is_named else user.pseudonym
    elif group_by == GroupBy.CLONE:
        names = dict(Clone.objects.filter(pk__in=keys).values_list("pk", "name"))
    elif group_by == GroupBy.PURPOSE:
        names = {purpose.value: str(purpose.label) for purpose in Purpose}
    unknown = GONE if group_by == GroupBy.USER else None  # erased while this was being summed up
    return lambda key: GONE if key is None else names.get(key, unknown or str(key))


def _is_named_to(viewer: User | AnonymousUser, *, person_id: int) -> bool:
    return isinstance(viewer, User) and (viewer.is_reviewer or viewer.pk == person_id)


def _cost_row(*, key: Any, label: str, sums: Sums, total_cost: Decimal, previous: Sums | None) -> CostRow:
    share = sums.cost_usd / total_cost if total_cost else ZERO
    return CostRow(
        key="" if key is None else str(key),
        label=label,
        calls=sums.calls,
        input_tokens=sums.input_tokens,
        cached_input_tokens=sums.cached_input_tokens,
        output_tokens=sums.output_tokens,
        cost_usd=sums.cost_usd,
        share=share.quantize(SHARE_PRECISION),
        previous_cost_usd=None if previous is None else previous.cost_usd,
    )
