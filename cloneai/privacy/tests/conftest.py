"""A member who left something in every table, and a folder for archives."""

import uuid
from collections.abc import AsyncIterator
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from allauth.account.models import EmailAddress, EmailConfirmation
from allauth.mfa.models import Authenticator
from asgiref.sync import sync_to_async
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth.models import Group, Permission
from django.contrib.contenttypes.models import ContentType
from django.db import connections
from django.test import Client

from billing.models import (
    CostRecord,
    Outcome,
    Purpose,
    Reservation,
    ReservationState,
    SpendAccount,
    SpendAlert,
)
from billing.rollup import roll_up_day
from chat.models import (
    AnswerReceipt,
    ChatSession,
    Citation,
    EvaluationQuestion,
    EvaluationResult,
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
from cloneai.accounts.admin_access import record_action
from cloneai.accounts.models import ApiKey, DataExport, User
from clones.models import Clone
from knowledge.models import Document

SECRET = "zanzibar"  # in everything that the member wrote or that was written about it
DAY = date(2026, 3, 1)


@pytest.fixture(autouse=True)
def folders(tmp_path: Path, settings: Any) -> None:
    settings.EXPORTS_ROOT = tmp_path / "exports"
    settings.MEDIA_ROOT = tmp_path / "media"


@pytest.fixture(autouse=True)
async def _close_connections() -> AsyncIterator[None]:
    """Those of the async ORM's thread, which would hold the test database."""
    yield
    await sync_to_async(connections.close_all)()


def talk(*, user: User, clone: Clone, text: str) -> ChatSession:
    """A conversation of one question, with source, summary and gap."""
    session = ChatSession.objects.create(user=user, clone=clone, title=f"About {text}")
    question = Message.objects.create(session=session, role=Role.USER, content=f"What of {text}?")
    answer = Message.objects.create(
        session=session,
        role=Role.ASSISTANT,
        content=f"Of {text} I know little. [1]",
        reply_to=question,
        rating=-1,
        rating_comment=f"More of {text}!",
        query_used=text,
    )
    Citation.objects.create(
        message=answer,
        number=1,
        title="Notes",
        page=3,
        quote=text,
        start_char=0,
        end_char=9,
        similarity_score=0.5,
    )
    SessionSummary.objects.create(
        session=session,
        status=SummaryStatus.READY,
        summary_text=f"They asked of {text}.",
        structured_data={"main_topics": [text]},
        review_note=f"{text}?",
    )
    gap = KnowledgeGap.objects.create(clone=clone)
    GapQuestion.objects.create(gap=gap, message=answer, asked_by=user, question=question.content)
    memory = Memory.objects.create(
        user=user,
        clone=clone,
        message=question,
        kind=MemoryKind.INTEREST,
        text=f"Cares about {text}.",
        quote=text,
        confidence=0.8,
        fingerprint=uuid.uuid4().hex,
        embedding=[0.5, 0.5],
    )
    memory.used_in.add(answer)
    AnswerReceipt.objects.create(message=answer, question=question.content, prompt=[{"content": text}])
    taken = EvaluationQuestion.objects.create(clone=clone, question=question.content, message=answer)
    run = EvaluationRun.objects.create(clone=clone, label="Before the change", started_by=user)
    EvaluationResult.objects.create(run=run, question=taken, question_text=question.content, answer=text)
    return session


def pay(*, user: User, session: ChatSession, usd: Decimal = Decimal(1)) -> CostRecord:
    """A settled call, with its counter."""
    prices = {"input_usd_per_million": 1, "cached_input_usd_per_million": 1, "output_usd_per_million": 1}
    reservation = Reservation.objects.create(
        state=ReservationState.SETTLED,
        day=DAY,
        amount_usd=usd,
        purpose=Purpose.CHAT,
        model="gpt-4.1",
        input_tokens=1,
        max_output_tokens=1,
        user_key=user.pk,
        session_key=session.pk,
        closed_at=session.created_at,
        **prices,
    )
    for scope, owner_id in (("user", user.pk), ("platform", 0)):
        account, _ = SpendAccount.objects.get_or_create(scope=scope, owner_id=owner_id, day=DAY)
        account.settled_usd += usd
        account.save()
    return CostRecord.objects.create(
        reservation=reservation,
        day=DAY,
        purpose=Purpose.CHAT,
        model="gpt-4.1",
        user=user,
        session=session,
        message=session.messages.last(),
        input_tokens=1,
        output_tokens=1,
        cost_usd=usd,
        latency_ms=1,
        outcome=Outcome.SUCCESS,
        **prices,
    )


@pytest.fixture
def settled(member: User, reviewer: User, clone: Clone, other_clone: Clone) -> User:
    """The member with rows in every table, some of them written by staff."""
    session = talk(user=member, clone=clone, text=SECRET)
    pay(user=member, session=session)
    roll_up_day(day=DAY)
    MemoryPause.objects.create(user=member, clone=clone)
    KnowledgeGap.objects.create(clone=other_clone, answer="By the book.", answered_by=member)
    SessionSummary.objects.create(
        session=ChatSession.objects.create(user=reviewer, clone=other_clone), assignee=member
    )
    SpendAlert.objects.create(
        scope="user", owner_id=member.pk, day=DAY, percent=100, limit_usd=1, spent_usd=1
    )
    address = EmailAddress.objects.create(user=member, email=member.email, primary=True)
    EmailConfirmation.objects.create(email_address=address, key="k")
    ApiKey.issue(user=member, name=f"{SECRET} laptop")
    Authenticator.objects.create(user=member, type=Authenticator.Type.TOTP, data={"secret": SECRET})
    DataExport.objects.create(user=member)
    Client().force_login(member)
    Client().force_login(reviewer)
    other_clone.invited_users.add(member)
    member.groups.add(Group.objects.create(name="Testers"))
    member.user_permissions.add(Permission.objects.first())
    record_action(actor=member, action="test", target=clone)
    record_action(actor=reviewer, action="transcript.view", target=session, clone=clone.pk)
    record_action(actor=reviewer, action="test.mail", target=clone, to=member.email)
    for actor, row in ((member, clone), (reviewer, session.summaries.get()), (reviewer, member)):
        LogEntry.objects.create(
            user=actor,
            content_type=ContentType.objects.get_for_model(row),
            object_id=str(row.pk),
            object_repr=str(row),
            action_flag=CHANGE,
        )
    Document.objects.create(
        clone=clone, title="T", file="none", file_name="t", sha256="a" * 64, uploaded_by=member
    )
    return member
