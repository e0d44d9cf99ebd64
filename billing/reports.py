"""Costs and performance, summed by PostgreSQL over the ledger. Enter: `cost_report`, `performance_report`.

Both see what `CostRecord.objects.visible_to(viewer)` lets the viewer see: reviewers everything, experts their
clones and themselves, members themselves. Days are UTC and inclusive; money is `Decimal` US dollars.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any
from uuid import UUID

from django.contrib.auth.models import AnonymousUser
from django.contrib.postgres.fields import ArrayField
from django.db.models import Aggregate, Avg, Count, F, FloatField, Q, Sum
from django.db.models.functions import Coalesce

from billing.models import CostRecord, Outcome, Purpose
from cloneai.accounts.models import User
from clones.models import Clone

GONE = "Nobody, or deleted"
ZERO = Decimal(0)
# A stopped answer did what was asked of it.
SUCCEEDED = Q(outcome__in=[Outcome.SUCCESS, Outcome.STOPPED])


class GroupBy(StrEnum):
    DAY = "day"
    USER = "user"
    CLONE = "clone"
    MODEL = "model"
    PURPOSE = "purpose"


@dataclass(frozen=True, slots=True, kw_only=True)
class CostRow:
    """One group's sums. `key` is what the group is filtered by, `share` its part of the cost, 0 to 1."""

    key: str
    label: str
    calls: int
    input_tokens: int
    cached_input_tokens: int
    output_tokens: int
    cost_usd: Decimal
    share: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class CostReport:
    """`rows` go by day, and otherwise from the dearest group to the cheapest."""

    group_by: GroupBy
    first_day: date
    last_day: date
    rows: tuple[CostRow, ...]
    total: CostRow


@dataclass(frozen=True, slots=True, kw_only=True)
class Percentiles:
    """Milliseconds; None when nothing was measured."""

    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelPerformance:
    model: str
    requests: int
    successful: int
    failed: int
    tokens: int
    cost_usd: Decimal
    latency: Percentiles


@dataclass(frozen=True, slots=True, kw_only=True)
class PerformanceReport:
    """The guide's report, and what it lacks. Times are those of successful calls; cost counts every call."""

    since: datetime
    until: datetime
    total_requests: int
    successful_requests: int
    failed_requests: int
    success_rate: Decimal  # percent
    total_tokens: int
    total_cost_usd: Decimal
    cost_per_token_usd: Decimal
    average_response_time_ms: float | None
    latency: Percentiles
    time_to_first_token: Percentiles
    retries: int
    by_model: tuple[ModelPerformance, ...]
    errors_by_type: Mapping[str, int]


class PercentileCont(Aggregate):
    """PostgreSQL's interpolated 50th, 95th and 99th percentile, as one array from one sort."""

    function = "percentile_cont"
    template = "%(function)s(ARRAY[0.5, 0.95, 0.99]) WITHIN GROUP (ORDER BY %(expressions)s)"
    output_field = ArrayField(FloatField())


SUMS = {
    "calls": Count("pk"),
    "sum_input": Coalesce(Sum("input_tokens"), 0),
    "sum_cached": Coalesce(Sum("cached_input_tokens"), 0),
    "sum_output": Coalesce(Sum("output_tokens"), 0),
    "sum_cost": Coalesce(Sum("cost_usd"), ZERO),
}


def cost_report(
    *, viewer: User | AnonymousUser, group_by: GroupBy, first_day: date, last_day: date
) -> CostReport:
    """Sums by group; one query, and one more for the names of people or clones."""
    column = f"{group_by}_id" if group_by in (GroupBy.USER, GroupBy.CLONE) else group_by.value
    order = "day" if group_by == GroupBy.DAY else "-sum_cost"
    found: list[Any] = list(
        CostRecord.objects.visible_to(viewer)
        .filter(day__range=(first_day, last_day))
        .values(group=F(column))
        .annotate(**SUMS)
        .order_by(order)
    )
    total_cost = sum((row["sum_cost"] for row in found), ZERO)
    label = _labels(group_by=group_by, keys=[row["group"] for row in found], viewer=viewer)
    rows = tuple(
        _cost_row(key=row["group"], label=label(row["group"]), sums=row, total_cost=total_cost)
        for row in found
    )
    sums = {name: sum((row[name] for row in found), ZERO if name == "sum_cost" else 0) for name in SUMS}
    total = _cost_row(key="", label="Total", sums=sums, total_cost=total_cost)
    return CostReport(group_by=group_by, first_day=first_day, last_day=last_day, rows=rows, total=total)


def performance_report(
    *, viewer: User | AnonymousUser, since: datetime, until: datetime
) -> PerformanceReport:
    """How the calls of a period went; three queries."""
    # Any: django-stubs cannot follow annotations that come as a dictionary
    records: Any = CostRecord.objects.visible_to(viewer).filter(created_at__gte=since, created_at__lt=until)
    measures: dict[str, Any] = {
        **SUMS,
        "successful": Count("pk", filter=SUCCEEDED),
        "latency": PercentileCont("latency_ms", filter=SUCCEEDED),
    }
    whole = records.aggregate(
        **measures,
        average=Avg("latency_ms", filter=SUCCEEDED),
        first_token=PercentileCont("time_to_first_token_ms", filter=SUCCEEDED),
        sum_retries=Coalesce(Sum("retries"), 0),
    )
    by_model = records.values("model").annotate(**measures).order_by("-calls", "model")
    errors = (
        records.exclude(error_type="")
        .values_list("error_type")
        .annotate(count=Count("pk"))
        .order_by("-count")
    )
    calls, tokens, cost = whole["calls"], whole["sum_input"] + whole["sum_output"], whole["sum_cost"]
    return PerformanceReport(
        since=since,
        until=until,
        total_requests=calls,
        successful_requests=whole["successful"],
        failed_requests=calls - whole["successful"],
        success_rate=(Decimal(100) * whole["successful"] / calls if calls else ZERO).quantize(
            Decimal("0.01")
        ),
        total_tokens=tokens,
        total_cost_usd=cost,
        cost_per_token_usd=(cost / tokens).quantize(Decimal("0.0000000001")) if tokens else ZERO,
        average_response_time_ms=None if whole["average"] is None else float(whole["average"]),
        latency=_percentiles(whole["latency"]),
        time_to_first_token=_percentiles(whole["first_token"]),
        retries=whole["sum_retries"],
        by_model=tuple(_model_performance(row) for row in by_model),
        errors_by_type=dict(errors),
    )


def session_cost_usd(session_id: UUID) -> Decimal:
    """What a conversation has cost so far, all purposes together; one query."""
    return CostRecord.objects.filter(session=session_id).aggregate(cost=Coalesce(Sum("cost_usd"), ZERO))[
        "cost"
    ]


def _labels(*, group_by: GroupBy, keys: list[Any], viewer: User | AnonymousUser) -> Callable[[Any], str]:
    """A group's name. People are named by address to reviewers and to themselves, by pseudonym to others."""
    names: dict[Any, str] = {}
    if group_by == GroupBy.USER:
        for user in User.objects.filter(pk__in=keys):
            is_open = user == viewer or (isinstance(viewer, User) and viewer.is_reviewer)
            names[user.pk] = user.email if is_open else user.pseudonym
    elif group_by == GroupBy.CLONE:
        names = dict(Clone.objects.filter(pk__in=keys).values_list("pk", "name"))
    elif group_by == GroupBy.PURPOSE:
        names = {purpose.value: str(purpose.label) for purpose in Purpose}
    return lambda key: GONE if key is None else names.get(key, str(key))


def _cost_row(*, key: Any, label: str, sums: Mapping[str, Any], total_cost: Decimal) -> CostRow:
    share = sums["sum_cost"] / total_cost if total_cost else ZERO
    return CostRow(
        key="" if key is None else str(key),
        label=label,
        calls=sums["calls"],
        input_tokens=sums["sum_input"],
        cached_input_tokens=sums["sum_cached"],
        output_tokens=sums["sum_output"],
        cost_usd=sums["sum_cost"],
        share=share.quantize(Decimal("0.0001")),
    )


def _model_performance(row: Mapping[str, Any]) -> ModelPerformance:
    return ModelPerformance(
        model=row["model"],
        requests=row["calls"],
        successful=row["successful"],
        failed=row["calls"] - row["successful"],
        tokens=row["sum_input"] + row["sum_output"],
        cost_usd=row["sum_cost"],
        latency=_percentiles(row["latency"]),
    )


def _percentiles(values: list[float] | None) -> Percentiles:
    p50, p95, p99 = values or (None, None, None)
    return Percentiles(p50_ms=p50, p95_ms=p95, p99_ms=p99)
