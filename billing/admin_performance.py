"""The performance report in the admin: how provider calls went, by model, by error and by day."""

from datetime import UTC, datetime, time, timedelta
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from django.core.exceptions import PermissionDenied
from django.http import HttpResponseBase

from billing.admin_report import PARAMETERS, name_ignored, preset_links, records_url
from billing.alert_banner import list_alerts
from billing.charts import MOST_DAYS, Chart, Number, Series, draw_days
from billing.csv_export import build_csv
from billing.models import utc_today
from billing.performance import (
    DayPerformance,
    PerformanceReport,
    daily_performance,
    performance_report,
)
from billing.periods import Period, read_period
from cloneai.accounts.admin_access import StaffRequest

if TYPE_CHECKING:
    from billing.admin import CostRecordAdmin

CSV_HEADER = (
    "Model",
    "Requests",
    "Successful",
    "Failed",
    "Success rate (%)",
    "Tokens",
    "Cost (USD)",
    "p50 (ms)",
    "p95 (ms)",
    "p99 (ms)",
)


def show_performance(model_admin: "CostRecordAdmin", request: StaffRequest) -> HttpResponseBase:
    """Calls that this member of staff may see, as a page or, with `format=csv`, as a file."""
    if not model_admin.has_view_permission(request):
        raise PermissionDenied
    period = read_period(request.GET)
    report = performance_report(
        viewer=request.user,
        since=datetime.combine(period.first_day, time.min, tzinfo=UTC),
        until=datetime.combine(period.last_day + timedelta(days=1), time.min, tzinfo=UTC),
    )
    if request.GET.get("format") == "csv":
        return _export(report, period=period)
    days = daily_performance(viewer=request.user, first_day=period.first_day, last_day=period.last_day)
    of_period = {"day__gte": period.first_day, "day__lte": period.last_day}
    return model_admin.render(
        request,
        "admin/billing/performance.html",
        title="Performance report",
        period=period,
        presets=preset_links(period),
        ignored=name_ignored(request.GET, known=PARAMETERS),
        csv_url=f"?{urlencode({**period.query, 'format': 'csv'})}",
        report=report,
        is_approximate=period.first_day < utc_today(),
        models=[(row, records_url(model=row.model, **of_period)) for row in report.by_model],
        errors=[
            (error_type, count, records_url(error_type__exact=error_type, **of_period))
            for error_type, count in report.errors_by_type.items()
        ],
        charts=_draw(days, period=period),
        days=[(row, records_url(day__exact=row.day)) for row in days],
        spend_alerts=list_alerts(viewer=request.user),
    )


def show_ms(value: Number) -> str:
    return f"{value / 1000:g} s" if value >= 1000 else f"{value:g} ms"


def _draw(rows: tuple[DayPerformance, ...], *, period: Period) -> list[Chart]:
    """Requests and durations by day; of a longer period its last 92 days."""
    if not rows:
        return []
    shown = period.days[-MOST_DAYS:]
    found = {row.day: row for row in rows}
    known = [found.get(day) for day in shown]
    requests = [
        Series(
            name="successful",
            style="first",
            values=[row.requests - row.failed if row else 0 for row in known],
        ),
        Series(name="failed", style="second", values=[row.failed if row else 0 for row in known]),
    ]
    durations = [
        Series(
            name="half of the calls (p50)",
            style="first",
            values=[row.latency.p50_ms if row else None for row in known],
        ),
        Series(
            name="95 of 100 calls (p95)",
            style="third",
            values=[row.latency.p95_ms if row else None for row in known],
        ),
    ]
    return [
        draw_days(title="Requests by day", days=shown, columns=requests, show=lambda value: f"{value:,.0f}"),
        draw_days(title="Time to the whole answer by day", days=shown, lines=durations, show=show_ms),
    ]


def _export(report: PerformanceReport, *, period: Period) -> HttpResponseBase:
    return build_csv(
        file_name=f"performance-{period.first_day}-{period.last_day}.csv",
        header=CSV_HEADER,
        rows=[
            (
                row.model,
                row.requests,
                row.successful,
                row.failed,
                f"{row.success_rate:f}",
                row.tokens,
                f"{row.cost_usd:f}",
                *(
                    "" if ms is None else round(ms)
                    for ms in (row.latency.p50_ms, row.latency.p95_ms, row.latency.p99_ms)
                ),
            )
            for row in report.by_model
        ],
    )
