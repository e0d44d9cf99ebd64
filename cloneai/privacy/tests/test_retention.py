"""What the night deletes, and what it leaves."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.contenttypes.models import ContentType
from django.contrib.sessions.models import Session
from django.test import Client
from django.utils import timezone
from django_q.models import Schedule

from chat.models import ChatSession, Message, MessageStatus, Role
from cloneai.accounts.models import User
from cloneai.privacy import retention
from cloneai.privacy.tasks import apply_retention
from cloneai.privacy.tests.conftest import talk
from clones.models import Clone


def age(session: ChatSession, *, days: float) -> None:
    ChatSession.objects.filter(pk=session.pk).update(last_activity_at=timezone.now() - timedelta(days=days))


@pytest.fixture
def old(member: User, clone: Clone) -> ChatSession:
    session = talk(user=member, clone=clone, text="soup")
    age(session, days=30.1)
    return session


def test_nothing_goes_unless_the_installation_says_so(old: ChatSession) -> None:
    apply_retention()
    assert ChatSession.objects.filter(pk=old.pk).exists()


def test_conversations_go_after_their_days_without_activity(
    old: ChatSession, member: User, clone: Clone, settings: Any
) -> None:
    settings.RETENTION_DAYS_SESSIONS = 30
    young = talk(user=member, clone=clone, text="salad")
    age(young, days=29.9)
    apply_retention()
    assert list(ChatSession.objects.all()) == [young]
    assert Message.objects.count() == 2


def test_more_than_one_batch_goes(
    member: User, clone: Clone, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.RETENTION_DAYS_SESSIONS = 30
    monkeypatch.setattr(retention, "CONVERSATIONS_AT_A_TIME", 2)
    for _ in range(5):
        age(ChatSession.objects.create(user=member, clone=clone), days=31)
    assert retention.delete_old_conversations() == 5


def test_conversation_with_a_running_answer_stays(old: ChatSession, settings: Any) -> None:
    settings.RETENTION_DAYS_SESSIONS = 30
    Message.objects.create(session=old, role=Role.ASSISTANT, status=MessageStatus.STREAMING)
    assert retention.delete_old_conversations() == 0


def test_expired_logins_go(member: User) -> None:
    Client().force_login(member)
    Client().force_login(member)
    key = Session.objects.values_list("pk", flat=True)[0]
    Session.objects.filter(pk=key).update(expire_date=timezone.now() - timedelta(days=1))
    apply_retention()
    assert Session.objects.count() == 1


def test_admin_history_forgets_the_names_of_what_is_gone(
    old: ChatSession, reviewer: User, clone: Clone
) -> None:
    summary = old.summaries.get()
    for row in (summary, clone):
        LogEntry.objects.create(
            user=reviewer,
            content_type=ContentType.objects.get_for_model(row),
            object_id=str(row.pk),
            object_repr=str(row),
            action_flag=CHANGE,
        )
    old.delete()
    apply_retention()
    assert set(LogEntry.objects.values_list("object_repr", flat=True)) == {"Erased", "Ada Berg"}


def test_jobs_are_scheduled(db: None) -> None:
    nightly = Schedule.objects.get(func="cloneai.privacy.tasks.apply_retention")
    assert (nightly.schedule_type, nightly.next_run.hour) == (Schedule.DAILY, 3)
    hourly = Schedule.objects.get(func="cloneai.privacy.tasks.remove_expired_exports")
    assert hourly.schedule_type == Schedule.HOURLY
