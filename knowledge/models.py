"""Documents, their pages and passages ("chunks"), and the passages' vectors.

A document's text is its pages joined by a blank line; every offset counts characters of that text. Each upload or
re-processing of a document is a new `version`; the one that answers is `live_version`, switched in one transaction.
"""

import uuid
from datetime import timedelta
from functools import reduce
from operator import or_
from pathlib import PurePosixPath
from typing import Any, Self

from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.contrib.postgres.search import SearchVectorField
from django.db import models
from django.db.models import F, Func, Q
from django.urls import reverse
from pgvector.django import HalfVectorField

from cloneai.accounts.models import User
from clones.models import Clone

# A worker that dies is noticed when its lease ends; with a sweep a minute, that is within two minutes.
LEASE = timedelta(seconds=30)
MAX_ATTEMPTS = 3


class Status(models.TextChoices):
    QUEUED = "queued", "Waiting"
    EXTRACTING = "extracting", "Reading the file"
    CLEANING = "cleaning", "Cleaning the text"
    CHUNKING = "chunking", "Cutting into passages"
    EMBEDDING = "embedding", "Computing vectors"
    READY = "ready", "Ready"
    FAILED = "failed", "Failed"


FINAL_STATUSES = (Status.READY, Status.FAILED)
FAULTS_OF_FILE = (
    "corrupt", "empty_file", "encrypted", "no_text", "too_complex", "too_large", "too_many_pages", "type_mismatch",
    "unsafe_xml", "unsupported_type", "zip_bomb",
)  # fmt: skip


# What an expert should look at, by what it is about. An index holds the documents of all of them.
CONCERNS = {
    "failed": Q(status=Status.FAILED),
    "hard_to_find": ~Q(probe_note=""),
    "near_copy": Q(similar_document__isnull=False),
    "warnings": ~Q(warnings=[]),
}


def storage_path(document: "Document", file_name: str) -> str:
    """Where a document's file lies: never a name that the uploader chose."""
    return f"{storage_folder(clone_id=document.clone_id)}/{document.pk}-{uuid.uuid4().hex[:8]}"


def storage_folder(*, clone_id: int) -> str:
    return str(PurePosixPath("documents") / str(clone_id))


def _any_of(*concerns: str) -> Q:
    return reduce(or_, (CONCERNS[concern] for concern in concerns))


class DocumentQuerySet(models.QuerySet["Document"]):
    def editable_by(self, user: User | AnonymousUser) -> Self:
        return Clone.objects.editable_by(user).rows_of(self)

    def with_concern(self, *concerns: str) -> Self:
        """Documents that any of these CONCERNS is true of; of all of them when none is named."""
        return self.filter(_any_of(*(concerns or CONCERNS)))

    def unproven(self) -> Self:
        """Ready documents whose live version was not asked its own questions yet."""
        is_older = Q(probed_version=None) | Q(probed_version__lt=F("live_version"))
        return self.filter(is_older, status=Status.READY)

    visible_to = (
        editable_by  # documents as such are the expert's own affair; members see passages through citations
    )


class Document(models.Model):
    """One uploaded file of a clone and the state of its ingestion."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    clone = models.ForeignKey(Clone, on_delete=models.CASCADE, related_name="documents")
    title = models.CharField(max_length=200, help_text="Shown with every source.")
    file = models.FileField(upload_to=storage_path, max_length=300)
    live_file = models.CharField(
        max_length=300,
        blank=True,
        editable=False,
        help_text="Stored name of the file behind the live version.",
    )
    # What the row said of the live version before a newer one began, see `knowledge.earlier_versions`.
    earlier = models.JSONField(null=True, editable=False)
    file_name = models.CharField(max_length=255, help_text="As uploaded, made safe.")
    kind = models.CharField(max_length=10, blank=True, editable=False)
    size_bytes = models.PositiveBigIntegerField(default=0, editable=False)
    sha256 = models.CharField(max_length=64, editable=False)
    uploaded_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+", editable=False
    )
    status = models.CharField(
        max_length=12, choices=Status, default=Status.QUEUED, editable=False, db_index=True
    )
    stage_done = models.PositiveIntegerField(default=0, editable=False)
    stage_total = models.PositiveIntegerField(default=0, editable=False)
    error_code = models.CharField(max_length=40, blank=True, editable=False)
    error_message = models.TextField(blank=True, editable=False)
    warnings = ArrayField(models.TextField(), default=list, blank=True, editable=False)
    is_cleaning_on = models.BooleanField(
        "clean with AI",
        default=True,
        help_text="Mend broken lines and recognition errors by the cheap model, where the clone has that on too.",
    )
    page_count = models.PositiveIntegerField(default=0, editable=False)
    chunk_count = models.PositiveIntegerField(default=0, editable=False)
    token_count = models.PositiveIntegerField(default=0, editable=False)
    # The smallest hashes of the text's runs of five words, see `knowledge.similarity`.
    sketch = ArrayField(models.BigIntegerField(), default=list, editable=False)
    similar_document = models.ForeignKey(
        "self", null=True, on_delete=models.SET_NULL, related_name="+", editable=False
    )
    similar_share = models.FloatField(default=0, editable=False)
    # Of how many questions made from its own passages the answer was among the first five, see `knowledge.probes`.
    probe_count = models.PositiveSmallIntegerField(default=0, editable=False)
    probes_found = models.PositiveSmallIntegerField(default=0, editable=False)
    probed_version = models.PositiveIntegerField(null=True, editable=False)
    probe_note = models.TextField(blank=True, editable=False, help_text="Why it is hard to find.")
    version = models.PositiveIntegerField(default=1, editable=False)
    live_version = models.PositiveIntegerField(null=True, editable=False)
    attempts = models.PositiveSmallIntegerField(default=0, editable=False)
    lease_token = models.UUIDField(null=True, editable=False)
    lease_until = models.DateTimeField(null=True, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)
    ready_at = models.DateTimeField(null=True, editable=False)

    objects = DocumentQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at"]
        constraints = [
            models.UniqueConstraint(fields=["clone", "sha256"], name="document_bytes_once_per_clone"),
            models.CheckConstraint(
                condition=~Q(status=Status.FAILED) | ~Q(error_message=""), name="document_failure_has_reason"
            ),
            models.CheckConstraint(
                condition=~Q(status=Status.READY) | Q(live_version=F("version"), chunk_count__gt=0),
                name="document_ready_is_live_with_chunks",
            ),
        ]
        indexes = [
            models.Index(fields=["status", "lease_until"], name="document_lease"),
            models.Index(fields=["-created_at"], name="document_by_moment"),
            models.Index(fields=["-created_at"], condition=_any_of(*CONCERNS), name="document_of_concern"),
            models.Index(
                fields=["ready_at"],
                condition=Q(status=Status.READY)
                & (Q(probed_version=None) | Q(probed_version__lt=F("live_version"))),
                name="document_unproven",
            ),
        ]

    def __str__(self) -> str:
        return self.title

    def get_absolute_url(self) -> str:
        return reverse("admin:knowledge_document_change", args=[self.pk])

    @property
    def is_hard_to_find(self) -> bool:
        return bool(self.probe_note)

    @property
    def is_final(self) -> bool:
        return self.status in FINAL_STATUSES

    @property
    def has_earlier(self) -> bool:
        """Its newest version failed, and the one before goes on answering."""
        return self.status == Status.FAILED and self.live_version is not None and self.earlier is not None

    @property
    def live_file_name(self) -> str:
        """What the file behind the live version was called."""
        return self.earlier["file_name"] if self.earlier else self.file_name

    @property
    def live_kind(self) -> str:
        return self.earlier["kind"] if self.earlier else self.kind

    @property
    def needs_other_file(self) -> bool:
        """It failed for what the file is, so that reading the same file again cannot help."""
        return self.status == Status.FAILED and self.error_code in FAULTS_OF_FILE


class DocumentPage(models.Model):
    """The text of one page of one version. `start_char` is its place in the document's text."""

    document = models.ForeignKey(Document, on_delete=models.CASCADE, related_name="pages")
    version = models.PositiveIntegerField()
    number = models.PositiveIntegerField()
    text = models.TextField(blank=True)
    start_char = models.PositiveIntegerField()

    class Meta:
        ordering = ["number"]
        constraints = [
            models.UniqueConstraint(fields=["document", "version", "number"], name="page_once_per_version")
        ]

    def __str__(self) -> str:
        return f"{self.document_id} p. {self.number}"


class RegConfigField(models.TextField[Any, Any]):
    """PostgreSQL's `regconfig`: a text search configuration's name. Needed so that the tsvector can be generated."""

    def db_type(self, connection: Any) -> str:
        return "regconfig"


class Chunk(models.Model):
    """A passage: `text[start_char:end_char] == content`, on pages `page_start` to `page_end`."""

    document = models.ForeignKey(Document, on_delete=models.CASCADE, related_name="chunks")
    clone = models.ForeignKey(Clone, on_delete=models.CASCADE, related_name="+")
    version = models.PositiveIntegerField()
    index = models.PositiveIntegerField()
    content = models.TextField()
    headings = ArrayField(models.TextField(), default=list, blank=True)
    start_char = models.PositiveIntegerField()
    end_char = models.PositiveIntegerField()
    page_start = models.PositiveIntegerField()
    page_end = models.PositiveIntegerField()
    token_count = models.PositiveIntegerField()
    is_live = models.BooleanField(default=False)
    language = RegConfigField(default="english")
    search_vector = models.GeneratedField(
        expression=Func(F("language"), F("content"), function="to_tsvector"),
        output_field=SearchVectorField(),
        db_persist=True,
    )

    class Meta:
        ordering = ["document", "version", "index"]
        constraints = [
            models.UniqueConstraint(fields=["document", "version", "index"], name="chunk_once_per_version"),
            models.CheckConstraint(condition=Q(end_char__gt=F("start_char")), name="chunk_not_empty"),
        ]
        indexes = [
            models.Index(fields=["clone"], condition=Q(is_live=True), name="chunk_live_by_clone"),
            # The clone's number is one more word of each passage, and one that no text can hold: a search for a word
            # and this number reads the clone's own passages only, however many others hold the word.
            GinIndex(
                Func(
                    F("search_vector"),
                    Func(
                        F("clone"), template="array_to_tsvector(ARRAY['clone ' || (%(expressions)s)::text])"
                    ),
                    arg_joiner=" || ",
                    template="(%(expressions)s)",
                ),
                name="chunk_words_by_clone",
                condition=Q(is_live=True),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.document_id} [{self.start_char}:{self.end_char}]"


class ChunkEmbedding(models.Model):
    """A passage's vector by one model. `is_live`: of a published version and of the clone's live model."""

    # Passage and clone have no index of their own: they come first in those below.
    chunk = models.ForeignKey(Chunk, on_delete=models.CASCADE, related_name="embeddings", db_index=False)
    document = models.ForeignKey(Document, on_delete=models.CASCADE, related_name="+")
    clone = models.ForeignKey(Clone, on_delete=models.CASCADE, related_name="+", db_index=False)
    model = models.CharField(max_length=100)
    dimensions = models.PositiveSmallIntegerField()
    embedding = HalfVectorField()
    is_live = models.BooleanField(default=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["chunk", "model", "dimensions"], name="embedding_once_per_model"),
        ]
        # All that a search asks of a row, which is then read for its vector alone.
        indexes = [
            models.Index(fields=["clone", "model", "dimensions", "is_live"], name="embedding_by_clone")
        ]

    def __str__(self) -> str:
        return f"{self.chunk_id} by {self.model}"


class OrphanAudit(models.Model):
    """What the nightly audit counted; `counts` by kind, see `knowledge.orphans`."""

    created_at = models.DateTimeField(auto_now_add=True)
    total = models.PositiveIntegerField()
    counts = models.JSONField()

    class Meta:
        ordering = ["-created_at"]
        get_latest_by = "created_at"

    def __str__(self) -> str:
        return f"{self.created_at:%Y-%m-%d}: {self.total}"
