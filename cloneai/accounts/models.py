"""People, their API keys and what they did. The e-mail address is the login name; roles are groups."""

import hashlib
import secrets
import uuid
from collections.abc import Collection
from typing import Any, ClassVar

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.models import PermissionsMixin
from django.contrib.postgres.fields import ArrayField
from django.core.validators import MinValueValidator
from django.db import models
from django.db.models.functions import Lower
from django.utils import timezone
from django.utils.functional import cached_property

EXPERTS = "Experts"
REVIEWERS = "Reviewers"
API_KEY_PREFIX = "cak_"


class UserManager(BaseUserManager["User"]):
    """Creates people; addresses are kept in lower case so that logins do not depend on it."""

    def create_user(self, email: str, password: str | None = None, **fields: Any) -> "User":
        if not email or "@" not in email:
            raise ValueError("An account needs an e-mail address.")
        user = self.model(email=email.strip().lower(), **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(self, email: str, password: str | None = None, **fields: Any) -> "User":
        return self.create_user(email, password, **{"is_staff": True, "is_superuser": True, **fields})

    def get_by_natural_key(self, username: str | None) -> "User":
        return self.get(email=(username or "").lower())


class User(AbstractBaseUser, PermissionsMixin):
    """A person. Members have no role; experts and reviewers are staff in the group of that name."""

    email = models.EmailField("e-mail address", max_length=254, unique=True)
    name = models.CharField(max_length=120, blank=True, help_text="Shown in the header and to the clone.")
    is_active = models.BooleanField(
        default=True, help_text="Untick instead of deleting: it ends every access at once."
    )
    is_staff = models.BooleanField(
        default=False, help_text="May enter the admin; what is seen there depends on the role."
    )
    date_joined = models.DateTimeField(default=timezone.now, editable=False)
    daily_cost_limit_usd = models.DecimalField(
        "daily cost limit (USD)",
        max_digits=18,
        decimal_places=10,
        null=True,
        blank=True,
        validators=[MinValueValidator(0)],
        help_text="Empty = the platform's limit per person and day. 0 = nothing that costs anything.",
    )

    objects = UserManager()

    USERNAME_FIELD = "email"
    EMAIL_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []

    class Meta:
        verbose_name = "person"
        verbose_name_plural = "people"
        constraints = [models.UniqueConstraint(Lower("email"), name="user_email_unique_ignoring_case")]

    def __str__(self) -> str:
        return self.email

    def save(self, *args: Any, **kwargs: Any) -> None:
        self.email = self.email.lower()
        super().save(*args, **kwargs)

    @cached_property
    def role_names(self) -> frozenset[str]:
        """Names of the groups of this person; one query, kept for the object's life."""
        return frozenset(self.groups.values_list("name", flat=True))

    @property
    def is_expert(self) -> bool:
        return self.is_active and self.is_staff and (self.is_superuser or EXPERTS in self.role_names)

    @property
    def is_reviewer(self) -> bool:
        return self.is_active and self.is_staff and (self.is_superuser or REVIEWERS in self.role_names)

    @property
    def display_name(self) -> str:
        return self.name or self.email.split("@")[0]

    @property
    def pseudonym(self) -> str:
        """What experts see instead of the address; stable, and not reversible without the database."""
        return f"Member {hashlib.sha256(f'member:{self.pk}:{self.date_joined}'.encode()).hexdigest()[:6]}"


class Scope(models.TextChoices):
    """What a key may be used for. It never allows more than its owner may."""

    CHAT = "chat", "Chat: talk to clones, read sessions and memory"
    KNOWLEDGE = "knowledge", "Knowledge: write clones, upload documents, search them"
    BILLING = "billing", "Billing: read costs and metrics"


def all_scopes() -> list[str]:
    return list(Scope.values)


class ApiKeyQuerySet(models.QuerySet["ApiKey"]):
    def usable(self) -> "ApiKeyQuerySet":
        return self.filter(revoked_at=None, user__is_active=True)

    def find(self, token: str) -> "ApiKey | None":
        """The usable key that this token opens, with its owner; one query by hash."""
        return self.usable().select_related("user").filter(key_hash=hash_token(token)).first()

    def use(self, token: str) -> "ApiKey | None":
        """As `find`, and notes the time of the use."""
        key = self.find(token)
        if key is not None:
            self.filter(pk=key.pk).update(last_used_at=timezone.now())
        return key


class ApiKey(models.Model):
    """A bearer token of a person. Only its hash is kept; the token is shown once."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="api_keys")
    name = models.CharField(max_length=100, default="key")
    prefix = models.CharField(max_length=12, editable=False)
    key_hash = models.CharField(max_length=64, unique=True, editable=False)
    scopes = ArrayField(models.CharField(max_length=20, choices=Scope.choices), default=all_scopes)
    created_at = models.DateTimeField(auto_now_add=True)
    last_used_at = models.DateTimeField(null=True, editable=False)
    revoked_at = models.DateTimeField(null=True, blank=True, editable=False)

    objects = ApiKeyQuerySet.as_manager()

    class Meta:
        verbose_name = "API key"
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}…)"

    @classmethod
    def issue(cls, *, user: User, name: str, scopes: Collection[str] | None = None) -> tuple["ApiKey", str]:
        """Creates a key and returns it with its token, which cannot be had again. Without `scopes` it has all."""
        token = API_KEY_PREFIX + secrets.token_urlsafe(32)
        key = cls.objects.create(
            user=user,
            name=name,
            prefix=token[:10],
            key_hash=hash_token(token),
            scopes=[scope for scope in Scope.values if scopes is None or scope in scopes],
        )
        return key, token

    @property
    def scope_names(self) -> str:
        """For people: "Chat, Billing"."""
        return ", ".join(scope.capitalize() for scope in self.scopes)


class AuditEntry(models.Model):
    """Who did what to which thing; written by the edges, never changed."""

    at = models.DateTimeField(default=timezone.now, db_index=True)
    actor = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="+")
    action = models.CharField(max_length=60)
    target = models.CharField(max_length=200)
    detail = models.JSONField(default=dict, blank=True)

    class Meta:
        verbose_name_plural = "audit entries"
        ordering = ["-at"]
        indexes = [
            models.Index(fields=["action", "-at"], name="audit_by_action"),
            models.Index(
                fields=["target", "-at"],
                name="audit_by_target",
                opclasses=["varchar_pattern_ops", "timestamptz_ops"],
            ),
        ]

    def __str__(self) -> str:
        return f"{self.action} {self.target}"


class ExportStatus(models.TextChoices):
    QUEUED = "queued", "Waiting"
    RUNNING = "running", "Being prepared"
    READY = "ready", "Ready"
    FAILED = "failed", "Failed"


class DataExport(models.Model):
    """An archive of a person's data, made in the background; `cloneai.privacy.exports` keeps row and file together."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="data_exports")
    status = models.CharField(max_length=8, choices=ExportStatus, default=ExportStatus.QUEUED)
    size_bytes = models.PositiveBigIntegerField(default=0)
    created_at = models.DateTimeField(default=timezone.now)
    finished_at = models.DateTimeField(null=True)
    expires_at = models.DateTimeField(null=True, db_index=True)

    class Meta:
        ordering = ["-created_at"]
        constraints = [
            models.UniqueConstraint(
                fields=["user"],
                condition=models.Q(status__in=["queued", "running"]),
                name="one_unfinished_export_per_person",
            ),
        ]

    def __str__(self) -> str:
        return f"Data of person {self.user_id}"

    @property
    def is_unfinished(self) -> bool:
        return self.status in (ExportStatus.QUEUED, ExportStatus.RUNNING)

    @property
    def is_downloadable(self) -> bool:
        return (
            self.status == ExportStatus.READY
            and self.expires_at is not None
            and self.expires_at > timezone.now()
        )


def hash_token(token: str) -> str:
    """SHA-256: tokens carry 256 random bits, so a slow hash would add nothing."""
    return hashlib.sha256(token.encode()).hexdigest()
