"""The clone of an expert, and who may see or edit it."""

import re
from decimal import Decimal
from typing import Any, Self, TypeVar

from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.contrib.postgres.fields import ArrayField
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models
from django.db.models import Q
from django.urls import reverse

from cloneai.accounts.models import User

MAX_HARD_RULES = 3
DEFAULT_NO_ANSWER = (
    "I could not find this in my material, so I would rather not guess. "
    "Ask me something closer to what I have written about."
)


RowsT = TypeVar("RowsT", bound="models.QuerySet[Any]")


class CloneQuerySet(models.QuerySet["Clone"]):
    """Permissions. `visible_to` answers "may this person open it", `listed_for` "is it shown in the gallery"."""

    def visible_to(self, user: User | AnonymousUser) -> Self:
        """Public and unlisted ones, own ones, and private ones with an invitation."""
        if isinstance(user, AnonymousUser):
            return self.filter(visibility__in=[Visibility.PUBLIC, Visibility.UNLISTED])
        if not user.is_active:
            return self.none()
        if user.is_superuser:
            return self
        return self.filter(
            Q(visibility__in=[Visibility.PUBLIC, Visibility.UNLISTED])
            | Q(owner=user)
            | self._is_invited(user)
        )

    def listed_for(self, user: User | AnonymousUser) -> Self:
        """Public ones, and for a person also own ones and those with an invitation."""
        if isinstance(user, AnonymousUser):
            return self.filter(visibility=Visibility.PUBLIC)
        return self.visible_to(user).filter(
            Q(visibility=Visibility.PUBLIC) | Q(owner=user) | self._is_invited(user)
        )

    def editable_by(self, user: User | AnonymousUser) -> Self:
        """An expert's own clones; every clone for a superuser."""
        if isinstance(user, AnonymousUser) or not user.is_expert:
            return self.none()
        return self if user.is_superuser else self.filter(owner=user)

    def readable_by_staff(self, user: User | AnonymousUser) -> Self:
        """Clones whose costs and conversations this member of staff may review: reviewers all, experts own."""
        if isinstance(user, AnonymousUser):
            return self.none()
        return self if user.is_reviewer else self.editable_by(user)

    def rows_of(self, rows: RowsT, *, path: str = "clone") -> RowsT:
        """Those rows that belong to one of these clones.

        Where these are all clones there is no condition: PostgreSQL would read and sort the whole table for it, when an
        index has the newest ones in order.
        """
        return rows.filter(**{f"{path}__in": self}) if self.query.has_filters() else rows

    def search(self, text: str) -> Self:
        """Clones with every word of `text` in name, headline, bio or expertise."""
        found = self
        for word in text.split()[:8]:
            found = found.filter(
                Q(name__icontains=word)
                | Q(headline__icontains=word)
                | Q(bio__icontains=word)
                | Q(expertise_areas__icontains=word)
            )
        return found

    @staticmethod
    def _is_invited(user: User) -> Q:
        return Q(pk__in=Clone.invited_users.through.objects.filter(user=user).values("clone"))


HOST = re.compile(r"(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z0-9-]{2,63}")


def read_host(text: str) -> str:
    """The site's name in what somebody typed (`https://Mara.example/start` too); empty when there is none."""
    host = text.strip().lower().split("://")[-1].split("/")[0].split(":")[0]
    return host if HOST.fullmatch(host) else ""


class Visibility(models.TextChoices):
    PRIVATE = "private", "Private: only people you invite"
    UNLISTED = "unlisted", "Unlisted: anybody with the link"
    PUBLIC = "public", "Public: listed in the gallery"


class Clone(models.Model):
    """An AI clone of its owner: a persona, and the settings that its answers follow."""

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="clones")
    name = models.CharField(max_length=80, help_text="The name that people see, for example your own.")
    slug = models.SlugField(max_length=80, unique=True, help_text="Part of the address: /c/<slug>/")
    headline = models.CharField(max_length=160, blank=True, help_text="One line: what this clone helps with.")
    bio = models.TextField(
        max_length=4000, blank=True, help_text="Background, in the third person. Shown on the profile."
    )
    communication_style = models.TextField(
        max_length=1000, blank=True, default="Warm, clear and practical", help_text="How the clone speaks."
    )
    expertise_areas = ArrayField(
        models.CharField(max_length=60), default=list, blank=True, help_text="Topics, separated by commas."
    )
    greeting = models.TextField(
        max_length=600, blank=True, help_text="The first words in a new conversation."
    )
    starter_questions = ArrayField(
        models.CharField(max_length=160),
        default=list,
        blank=True,
        help_text="Questions to begin with, up to six.",
    )
    hard_rules = ArrayField(
        models.CharField(max_length=300),
        default=list,
        blank=True,
        size=MAX_HARD_RULES,
        help_text=f"Rules that the clone never breaks, at most {MAX_HARD_RULES}.",
    )
    link_hosts = ArrayField(
        models.CharField(max_length=120),
        default=list,
        db_default=[],
        blank=True,
        help_text="Sites that answers may link to, for example mara.example. Other addresses are shown as text.",
    )
    no_answer_text = models.TextField(
        max_length=600, default=DEFAULT_NO_ANSWER, help_text="Said when the material holds no answer."
    )
    visibility = models.CharField(
        max_length=10, choices=Visibility, default=Visibility.PRIVATE, db_index=True
    )
    invited_users = models.ManyToManyField(
        settings.AUTH_USER_MODEL,
        blank=True,
        related_name="invited_clones",
        help_text="People who may chat with this clone while it is private.",
    )
    is_strict = models.BooleanField(
        "strict mode",
        default=True,
        help_text="Answer only from the documents; otherwise say the “no answer” text.",
    )
    temperature = models.DecimalField(
        max_digits=3,
        decimal_places=2,
        default=Decimal("0.70"),
        validators=[MinValueValidator(0), MaxValueValidator(2)],
        help_text="0 = sober and repeatable, 1 = free. 0.7 suits a conversation.",
    )
    max_output_tokens = models.PositiveIntegerField(
        default=1000,
        validators=[MinValueValidator(50), MaxValueValidator(16_000)],
        help_text="The longest answer, in tokens (about 0.75 words each).",
    )
    similarity_threshold = models.FloatField(
        null=True,
        blank=True,
        validators=[MinValueValidator(0), MaxValueValidator(1)],
        help_text="Passages below it are not used. Empty = calibrated for the embedding model: nearly always best.",
    )
    chat_model = models.CharField(max_length=100, blank=True, help_text="Empty = the platform's choice.")
    chunk_tokens = models.PositiveIntegerField(
        default=1000,
        validators=[MinValueValidator(100), MaxValueValidator(4000)],
        help_text="Longest passage, in tokens.",
    )
    chunk_overlap_tokens = models.PositiveIntegerField(
        default=200,
        validators=[MaxValueValidator(1000)],
        help_text="How much neighbouring passages share, in tokens.",
    )
    is_cleaning_on = models.BooleanField(
        "clean documents with AI",
        default=True,
        help_text="Mends broken lines and recognition errors after upload.",
    )
    allow_download = models.BooleanField(
        default=False, help_text="People may download the documents behind a source."
    )
    language = models.CharField(
        max_length=20,
        default="english",
        choices=[
            (name, name.capitalize())
            for name in ("english", "german", "french", "spanish", "italian", "dutch", "simple")
        ],
        help_text="Language of the documents, for word search. “Simple” suits all others.",
    )
    accent_color = models.CharField(
        max_length=7,
        default="#2f6f5e",
        validators=[RegexValidator(r"^#[0-9a-fA-F]{6}$", "Give a colour such as #2f6f5e.")],
        help_text="Colour of this clone's pages; contrast is taken care of.",
    )
    daily_cost_limit_usd = models.DecimalField(
        "daily cost limit (USD)",
        max_digits=18,
        decimal_places=10,
        null=True,
        blank=True,
        validators=[MinValueValidator(0)],
        help_text="Empty = no limit of its own.",
    )
    embedding_model = models.CharField(max_length=100, blank=True, editable=False)
    embedding_dimensions = models.PositiveIntegerField(default=0, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    objects = CloneQuerySet.as_manager()

    class Meta:
        ordering = ["name"]
        constraints = [
            models.CheckConstraint(
                condition=Q(chunk_overlap_tokens__lt=models.F("chunk_tokens")),
                name="clone_overlap_below_chunk",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("clones:profile", kwargs={"slug": self.slug})

    def clean(self) -> None:
        errors: dict[str, Any] = {}
        if len(self.starter_questions or []) > 6:
            errors["starter_questions"] = "Give at most six questions."
        if self.chunk_overlap_tokens >= self.chunk_tokens:
            errors["chunk_overlap_tokens"] = "The overlap must be smaller than the passage."
        if errors:
            raise ValidationError(errors)

    @property
    def initials(self) -> str:
        """Up to two letters for the avatar."""
        words = self.name.split()
        return "".join(word[0] for word in (words[:1] + words[-1:] if len(words) > 1 else words)).upper()
