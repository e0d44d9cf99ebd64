"""A large installation made by PostgreSQL itself, for tests of plans and for `benchmarks.lists`: `fill_installation`.

Two thirds of a minute a million messages. The same sizes give the same rows. Keys of people and clones begin at
`FIRST_KEY`; the n-th row of a table with UUIDs has the MD5 of its name and n.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.contrib.auth.models import Group
from django.db import connection, transaction
from django.db.models import AutoField, Field, Model

from billing.models import CostRecord, Reservation, SpendAccount
from chat.models import ChatSession, Citation, GapQuestion, KnowledgeGap, Memory, Message, SessionSummary
from cloneai.accounts.models import EXPERTS, REVIEWERS, ApiKey, AuditEntry, User
from clones.models import Clone
from knowledge.models import Document

FIRST_KEY = 1_000_000
BEGAN_DAYS_AGO = 365
OWNERS = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """Rows. There are as many cost records as messages, and as many summaries as sessions."""

    messages: int
    clones: int = 1000

    @property
    def sessions(self) -> int:
        return self.messages // 8

    @property
    def people(self) -> int:
        return self.messages // 40

    @property
    def documents(self) -> int:
        return self.messages // 10

    @property
    def gaps(self) -> int:
        return self.messages // 40

    @property
    def audit_entries(self) -> int:
        return self.messages // 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Installation:
    """Whom to visit it as. `expert` owns the busiest clone, which a tenth or more of everything belongs to."""

    member: User
    expert: User
    reviewer: User
    admin: User
    session_key: str


def fill_installation(size: Size) -> Installation:
    """Into empty tables; ends with VACUUM ANALYZE. The server's superuser leaves out the checks of foreign keys."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        _fill(size)
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")
    return _appoint(size)


def _fill(size: Size) -> None:
    moment = f"now() - interval '{BEGAN_DAYS_AGO} days' * (1 - n::float / {{count}})"
    person = f"{FIRST_KEY} + mod(n * 7919, {size.people})"
    # A random number that n has for ever, to the third power: the first clones are the busiest.
    spread = "power(mod({n}::bigint * 2654435761, 4294967296) / 4294967296.0, 3)"
    clone = f"{FIRST_KEY} + floor({spread} * {size.clones})::int"
    per_session = size.messages // size.sessions
    session = f"((n - 1) / {per_session} + 1)"

    def at(count: int) -> str:
        return moment.format(count=count)

    insert(
        User,
        size.people,
        id=f"{FIRST_KEY} + n - 1",
        email="'person' || n || '@example.org'",
        name="'Person ' || n",
    )
    insert(
        Clone, size.clones, id=f"{FIRST_KEY} + n - 1", owner=f"{FIRST_KEY} + mod(n - 1, {OWNERS})",
        name="'Clone ' || n", slug="'clone-' || n", visibility="'public'",
    )  # fmt: skip
    insert(
        ChatSession, size.sessions, id="md5('session' || n)::uuid", clone=clone.format(n="n"), user=person,
        title="'About meeting ' || n", created_at=at(size.sessions), last_activity_at=at(size.sessions),
        settled_at=at(size.sessions), ended_at="CASE WHEN mod(n, 2) = 0 THEN now() END",
    )  # fmt: skip
    insert(
        Message, size.messages, id="md5('message' || n)::uuid", session=f"md5('session' || {session})::uuid",
        role="CASE mod(n, 2) WHEN 1 THEN 'user' ELSE 'assistant' END",
        content="'What to say in meeting ' || n || ' when word' || mod(n, 5000) || ' comes up'",
        reply_to="CASE mod(n, 2) WHEN 0 THEN md5('message' || n - 1)::uuid END",
        created_at=at(size.messages), finished_at=at(size.messages),
        retrieval_quality="""CASE WHEN mod(n, 20) = 0 THEN '{"status": "poor"}' ELSE '{"status": "good"}' END::jsonb""",
        rating="CASE WHEN mod(n, 100) = 0 THEN -1 WHEN mod(n, 20) = 0 THEN 1 END",
        is_distress="mod(n, 2001) = 1",
    )  # fmt: skip
    insert(
        Citation, size.messages // 2, id="md5('citation' || n)::uuid", message="md5('message' || 2 * n)::uuid",
        number="1", title="'Notes'", page="1", quote="'quote'", start_char="0", end_char="5",
        similarity_score="0.5", is_supported="mod(n, 100) > 0",
    )  # fmt: skip
    insert(
        SessionSummary, size.sessions, id="md5('summary' || n)::uuid", session="md5('session' || n)::uuid",
        status="'ready'", summary_text="'They spoke of meeting ' || n", created_at=at(size.sessions),
        structured_data="""('{"main_topics": ["topic ' || mod(n, 50) || '"]}')::jsonb""",
        review_state="(ARRAY['new', 'in_review', 'done', 'done'])[mod(n, 4) + 1]",
    )  # fmt: skip
    insert(
        KnowledgeGap, size.gaps, id=f"{FIRST_KEY} + n", clone=clone.format(n="n"), created_at=at(size.gaps),
        closed_at="CASE WHEN mod(n, 3) = 0 THEN now() END",
    )  # fmt: skip
    insert(
        GapQuestion, size.gaps * 2, gap=f"{FIRST_KEY} + mod(n, {size.gaps}) + 1", asked_by=person,
        message="md5('message' || 16 * n)::uuid", question="'What about ' || n || '?'", wording="md5('gap' || n)",
        created_at=at(size.gaps * 2), embedding_model="'local'",
    )  # fmt: skip
    insert(
        Memory, size.people, id="md5('memory' || n)::uuid", clone=clone.format(n="n"), user=person,
        kind="'user_goals'", text="'Goal ' || n", confidence="1", fingerprint="md5('goal' || n)",
    )  # fmt: skip
    insert(
        Document, size.documents, id="md5('document' || n)::uuid", clone=clone.format(n="n"),
        title="'Document ' || n", file_name="'file' || n || '.pdf'", file="'documents/' || n",
        sha256="md5('bytes' || n)", version="1", live_version="1", chunk_count="3", status="'ready'",
        created_at=at(size.documents), updated_at="now()", probed_version="1",
    )  # fmt: skip
    insert(
        Reservation, size.messages, id=f"{FIRST_KEY} + n", state="'settled'", day=f"({at(size.messages)})::date",
        amount_usd="0.01", purpose="'chat'", model="'gpt-4.1'", input_tokens="100", max_output_tokens="10",
        input_usd_per_million="1", cached_input_usd_per_million="1", output_usd_per_million="1",
        created_at=at(size.messages), closed_at=at(size.messages),
    )  # fmt: skip
    insert(
        CostRecord, size.messages, reservation=f"{FIRST_KEY} + n", day=f"({at(size.messages)})::date",
        created_at=at(size.messages), purpose="(ARRAY['chat', 'query_embedding', 'rewrite'])[mod(n, 3) + 1]",
        model="(ARRAY['gpt-4.1', 'gpt-4o-mini'])[mod(n, 2) + 1]", clone=clone.format(n=session),
        user=person.replace("n *", f"{session} *"), session=f"md5('session' || {session})::uuid",
        message="md5('message' || n)::uuid", input_tokens="100", output_tokens="10", input_usd_per_million="1",
        cached_input_usd_per_million="1", output_usd_per_million="1", cost_usd="0.0001 * mod(n, 90)",
        latency_ms="100 + mod(n, 900)", time_to_first_token_ms="100", outcome="'success'", error_type="''",
    )  # fmt: skip
    insert(
        SpendAccount, size.people, scope="'user'", owner_id=f"{FIRST_KEY} + n - 1",
        day="(now() at time zone 'utc')::date - mod(n, 30)",
    )  # fmt: skip
    insert(
        AuditEntry, size.audit_entries, at=at(size.audit_entries), actor=f"{FIRST_KEY} + mod(n, {OWNERS})",
        action="(ARRAY['transcript.view', 'clone.change', 'document.delete'])[mod(n, 3) + 1]",
        target="(ARRAY['chatsession:', 'clone:', 'document:'])[mod(n, 3) + 1] || n", detail="'{}'::jsonb",
    )  # fmt: skip
    insert(
        ApiKey, size.people, user=f"{FIRST_KEY} + n - 1", name="'laptop'", prefix="left(md5(n::text), 10)",
        key_hash="md5('key' || n)", created_at=at(size.people),
    )  # fmt: skip


def insert(model: type[Model], count: int, /, **columns: str) -> None:
    """`columns` are SQL expressions of n, which runs from 1 to `count`; the others have the field's default."""
    names, values, parameters = [], [], []
    for field in model._meta.concrete_fields:
        if field.generated or (isinstance(field, AutoField) and field.name not in columns):
            continue
        names.append(f'"{field.column}"')
        if field.name in columns:
            values.append(columns[field.name].replace("%", "%%"))
        else:
            values.append(f"%s::{_type_of(field)}")
            parameters.append(field.get_db_prep_save(field.pre_save(model(), True), connection))
    with connection.cursor() as cursor:
        cursor.execute(
            f'INSERT INTO "{model._meta.db_table}" ({", ".join(names)})'  # noqa: S608 - the names are ours
            f" SELECT {', '.join(values)} FROM generate_series(1, {count}) AS made(n)",
            parameters,
        )


def _type_of(field: "Field[Any, Any]") -> str:
    return str(field.db_type(connection))


def _appoint(size: Size) -> Installation:
    """Gives people of the installation their roles."""
    groups: Mapping[str, Group] = {name: Group.objects.get(name=name) for name in (EXPERTS, REVIEWERS)}
    expert, reviewer, admin, member = (User.objects.get(pk=FIRST_KEY + number) for number in (0, 1, 2, 100))
    User.objects.filter(pk__in=[expert.pk, reviewer.pk, admin.pk]).update(is_staff=True)
    User.objects.filter(pk=admin.pk).update(is_superuser=True)
    expert.groups.add(groups[EXPERTS])
    reviewer.groups.add(groups[REVIEWERS])
    for person in (expert, reviewer, admin):
        person.refresh_from_db()
    session = ChatSession.objects.filter(user=member).values_list("pk", flat=True).first()
    return Installation(
        member=member, expert=expert, reviewer=reviewer, admin=admin, session_key=str(session)
    )
