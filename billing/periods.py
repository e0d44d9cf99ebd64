"""The period of a report in the admin: two UTC days, both included, typed or chosen from presets."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from django import forms

from billing.models import utc_today

DEFAULT_DAYS = 30
MAX_DAYS = 3660


class DayInput(forms.DateInput):
    input_type = "date"

    def __init__(self) -> None:
        super().__init__(format="%Y-%m-%d", attrs={"class": "ax-input"})


class PeriodForm(forms.Form):
    """Without days: the last 30."""

    first_day = forms.DateField(label="From", required=False, widget=DayInput())
    last_day = forms.DateField(label="To", required=False, widget=DayInput())

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        first_day, last_day = cleaned.get("first_day"), cleaned.get("last_day")
        if first_day and last_day and first_day > last_day:
            raise forms.ValidationError("The first day is after the last one.")
        if first_day and (last_day or utc_today()) - first_day > timedelta(days=MAX_DAYS):
            raise forms.ValidationError("Ask for at most ten years at once.")
        if min(first_day or utc_today(), last_day or utc_today()).year < 2000:
            raise forms.ValidationError("Ask for days after 1999.")
        return cleaned


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """`form` shows the days, and what was wrong with those that were typed."""

    first_day: date
    last_day: date
    form: PeriodForm

    @property
    def days(self) -> list[date]:
        count = (self.last_day - self.first_day).days + 1
        return [self.first_day + timedelta(days=number) for number in range(count)]

    @property
    def query(self) -> dict[str, str]:
        return {"first_day": self.first_day.isoformat(), "last_day": self.last_day.isoformat()}


def read_period(query: Mapping[str, Any]) -> Period:
    """The period that an address asks for; the default one when it makes no sense."""
    asked = PeriodForm(query)
    chosen = asked.cleaned_data if asked.is_valid() else {}
    last_day = chosen.get("last_day") or utc_today()
    first_day = chosen.get("first_day") or last_day - timedelta(days=DEFAULT_DAYS - 1)
    first_day = min(first_day, last_day)
    shown = PeriodForm({"first_day": first_day, "last_day": last_day}) if asked.is_valid() else asked
    return Period(first_day=first_day, last_day=last_day, form=shown)


def list_presets(*, today: date) -> list[tuple[str, date, date]]:
    """Usual periods with their names."""
    first_of_month = today.replace(day=1)
    last_of_month_before = first_of_month - timedelta(days=1)
    return [
        ("Today", today, today),
        ("7 days", today - timedelta(days=6), today),
        ("30 days", today - timedelta(days=29), today),
        ("90 days", today - timedelta(days=89), today),
        ("This month", first_of_month, today),
        ("Last month", last_of_month_before.replace(day=1), last_of_month_before),
    ]
