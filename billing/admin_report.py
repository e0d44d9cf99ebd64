"""The cost report in the admin: one period, one grouping, a table with a way down to the single calls."""

from datetime import date, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from django import forms
from django.core.exceptions import PermissionDenied
from django.http import HttpResponseBase
from django.urls import reverse

from billing.models import utc_today
from billing.reports import CostReport, CostRow, GroupBy, cost_report
from cloneai.accounts.admin_access import StaffRequest

if TYPE_CHECKING:
    from billing.admin import CostRecordAdmin

DEFAULT_DAYS = 30
MAX_DAYS = 3660
TABS = {
    GroupBy.DAY: "By day",
    GroupBy.USER: "By person",
    GroupBy.MODEL: "By model",
    GroupBy.CLONE: "By clone",
    GroupBy.PURPOSE: "By purpose",
}
# How the list of single calls is filtered for a group.
LOOKUPS = {
    GroupBy.DAY: "day__exact",
    GroupBy.USER: "user__id__exact",
    GroupBy.MODEL: "model",
    GroupBy.CLONE: "clone",
    GroupBy.PURPOSE: "purpose__exact",
}


class DayInput(forms.DateInput):
    input_type = "date"

    def __init__(self) -> None:
        super().__init__(format="%Y-%m-%d", attrs={"class": "ax-input"})


class PeriodForm(forms.Form):
    """Two UTC days, both included. Without them: the last 30 days."""

    first_day = forms.DateField(label="From", required=False, widget=DayInput())
    last_day = forms.DateField(label="To", required=False, widget=DayInput())
    group_by = forms.ChoiceField(choices=list(TABS.items()), required=False, widget=forms.HiddenInput())

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        first_day, last_day = cleaned.get("first_day"), cleaned.get("last_day")
        if first_day and last_day and first_day > last_day:
            raise forms.ValidationError("The first day is after the last one.")
        if first_day and (last_day or utc_today()) - first_day > timedelta(days=MAX_DAYS):
            raise forms.ValidationError("Ask for at most ten years at once.")
        return cleaned

    def period(self) -> tuple[date, date]:
        chosen = self.cleaned_data if self.is_valid() else {}
        last_day = chosen.get("last_day") or utc_today()
        first_day = chosen.get("first_day") or last_day - timedelta(days=DEFAULT_DAYS - 1)
        return min(first_day, last_day), last_day


def show_report(model_admin: "CostRecordAdmin", request: StaffRequest) -> HttpResponseBase:
    """Costs that this member of staff may see; two queries beside the frame's."""
    if not model_admin.has_view_permission(request):
        raise PermissionDenied
    asked = request.GET.get("group_by", "")
    group_by = GroupBy(asked) if asked in list(GroupBy) else GroupBy.DAY
    asked_form = PeriodForm({**request.GET.dict(), "group_by": group_by.value})
    first_day, last_day = asked_form.period()
    shown = {"first_day": first_day, "last_day": last_day, "group_by": group_by.value}
    form = PeriodForm(shown) if asked_form.is_valid() else asked_form
    report = cost_report(viewer=request.user, group_by=group_by, first_day=first_day, last_day=last_day)
    days = {"first_day": first_day, "last_day": last_day}
    return model_admin.render(
        request,
        "admin/billing/report.html",
        title="Cost report",
        form=form,
        report=report,
        rows=[(row, _records_url(report, row)) for row in report.rows],
        tabs=[
            (f"?{urlencode({**days, 'group_by': key.value})}", label, key == group_by)
            for key, label in TABS.items()
        ],
        heading=TABS[group_by].removeprefix("By ").capitalize(),
    )


def _records_url(report: CostReport, row: CostRow) -> str:
    """The single calls of a group; none for calls of nobody, which no filter names."""
    if not row.key:
        return ""
    period = {"day__gte": report.first_day, "day__lte": report.last_day}
    filters = {LOOKUPS[report.group_by]: row.key, **(period if report.group_by != GroupBy.DAY else {})}
    return f"{reverse('admin:billing_costrecord_changelist')}?{urlencode(filters)}"
