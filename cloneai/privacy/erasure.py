"""Erasing a person: every row that is theirs, in one transaction; files and running answers after its commit.

Enter at `erase_person`. What an answer that is being written, a summary or a job does meanwhile: their rows are locked
first, children before parents as everywhere; whoever writes afterwards finds nothing to write to.
"""

import logging
from collections import Counter
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

from asgiref.sync import async_to_sync
from django.conf import settings
from django.core.files.storage import default_storage
from django.db import OperationalError, connection, transaction
from django.db.models import Model
from django.utils import timezone

from chat.gaps import drop_empty_gaps
from chat.models import ChatSession, KnowledgeGap, Message, MessageStatus
from chat.streaming import send_to_writer
from cloneai.accounts.logins import find_logins
from cloneai.accounts.models import AuditEntry, User
from cloneai.privacy.exports import find_archives
from cloneai.privacy.mentions import forget_in_logs
from cloneai.privacy.tables import TABLES, Fate
from clones.deletion import delete_clone
from knowledge.models import ChunkEmbedding, Document

logger = logging.getLogger(__name__)

ATTEMPTS = 3
BACKUPS = "Backups, if this installation makes any, hold the rows until newer ones replace them."
PROVIDER = "What you wrote was sent to the AI provider to be answered; its copies follow its own rules."


class ErasureRefused(Exception):  # noqa: N818  (what happened, as the field says it)
    """An erasure that cannot be done as asked. `code`: owns_clones, last_administrator or unknown_person."""

    def __init__(self, *, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """Rows that stay, and why. Nothing in them leads to the person any more."""

    table: str
    title: str
    rows: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What an erasure did. `rows` and `cleaned` count by table; `cleaned` are log entries that lost their details."""

    account: str
    erased_at: str
    rows: dict[str, int]
    vectors: int
    files: int
    logins: int
    cleaned: dict[str, int]
    kept: tuple[Kept, ...]
    notes: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def erase_person(*, person: User, actor: User | None, way: str, with_clones: bool = False) -> Receipt:
    """Erases the person and returns the receipt. `way` (page, admin, command) and `actor` go into the audit log.

    Raises ErasureRefused and then changes nothing. Tries again when it met a writer of the same rows (a deadlock).
    """
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return _erase(person_id=person.pk, actor=actor, way=way, with_clones=with_clones)
        except OperationalError:
            if attempt == ATTEMPTS or connection.in_atomic_block:
                raise
            logger.warning("Erasing person %s met somebody who writes; trying again.", person.pk)
    raise AssertionError("unreachable")


def find_obstacle(*, person: User, with_clones: bool = False) -> ErasureRefused | None:
    """Why this person cannot be erased as asked, if anything."""
    clones = person.clones.count()
    if clones and not with_clones:
        return ErasureRefused(
            code="owns_clones",
            message=f"This person owns {clones} clone{'s' * (clones > 1)}. Erase them too, with their documents "
            "and the conversations that people had with them, or give them to another expert first.",
        )
    administrators = User.objects.filter(is_superuser=True, is_active=True)
    if person.is_superuser and not administrators.exclude(pk=person.pk).exists():
        return ErasureRefused(
            code="last_administrator",
            message="This is the only administrator. Appoint another one first.",
        )
    return None


@transaction.atomic
def _erase(*, person_id: int, actor: User | None, way: str, with_clones: bool) -> Receipt:
    running = _lock(person_id)
    person = User.objects.filter(pk=person_id).first()
    if person is None:
        raise ErasureRefused(code="unknown_person", message="This person is erased already.")
    if obstacle := find_obstacle(person=person, with_clones=with_clones):
        raise obstacle
    cleaned = forget_in_logs(person_id=person_id, email=person.email)
    archives = find_archives(person=person)
    files = len(archives) + sum(len(_stored_files(document)) for document in _documents(person))
    rows: Counter[str] = Counter()
    for clone in person.clones.all():
        rows.update(delete_clone(clone=clone))
    kept = _count_kept(person_id)
    logins = find_logins(person_id).delete()[0]
    rows.update(person.delete()[1])
    rows[KnowledgeGap._meta.label] += drop_empty_gaps()
    receipt = Receipt(
        account=_name(User, person_id),
        erased_at=timezone.now().isoformat(timespec="seconds"),
        rows={label: number for label, number in sorted(rows.items()) if number},
        vectors=rows[ChunkEmbedding._meta.label],
        files=files,
        logins=logins,
        cleaned={label: number for label, number in cleaned.items() if number},
        kept=kept,
        notes=(BACKUPS,) if settings.AI_OFFLINE else (BACKUPS, PROVIDER),
    )
    AuditEntry.objects.create(
        actor=None if actor is None or actor.pk == person_id else actor,
        action="person.erase",
        target=receipt.account,
        detail={"way": way, "rows": sum(rows.values()), "files": files, "with_clones": with_clones},
    )
    transaction.on_commit(partial(_finish, archives=archives, running=running), robust=True)
    return receipt


def _lock(person_id: int) -> list[UUID]:
    """Locks messages, conversations and person, in the order in which answers and the ledger do; running answers."""
    messages = Message.objects.filter(session__user=person_id).order_by("pk")
    locked = messages.select_for_update(of=("self",)).values_list("pk", "status")
    running = [key for key, status in locked if status == MessageStatus.STREAMING]
    sessions = ChatSession.objects.filter(user=person_id).order_by("pk")
    list(sessions.select_for_update(of=("self",)).values_list("pk"))
    list(User.objects.filter(pk=person_id).select_for_update(of=("self",)).values_list("pk"))
    return running


def _count_kept(person_id: int) -> tuple[Kept, ...]:
    staying = (table for table in TABLES if table.fate in (Fate.KEPT, Fate.UNLINKED))
    counted = ((table, table.rows(person_id=person_id).count()) for table in staying)
    return tuple(
        Kept(table=table.model, title=table.title, rows=number, reason=table.reason)
        for table, number in counted
        if number
    )


def _documents(person: User) -> list[Document]:
    return list(Document.objects.filter(clone__owner=person).only("file", "live_file"))


def _stored_files(document: Document) -> set[str]:
    return {
        name for name in (document.file.name, document.live_file) if name and default_storage.exists(name)
    }


def _finish(*, archives: list[Path], running: list[UUID]) -> None:
    """After the commit: archives go, and running answers are told to stop, which saves the provider's time."""
    for path in archives:
        path.unlink(missing_ok=True)
    for answer_id in running:
        async_to_sync(send_to_writer)(answer_id=answer_id, order={"type": "answer.stop"})


def _name(model: type[Model], key: int) -> str:
    return f"{model._meta.model_name}:{key}"
