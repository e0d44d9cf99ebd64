"""Conversations: sessions, messages and the sources behind answers. All else that is kept of them: the files beside."""

import uuid
from typing import Self

from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.contrib.postgres.search import SearchVector
from django.db import models
from django.db.models import Exists, F, OuterRef, Q
from django.urls import reverse
from django.utils import timezone

from chat.gap_models import GapQuestion, GapReason, KnowledgeGap
from chat.memory_models import ACTIVE_STATES, Memory, MemoryKind, MemoryPause, MemoryState
from cloneai.accounts.models import User
from clones.models import Clone
from knowledge.models import Chunk, Document

__all__ = [
    "ACTIVE_STATES",
    "AnswerReceipt",
    "ChatSession",
    "Citation",
    "GapQuestion",
    "GapReason",
    "KnowledgeGap",
    "Memory",
    "MemoryKind",
    "MemoryPause",
    "MemoryState",
    "Message",
    "MessageStatus",
    "ReviewState",
    "Role",
    "SessionSummary",
    "SummaryStatus",
    "SummaryType",
]


class ChatSessionQuerySet(models.QuerySet["ChatSession"]):
    def visible_to(self, user: User | AnonymousUser) -> Self:
        """A member's own conversations with clones that are still open to them."""
        if isinstance(user, AnonymousUser) or not user.is_active:
            return self.none()
        return self.filter(user=user, clone__in=Clone.objects.visible_to(user))

    editable_by = visible_to

    def owned_by(self, user: User | AnonymousUser) -> Self:
        """All of a member's own, each with `is_open`: without it nothing of it is shown but title and time.

        A clone is closed to who talked with it by turning private or by taking an invitation back.
        """
        if isinstance(user, AnonymousUser) or not user.is_active:
            return self.none()
        return self.filter(user=user).with_is_open(user)

    def with_is_open(self, user: User) -> Self:
        return self.annotate(is_open=Exists(Clone.objects.visible_to(user).filter(pk=OuterRef("clone"))))

    def readable_by_staff(self, user: User | AnonymousUser) -> Self:
        """Transcripts: reviewers see all of them; nobody else does."""
        if isinstance(user, AnonymousUser) or not user.is_reviewer:
            return self.none()
        return self


class ChatSession(models.Model):
    """One conversation of a member with a clone."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    clone = models.ForeignKey(Clone, on_delete=models.CASCADE, related_name="sessions")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="chat_sessions")
    title = models.CharField(max_length=120, blank=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    last_activity_at = models.DateTimeField(default=timezone.now, editable=False)
    ended_at = models.DateTimeField(null=True, blank=True, editable=False)
    is_remembered = models.BooleanField(default=True, help_text="False: nothing of it goes into the memory.")
    settled_at = models.DateTimeField(
        null=True, editable=False, help_text="Activity up to here has its summary and its memories."
    )

    objects = ChatSessionQuerySet.as_manager()

    class Meta:
        verbose_name = "conversation"
        ordering = ["-last_activity_at"]
        indexes = [
            models.Index(fields=["user", "-last_activity_at"], name="session_by_user"),
            models.Index(fields=["clone", "-last_activity_at"], name="session_by_clone"),
            models.Index(fields=["-last_activity_at"], name="session_by_activity"),
            models.Index(fields=["created_at"], name="session_by_begin"),
            models.Index(
                fields=["last_activity_at"],
                condition=Q(settled_at=None) | Q(settled_at__lt=F("last_activity_at")),
                name="session_unsettled",
            ),
        ]

    def __str__(self) -> str:
        return self.title or f"Conversation of {self.created_at:%d %B %Y}"

    def get_absolute_url(self) -> str:
        return reverse("chat:conversation", kwargs={"session_id": self.pk})

    @property
    def is_ended(self) -> bool:
        return self.ended_at is not None


class Role(models.TextChoices):
    USER = "user", "Member"
    ASSISTANT = "assistant", "Clone"


class MessageStatus(models.TextChoices):
    STREAMING = "streaming", "Being written"
    COMPLETE = "complete", "Complete"
    STOPPED = "stopped", "Stopped"
    INTERRUPTED = "interrupted", "Interrupted"
    FAILED = "failed", "Failed"


class Message(models.Model):
    """What the member or the clone said. An answer is `streaming` only while something writes it.

    `chunk_ends[n]` is the length of `content` after stream frame `n`, so that a client that comes back gets exactly
    the frames it missed. Answers replaced by regenerate or edit keep their row with `is_current` false.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    session = models.ForeignKey(ChatSession, on_delete=models.CASCADE, related_name="messages")
    role = models.CharField(max_length=10, choices=Role)
    content = models.TextField(blank=True)
    status = models.CharField(max_length=12, choices=MessageStatus, default=MessageStatus.COMPLETE)
    reply_to = models.ForeignKey("self", null=True, on_delete=models.CASCADE, related_name="replies")
    client_message_id = models.UUIDField(null=True, editable=False)
    is_current = models.BooleanField(default=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    finished_at = models.DateTimeField(null=True, editable=False)

    heartbeat_at = models.DateTimeField(null=True, editable=False)
    stop_requested = models.BooleanField(default=False, editable=False)
    chunk_ends = ArrayField(models.PositiveIntegerField(), default=list, editable=False)

    model = models.CharField(max_length=100, blank=True)
    input_tokens = models.PositiveIntegerField(default=0)
    output_tokens = models.PositiveIntegerField(default=0)
    cost_usd = models.DecimalField(max_digits=18, decimal_places=10, default=0)
    processing_time_ms = models.PositiveIntegerField(default=0)
    time_to_first_token_ms = models.PositiveIntegerField(null=True)
    retrieval_quality = models.JSONField(default=dict)
    context_chunks_used = models.PositiveSmallIntegerField(default=0)
    query_used = models.TextField(blank=True)
    error_type = models.CharField(max_length=40, blank=True)
    error_message = models.TextField(blank=True)
    error_retry_after_seconds = models.PositiveIntegerField(null=True)
    rating = models.SmallIntegerField(null=True, blank=True, choices=[(1, "Helpful"), (-1, "Not helpful")])
    rating_comment = models.TextField(max_length=2000, blank=True)
    is_distress = models.BooleanField(
        default=False, editable=False, help_text="Words of distress or self-harm: help was shown at once."
    )

    class Meta:
        ordering = ["created_at"]
        constraints = [
            models.UniqueConstraint(
                fields=["session", "client_message_id"],
                condition=Q(client_message_id__isnull=False),
                name="message_once_per_client_id",
            ),
            models.UniqueConstraint(
                fields=["session"], condition=Q(status="streaming"), name="one_running_turn_per_session"
            ),
        ]
        indexes = [
            models.Index(fields=["session", "created_at"], name="message_by_session"),
            models.Index(fields=["heartbeat_at"], condition=Q(status="streaming"), name="message_streaming"),
            models.Index(fields=["created_at"], name="message_by_moment"),
            # What the review queue looks for is rare, and so these are small.
            models.Index(fields=["session"], condition=Q(is_distress=True), name="message_distress"),
            models.Index(
                fields=["session", "rating"], condition=Q(rating__isnull=False), name="message_rated"
            ),
            models.Index(
                fields=["session"],
                condition=Q(retrieval_quality__status__in=["poor", "no_context"]),
                name="message_poor",
            ),
            # Words of a conversation; a text that is still being written has none yet.
            GinIndex(
                SearchVector("content", config="simple"),
                condition=~Q(status="streaming"),
                name="message_words",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_role_display()}: {self.content[:60]}"

    @property
    def is_running(self) -> bool:
        return self.status == MessageStatus.STREAMING

    @property
    def tokens_used(self) -> int:
        return self.input_tokens + self.output_tokens


class CitationQuerySet(models.QuerySet["Citation"]):
    def visible_to(self, user: User | AnonymousUser) -> Self:
        """Sources of the person's own answers, and of transcripts that they may read as staff."""
        sessions = ChatSession.objects.visible_to(user)
        found = Q(message__session__in=sessions)
        if not isinstance(user, AnonymousUser) and user.is_reviewer:
            found |= Q(message__session__in=ChatSession.objects.readable_by_staff(user))
        return self.filter(found)


class Citation(models.Model):
    """A source under an answer. Title, page and quote are a snapshot: they outlive the document."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    message = models.ForeignKey(Message, on_delete=models.CASCADE, related_name="citations")
    number = models.PositiveSmallIntegerField()
    is_cited = models.BooleanField(
        default=True, help_text="False: given to the model, but named by no marker."
    )
    chunk = models.ForeignKey(Chunk, null=True, on_delete=models.SET_NULL, related_name="+")
    document = models.ForeignKey(Document, null=True, on_delete=models.SET_NULL, related_name="+")
    document_version = models.PositiveIntegerField(default=1)
    title = models.CharField(max_length=200)
    page = models.PositiveIntegerField()
    quote = models.TextField()
    start_char = models.PositiveIntegerField()
    end_char = models.PositiveIntegerField()
    focus_start = models.PositiveIntegerField(null=True, help_text="The sentences that the answer rests on.")
    focus_end = models.PositiveIntegerField(null=True)
    similarity_score = models.FloatField()
    is_supported = models.BooleanField(
        null=True,
        help_text="False: something that the answer says under this number does not stand there. Empty: not checked.",
    )

    objects = CitationQuerySet.as_manager()

    class Meta:
        ordering = ["number"]
        constraints = [models.UniqueConstraint(fields=["message", "number"], name="citation_number_once")]
        indexes = [
            models.Index(
                fields=["message"],
                condition=Q(is_cited=True, is_supported=False),
                name="citation_unsupported",
            )
        ]

    def __str__(self) -> str:
        return f"[{self.number}] {self.title}, p. {self.page}"

    def get_absolute_url(self) -> str:
        return reverse("chat:source", kwargs={"citation_id": self.pk})


from chat.evaluation_models import (  # noqa: E402  (Django reads an app's models from this module)
    MAX_QUESTION_CHARS as MAX_QUESTION_CHARS,
)
from chat.evaluation_models import EvaluationQuestion as EvaluationQuestion  # noqa: E402
from chat.evaluation_models import EvaluationResult as EvaluationResult  # noqa: E402
from chat.evaluation_models import EvaluationRun as EvaluationRun  # noqa: E402
from chat.evaluation_models import RunStatus as RunStatus  # noqa: E402
from chat.receipt_models import AnswerReceipt as AnswerReceipt  # noqa: E402
from chat.summary_models import ReviewState as ReviewState  # noqa: E402
from chat.summary_models import SessionSummary as SessionSummary  # noqa: E402
from chat.summary_models import SummaryStatus as SummaryStatus  # noqa: E402
from chat.summary_models import SummaryType as SummaryType  # noqa: E402
