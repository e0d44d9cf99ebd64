"""Daily sums of the ledger, written by `billing.rollup` for closed UTC days and read by the reports."""

from typing import Any, Self

from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.db import models
from pgvector.django import VectorField

from billing.ledger_fields import Outcome, Purpose, UsdField
from cloneai.accounts.models import User
from clones.models import Clone


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
