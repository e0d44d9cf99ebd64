"""Two houses that must not see into each other, and everybody who may knock.

House "a" is `expert`'s clone, in which `member` talks; house "b" is `other_expert`'s, in which `stranger` does. Both
clones are private. Each kind of content carries a marker of its own, so that an answer shows what it gives away.
"""

import hashlib
import json
import uuid
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from typing import Any

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from django.db.models import Model
from django.test import Client
from django.utils import timezone
from django_q.models import Failure, OrmQ, Schedule, Success

from billing.models import CostRecord, ModelPrice, Outcome, Purpose, Reservation, ReservationState
from chat.models import (
    AnswerReceipt,
    ChatSession,
    Citation,
    EvaluationQuestion,
    EvaluationRun,
    GapQuestion,
    KnowledgeGap,
    Memory,
    MemoryKind,
    MemoryPause,
    Message,
    Role,
    SessionSummary,
    SummaryStatus,
)
from cloneai.accounts.models import EXPERTS, REVIEWERS, ApiKey, AuditEntry, DataExport, ExportStatus, User
from cloneai.privacy.exports import archive_path
from clones.models import Clone, Visibility
from conftest import make_user
from knowledge.models import Chunk, Document, DocumentPage, Status

ANONYMOUS, INACTIVE, MEMBER, STRANGER = "anonymous", "inactive", "member", "stranger"
EXPERT, OTHER_EXPERT, REVIEWER, ADMIN = "expert", "other_expert", "reviewer", "admin"
ACTORS = (ANONYMOUS, INACTIVE, MEMBER, STRANGER, EXPERT, OTHER_EXPERT, REVIEWER, ADMIN)
STAFF = (EXPERT, OTHER_EXPERT, REVIEWER, ADMIN)
MIRROR = {MEMBER: STRANGER, STRANGER: MEMBER, EXPERT: OTHER_EXPERT, OTHER_EXPERT: EXPERT}
HOUSES = ("a", "b")
MISSING_NUMBER, MISSING_SLUG, MISSING_UUID = 987654, "no-such-clone", str(uuid.UUID(int=77))

# Who may read which marked content of house "a"; of house "b" the mirrored people may.
READERS = {
    "clone": {MEMBER, EXPERT, REVIEWER, ADMIN},  # the name; reviewers meet it above transcripts
    "persona": {MEMBER, EXPERT, ADMIN},
    "document": {EXPERT, ADMIN},
    "talk": {MEMBER, REVIEWER, ADMIN},
    "title": {MEMBER, EXPERT, REVIEWER, ADMIN},
    "summary": {MEMBER, EXPERT, REVIEWER, ADMIN},
    "gap": {EXPERT, ADMIN},
    "memory": {MEMBER},
    "source": {MEMBER, REVIEWER, ADMIN},
    "key": {MEMBER, ADMIN},
    "error": {ADMIN},
    "price": {EXPERT, OTHER_EXPERT, REVIEWER, ADMIN},  # the model's name; it is a filter of the single calls
    "archive": {MEMBER, ADMIN},
    "address": {MEMBER, REVIEWER, ADMIN},  # the member's e-mail
    "expert_address": {EXPERT, REVIEWER, ADMIN},
}


def marker(kind: str, house: str) -> str:
    return f"mark{kind.replace('_', '')}{house}zq"


MARKERS = {(kind, house): marker(kind, house) for kind in READERS for house in HOUSES}


def mirror(actor: str, house: str) -> str:
    """The actor of house "a" who stands to it as `actor` stands to `house`."""
    return actor if house == "a" else MIRROR.get(actor, actor)


def find_leaks(*, actor: str, payload: str, besides: Collection[str] = ()) -> list[str]:
    """The markers in `payload` that this actor must not see; `besides` are kinds that this page may show as well."""
    return sorted(
        text
        for (kind, house), text in MARKERS.items()
        if text in payload and kind not in besides and mirror(actor, house) not in READERS[kind]
    )


@dataclass
class World:
    """Keys of everything, by kind and house; logged-in browsers and API keys, by actor."""

    keys: dict[str, dict[str, Any]] = field(default_factory=dict)
    people: dict[str, User] = field(default_factory=dict)
    browsers: dict[str, Client] = field(default_factory=dict)
    programs: dict[str, Client] = field(default_factory=dict)

    def key(self, kind: str, house: str) -> str:
        """The part of an address that names the thing; house "missing" gives one that nothing has."""
        example = self.keys[kind]["a"]
        if house == "missing":
            if isinstance(example, uuid.UUID):
                return MISSING_UUID
            return str(MISSING_NUMBER) if isinstance(example, int) else MISSING_SLUG
        return str(self.keys[kind][house])

    def fingerprint(self) -> dict[str, str]:
        """A hash of the content of each house, to see whether a request changed anything there."""
        return {house: _hash_rows(_rows_of(self, house)) for house in HOUSES}


def build_world() -> World:
    world = World()
    for name in (MEMBER, STRANGER, INACTIVE):
        world.people[name] = make_person(name)
    for name in (EXPERT, OTHER_EXPERT):
        world.people[name] = make_person(name, is_staff=True, groups=(EXPERTS,))
    world.people[REVIEWER] = make_person(REVIEWER, is_staff=True, groups=(REVIEWERS,))
    world.people[ADMIN] = make_person(ADMIN, is_staff=True, is_superuser=True)
    furnish(world, "a", owner=world.people[EXPERT], guest=world.people[MEMBER])
    furnish(world, "b", owner=world.people[OTHER_EXPERT], guest=world.people[STRANGER])
    _let_everybody_in(world)
    return world


def make_person(name: str, **fields: Any) -> User:
    address = {
        MEMBER: marker("address", "a"), STRANGER: marker("address", "b"),
        EXPERT: marker("expert_address", "a"), OTHER_EXPERT: marker("expert_address", "b"),
    }.get(name, name)  # fmt: skip
    user = make_user(address, **fields)
    user.name = name.title()
    user.save(update_fields=["name"])
    EmailAddress.objects.create(user=user, email=user.email, primary=True, verified=True)
    return user


def _let_everybody_in(world: World) -> None:
    world.browsers[ANONYMOUS], world.programs[ANONYMOUS] = Client(), Client()
    for name, user in world.people.items():
        world.browsers[name] = Client()
        world.browsers[name].force_login(user)
        _key, token = ApiKey.issue(user=user, name="all")
        world.programs[name] = Client(headers={"Authorization": f"Bearer {token}"})
    User.objects.filter(pk=world.people[INACTIVE].pk).update(is_active=False)


def furnish(world: World, house: str, *, owner: User, guest: User) -> None:
    """One row of everything that belongs to a house."""

    def note(kind: str, key: Any) -> None:
        world.keys.setdefault(kind, {})[house] = key

    def say(kind: str) -> str:
        return marker(kind, house)

    clone = Clone.objects.create(
        owner=owner, slug=f"house-{house}", name=say("clone"), headline=say("persona"), bio=say("persona"),
        visibility=Visibility.PRIVATE, greeting="Hello", no_answer_text="Not in my material.",
    )  # fmt: skip
    clone.invited_users.add(guest)
    document = _make_document(clone=clone, owner=owner, text=say("document"))
    session = ChatSession.objects.create(clone=clone, user=guest, title=say("title"))
    question = Message.objects.create(session=session, role=Role.USER, content=f"{say('talk')}?")
    answer = Message.objects.create(
        session=session, role=Role.ASSISTANT, content=f"{say('talk')} [1]", reply_to=question
    )
    citation = Citation.objects.create(
        message=answer, number=1, title=say("source"), page=1, quote=say("source"), start_char=0, end_char=9,
        similarity_score=0.5,
    )  # fmt: skip
    summary = SessionSummary.objects.create(
        session=session,
        status=SummaryStatus.READY,
        summary_text=say("summary"),
        structured_data={"action_items": [{"description": say("summary"), "message_number": 1}]},
    )
    gap = KnowledgeGap.objects.create(clone=clone)
    GapQuestion.objects.create(gap=gap, message=answer, asked_by=guest, question=say("gap"))
    memory = Memory.objects.create(
        user=guest, clone=clone, message=question, kind=MemoryKind.GOAL, text=say("memory"), quote=say("memory"),
        confidence=1, fingerprint=say("memory"),
    )  # fmt: skip
    AnswerReceipt.objects.create(message=answer, question=say("talk"))
    evaluation = EvaluationQuestion.objects.create(clone=clone, question=say("gap"))
    run = EvaluationRun.objects.create(clone=clone, label=say("gap"))
    key, _token = ApiKey.issue(user=guest, name=say("key"))
    for kind, value in {
        "clone": clone.slug, "clone_pk": clone.pk, "document": document.pk, "session": session.pk,
        "question": question.pk, "answer": answer.pk, "citation": citation.pk, "summary": summary.pk,
        "gap": gap.pk, "key": key.pk, "memory": memory.pk,
        "evaluation": evaluation.pk, "run": run.pk,
        "guest": guest.pk, "address": guest.emailaddress_set.get().pk,
        "cost": _make_cost(clone=clone, user=guest, error=say("error")).pk,
        "factor": Authenticator.objects.create(
            user=guest, type="recovery_codes", data={"seed": "x", "used_mask": 0}
        ).pk,
        "export": _make_export(guest, content=say("archive")).pk,
    }.items():  # fmt: skip
        note(kind, value)
    for kind, row in _make_platform_rows(text=say("price")).items():
        note(kind, row.pk)


def _make_document(*, clone: Clone, owner: User, text: str) -> Document:
    document = Document.objects.create(
        clone=clone, title=text, file_name=f"{text}.txt", file=f"documents/{text}", live_file="x", kind="text",
        sha256=hashlib.sha256(text.encode()).hexdigest(), uploaded_by=owner, status=Status.READY, live_version=1,
        page_count=1, chunk_count=1,
    )  # fmt: skip
    DocumentPage.objects.create(document=document, version=1, number=1, text=text, start_char=0)
    Chunk.objects.create(
        document=document, clone=clone, version=1, index=0, content=text, start_char=0, end_char=len(text),
        page_start=1, page_end=1, token_count=3, is_live=True,
    )  # fmt: skip
    return document


def _make_cost(*, clone: Clone, user: User, error: str) -> CostRecord:
    today = timezone.now().date()
    common: dict[str, Any] = {
        "day": today, "purpose": Purpose.CHAT, "model": "gpt-4.1", "input_tokens": 10,
        "input_usd_per_million": 1, "cached_input_usd_per_million": 1, "output_usd_per_million": 1,
    }  # fmt: skip
    reservation = Reservation.objects.create(
        **common, state=ReservationState.SETTLED, amount_usd=Decimal("0.01"), max_output_tokens=10,
        user_key=user.pk, clone_key=clone.pk, closed_at=timezone.now(),
    )  # fmt: skip
    return CostRecord.objects.create(
        **common, reservation=reservation, user=user, clone=clone, output_tokens=5, cost_usd=Decimal("0.001"),
        latency_ms=9, outcome=Outcome.SUCCESS,
    )  # fmt: skip


def _make_export(person: User, *, content: str) -> DataExport:
    export = DataExport.objects.create(
        user=person, status=ExportStatus.READY, size_bytes=len(content), finished_at=timezone.now(),
        expires_at=timezone.now() + timedelta(days=1),
    )  # fmt: skip
    path = archive_path(export)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    return export


def _make_platform_rows(*, text: str) -> dict[str, Model]:
    """What belongs to nobody, or to the platform: only superusers see it."""
    now = timezone.now()
    task = {"name": text, "func": "math.floor", "started": now, "stopped": now}
    return {
        "price": ModelPrice.objects.create(
            model=text, input_usd_per_million=1, cached_input_usd_per_million=1
        ),
        "audit": AuditEntry.objects.create(action="test", target=text),
        "schedule": Schedule.objects.create(name=text, func="math.floor", next_run=now + timedelta(days=9)),
        "success": Success.objects.create(id=uuid.uuid4().hex, success=True, **task),
        "failure": Failure.objects.create(id=uuid.uuid4().hex, success=False, **task),
        "job": OrmQ.objects.create(key="cloneai", payload="x", lock=now + timedelta(days=9)),
    }


def _rows_of(world: World, house: str) -> Iterable[Any]:
    clone_id, guest = world.keys["clone_pk"][house], world.keys["guest"][house]
    ignored = {"last_login"}
    for rows in (
        Clone.objects.filter(pk=clone_id),
        Document.objects.filter(clone=clone_id),
        ChatSession.objects.filter(clone=clone_id),
        Message.objects.filter(session__clone=clone_id).order_by("pk"),
        SessionSummary.objects.filter(session__clone=clone_id).order_by("pk"),
        KnowledgeGap.objects.filter(clone=clone_id),
        GapQuestion.objects.filter(gap__clone=clone_id),
        Memory.objects.filter(user=guest),
        MemoryPause.objects.filter(user=guest),
        ApiKey.objects.filter(user=guest).defer("last_used_at").order_by("pk"),
        DataExport.objects.filter(user=guest).order_by("pk"),
        User.objects.filter(pk=guest),
        EmailAddress.objects.filter(user=guest),
    ):
        for row in rows.values():
            yield {name: value for name, value in row.items() if name not in ignored | {"last_used_at"}}


def _hash_rows(rows: Iterable[Any]) -> str:
    return hashlib.sha256(json.dumps(list(rows), default=str).encode()).hexdigest()
