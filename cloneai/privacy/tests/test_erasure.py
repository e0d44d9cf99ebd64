"""Erasing people: nothing of theirs stays, nothing of others goes."""

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.conf import settings as django_settings
from django.contrib.admin.models import LogEntry
from django.contrib.sessions.models import Session
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import connection
from django.test import Client

from billing.models import CostRecord
from billing.reconciliation import find_differences
from chat.models import ChatSession, GapQuestion
from cloneai.accounts.logins import find_logins
from cloneai.accounts.models import AuditEntry, DataExport, User
from cloneai.privacy.erasure import ErasureRefused, Receipt, erase_person
from cloneai.privacy.exports import archive_path, hand_over_path, prepare_export
from cloneai.privacy.tables import TABLES, Fate
from cloneai.privacy.tests.conftest import SECRET, pay, talk
from clones.models import Clone
from knowledge.models import ChunkEmbedding, Document
from knowledge.uploads import create_document


def erase(person: User, **options: Any) -> Receipt:
    return erase_person(person=person, actor=None, way="command", **options)


def count_rows() -> dict[str, int]:
    found = apps.get_models(include_auto_created=True)
    return {model._meta.label: model._base_manager.count() for model in found if not model._meta.proxy}


def find_text(text: str) -> set[str]:
    """Tables in which the text stands in any column of any row."""
    with connection.cursor() as cursor:
        found = set()
        for table in connection.introspection.table_names(cursor):
            sql = f'SELECT EXISTS (SELECT 1 FROM "{table}" AS line WHERE line::text ILIKE %s)'  # noqa: S608
            cursor.execute(sql, [f"%{text}%"])
            if cursor.fetchone()[0]:
                found.add(table)
        return found


def test_fixture_fills_every_table_of_a_member(settled: User) -> None:
    own = [table for table in TABLES if table.fate != Fate.ERASED_WITH_CLONES]
    empty = [table.name for table in own if not table.rows(person_id=settled.pk).exists()]
    assert empty == [], (
        "Add a row to `settled` in conftest.py: the tests below prove nothing for an empty table."
    )


def test_nothing_that_leads_to_the_person_or_quotes_them_stays(settled: User) -> None:
    assert len(find_text(SECRET)) >= 7
    erase(settled)
    staying = {table.name for table in TABLES if table.rows(person_id=settled.pk).exists()}
    assert staying == {table.name for table in TABLES if table.fate == Fate.KEPT}
    assert find_text(SECRET) == set()
    assert find_text("member@example.com") == set()


def test_receipt_counts_exactly_what_went(settled: User) -> None:
    before = count_rows()
    receipt = erase(settled)
    after = count_rows()
    gone = {label: before[label] - after[label] for label in before if before[label] > after[label]}
    assert gone.pop("sessions.Session") == receipt.logins == 1
    assert receipt.rows == gone
    assert receipt.rows["chat.Message"] == 2
    assert after["accounts.AuditEntry"] == before["accounts.AuditEntry"] + 1


def test_receipt_names_what_stays_and_why(settled: User) -> None:
    receipt = erase(settled)
    assert {kept.table: kept.rows for kept in receipt.kept} == {
        "accounts.AuditEntry": 1,
        "billing.CostRecord": 1,
        "billing.DailyPersonUsage": 1,
        "billing.Reservation": 1,
        "billing.SpendAccount": 1,
        "billing.SpendAlert": 1,
        "chat.EvaluationRun": 1,
        "chat.KnowledgeGap": 1,
        "chat.SessionSummary": 1,
        "knowledge.Document": 1,
    }
    assert all(kept.reason for kept in receipt.kept)
    assert receipt.cleaned == {"admin.LogEntry": 2, "accounts.AuditEntry": 2}


def test_money_stays_without_the_person_and_the_books_add_up(settled: User) -> None:
    erase(settled)
    record = CostRecord.objects.get()
    assert (record.cost_usd, record.user_id, record.session_id, record.message_id) == (
        Decimal(1),
        None,
        None,
        None,
    )
    assert find_differences() == []


def test_admin_history_of_others_stays_without_the_names(settled: User, reviewer: User) -> None:
    erase(settled)
    assert set(LogEntry.objects.values_list("user", "object_repr")) == {(reviewer.pk, "Erased")}
    assert LogEntry.objects.count() == 2


def test_others_keep_everything(settled: User, stranger: User, clone: Clone) -> None:
    session = talk(user=stranger, clone=clone, text="feedback")
    pay(user=stranger, session=session)
    erase(settled)
    assert ChatSession.objects.get(clone=clone) == session
    assert session.messages.count() == 2
    assert GapQuestion.objects.count() == 1
    assert CostRecord.objects.filter(user=stranger, session=session).count() == 1


def test_logins_end_for_the_person_alone(member: User, stranger: User) -> None:
    mine, other = Client(), Client()
    mine.force_login(member)
    other.force_login(stranger)
    assert erase(member).logins == 1
    assert Session.objects.count() == 1
    assert mine.get("/chat/").status_code == 302
    assert other.get("/chat/").status_code == 200


def test_erasure_is_logged_with_actor_and_without_the_address(admin: User, settled: User) -> None:
    key, address = settled.pk, settled.email
    erase_person(person=settled, actor=admin, way="admin")
    entry = AuditEntry.objects.get(action="person.erase")
    assert (entry.actor, entry.target, entry.detail["way"]) == (admin, f"user:{key}", "admin")
    assert address not in str(entry.detail)


def test_erasing_oneself_is_logged_without_an_actor(member: User) -> None:
    erase_person(person=member, actor=member, way="page")
    assert AuditEntry.objects.get().actor is None


def test_person_with_clones_is_refused_and_keeps_everything(clone: Clone, expert: User) -> None:
    before = count_rows()
    with pytest.raises(ErasureRefused) as refusal:
        erase(expert)
    assert refusal.value.code == "owns_clones"
    assert "owns 1 clone." in refusal.value.message
    assert count_rows() == before


def test_only_administrator_is_refused_another_is_not(admin: User) -> None:
    with pytest.raises(ErasureRefused) as refusal:
        erase(admin, with_clones=True)
    assert refusal.value.code == "last_administrator"
    User.objects.create_superuser("second@example.com", "x")
    erase(admin)
    assert not User.objects.filter(pk=admin.pk).exists()


def test_erasing_twice_is_refused(member: User) -> None:
    twin = User.objects.get(pk=member.pk)
    erase(member)
    with pytest.raises(ErasureRefused) as refusal:
        erase(twin)
    assert refusal.value.code == "unknown_person"


@pytest.mark.django_db(transaction=True)
def test_clones_go_with_vectors_files_and_everybodys_conversations(
    settled: User, expert: User, clone: Clone, django_capture_on_commit_callbacks: Callable[..., Any]
) -> None:
    file = ContentFile(b"# Soup\n\nFour peppers.", name="soup.md")
    document = create_document(clone=clone, file=file, file_name="soup.md", uploaded_by=expert)
    stored = document.file.name
    assert stored
    make_vector(document)
    receipt = erase(expert, with_clones=True)
    assert not Clone.objects.filter(pk=clone.pk).exists()
    assert not default_storage.exists(stored)
    assert (receipt.vectors, receipt.files, receipt.rows["chat.ChatSession"]) == (1, 1, 1)
    assert receipt.rows["knowledge.Document"] == 2
    assert User.objects.filter(pk=settled.pk).exists()


def make_vector(document: Document) -> None:
    chunk = document.chunks.create(
        clone=document.clone,
        version=1,
        index=0,
        content="Four peppers.",
        start_char=0,
        end_char=13,
        page_start=1,
        page_end=1,
        token_count=3,
    )
    ChunkEmbedding.objects.create(
        chunk=chunk, document=document, clone=document.clone, model="m", dimensions=2, embedding=[0.5, 0.5]
    )


@pytest.mark.django_db(transaction=True)
def test_archives_are_removed_after_the_commit(member: User) -> None:
    export = DataExport.objects.create(user=member)
    prepare_export(export_id=export.pk)
    hand_over_path(member).write_bytes(b"zip")
    assert len(folder_content()) == 2
    assert erase(member).files == 2
    assert folder_content() == []


@pytest.mark.django_db(transaction=True)
def test_failed_erasure_keeps_the_files(member: User, admin: User, monkeypatch: pytest.MonkeyPatch) -> None:
    path = hand_over_path(member)
    path.write_bytes(b"zip")

    def break_off(*args: Any, **kwargs: Any) -> None:
        raise RuntimeError

    monkeypatch.setattr(AuditEntry.objects, "create", break_off)
    with pytest.raises(RuntimeError):
        erase(member)
    assert path.exists()
    assert User.objects.filter(pk=member.pk).exists()


@pytest.mark.django_db(transaction=True)
def test_archive_that_is_finished_after_the_erasure_is_removed(
    member: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The job reads, the person is erased, the job goes on to write."""
    export = DataExport.objects.create(user=member)
    rename = Path.rename

    def erase_first(path: Path, target: Path) -> Path:
        erase(member)
        path.touch()  # the erasure removed what was there; the job's own copy comes after it
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", erase_first)
    prepare_export(export_id=export.pk)
    assert not archive_path(export).exists()
    assert folder_content() == []


def folder_content() -> list[str]:
    folder = Path(django_settings.EXPORTS_ROOT)
    return sorted(path.name for path in folder.iterdir())


def test_logins_of_similar_numbers_are_told_apart(member: User, stranger: User) -> None:
    Client().force_login(stranger)
    assert list(find_logins(member.pk)) == []
    assert find_logins(stranger.pk).count() == 1
