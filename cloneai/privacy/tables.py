"""Every table that leads to a person: what it holds, whether it is exported, and what erasure does to it.

A test walks all models. It fails for a new one with a way to a person that has no line in `TABLES`, and for one
without that has no line in `WITHOUT_PERSON`. A table with two ways (as its owner, as its author) has two lines.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from django.apps import apps
from django.db.models import Model, QuerySet

from cloneai.accounts.logins import find_logins


class Fate(StrEnum):
    """What erasing the person does to the rows."""

    ERASED = "erased"
    ERASED_WITH_CLONES = (
        "erased with the clones"  # a person who owns clones is erased only together with them
    )
    UNLINKED = "kept without the person"
    KEPT = "kept"


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonalTable:
    """`path` is the lookup from a row to the person's number; `name` the stem of the file in the archive.

    `reason` says why rows stay, `not_exported` why they are not in the archive: both are shown to the person.
    `hidden` are columns that the archive leaves out, `names` lookups that it adds because a number says little.
    """

    name: str
    model: str
    path: str
    title: str
    fate: Fate = Fate.ERASED
    reason: str = ""
    not_exported: str = ""
    hidden: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    where: Mapping[str, str] = field(default_factory=dict)
    find: Callable[[int], QuerySet[Any]] | None = None

    @property
    def model_class(self) -> type[Model]:
        return apps.get_model(self.model)

    def rows(self, *, person_id: int) -> QuerySet[Any]:
        if self.find is not None:
            return self.find(person_id)
        return self.model_class._base_manager.filter(**{self.path: person_id}, **self.where)

    def columns(self) -> list[str]:
        """What the archive shows of a row."""
        fields = self.model_class._meta.concrete_fields
        return [*(column.attname for column in fields if column.attname not in self.hidden), *self.names]


IN_THE_FILES = "It is computed from the documents, which are in the archive as you uploaded them."
OTHERS = "It belongs to the people who had these conversations."
LEDGER = "The books must add up. Once the account is gone, the number in it leads to nobody."


def find_own_questions(person_id: int) -> QuerySet[Any]:
    """An expert's evaluation questions without those that are a member's words."""
    questions = apps.get_model("chat.EvaluationQuestion")._base_manager
    return questions.filter(clone__owner=person_id, message=None)


TABLES = (
    PersonalTable(
        name="account", model="accounts.User", path="pk", title="Your account", hidden=("password",)
    ),
    PersonalTable(
        name="second_factors",
        model="mfa.Authenticator",
        path="user",
        title="Your second factors",
        hidden=("data",),
    ),
    PersonalTable(
        name="email_addresses", model="account.EmailAddress", path="user", title="Your e-mail addresses"
    ),
    PersonalTable(
        name="email_confirmations",
        model="account.EmailConfirmation",
        path="email_address__user",
        title="Confirmations of your addresses",
        hidden=("key",),
    ),
    PersonalTable(
        name="roles", model="accounts.User_groups", path="user", title="Your roles", names=("group__name",)
    ),
    PersonalTable(
        name="permissions",
        model="accounts.User_user_permissions",
        path="user",
        title="Permissions of your own",
    ),
    PersonalTable(
        name="api_keys",
        model="accounts.ApiKey",
        path="user",
        title="Your API keys (without their secret)",
        hidden=("key_hash",),
    ),
    PersonalTable(
        name="logins",
        model="sessions.Session",
        path="",
        title="Your logins: when they run out",
        hidden=("session_key", "session_data"),
        find=find_logins,
    ),
    PersonalTable(name="archives", model="accounts.DataExport", path="user", title="Archives of your data"),
    PersonalTable(
        name="invitations",
        model="clones.Clone_invited_users",
        path="user",
        title="Private clones that you were invited to",
        names=("clone__name",),
    ),
    PersonalTable(
        name="conversations",
        model="chat.ChatSession",
        path="user",
        title="Your conversations",
        names=("clone__name",),
    ),
    PersonalTable(
        name="messages",
        model="chat.Message",
        path="session__user",
        title="What you and the clones said, with your feedback",
        hidden=("chunk_ends", "heartbeat_at", "stop_requested"),  # how the answer was transmitted
    ),
    PersonalTable(
        name="sources",
        model="chat.Citation",
        path="message__session__user",
        title="The sources under the answers you got",
    ),
    PersonalTable(
        name="receipts",
        model="chat.AnswerReceipt",
        path="message__session__user",
        title="How the answers you got came about",
        hidden=("prompt", "passages"),  # the expert's material; what was cited of it is in the sources
    ),
    PersonalTable(
        name="summaries",
        model="chat.SessionSummary",
        path="session__user",
        title="Summaries of your conversations, with what reviewers noted",
    ),
    PersonalTable(
        name="memories",
        model="chat.Memory",
        path="user",
        title="What clones remember of you (of deleted ones a mark remains, without words)",
        hidden=("embedding", "embedding_model", "fingerprint"),
        names=("clone__name",),
    ),
    PersonalTable(
        name="memory_uses",
        model="chat.Memory_used_in",
        path="memory__user",
        title="Which answers used a memory",
    ),
    PersonalTable(
        name="memory_pauses",
        model="chat.MemoryPause",
        path="user",
        title="Where you switched the memory off (no clone: everywhere)",
        names=("clone__name",),
    ),
    PersonalTable(
        name="unanswered_questions",
        model="chat.GapQuestion",
        path="asked_by",
        title="Your questions that a clone could not answer, or only nearly, or whose answer did not help",
        hidden=("embedding", "embedding_model"),
    ),
    PersonalTable(
        name="answered_gaps",
        model="chat.KnowledgeGap",
        path="answered_by",
        title="Questions that you answered as an expert",
        fate=Fate.UNLINKED,
        reason="The answer is a document of the clone. That you wrote it is forgotten.",
    ),
    PersonalTable(
        name="assigned_reviews",
        model="chat.SessionSummary",
        path="assignee",
        title="Reviews that were assigned to you as a member of staff",
        fate=Fate.UNLINKED,
        reason="The summary belongs to its member. That you were to review it is forgotten.",
        not_exported="They are other people's conversations.",
    ),
    PersonalTable(
        name="admin_history",
        model="admin.LogEntry",
        path="user",
        title="What you changed in the admin (staff only)",
    ),
    PersonalTable(
        name="actions",
        model="accounts.AuditEntry",
        path="actor",
        title="What you did as a member of staff",
        fate=Fate.UNLINKED,
        reason="The security log must stay complete. It keeps what was done and when, not by whom.",
    ),
    PersonalTable(
        name="costs",
        model="billing.CostRecord",
        path="user",
        title="What your questions cost",
        fate=Fate.UNLINKED,
        reason="They are the books: amounts, models and days stay, without you, your conversations or your words.",
    ),
    PersonalTable(
        name="cost_reservations",
        model="billing.Reservation",
        path="user_key",
        title="Estimates that were held before each paid call",
        fate=Fate.KEPT,
        reason=LEDGER,
        not_exported="They are estimates of the calls in costs.json.",
    ),
    PersonalTable(
        name="daily_spending",
        model="billing.SpendAccount",
        path="owner_id",
        title="Your spending by day",
        fate=Fate.KEPT,
        reason=LEDGER,
        where={"scope": "user"},
    ),
    PersonalTable(
        name="daily_costs",
        model="billing.DailyPersonUsage",
        path="user",
        title="Sums of your costs by day and clone",
        fate=Fate.UNLINKED,
        reason="They are the books' daily sums: amounts and days stay, without you.",
    ),
    PersonalTable(
        name="limit_warnings",
        model="billing.SpendAlert",
        path="owner_id",
        title="Warnings that your daily limit was reached",
        fate=Fate.KEPT,
        reason=LEDGER,
        where={"scope": "user"},
    ),
    PersonalTable(
        name="clones",
        model="clones.Clone",
        path="owner",
        title="Clones that you own",
        fate=Fate.ERASED_WITH_CLONES,
    ),
    PersonalTable(
        name="documents",
        model="knowledge.Document",
        path="clone__owner",
        title="Documents of your clones (the files are in the folder documents)",
        fate=Fate.ERASED_WITH_CLONES,
        hidden=(
            "file",
            "live_file",
            "earlier",
            "lease_token",
            "lease_until",
            "sketch",
        ),  # where and by whom they are processed
    ),
    PersonalTable(
        name="document_pages",
        model="knowledge.DocumentPage",
        path="document__clone__owner",
        title="The text of your documents, by page",
        fate=Fate.ERASED_WITH_CLONES,
        not_exported=IN_THE_FILES,
    ),
    PersonalTable(
        name="passages",
        model="knowledge.Chunk",
        path="clone__owner",
        title="Passages of your documents",
        fate=Fate.ERASED_WITH_CLONES,
        not_exported=IN_THE_FILES,
    ),
    PersonalTable(
        name="vectors",
        model="knowledge.ChunkEmbedding",
        path="clone__owner",
        title="Vectors of these passages",
        fate=Fate.ERASED_WITH_CLONES,
        not_exported=IN_THE_FILES,
    ),
    PersonalTable(
        name="uploads",
        model="knowledge.Document",
        path="uploaded_by",
        title="Documents that you uploaded, to your own clones and those of others",
        fate=Fate.UNLINKED,
        reason="A document of somebody else's clone belongs to that clone. That you uploaded it is forgotten.",
        hidden=("file", "live_file", "earlier", "lease_token", "lease_until", "sketch"),
    ),
    PersonalTable(
        name="evaluation_questions",
        model="chat.EvaluationQuestion",
        path="clone__owner",
        title="Questions that you evaluate your clones with",
        fate=Fate.ERASED_WITH_CLONES,
        find=find_own_questions,
    ),
    PersonalTable(
        name="evaluation_questions_from_you",
        model="chat.EvaluationQuestion",
        path="message__session__user",
        title="Questions of yours that an expert evaluates a clone with",
    ),
    PersonalTable(
        name="evaluation_results_from_you",
        model="chat.EvaluationResult",
        path="question__message__session__user",
        title="What a clone answered to them in evaluations",
    ),
    PersonalTable(
        name="evaluation_runs",
        model="chat.EvaluationRun",
        path="clone__owner",
        title="Evaluations of your clones",
        fate=Fate.ERASED_WITH_CLONES,
    ),
    PersonalTable(
        name="evaluations_started",
        model="chat.EvaluationRun",
        path="started_by",
        title="Evaluations that you started",
        fate=Fate.UNLINKED,
        reason="An evaluation belongs to its clone. That you started it is forgotten.",
    ),
    PersonalTable(
        name="evaluation_results",
        model="chat.EvaluationResult",
        path="run__clone__owner",
        title="What your clones answered in evaluations",
        fate=Fate.ERASED_WITH_CLONES,
        not_exported="It can be had again: run the evaluation.",
    ),
    PersonalTable(
        name="others_conversations",
        model="chat.ChatSession",
        path="clone__owner",
        title="Conversations that people had with your clones",
        fate=Fate.ERASED_WITH_CLONES,
        not_exported=OTHERS,
    ),
    PersonalTable(
        name="others_gaps",
        model="chat.KnowledgeGap",
        path="clone__owner",
        title="What your clones could not answer",
        fate=Fate.ERASED_WITH_CLONES,
        not_exported=OTHERS,
    ),
    PersonalTable(
        name="others_memories",
        model="chat.Memory",
        path="clone__owner",
        title="What your clones remember of people",
        fate=Fate.ERASED_WITH_CLONES,
        not_exported=OTHERS,
    ),
    PersonalTable(
        name="others_questions",
        model="chat.GapQuestion",
        path="gap__clone__owner",
        title="Questions that your clones could not answer",
        fate=Fate.ERASED_WITH_CLONES,
        not_exported=OTHERS,
    ),
)

# Tables that do not lead to anybody, and why one may think that they do.
WITHOUT_PERSON = {
    "auth.Permission": "what roles may do",
    "auth.Group": "names of roles",
    "auth.Group_permissions": "what roles may do",
    "contenttypes.ContentType": "names of tables",
    "django_q.OrmQ": "waiting jobs: functions and row numbers",
    "django_q.Task": "finished jobs: functions and row numbers, the last 1000",
    "django_q.Schedule": "what runs when",
    "billing.ModelPrice": "prices",
    "billing.DailyUsage": "daily sums by clone and model",
    "billing.DailyLatency": "daily durations by clone and model",
    "knowledge.OrphanAudit": "what the nightly audit counted",
}


def name_counts(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    """Counts by model as people read them, in the order of `TABLES`: ("unanswered questions", 3)."""
    names: dict[str, str] = {}
    for table in TABLES:
        names.setdefault(table.model, table.name.replace("_", " "))
    known = [(name, counts[label]) for label, name in names.items() if label in counts]
    return known + [(label, number) for label, number in counts.items() if label not in names]
