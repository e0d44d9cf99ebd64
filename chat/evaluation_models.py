"""What an expert checks a clone with: questions, runs over them, and each question's result."""

import uuid
from typing import Self

from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.db import models
from django.db.models import Q
from django.urls import reverse
from django.utils import timezone

from cloneai.accounts.models import User
from clones.models import Clone

MAX_QUESTION_CHARS = 1000


class EvaluationQuestionQuerySet(models.QuerySet["EvaluationQuestion"]):
    def editable_by(self, user: User | AnonymousUser) -> Self:
        return Clone.objects.editable_by(user).rows_of(self)


class EvaluationQuestion(models.Model):
    """A question with what a good answer rests on. Typed, imported from CSV, or taken from a liked answer."""

    clone = models.ForeignKey(Clone, on_delete=models.CASCADE, related_name="evaluation_questions")
    question = models.TextField(max_length=MAX_QUESTION_CHARS)
    expected_quotes = models.TextField(
        blank=True,
        help_text="What the right passages say, word for word, one quote a line.",
    )
    expected_answer = models.TextField(
        blank=True, help_text="What a good answer says, in your words. Compared by its words; may be empty."
    )
    expects_no_answer = models.BooleanField(
        default=False, help_text="The documents hold no answer, and the clone should say so."
    )
    message = models.ForeignKey(
        "chat.Message",
        null=True,
        blank=True,
        editable=False,
        on_delete=models.CASCADE,
        related_name="+",
        help_text="The liked answer that it was taken from; the question goes with it, for it is a member's words.",
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    objects = EvaluationQuestionQuerySet.as_manager()

    class Meta:
        ordering = ["pk"]
        constraints = [
            models.UniqueConstraint(fields=["clone", "question"], name="evaluation_question_once_per_clone"),
            models.CheckConstraint(
                condition=Q(expects_no_answer=False) | Q(expected_quotes="", expected_answer=""),
                name="evaluation_expects_one_thing",
                violation_error_message="A question without an answer can have neither quotes nor an expected answer.",
            ),
        ]

    def __str__(self) -> str:
        return self.question[:100]

    @property
    def quotes(self) -> list[str]:
        return [line.strip() for line in self.expected_quotes.splitlines() if line.strip()]


class RunStatus(models.TextChoices):
    WAITING = "waiting", "Waiting"
    RUNNING = "running", "Running"
    READY = "ready", "Ready"
    FAILED = "failed", "Failed"


class EvaluationRunQuerySet(models.QuerySet["EvaluationRun"]):
    def editable_by(self, user: User | AnonymousUser) -> Self:
        return Clone.objects.editable_by(user).rows_of(self)


class EvaluationRun(models.Model):
    """All questions of a clone asked once. `figures` are the averages, `settings` what was in force."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    clone = models.ForeignKey(Clone, on_delete=models.CASCADE, related_name="evaluation_runs")
    label = models.CharField(
        max_length=80, blank=True, help_text="What was changed, for example “larger passages”."
    )
    started_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+", editable=False
    )
    status = models.CharField(max_length=8, choices=RunStatus, default=RunStatus.WAITING)
    settings = models.JSONField(default=dict)
    figures = models.JSONField(default=dict)
    error_message = models.TextField(blank=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    finished_at = models.DateTimeField(null=True, editable=False)

    objects = EvaluationRunQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return f"{self.label or 'Run'} of {self.created_at:%d %b %Y, %H:%M}"

    def get_absolute_url(self) -> str:
        return reverse("admin:chat_evaluation_run", args=[self.pk])


class EvaluationResult(models.Model):
    """One question of one run. `figures` are those of `chat.evaluation_metrics`; None where one does not apply."""

    run = models.ForeignKey(EvaluationRun, on_delete=models.CASCADE, related_name="results")
    question = models.ForeignKey(EvaluationQuestion, on_delete=models.CASCADE, related_name="results")
    question_text = models.TextField()
    answer = models.TextField(blank=True)
    error_message = models.TextField(blank=True)
    figures = models.JSONField(default=dict)

    class Meta:
        ordering = ["pk"]

    def __str__(self) -> str:
        return self.question_text[:100]
