"""The cost report in the admin: a period, a grouping, a chart, a table, and a way down to the single calls."""

from collections.abc import Collection, Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from django.core.exceptions import PermissionDenied
from django.http import HttpResponseBase
from django.urls import reverse

from billing.alert_banner import list_alerts
from billing.charts import Chart, Number, Series, by_month, draw_days, draw_ranking
from billing.csv_export import build_csv
from billing.models import utc_today
from billing.periods import Period, list_presets, read_period
from billing.reports import CostReport, CostRow, GroupBy, cost_report
from cloneai.accounts.admin_access import StaffRequest

if TYPE_CHECKING:
    from billing.admin import CostRecordAdmin

TABS = {
    GroupBy.DAY: "By day",
    GroupBy.USER: "By person",
    GroupBy.MODEL: "By model",
    GroupBy.CLONE: "By clone",
    GroupBy.PURPOSE: "By purpose",
}
# How the list of single calls is filtered for a group, and for the group of calls that belong to none.
LOOKUPS = {
    GroupBy.DAY: "day__exact",
    GroupBy.USER: "user__id__exact",
    GroupBy.MODEL: "model",
    GroupBy.CLONE: "clone",
    GroupBy.PURPOSE: "purpose__exact",
}
BY_PSEUDONYM = "person"  # `admin.PseudonymFilter`
CSV_HEADER = (
    "Calls",
    "Input tokens",
    "Cached input tokens",
    "Output tokens",
    "Cost (USD)",
    "Share",
    "Cost before (USD)",
)
PARAMETERS: dict[str, Collection[str]] = {"first_day": (), "last_day": (), "format": ("csv",)}
RANKED = 10
ROWS_SHOWN = 400  # people, for example; the file has all


def show_report(model_admin: "CostRecordAdmin", request: StaffRequest) -> HttpResponseBase:
    """Costs that this member of staff may see, as a page or, with `format=csv`, as a file."""
    if not model_admin.has_view_permission(request):
        raise PermissionDenied
    asked = request.GET.get("group_by", "")
    group_by = GroupBy(asked) if asked in list(GroupBy) else GroupBy.DAY
    is_file = request.GET.get("format") == "csv"
    period = read_period(request.GET)
    report = cost_report(
        viewer=request.user,
        group_by=group_by,
        first_day=period.first_day,
        last_day=period.last_day,
        is_compared=True,
        at_most=None if is_file or group_by == GroupBy.DAY else ROWS_SHOWN,
    )
    heading = TABS[group_by].removeprefix("By ").capitalize()
    if is_file:
        return _export(report, heading=heading)
    grouping = {"group_by": group_by.value}
    return model_admin.render(
        request,
        "admin/billing/report.html",
        title="Cost report",
        period=period,
        presets=preset_links(period, **grouping),
        hidden=grouping,
        ignored=name_ignored(request.GET, known=PARAMETERS | {"group_by": list(GroupBy)}),
        csv_url=f"?{urlencode({**period.query, **grouping, 'format': 'csv'})}",
        report=report,
        rows=[(row, _records_url(report, row)) for row in report.rows],
        hidden_count=report.group_count - len(report.rows),
        chart=_draw(report, period=period),
        tabs=[
            (f"?{urlencode({**period.query, 'group_by': key.value})}", label, key == group_by)
            for key, label in TABS.items()
        ],
        heading=heading,
        # A day is not like the one that stands where it stood in the period before: weekdays differ.
        is_compared=group_by != GroupBy.DAY,
        spend_alerts=list_alerts(viewer=request.user),
    )


def name_ignored(query: Mapping[str, Any], *, known: Mapping[str, Collection[str]]) -> str:
    """What of an address means nothing here and was left out, as a sentence; empty when all was read.

    `known` are the parameters with their values; none is any.
    """
    parts = [f"“{name[:40]}”" for name in query if name not in known]
    parts += [
        f"“{query[name][:40]}” for {name}"
        for name, values in known.items()
        if values and query.get(name) and query[name] not in values
    ]
    return f"Ignored, because it means nothing here: {', '.join(parts)}." if parts else ""


def preset_links(period: Period, **others: str) -> list[tuple[str, str, bool]]:
    """Address, name and whether it is the one shown, of each usual period."""
    return [
        (
            f"?{urlencode({'first_day': first_day, 'last_day': last_day, **others})}",
            name,
            (first_day, last_day) == (period.first_day, period.last_day),
        )
        for name, first_day, last_day in list_presets(today=utc_today())
    ]


def records_url(**filters: Any) -> str:
    return f"{reverse('admin:billing_costrecord_changelist')}?{urlencode(filters)}"


def show_usd(value: Number) -> str:
    """As many digits as an axis has room for."""
    if value >= 1000:
        return f"${value:,.0f}"
    return f"${value:.2f}" if value >= 0.1 or value == 0 else f"${value:.2g}"


def _records_url(report: CostReport, row: CostRow) -> str:
    """The single calls of a group."""
    lookup = LOOKUPS[report.group_by]
    if report.group_by == GroupBy.USER and not row.key.isdecimal():
        lookup = BY_PSEUDONYM
    filters: dict[str, Any] = {lookup: row.key} if row.key else {f"{report.group_by}__isnull": True}
    if report.group_by != GroupBy.DAY:
        filters |= {"day__gte": report.first_day, "day__lte": report.last_day}
    return records_url(**filters)


def _draw(report: CostReport, *, period: Period) -> Chart | None:
    if not report.rows:
        return None
    if report.group_by == GroupBy.DAY:
        costs = {row.key: row.cost_usd for row in report.rows}
        days, values = by_month(period.days, [costs.get(day.isoformat(), Decimal(0)) for day in period.days])
        is_monthly = len(days) < len(period.days)
        title = f"Cost by {'month' if is_monthly else 'day'}, US dollars"
        columns = [Series(name="cost", style="first", values=values)]
        return draw_days(title=title, days=days, columns=columns, show=show_usd, is_monthly=is_monthly)
    return draw_ranking(
        title=f"Cost {TABS[report.group_by].lower()}, US dollars", rows=_ranked(report), show=show_usd
    )


def _ranked(report: CostReport) -> list[tuple[str, Decimal]]:
    """The dearest groups, and all others as one."""
    shown = [(row.label, row.cost_usd) for row in report.rows[:RANKED]]
    if others := report.group_count - len(shown):
        others_usd = report.total.cost_usd - sum((cost for _, cost in shown), Decimal(0))
        shown.append((f"{others} others", others_usd))
    return shown


def _export(report: CostReport, *, heading: str) -> HttpResponseBase:
    return build_csv(
        file_name=f"costs-by-{report.group_by}-{report.first_day}-{report.last_day}.csv",
        header=(heading, *CSV_HEADER),
        rows=(
            (
                row.label,
                row.calls,
                row.input_tokens,
                row.cached_input_tokens,
                row.output_tokens,
                f"{row.cost_usd:f}",
                f"{row.share:f}",
                f"{row.previous_cost_usd:f}",
            )
            for row in (*report.rows, report.total)
        ),
    )
