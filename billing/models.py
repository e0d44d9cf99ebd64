"""Prices, the counters that limits are held against, and the ledger. Days are UTC.

Money is `Decimal` US dollars, `NUMERIC(18,10)`. Every provider call is one `Reservation`, made before it, and
one `CostRecord`, made after it, whatever happened. A `SpendAccount` counts both for one owner and day:
`settled_usd` is the sum of the owner's cost records of that day, `reserved_usd` that of open reservations.
`billing.metering` is the only writer of the three. Closed days are summed up in the three `Daily…` tables, which
`billing.rollup` writes and reports read.
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
from pgvector.django import VectorField

from cloneai.accounts.models import User
from clones.models import Clone

PLATFORM_OWNER_ID = 0
PER_MILLION = "US dollars per million tokens."


def utc_today() -> date:
    return datetime.now(UTC).date()


class UsdField(models.DecimalField[Any, Any]):
    """US dollars, NUMERIC(18,10): up to 99 million, exact to a ten-billionth."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"max_digits": 18, "decimal_places": 10, **kwargs})


class Purpose(models.TextChoices):
    CHAT = "chat", "Answer"
    QUERY_EMBEDDING = "query_embedding", "Search"
    DOCUMENT_EMBEDDING = "document_embedding", "Document vectors"
    CLEANING = "cleaning", "Text cleaning"
    SUMMARY = "summary", "Session summary"
    TITLE = "title", "Session title"
    REWRITE = "rewrite", "Question rewriting"
    EXPANSION = "expansion", "Query expansion"
    MEMORY = "memory", "Memory"
    EVALUATION = "evaluation", "Evaluation"
    CHECK = "check", "Configuration check"


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
        indexes = [models.Index(fields=["created_at"], condition=Q(state="open"), name="reservation_open")]

    def __str__(self) -> str:
        return f"{self.purpose} with {self.model}: at most ${self.amount_usd}"


class Outcome(models.TextChoices):
    SUCCESS = "success", "Success"
    STOPPED = "stopped", "Stopped"
    FAILED = "failed", "Failed"
    ABANDONED = "abandoned", "Process died"


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
    session = models.ForeignKey("chat.ChatSession", **LINK)
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
            models.Index(fields=["created_at"], name="cost_by_moment"),
        ]

    def __str__(self) -> str:
        return f"{self.purpose} with {self.model}: ${self.cost_usd}"


class DailyQuerySet(models.QuerySet[Any]):
    def visible_to(self, user: User | AnonymousUser) -> Self:
        """As far as `CostRecord.objects.visible_to` shows all of a row: reviewers all, experts their clones'."""
        if isinstance(user, AnonymousUser) or not user.is_active:
            return self.none()
        if user.is_reviewer:
            return self
        return self.filter(clone__in=Clone.objects.editable_by(user)) if user.is_expert else self.none()


OF_CLONE: dict[str, Any] = {
    "null": True,
    "on_delete": models.SET_NULL,
    "related_name": "+",
    "db_index": False,
}


class DailyUsage(models.Model):
    """A closed UTC day's calls, summed; sums of cost records, and no more is known here than there.

    `latency_ms` is the sum over calls that succeeded. There is no unique key: rows whose clone was deleted may
    look alike, and all readers add rows up.
    """

    day = models.DateField()
    clone = models.ForeignKey("clones.Clone", **OF_CLONE)
    model = models.CharField(max_length=100)
    purpose = models.CharField(max_length=20, choices=Purpose)
    outcome = models.CharField(max_length=9, choices=Outcome)
    error_type = models.CharField(max_length=20, blank=True)
    calls = models.BigIntegerField()
    input_tokens = models.BigIntegerField()
    cached_input_tokens = models.BigIntegerField()
    output_tokens = models.BigIntegerField()
    cost_usd = UsdField()
    latency_ms = models.BigIntegerField()
    retries = models.BigIntegerField()

    objects = DailyQuerySet.as_manager()

    class Meta:
        verbose_name_plural = "daily usage"
        indexes = [
            models.Index(fields=["day"], name="usage_by_day"),
            models.Index(fields=["clone", "day"], name="usage_by_clone"),
        ]

    def __str__(self) -> str:
        return f"{self.calls} calls of {self.model} on {self.day}"


class DailyPersonUsage(models.Model):
    """A closed UTC day's calls by person and clone: apart, because people times models is no summary."""

    day = models.DateField()
    user = models.ForeignKey(settings.AUTH_USER_MODEL, **OF_CLONE)
    clone = models.ForeignKey("clones.Clone", **OF_CLONE)
    calls = models.BigIntegerField()
    input_tokens = models.BigIntegerField()
    cached_input_tokens = models.BigIntegerField()
    output_tokens = models.BigIntegerField()
    cost_usd = UsdField()

    objects = DailyQuerySet.as_manager()

    class Meta:
        verbose_name_plural = "daily usage by person"
        indexes = [
            models.Index(fields=["day"], name="person_usage_by_day"),
            models.Index(fields=["user", "day"], name="person_usage_by_user"),
            models.Index(fields=["clone", "day"], name="person_usage_by_clone"),
        ]

    def __str__(self) -> str:
        return f"{self.calls} calls of person {self.user_id} on {self.day}"


# Bucket n counts durations from 1.04**n to below 1.04**(n + 1) milliseconds; the last one reaches 15 minutes.
LATENCY_BUCKETS = 350
LATENCY_RATIO = 1.04


class Measure(models.TextChoices):
    LATENCY = "latency", "Whole answer"
    FIRST_TOKEN = "first_token", "First token"


class DailyLatency(models.Model):
    """A closed UTC day's durations of successful calls as a histogram; `counts` of several rows add up.

    A `vector`, because PostgreSQL sums those itself. Its numbers are exact to 16 million calls a bucket.
    """

    day = models.DateField()
    clone = models.ForeignKey("clones.Clone", **OF_CLONE)
    model = models.CharField(max_length=100)
    measure = models.CharField(max_length=11, choices=Measure)
    counts = VectorField(dimensions=LATENCY_BUCKETS)

    objects = DailyQuerySet.as_manager()

    class Meta:
        verbose_name_plural = "daily latency"
        indexes = [
            models.Index(fields=["day"], name="latency_by_day"),
            models.Index(fields=["clone", "day"], name="latency_by_clone"),
        ]

    def __str__(self) -> str:
        return f"{self.get_measure_display()} of {self.model} on {self.day}"


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
