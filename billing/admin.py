"""Money in the admin: prices for superusers, the ledger and the cost report for who may see them."""

from functools import partial
from typing import Any

from django.contrib import admin, messages
from django.db.models import BooleanField, ExpressionWrapper, Q, QuerySet
from django.forms import ModelForm
from django.http import HttpRequest
from django.urls import URLPattern, path
from unfold.decorators import display

from billing.admin_performance import show_performance
from billing.admin_report import show_report
from billing.models import CostRecord, ModelPrice
from billing.price_refresh import SUSPICIOUS_FACTOR, is_suspicious
from billing.prices import price_of
from billing.reports import GONE
from cloneai.accounts.admin_access import (
    EXPERT,
    REVIEWER,
    ReadOnlyAdmin,
    RoleAdmin,
    StaffRequest,
    record_action,
)
from cloneai.accounts.models import User
from clones.admin_filters import CloneNameFilter, OwnCloneFilter

OUTCOME_COLOURS = {"Success": "success", "Stopped": "info", "Failed": "danger", "Process died": "danger"}


class ModelFilter(admin.SimpleListFilter):
    """By model; the choices come from the price list, which is short, not from the ledger."""

    title = "model"
    parameter_name = "model"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        names = ModelPrice.objects.order_by("model").values_list("model", flat=True).distinct()
        return [(name, name) for name in names[:500]]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(model=self.value()) if self.value() else queryset


class PseudonymFilter(admin.SimpleListFilter):
    """One person's calls, for experts, who know the pseudonym alone. The cost report links here."""

    title = "person"
    parameter_name = "person"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(value, value)] if (value := self.used_parameters.get(self.parameter_name)) else []

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Reads every person of the calls that the viewer may see: a pseudonym is a hash."""
        if not self.value():
            return queryset
        people = User.objects.filter(pk__in=queryset.order_by().values("user")).only("date_joined")
        return queryset.filter(user__in=[one.pk for one in people if one.pseudonym == self.value()])


@admin.register(ModelPrice)
class ModelPriceAdmin(RoleAdmin):
    list_display = ("model", "valid_from", "input_price", "cached_input_price", "output_price", "source")
    list_filter = ("valid_from",)
    search_fields = ("model", "source")

    def save_model(
        self, request: StaffRequest, obj: ModelPrice, form: ModelForm[ModelPrice], change: bool
    ) -> None:
        replaced = ModelPrice.objects.filter(pk=obj.pk, model=obj.model).first() if change else None
        before = replaced or ModelPrice.objects.exclude(pk=obj.pk).find(model=obj.model, day=obj.valid_from)
        super().save_model(request, obj, form, change)
        record_action(
            actor=request.user, action="price.save", target=obj, model=obj.model,
            values={name: str(getattr(obj, name)) for name in form.changed_data},
        )  # fmt: skip
        if before and is_suspicious(before=price_of(before), after=price_of(obj)):
            against = "what stood here before" if replaced else f"the price from {before.valid_from} on"
            messages.warning(
                request,
                f"{obj}: a price changed more than {SUSPICIOUS_FACTOR}-fold against {against}. Check it.",
            )

    @display(description="Input per million", ordering="input_usd_per_million")
    def input_price(self, price: ModelPrice) -> str:
        return show_usd(price.input_usd_per_million)

    @display(description="Cached input per million", ordering="cached_input_usd_per_million")
    def cached_input_price(self, price: ModelPrice) -> str:
        return show_usd(price.cached_input_usd_per_million)

    @display(description="Output per million", ordering="output_usd_per_million")
    def output_price(self, price: ModelPrice) -> str:
        return show_usd(price.output_usd_per_million)


@admin.register(CostRecord)
class CostRecordAdmin(ReadOnlyAdmin):
    viewed_by = (REVIEWER, EXPERT)
    rows = "visible_to"
    list_select_related = ("user", "clone")
    list_filter = (
        OwnCloneFilter,
        CloneNameFilter,
        "purpose",
        ModelFilter,
        "outcome",
        "day",
        PseudonymFilter,
    )

    def get_urls(self) -> list[URLPattern]:
        report = self.admin_site.admin_view(partial(show_report, self))
        performance = self.admin_site.admin_view(partial(show_performance, self))
        return [
            path("report/", report, name="billing_report"),
            path("performance/", performance, name="billing_performance"),
            *super().get_urls(),
        ]

    def lookup_allowed(self, lookup: str, value: str, request: StaffRequest) -> bool:
        """Experts may not look up by a person's number: it would tell them whose pseudonym is whose."""
        is_number = lookup.partition("__")[0] == "user" and lookup != "user__isnull"
        is_own = (lookup, value) == ("user__id__exact", str(request.user.pk))
        if is_number and not is_own and not request.user.is_reviewer:
            return False
        return super().lookup_allowed(lookup, value, request)

    def get_queryset(self, request: StaffRequest) -> QuerySet[CostRecord]:
        found = super().get_queryset(request).select_related("user", "clone")
        return found.annotate(is_viewers=ExpressionWrapper(Q(user=request.user.pk), BooleanField()))

    def get_list_display(self, request: StaffRequest) -> tuple[str, ...]:
        member = "member_address" if request.user.is_reviewer else "member_pseudonym"
        figures = ("model", "input_tokens", "output_tokens", "cost", "latency_ms", "shown_outcome")
        return ("created_at", "purpose", "clone", member, *figures)

    def get_fields(self, request: StaffRequest, obj: CostRecord | None = None) -> tuple[str, ...]:
        member = "member_address" if request.user.is_reviewer else "member_pseudonym"
        tokens = ("input_tokens", "cached_input_tokens", "output_tokens", "cost")
        prices = ("input_usd_per_million", "cached_input_usd_per_million", "output_usd_per_million")
        times = ("latency_ms", "time_to_first_token_ms", "retries", "outcome", "error_type")
        return ("created_at", "day", "purpose", "model", "clone_name", member, *tokens, *prices, *times)

    def get_readonly_fields(self, request: StaffRequest, obj: CostRecord | None = None) -> tuple[str, ...]:
        return self.get_fields(request, obj)

    @display(description="Clone")
    def clone_name(self, record: CostRecord) -> str:
        """Text, not a link: reviewers cannot open the clone's page."""
        return record.clone.name if record.clone else "Deleted"

    @display(description="Person")
    def member_address(self, record: CostRecord) -> str:
        return record.user.email if record.user else GONE

    @display(description="Person")
    def member_pseudonym(self, record: CostRecord) -> str:
        if record.user is None:
            return GONE
        return record.user.email if record.is_viewers else record.user.pseudonym  # type: ignore[attr-defined]

    @display(description="Cost (USD)", ordering="cost_usd")
    def cost(self, record: CostRecord) -> str:
        return f"{record.cost_usd:.8f}"

    @display(description="Outcome", ordering="outcome", label=OUTCOME_COLOURS)
    def shown_outcome(self, record: CostRecord) -> str:
        return record.get_outcome_display()


def show_usd(amount: Any) -> str:
    """A price without its trailing zeros."""
    return f"${amount.normalize():f}"
