"""The expert's page of insights: a period, own clones, charts with the same figures in tables beside them."""

from decimal import Decimal
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from django.core.exceptions import PermissionDenied
from django.http import HttpResponseBase

from billing.charts import Chart, Series, by_month, draw_days, draw_ranking
from billing.models import utc_today
from billing.periods import Period, list_presets, read_period
from chat.session_reports import LEAST_ASKERS, SessionReport, report_sessions
from cloneai.accounts.admin_access import StaffRequest
from clones.models import Clone

if TYPE_CHECKING:
    from chat.admin_reviews import SessionSummaryAdmin

CLONES_OFFERED = 200


def show_insights(model_admin: "SessionSummaryAdmin", request: StaffRequest) -> HttpResponseBase:
    """Figures of the clones that this member of staff may see; `clone` narrows them to one."""
    if not model_admin.has_view_permission(request):
        raise PermissionDenied
    period = read_period(request.GET)
    clones = Clone.objects.readable_by_staff(request.user).order_by("name")
    asked = request.GET.get("clone", "")
    is_number = asked.isascii() and asked.isdecimal() and len(asked) < 19
    chosen = clones.filter(pk=asked).first() if is_number else None
    report = report_sessions(
        viewer=request.user,
        first_day=period.first_day,
        last_day=period.last_day,
        clone_id=chosen.pk if chosen else None,
    )
    kept = {"clone": str(chosen.pk)} if chosen else {}
    return model_admin.render(
        request,
        "admin/chat/insights.html",
        title="Insights",
        period=period,
        presets=[
            (
                f"?{urlencode({'first_day': first_day, 'last_day': last_day, **kept})}",
                name,
                (first_day, last_day) == (period.first_day, period.last_day),
            )
            for name, first_day, last_day in list_presets(today=utc_today())
        ],
        clones=clones[:CLONES_OFFERED],
        chosen=chosen,
        report=report,
        charts=_draw(report, period=period),
        days=sorted(report.by_day.items(), reverse=True),
        least_askers=LEAST_ASKERS,
        sees_gaps=request.user.is_expert,
    )


def _draw(report: SessionReport, *, period: Period) -> list[Chart]:
    charts: list[Chart] = []
    if report.by_day:
        counts: Any = [report.by_day.get(day, (0, 0)) for day in period.days]
        days, begun = by_month(period.days, [sessions for sessions, _ in counts])
        _, asked = by_month(period.days, [questions for _, questions in counts])
        charts.append(
            draw_days(
                title="Conversations and questions",
                days=days,
                columns=[Series(name="conversations begun", style="first", values=begun)],
                lines=[Series(name="questions asked", style="third", values=asked)],
                show=_show,
            )
        )
    if report.topics:
        charts.append(draw_ranking(title="Topics, by conversations", rows=report.topics, show=_show))
    return charts


def _show(value: Decimal | int | float) -> str:
    return f"{value:,.0f}" if value == round(value) else f"{value:,.1f}"
