"""No page asks the database more often because there is more to show."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.contrib import admin
from django.db import connection
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created
from django.urls import reverse

from billing.models import CostRecord
from chat.models import ChatSession, Citation, GapQuestion, KnowledgeGap, Memory, MemoryKind, Message, Role
from cloneai.accounts.models import ApiKey, DataExport
from cloneai.tests.permissions.world import (
    ADMIN,
    EXPERT,
    MEMBER,
    REVIEWER,
    World,
    build_world,
    furnish,
    make_person,
)
from clones.models import Clone, Visibility
from knowledge.models import Document

MORE = 6
PAGES = [
    (MEMBER, "/"),
    (MEMBER, "/c/house-a/"),
    (MEMBER, "/chat/"),
    (MEMBER, "/chat/{session}/"),
    (MEMBER, "/chat/{session}/summary/"),
    (MEMBER, "/sources/{citation}/"),
    (MEMBER, "/account/data/"),
    (MEMBER, "/account/api-keys/"),
    (MEMBER, "/api/clones"),
    (MEMBER, "/api/chat/sessions"),
    (MEMBER, "/api/chat/sessions/{session}"),
    (MEMBER, "/api/chat/sessions/{session}/summaries"),
    (MEMBER, "/api/billing/costs"),
    (EXPERT, "/api/clones/house-a/documents"),
    (EXPERT, "/admin/"),
    (REVIEWER, "/admin/"),
    (ADMIN, "/admin/"),
    (ADMIN, "/api/billing/costs?group_by=user"),
    (ADMIN, "/api/billing/metrics"),
    (MEMBER, "/account/memory/"),
    (MEMBER, "/api/memory"),
    (EXPERT, "/admin/chat/sessionsummary/insights/"),
    (EXPERT, "/admin/billing/costrecord/report/?group_by=user"),
    (EXPERT, "/admin/billing/costrecord/performance/"),
    (EXPERT, "/admin/chat/knowledgegap/{gap}/change/"),
    (EXPERT, "/admin/knowledge/document/{document}/change/"),
    (EXPERT, "/admin/knowledge/document/{document}/text/"),
    (EXPERT, "/admin/knowledge/document/{document}/passages/"),
    (EXPERT, "/admin/knowledge/document/add/"),
    (EXPERT, "/admin/clones/clone/{clone_pk}/change/"),
    (EXPERT, "/admin/chat/evaluationquestion/clone/{clone_pk}/"),
    (EXPERT, "/admin/chat/evaluationquestion/run/{run}/"),
    (REVIEWER, "/admin/chat/chatsession/{session}/change/"),
    (REVIEWER, "/admin/chat/sessionsummary/{summary}/change/"),
    (REVIEWER, "/admin/chat/chatsession/receipt/{answer}/"),
    (REVIEWER, "/admin/billing/costrecord/report/?group_by=clone"),
    (ADMIN, "/admin/accounts/user/{guest}/change/"),
]


@pytest.fixture
def world(db: None, settings: Any, tmp_path: Any) -> World:
    settings.MEDIA_ROOT = tmp_path / "media"
    settings.EXPORTS_ROOT = tmp_path / "exports"
    return build_world()


def find_changelists() -> list[str]:
    return [
        reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
        for model in admin.site._registry
    ]


def grow(world: World) -> None:
    """More of everything, and all of it for the people whose pages are counted."""
    member, expert = world.people[MEMBER], world.people[EXPERT]
    for number in range(MORE):
        house = f"more{number}"
        furnish(world, house, owner=expert, guest=make_person(f"guest{number}"))
        clone = Clone.objects.get(slug=world.key("clone", house))
        clone.invited_users.add(member)
        Clone.objects.filter(pk=clone.pk).update(visibility=Visibility.PUBLIC)
        ChatSession.objects.filter(clone=clone).update(user=member)
        CostRecord.objects.filter(clone=clone).update(user=member)
        ApiKey.objects.filter(pk=world.key("key", house)).update(user=member)
        DataExport.objects.filter(pk=world.key("export", house)).update(user=member)
        talk_more(world, number=number)
    Document.objects.filter(clone__owner=expert).update(clone=world.keys["clone_pk"]["a"])


def talk_more(world: World, *, number: int) -> None:
    session = ChatSession.objects.get(pk=world.key("session", "a"))
    question = Message.objects.create(session=session, role=Role.USER, content=f"Question {number}?")
    answer = Message.objects.create(
        session=session, role=Role.ASSISTANT, content="Answer [1].", reply_to=question
    )
    old = Citation.objects.get(pk=world.key("citation", "a"))
    old.pk, old.message = None, answer
    old.save(force_insert=True)
    gap = KnowledgeGap.objects.create(clone=session.clone)
    GapQuestion.objects.create(
        gap=gap, message=answer, asked_by=session.user, question=question.content, is_answered_now=True,
        replayed_at=answer.created_at,
    )  # fmt: skip
    memory = Memory.objects.create(
        user=session.user, clone=session.clone, message=question, kind=MemoryKind.GOAL, text=f"Goal {number}",
        confidence=1, fingerprint=str(number),
    )  # fmt: skip
    memory.used_in.add(answer)


@contextmanager
def log_statements() -> Iterator[list[str]]:
    """The statements of every thread's connection, also of those that are opened meanwhile."""
    statements: list[str] = []

    def note(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        statements.append(sql)
        return execute(sql, params, many, context)

    def listen(connection: BaseDatabaseWrapper, **signal: Any) -> None:
        if note not in connection.execute_wrappers:  # this thread's own may have been opened again
            connection.execute_wrappers.append(note)

    connection_created.connect(listen)
    connection.execute_wrappers.append(note)
    try:
        yield statements
    finally:
        connection.execute_wrappers.remove(note)
        connection_created.disconnect(listen)


def visit(world: World, actor: str, address: str) -> list[str]:
    """The statements of the second visit: the first one fills caches."""
    for kind in re.findall(r"{(\w+)}", address):
        address = address.replace(f"{{{kind}}}", world.key(kind, "a"))
    for _visit in range(2):
        with log_statements() as statements:
            response = world.browsers[actor].get(address)
        assert response.status_code == 200, f"{address} for {actor}: {response.status_code}"
    return statements


@pytest.mark.django_db(transaction=True)
def test_number_of_queries_does_not_grow_with_what_is_shown(world: World) -> None:
    visits = PAGES + [(ADMIN, address) for address in find_changelists()]
    before = {place: len(visit(world, *place)) for place in visits}
    assert all(before.values())
    grow(world)
    grown = []
    for place, count in before.items():
        statements = visit(world, *place)
        if len(statements) > count:
            often = max(statements, key=lambda text: sum(text[:90] == other[:90] for other in statements))
            grown.append(f"{place}: {count} queries, now {len(statements)}; most often: {often[:400]}")
    assert not grown, "\n".join(grown)
