"""How provider calls went: success, time, tokens, errors. Enter: `performance_report`, `daily_performance`.

The same view of the ledger as `billing.reports`: what the viewer may see, closed days from the rollup, all
others from the ledger. Durations are milliseconds. Percentiles are interpolated like PostgreSQL's
`percentile_cont`; of closed days a duration is known to 2%, of others exactly if they are one or two.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from math import log
from typing import Any

from django.contrib.auth.models import AnonymousUser
from django.db.models import Count, F, FloatField, Func, Q, QuerySet, Sum, Value
from django.db.models.functions import Cast, Coalesce, Floor, Greatest, Ln

from billing.models import CostRecord, Outcome
from billing.percentiles import Durations, Percentiles, find_percentiles, merge_durations
from billing.reports import RECORD_SUMS, ROLLUP_SUMS, ZERO, days_of_ledger, within
from billing.rollup import middle_ms, read_histogram
from billing.rollup_models import LATENCY_RATIO, DailyLatency, DailyUsage, Measure
from cloneai.accounts.models import User

# A stopped answer did what was asked of it.
SUCCEEDED = Q(outcome__in=[Outcome.SUCCESS, Outcome.STOPPED])
MEASURED = {Measure.LATENCY: "latency_ms", Measure.FIRST_TOKEN: "time_to_first_token_ms"}
EXACT_DAYS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelPerformance:
    model: str
    requests: int
    successful: int
    failed: int
    tokens: int
    cost_usd: Decimal
    latency: Percentiles

    @property
    def success_rate(self) -> Decimal:
        return percentage(self.successful, self.requests)


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


@dataclass(frozen=True, slots=True, kw_only=True)
class DayPerformance:
    day: date
    requests: int
    failed: int
    latency: Percentiles


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """Where a period's calls are found; no call is in two of them.

    `is_exact`: the records' durations are few enough to be counted by the millisecond.
    """

    is_exact: bool
    records: QuerySet[CostRecord]
    usage: QuerySet[DailyUsage]
    durations: QuerySet[DailyLatency]


def find_sources(*, viewer: User | AnonymousUser, since: datetime, until: datetime) -> Sources:
    """A day that lies wholly in the period counts with all its calls, whenever they were settled.

    Of the days at its edges those calls count that were settled in the period. One query.
    """
    is_cut = since > _midnight(since.date())
    first_day = since.date() + timedelta(days=1) if is_cut else since.date()
    edges = {since.date()} if is_cut else set()
    edges |= {until.date()} if until > _midnight(until.date()) else set()
    last_day = max(until.date() - timedelta(days=1), first_day - timedelta(days=1))
    rolled, live = days_of_ledger(viewer=viewer, first_day=first_day, last_day=last_day)
    live += [(day, day) for day in edges]
    records = CostRecord.objects.visible_to(viewer).filter(within(live))
    return Sources(
        is_exact=sum((last - first).days + 1 for first, last in live) <= EXACT_DAYS,
        records=records.filter(~Q(day__in=edges) | Q(created_at__gte=since, created_at__lt=until)),
        usage=DailyUsage.objects.visible_to(viewer).filter(day__in=rolled),
        durations=DailyLatency.objects.visible_to(viewer).filter(day__in=rolled),
    )


def performance_report(
    *, viewer: User | AnonymousUser, since: datetime, until: datetime
) -> PerformanceReport:
    """How the calls of a period went; six queries at most."""
    sources = find_sources(viewer=viewer, since=since, until=until)
    groups = _count_calls(sources)
    durations = _collect_durations(sources, by="model")
    total: Any = sum((Counter(counts) for counts in groups.values()), Counter())
    cost: Decimal = sum((counts["cost"] or ZERO for counts in groups.values()), ZERO)
    calls, successful, tokens = total["calls"], total["successful"], total["tokens"]
    errors: Counter[str] = Counter()
    for (_, error_type), counts in groups.items():
        errors[error_type] += counts["calls"] if error_type else 0
    return PerformanceReport(
        since=since,
        until=until,
        total_requests=calls,
        successful_requests=successful,
        failed_requests=calls - successful,
        success_rate=percentage(successful, calls),
        total_tokens=tokens,
        total_cost_usd=cost,
        cost_per_token_usd=(cost / tokens).quantize(Decimal("0.0000000001")) if tokens else ZERO,
        average_response_time_ms=total["latency"] / successful if successful else None,
        latency=find_percentiles(merge_durations(durations[Measure.LATENCY].values())),
        time_to_first_token=find_percentiles(merge_durations(durations[Measure.FIRST_TOKEN].values())),
        retries=total["retries"],
        by_model=_by_model(groups=groups, durations=durations[Measure.LATENCY]),
        errors_by_type=dict((+errors).most_common()),
    )


def daily_performance(
    *, viewer: User | AnonymousUser, first_day: date, last_day: date
) -> tuple[DayPerformance, ...]:
    """The same by day, for charts; days without a call are left out. Five queries at most."""
    sources = find_sources(
        viewer=viewer, since=_midnight(first_day), until=_midnight(last_day + timedelta(days=1))
    )
    durations = _collect_durations(sources, by="day", measures=(Measure.LATENCY,))[Measure.LATENCY]
    calls: Counter[date] = Counter()
    successful: Counter[date] = Counter()
    for rows, count in ((sources.records, Count("pk")), (sources.usage, Sum("calls"))):
        for day, outcome, number in rows.order_by().values_list("day", "outcome").annotate(number=count):
            calls[day] += number
            successful[day] += number if outcome in (Outcome.SUCCESS, Outcome.STOPPED) else 0
    return tuple(
        DayPerformance(
            day=day,
            requests=calls[day],
            failed=calls[day] - successful[day],
            latency=find_percentiles(durations.get(day, [])),
        )
        for day in sorted(calls)
    )


def percentage(part: int, whole: int) -> Decimal:
    return (Decimal(100) * part / whole if whole else ZERO).quantize(Decimal("0.01"))


def _count_calls(sources: Sources) -> dict[tuple[str, str], dict[str, Any]]:
    """Sums by model and error type, from both sources."""
    found: dict[tuple[str, str], Any] = defaultdict(Counter)
    shared: dict[str, Any] = {"sum_retries": Coalesce(Sum("retries"), 0)}
    of_records: dict[str, Any] = {"sum_latency": Coalesce(Sum("latency_ms", filter=SUCCEEDED), 0)}
    of_records |= {"successful": Count("pk", filter=SUCCEEDED)}
    of_usage: dict[str, Any] = {"sum_latency": Coalesce(Sum("latency_ms"), 0)}
    of_usage |= {"successful": Coalesce(Sum("calls", filter=SUCCEEDED), 0)}
    for rows, sums in (
        (sources.records, RECORD_SUMS | of_records),
        (sources.usage, ROLLUP_SUMS | of_usage),
    ):
        grouped: Any = rows.order_by().values("model", "error_type").annotate(**sums, **shared)
        for row in grouped:
            counts = found[row["model"], row["error_type"]]
            counts["calls"] += row["sum_calls"]
            counts["successful"] += row["successful"]
            counts["tokens"] += row["sum_input"] + row["sum_output"]
            counts["cost"] += row["sum_cost"]
            counts["latency"] += row["sum_latency"]
            counts["retries"] += row["sum_retries"]
    return found


def _collect_durations(
    sources: Sources, *, by: str, measures: Iterable[Measure] = tuple(Measure)
) -> dict[Measure, dict[Any, Durations]]:
    """Counted milliseconds of successful calls, by measure and the given column."""
    found: dict[Measure, dict[Any, Durations]] = {measure: defaultdict(list) for measure in measures}
    histograms: Any = sources.durations.filter(measure__in=list(found))
    for row in histograms.order_by().values("measure", by).annotate(sum_counts=Sum("counts")):
        found[Measure(row["measure"])][row[by]] += read_histogram(row["sum_counts"])
    for measure, groups in found.items():
        column = MEASURED[measure]
        records: Any = sources.records.filter(SUCCEEDED, **{f"{column}__isnull": False}).order_by()
        ms: Any = F(column) if sources.is_exact else _bucket(column)
        for row in records.values(group=F(by), ms=ms).annotate(number=Count("pk")):
            groups[row["group"]].append(
                (row["ms"] if sources.is_exact else middle_ms(row["ms"]), row["number"])
            )
    return found


def _bucket(column: str) -> Func:
    """The number of a duration's bucket, as the rollup counts them."""
    logarithm = Ln(Greatest(Cast(column, FloatField()), Value(1.0)))
    return Floor(logarithm / Value(log(LATENCY_RATIO)), output_field=FloatField())


def _by_model(
    *, groups: Mapping[tuple[str, str], Mapping[str, Any]], durations: Mapping[Any, Durations]
) -> tuple[ModelPerformance, ...]:
    """From the most used to the least."""
    models: dict[str, Any] = defaultdict(Counter)
    for (model, _), counts in groups.items():
        models[model].update(counts)
    rows = (
        ModelPerformance(
            model=model,
            requests=counts["calls"],
            successful=counts["successful"],
            failed=counts["calls"] - counts["successful"],
            tokens=counts["tokens"],
            cost_usd=counts["cost"] or ZERO,
            latency=find_percentiles(durations.get(model, [])),
        )
        for model, counts in models.items()
    )
    return tuple(sorted(rows, key=lambda row: (-row.requests, row.model)))


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time.min, tzinfo=UTC)
