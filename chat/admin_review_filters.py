"""Filters of the review queue: flags, quality of the material found, feedback, cost, whose it is."""

from decimal import Decimal
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet, Sum
from django.http import HttpRequest

from billing.models import CostRecord
from chat.flags import FEEDBACK, LABELS, QUALITIES, RULES, find_flagged

COSTS = {"0.01": "From 1 cent", "0.10": "From 10 cents", "1": "From 1 dollar"}
Choices = list[tuple[str, str]]


class FlagFilter(admin.SimpleListFilter):
    title = "flag"
    parameter_name = "flag"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Choices:
        return [("any", "Any flag"), *LABELS.items()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        value = self.value() or ""
        if value == "any":
            return find_flagged(queryset)
        return queryset.filter(RULES[value].is_met()) if value in RULES else queryset


class QualityFilter(admin.SimpleListFilter):
    title = "material found"
    parameter_name = "quality"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Choices:
        return [(key, label) for key, (label, _rule) in QUALITIES.items()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        value = self.value() or ""
        return queryset.filter(QUALITIES[value][1]()) if value in QUALITIES else queryset


class FeedbackFilter(admin.SimpleListFilter):
    title = "feedback"
    parameter_name = "feedback"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Choices:
        return [(key, label) for key, (label, _rule) in FEEDBACK.items()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        value = self.value() or ""
        return queryset.filter(FEEDBACK[value][1]()) if value in FEEDBACK else queryset


class CostFilter(admin.SimpleListFilter):
    title = "cost of the conversation"
    parameter_name = "cost"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Choices:
        return list(COSTS.items())

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        value = self.value() or ""
        if value not in COSTS:
            return queryset
        dear = CostRecord.objects.order_by().values("session").annotate(total=Sum("cost_usd"))
        return queryset.filter(session__in=dear.filter(total__gte=Decimal(value)).values("session"))


class AssigneeFilter(admin.SimpleListFilter):
    title = "assigned to"
    parameter_name = "assigned"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Choices:
        return [("me", "Me"), ("nobody", "Nobody")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if self.value() == "me":
            return queryset.filter(assignee=request.user.pk)
        return queryset.filter(assignee=None) if self.value() == "nobody" else queryset
