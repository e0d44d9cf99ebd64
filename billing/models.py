"""Prices, the counters that limits are held against, and the ledger. Days are UTC.

Money is `Decimal` US dollars, `NUMERIC(18,10)`. Every provider call is one `Reservation`, made before it, and
one `CostRecord`, made after it, whatever happened. A `SpendAccount` counts both for one owner and day:
`settled_usd` is the sum of the owner's cost records of that day, `reserved_usd` that of open reservations.
`billing.metering` is the only writer of the three. The daily sums stand in `billing.rollup_models`.
"""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, Self

from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import ValidationError
from django.core.validators import MinValueValidator
from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from billing.ledger_fields import Outcome, Purpose, UsdField
from billing.rollup_models import DailyLatency, DailyPersonUsage, DailyUsage
from cloneai.accounts.models import User
from clones.models import Clone

__all__ = [
    "PLATFORM_OWNER_ID",
    "CostRecord",
    "DailyLatency",
    "DailyPersonUsage",
    "DailyUsage",
    "ModelPrice",
    "Outcome",
    "Purpose",
    "Reservation",
    "ReservationState",
    "Scope",
    "SpendAccount",
    "SpendAlert",
    "UsdField",
    "utc_today",
]

PLATFORM_OWNER_ID = 0
PER_MILLION = "US dollars per million tokens."


def utc_today() -> date:
    return datetime.now(UTC).date()


class ModelPriceQuerySet(models.QuerySet["ModelPrice"]):
    def valid_on(self, day: date) -> Self:
        """Each model's price on that day, one row a model."""
        return self.filter(valid_from__lte=day).order_by("model", "-valid_from").distinct("model")

    def find(self, *, model: str, day: date) -> "ModelPrice | None":
        return self.filter(model=model, valid_from__lte=day).order_by("-valid_from").first()


class ModelPrice(models.Model):
    """What a model costs from a day on, until a later row of the same model."""

    model = models.CharField(max_length=100, help_text="Exactly as configured, for example gpt-4o-mini.")
    valid_from = models.DateField(default=utc_today, help_text="First UTC day of this price.")
    input_usd_per_million = UsdField("input (USD)", help_text=PER_MILLION, validators=[MinValueValidator(0)])
    cached_input_usd_per_million = UsdField(
        "cached input (USD)", help_text=PER_MILLION, validators=[MinValueValidator(0)]
    )
    output_usd_per_million = UsdField(
        "output (USD)", help_text=PER_MILLION, validators=[MinValueValidator(0)], default=Decimal(0)
    )
    source = models.CharField(max_length=100, blank=True, help_text="Where the figures come from.")
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    objects = ModelPriceQuerySet.as_manager()

    class Meta:
        ordering = ["model", "-valid_from"]
        constraints = [
            models.UniqueConstraint(fields=["model", "valid_from"], name="price_once_per_model_and_day"),
            models.CheckConstraint(
                condition=Q(input_usd_per_million__gte=0)
                & Q(output_usd_per_million__gte=0)
                & Q(cached_input_usd_per_million__gte=0)
                & Q(cached_input_usd_per_million__lte=F("input_usd_per_million")),
                name="price_not_negative_and_cached_at_most_input",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.model} from {self.valid_from}"

    def clean(self) -> None:
        prices = (self.input_usd_per_million, self.cached_input_usd_per_million)
        if None not in prices and self.cached_input_usd_per_million > self.input_usd_per_million:
            message = "Cached input cannot cost more than input."
            raise ValidationError({"cached_input_usd_per_million": message})


class Scope(models.TextChoices):
    PLATFORM = "platform", "Platform"
    USER = "user", "Person"
    CLONE = "clone", "Clone"


class SpendAccount(models.Model):
    """What one owner has spent and reserved on one UTC day.

    There is no limit here: limits stand in the settings, on the person and on the clone, may change during
    the day, and are compared in the UPDATE that reserves. `owner_id` is a plain number, so that the counter
    outlives its owner.
    """

    scope = models.CharField(max_length=8, choices=Scope)
    owner_id = models.BigIntegerField(help_text="Person's or clone's number; 0 for the platform.")
    day = models.DateField()
    settled_usd = UsdField(default=Decimal(0))
    reserved_usd = UsdField(default=Decimal(0))

    class Meta:
        ordering = ["-day", "scope", "owner_id"]
        constraints = [
            models.UniqueConstraint(fields=["scope", "owner_id", "day"], name="spend_account_once_per_day"),
            models.CheckConstraint(
                condition=Q(settled_usd__gte=0) & Q(reserved_usd__gte=0), name="spend_account_not_negative"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.scope} {self.owner_id} on {self.day}"


class ReservationState(models.TextChoices):
    OPEN = "open", "Open"
    SETTLED = "settled", "Settled"
    RELEASED = "released", "Released without a charge"


class Reservation(models.Model):
    """The worst cost of one call, held against its payers' limits from just before it until its settlement.

    Whom it is for is kept as plain keys: a settlement must find the same accounts after the person, clone or
    session is gone. It is committed right before the request is sent; if its process died it counts as sent.
    """

    state = models.CharField(max_length=8, choices=ReservationState, default=ReservationState.OPEN)
    day = models.DateField()
    amount_usd = UsdField()
    purpose = models.CharField(max_length=20, choices=Purpose)
    model = models.CharField(max_length=100)
    input_tokens = models.PositiveIntegerField(help_text="Counted before the call.")
    max_output_tokens = models.PositiveIntegerField()
    input_usd_per_million = UsdField()
    cached_input_usd_per_million = UsdField()
    output_usd_per_million = UsdField()
    user_key = models.BigIntegerField(null=True)
    clone_key = models.BigIntegerField(null=True)
    session_key = models.UUIDField(null=True)
    message_key = models.UUIDField(null=True)
    document_key = models.UUIDField(null=True)
    created_at = models.DateTimeField(default=timezone.now)
    closed_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-created_at"]
        constraints = [
            models.CheckConstraint(condition=Q(amount_usd__gte=0), name="reservation_not_negative"),
            models.CheckConstraint(
                condition=Q(state="open", closed_at=None) | (~Q(state="open") & Q(closed_at__isnull=False)),
                name="reservation_closed_when_not_open",
            ),
        ]
        indexes = [
            models.Index(fields=["created_at"], condition=Q(state="open"), name="reservation_open"),
            models.Index(fields=["user_key"], name="reservation_by_user"),
        ]

    def __str__(self) -> str:
        return f"{self.purpose} with {self.model}: at most ${self.amount_usd}"


class CostRecordQuerySet(models.QuerySet["CostRecord"]):
    def visible_to(self, user: User | AnonymousUser) -> Self:
        """Reviewers all, experts their clones', members their own."""
        if isinstance(user, AnonymousUser) or not user.is_active:
            return self.none()
        if user.is_reviewer:
            return self
        if user.is_expert:
            return self.filter(clone__in=Clone.objects.editable_by(user))
        return self.filter(user=user)


# A record outlives whatever it points to.
LINK: dict[str, Any] = {"null": True, "on_delete": models.SET_NULL, "related_name": "cost_records"}


class CostRecord(models.Model):
    """The ledger: what one provider call used and cost, and at which price. Never changed.

    `day` is the UTC day of the reservation, `created_at` the moment of settlement.
    """

    reservation = models.OneToOneField(Reservation, on_delete=models.PROTECT, related_name="cost_record")
    day = models.DateField()
    created_at = models.DateTimeField(default=timezone.now)
    purpose = models.CharField(max_length=20, choices=Purpose)
    model = models.CharField(max_length=100)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, db_index=False, **LINK)
    clone = models.ForeignKey("clones.Clone", db_index=False, **LINK)
    session = models.ForeignKey("chat.ChatSession", db_index=False, **LINK)
    message = models.ForeignKey("chat.Message", **LINK)
    document = models.ForeignKey("knowledge.Document", **LINK)
    input_tokens = models.PositiveIntegerField(help_text="All input tokens, cached ones included.")
    cached_input_tokens = models.PositiveIntegerField(default=0)
    output_tokens = models.PositiveIntegerField()
    input_usd_per_million = UsdField()
    cached_input_usd_per_million = UsdField()
    output_usd_per_million = UsdField()
    cost_usd = UsdField()
    latency_ms = models.PositiveIntegerField()
    time_to_first_token_ms = models.PositiveIntegerField(null=True)
    retries = models.PositiveSmallIntegerField(default=0)
    outcome = models.CharField(max_length=9, choices=Outcome)
    error_type = models.CharField(max_length=20, blank=True)

    objects = CostRecordQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at"]
        constraints = [
            models.CheckConstraint(condition=Q(cost_usd__gte=0), name="cost_not_negative"),
            models.CheckConstraint(
                condition=Q(cached_input_tokens__lte=F("input_tokens")),
                name="cost_cached_tokens_at_most_input",
            ),
            models.CheckConstraint(
                condition=Q(outcome="failed", error_type__gt="") | (~Q(outcome="failed") & Q(error_type="")),
                name="cost_failure_has_error_type",
            ),
        ]
        indexes = [
            models.Index(fields=["day"], name="cost_by_day"),
            models.Index(fields=["user", "day"], name="cost_by_user"),
            models.Index(fields=["clone", "day"], name="cost_by_clone"),
            # With the cost in it: what each conversation cost is summed up from the index alone.
            models.Index(fields=["session"], include=["cost_usd"], name="cost_by_session"),
            models.Index(fields=["created_at"], name="cost_by_moment"),
            models.Index(
                fields=["outcome", "created_at"], condition=~Q(outcome="success"), name="cost_not_success"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.purpose} with {self.model}: ${self.cost_usd}"


class SpendAlert(models.Model):
    """Staff's warning that an account has used so much of its limit on a day; once each, whoever saw it first."""

    scope = models.CharField(max_length=8, choices=Scope)
    owner_id = models.BigIntegerField(help_text="Person's or clone's number; 0 for the platform.")
    day = models.DateField()
    percent = models.PositiveSmallIntegerField(help_text="80, or 100: calls are being refused.")
    limit_usd = UsdField()
    spent_usd = UsdField(help_text="Settled and reserved when the warning was made.")
    created_at = models.DateTimeField(default=timezone.now)
    mailed_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-day", "scope", "owner_id", "-percent"]
        constraints = [
            models.UniqueConstraint(fields=["scope", "owner_id", "day", "percent"], name="spend_alert_once"),
        ]

    def __str__(self) -> str:
        return f"{self.scope} {self.owner_id} at {self.percent}% on {self.day}"
