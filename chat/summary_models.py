"""Summaries of conversations; see `chat.summaries`."""

import uuid
from typing import Self

from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.utils import timezone

from chat.models import ChatSession
from cloneai.accounts.models import User
from clones.models import Clone


class SummaryType(models.TextChoices):
    BRIEF = "brief", "Brief"
    DETAILED = "detailed", "Detailed"
    ACTION_ITEMS = "action_items", "Action items"


class SummaryStatus(models.TextChoices):
    QUEUED = "queued", "Waiting"
    RUNNING = "running", "Being written"
    READY = "ready", "Ready"
    FAILED = "failed", "Failed"


class ReviewState(models.TextChoices):
    NEW = "new", "New"
    IN_REVIEW = "in_review", "In review"
    DONE = "done", "Done"


class SessionSummaryQuerySet(models.QuerySet["SessionSummary"]):
    def visible_to(self, user: User | AnonymousUser) -> Self:
        return self.filter(session__in=ChatSession.objects.visible_to(user))

    def readable_by_staff(self, user: User | AnonymousUser) -> Self:
        return Clone.objects.readable_by_staff(user).rows_of(self, path="session__clone")


class SessionSummary(models.Model):
    """What remains of a conversation: text for the member, structured data against a versioned schema."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    session = models.ForeignKey(ChatSession, on_delete=models.CASCADE, related_name="summaries")
    summary_type = models.CharField(max_length=12, choices=SummaryType, default=SummaryType.DETAILED)
    status = models.CharField(max_length=8, choices=SummaryStatus, default=SummaryStatus.QUEUED)
    summary_text = models.TextField(blank=True)
    structured_data = models.JSONField(default=dict)
    schema_version = models.PositiveSmallIntegerField(default=1)
    error_message = models.TextField(blank=True)
    review_state = models.CharField(max_length=10, choices=ReviewState, default=ReviewState.NEW)
    review_note = models.TextField(blank=True)
    assignee = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    done_items = ArrayField(
        models.PositiveSmallIntegerField(), default=list, blank=True, editable=False
    )  # numbers, from 0, of the action items that the member has ticked
    started_at = models.DateTimeField(null=True, editable=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    finished_at = models.DateTimeField(null=True, editable=False)

    objects = SessionSummaryQuerySet.as_manager()

    class Meta:
        verbose_name_plural = "session summaries"
        ordering = ["-created_at"]
        indexes = [
            models.Index(fields=["-created_at"], name="summary_by_moment"),
            models.Index(fields=["review_state", "status", "assignee"], name="summary_by_review"),
        ]

    def __str__(self) -> str:
        return f"{self.get_summary_type_display()} summary of {self.session}"
