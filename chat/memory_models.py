"""What a clone remembers of a member, and where the member does not want to be remembered.

A memory belongs to one member and one clone. Experts never see it, and no other clone uses it.
"""

import uuid
from typing import Self

from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.db import models
from django.db.models import Q
from django.utils import timezone
from pgvector.django import HalfVectorField

from cloneai.accounts.models import User
from clones.models import Clone

MAX_MEMORY_CHARS = 300


class MemoryKind(models.TextChoices):
    """The six kinds of insight."""

    PREFERENCE = "user_preferences", "Preference"
    GOAL = "user_goals", "Goal"
    PROGRESS = "progress_indicators", "Progress"
    CONTEXT = "context_to_remember", "About you"
    INTEREST = "expertise_interests", "Interest"
    FOLLOW_UP = "follow_up_topics", "To come back to"


class MemoryState(models.TextChoices):
    """`confirmed`: the member said so on the memory page, or told it again in another conversation."""

    CANDIDATE = "candidate", "Not confirmed"
    CONFIRMED = "confirmed", "Confirmed"
    SUPERSEDED = "superseded", "Replaced by something newer"
    REMOVED = "removed", "Deleted"


ACTIVE_STATES = (MemoryState.CANDIDATE, MemoryState.CONFIRMED)


class MemoryQuerySet(models.QuerySet["Memory"]):
    def visible_to(self, user: User | AnonymousUser) -> Self:
        """The person's own, without what they deleted; also of clones that are closed to them by now."""
        if isinstance(user, AnonymousUser) or not user.is_active:
            return self.none()
        return self.filter(user=user).exclude(state=MemoryState.REMOVED)

    def active(self) -> Self:
        return self.filter(state__in=ACTIVE_STATES)


class Memory(models.Model):
    """One sentence about a member in their own matter, with the words and the message that it comes from.

    It goes with the conversation of its newest mention. Deleted by the member, the row stays without text and words:
    `fingerprint`, a hash of its words, keeps the same sentence from being learned again.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="memories")
    clone = models.ForeignKey(Clone, on_delete=models.CASCADE, related_name="+")
    message = models.ForeignKey("chat.Message", null=True, on_delete=models.CASCADE, related_name="+")
    kind = models.CharField(max_length=20, choices=MemoryKind)
    text = models.CharField(max_length=MAX_MEMORY_CHARS, blank=True)
    quote = models.TextField(blank=True, help_text="The member's own words.")
    state = models.CharField(max_length=10, choices=MemoryState, default=MemoryState.CANDIDATE)
    confidence = models.FloatField(help_text="0 to 1, as the model judged it.")
    mentions = models.PositiveIntegerField(default=1, help_text="Conversations in which it was said.")
    superseded_by = models.ForeignKey("self", null=True, on_delete=models.SET_NULL, related_name="replaces")
    used_in = models.ManyToManyField("chat.Message", related_name="memories", editable=False)
    fingerprint = models.CharField(max_length=64, editable=False)
    embedding = HalfVectorField(null=True, editable=False)
    embedding_model = models.CharField(max_length=100, blank=True, editable=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    updated_at = models.DateTimeField(auto_now=True)

    objects = MemoryQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at"]
        verbose_name_plural = "memories"
        constraints = [
            models.CheckConstraint(
                condition=Q(confidence__gte=0, confidence__lte=1), name="memory_confidence_is_a_share"
            ),
            models.CheckConstraint(
                condition=~Q(state="removed") | Q(text="", quote="", embedding=None),
                name="memory_removed_has_no_words",
            ),
            models.UniqueConstraint(
                fields=["user", "clone", "fingerprint"],
                condition=Q(state__in=["candidate", "confirmed"]),
                name="memory_active_once",
            ),
        ]
        indexes = [models.Index(fields=["user", "clone"], name="memory_by_user_and_clone")]

    def __str__(self) -> str:
        return f"{self.get_kind_display()}: {self.text[:60]}"


class MemoryPauseQuerySet(models.QuerySet["MemoryPause"]):
    def of(self, *, user_id: int, clone_id: int) -> Self:
        """Those that keep this clone from remembering this person."""
        return self.filter(Q(clone=clone_id) | Q(clone=None), user=user_id)


class MemoryPause(models.Model):
    """While the row is there, the member is not remembered by the clone, or by none (no clone)."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="memory_pauses")
    clone = models.ForeignKey(Clone, null=True, on_delete=models.CASCADE, related_name="+")
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    objects = MemoryPauseQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["user", "clone"], nulls_distinct=False, name="memory_pause_once"),
        ]

    def __str__(self) -> str:
        return f"No memory of person {self.user_id} by {self.clone_id or 'any clone'}"
