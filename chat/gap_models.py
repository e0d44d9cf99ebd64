"""What a clone's material lacks: gaps, and the questions of members that showed them."""

from typing import Self

from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.contrib.postgres.aggregates import ArrayAgg
from django.db import models
from django.db.models import Count, Exists, OuterRef, Q, Subquery
from django.utils import timezone
from pgvector.django import HalfVectorField

from cloneai.accounts.models import User
from clones.models import Clone
from knowledge.models import Document


class KnowledgeGapQuerySet(models.QuerySet["KnowledgeGap"]):
    def editable_by(self, user: User | AnonymousUser) -> Self:
        """Gaps of own clones in which a question is left; those of erased members go with their questions."""
        asked = GapQuestion.objects.filter(gap=OuterRef("pk"))
        return Clone.objects.editable_by(user).rows_of(self.filter(Exists(asked)))

    def with_people(self) -> Self:
        """Adds `people` (how many asked), `times` (how often), `reasons`, `first_question` and `last_asked_at`."""
        asked = GapQuestion.objects.filter(gap=OuterRef("pk")).order_by()
        counted = asked.values("gap")
        return self.annotate(
            people=Subquery(counted.annotate(number=Count("asked_by", distinct=True)).values("number")),
            times=Subquery(counted.annotate(number=Count("pk")).values("number")),
            reasons=Subquery(counted.annotate(kinds=ArrayAgg("reason", distinct=True)).values("kinds")),
            first_question=Subquery(asked.order_by("created_at").values("question")[:1]),
            last_asked_at=Subquery(asked.order_by("-created_at").values("created_at")[:1]),
        )


class KnowledgeGap(models.Model):
    """One thing that the material does not answer, however often and in whatever words it was asked.

    The expert's `answer` becomes `document`, through the same pipeline as an upload; then the questions are asked
    again (`chat.gap_closing`). `replay_wanted_at` is set until that is done.
    """

    clone = models.ForeignKey(Clone, on_delete=models.CASCADE, related_name="knowledge_gaps")
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    closed_at = models.DateTimeField(null=True, blank=True)
    answer = models.TextField(blank=True)
    document = models.ForeignKey(Document, null=True, on_delete=models.SET_NULL, related_name="+")
    answered_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    answered_at = models.DateTimeField(null=True, editable=False)
    replay_wanted_at = models.DateTimeField(null=True, editable=False)
    replay_error = models.TextField(blank=True, editable=False)

    objects = KnowledgeGapQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at"]
        indexes = [
            models.Index(
                fields=["replay_wanted_at"], condition=Q(replay_wanted_at__isnull=False), name="gap_to_replay"
            )
        ]

    def __str__(self) -> str:
        first = (
            self.__dict__.get("first_question")
            or self.questions.order_by("created_at").values_list("question", flat=True).first()
        )
        return (first or "A question that was withdrawn")[:100]

    @property
    def is_being_replayed(self) -> bool:
        return self.replay_wanted_at is not None


class GapReason(models.TextChoices):
    UNANSWERED = "unanswered", "Not answered"
    NEAREST = "nearest", "Answered with the nearest passages"
    DISLIKED = "disliked", "Answer not helpful"


class GapQuestion(models.Model):
    """One asking. `message` is the answer that did not help, for `reason`; over `/v1/` there is none.

    `query` is what the question means on its own. `replay_*` is what the clone says now, with its sources as
    `[{"number", "title", "page", "document_id"}]`.
    """

    gap = models.ForeignKey(KnowledgeGap, on_delete=models.CASCADE, related_name="questions")
    message = models.OneToOneField(
        "chat.Message", null=True, on_delete=models.CASCADE, related_name="gap_question"
    )
    asked_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.CASCADE, related_name="gap_questions"
    )
    reason = models.CharField(max_length=10, choices=GapReason, default=GapReason.UNANSWERED)
    question = models.TextField()
    query = models.TextField(blank=True)
    wording = models.CharField(
        max_length=64,
        blank=True,
        editable=False,
        help_text="Hash of its words: the same words are found by it.",
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    embedding = HalfVectorField(null=True, editable=False)
    embedding_model = models.CharField(max_length=100, blank=True, editable=False)
    replay_answer = models.TextField(blank=True, editable=False)
    replay_sources = models.JSONField(default=list, editable=False)
    is_answered_now = models.BooleanField(default=False, editable=False)
    replayed_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        ordering = ["created_at"]
        indexes = [
            models.Index(
                fields=["created_at"], condition=Q(embedding_model=""), name="gap_question_unsorted"
            ),
            models.Index(fields=["wording"], name="gap_question_by_wording"),
        ]

    def __str__(self) -> str:
        return self.question[:100]

    @property
    def search_text(self) -> str:
        return self.query or self.question
