"""Archives: what is in them, who may fetch them, and how long they live."""

import io
import json
import stat
import zipfile
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.test import AsyncClient, Client
from django.urls import reverse
from django.utils import timezone
from django_q.models import OrmQ

from cloneai.accounts.models import DataExport, ExportStatus, User
from cloneai.privacy.archive import write_archive
from cloneai.privacy.conversations import write_conversations
from cloneai.privacy.exports import (
    LOST_AFTER,
    archive_path,
    exports_folder,
    hand_over_path,
    latest_export,
    prepare_export,
    remove_expired_exports,
    request_export,
)
from cloneai.privacy.tables import TABLES
from cloneai.privacy.tests.conftest import SECRET, talk
from cloneai.threads import run_in_thread
from clones.models import Clone
from knowledge.uploads import create_document


@pytest.fixture
def read_archive(tmp_path: Path) -> Any:
    def read(person: User) -> dict[str, str]:
        path = tmp_path / "archive.zip"
        write_archive(person=person, path=path)
        with zipfile.ZipFile(path) as archive:
            assert archive.testzip() is None
            return {name: archive.read(name).decode() for name in archive.namelist()}

    return read


@pytest.fixture
def export(member: User) -> DataExport:
    """A prepared archive of the member."""
    export = DataExport.objects.create(user=member)
    prepare_export(export_id=export.pk)
    export.refresh_from_db()
    assert export.status == ExportStatus.READY
    return export


def test_archive_has_a_file_for_each_exported_table_with_its_rows(settled: User, read_archive: Any) -> None:
    files = read_archive(settled)
    for table in TABLES:
        if table.not_exported:
            assert f"{table.name}.json" not in files
        else:
            rows = json.loads(files[f"{table.name}.json"])
            assert len(rows) == table.rows(person_id=settled.pk).count(), table.name
    assert {name for name in files if not name.endswith((".json", ".md"))} == {"README.txt"}


def test_archive_holds_the_words_and_names_instead_of_numbers_alone(settled: User, read_archive: Any) -> None:
    files = read_archive(settled)
    messages = json.loads(files["messages.json"])
    assert {row["content"] for row in messages} >= {f"What of {SECRET}?"}
    assert json.loads(files["conversations.json"])[0]["clone__name"] == "Ada Berg"
    assert json.loads(files["costs.json"])[0]["cost_usd"] == "1.0000000000"


def test_archive_says_when_staff_read_a_conversation_but_not_who(
    settled: User, reviewer: User, read_archive: Any
) -> None:
    text = read_archive(settled)["about_you.json"]
    entry = json.loads(text)[0]
    assert entry["action"] == "transcript.view"
    assert set(entry) == {"at", "action", "target"}
    assert reviewer.email not in text


def test_archive_holds_no_secret_of_the_account(settled: User, read_archive: Any) -> None:
    everything = "".join(read_archive(settled).values())
    assert settled.password not in everything
    assert settled.api_keys.get().key_hash not in everything


def test_conversation_is_readable_as_text(settled: User, read_archive: Any) -> None:
    files = read_archive(settled)
    name = next(name for name in files if name.startswith("conversations/"))
    assert f"about-{SECRET}" in name
    text = files[name]
    order = [
        text.index(part)
        for part in (f"# About {SECRET}", "## You", "## Ada Berg", "[1] Notes, page 3", "summary")
    ]
    assert order == sorted(order)
    assert "Your rating: Not helpful." in text


def test_conversation_titles_cannot_leave_their_folder(member: User, clone: Clone, read_archive: Any) -> None:
    talk(user=member, clone=clone, text="../../etc/passwd\n..\\x")
    names = [name for name in read_archive(member) if name.startswith("conversations/")]
    assert len(names) == 1
    assert ".." not in names[0]
    assert names[0].count("/") == 1


def test_archive_says_which_conversation_is_closed_by_now(member: User, clone: Clone) -> None:
    talk(user=member, clone=clone, text="soup")
    [(_, before)] = write_conversations(person=member)
    Clone.objects.filter(pk=clone.pk).update(visibility="private")
    [(_, after)] = write_conversations(person=member)
    assert "no longer open to you" not in before
    assert "no longer open to you" in after
    assert "soup" in after


def test_conversations_are_read_in_three_queries_each(
    member: User, clone: Clone, django_assert_num_queries: Any
) -> None:
    for number in range(3):
        talk(user=member, clone=clone, text=f"soup {number}")
    with django_assert_num_queries(1 + 3 * 3):
        assert len(list(write_conversations(person=member))) == 3


def test_readme_names_what_there_is_and_what_would_stay(settled: User, read_archive: Any) -> None:
    readme = read_archive(settled)["README.txt"]
    assert "messages.json: What you and the clones said, with your feedback (2)" in readme
    assert "clones.json" not in readme
    assert "They are the books" in readme


def test_others_words_are_in_nobody_elses_archive(settled: User, expert: User, read_archive: Any) -> None:
    everything = "".join(read_archive(expert).values())
    assert SECRET not in everything
    assert settled.email not in everything


@pytest.mark.django_db(transaction=True)
def test_expert_gets_the_uploaded_files_back(expert: User, clone: Clone, read_archive: Any) -> None:
    file = ContentFile(b"# Soup\n\nFour peppers.", name="soup.md")
    create_document(clone=clone, file=file, file_name="soup.md", uploaded_by=expert)
    files = read_archive(expert)
    assert [files[name] for name in files if name.startswith("documents/ada/")] == ["# Soup\n\nFour peppers."]


def test_archive_is_readable_by_this_system_user_alone(export: DataExport) -> None:
    path = archive_path(export)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert export.size_bytes == path.stat().st_size


def test_existing_file_is_never_overwritten(member: User, tmp_path: Path) -> None:
    path = tmp_path / "there"
    path.write_bytes(b"mine")
    with pytest.raises(FileExistsError):
        write_archive(person=member, path=path)
    assert path.read_bytes() == b"mine"


def test_asking_twice_queues_one_job(member: User) -> None:
    assert request_export(person=member) == request_export(person=member)
    assert OrmQ.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_new_archive_replaces_the_old_one_and_its_file(export: DataExport, member: User) -> None:
    fresh = request_export(person=member)
    assert list(member.data_exports.all()) == [fresh]
    assert not archive_path(export).exists()


def test_job_that_runs_twice_prepares_once(export: DataExport) -> None:
    finished_at = export.finished_at
    prepare_export(export_id=export.pk)
    export.refresh_from_db()
    assert export.finished_at == finished_at


def test_failing_job_is_a_visible_state_and_leaves_no_file(
    member: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    export = DataExport.objects.create(user=member)
    monkeypatch.setattr(Path, "rename", lambda *args: 1 / 0)
    prepare_export(export_id=export.pk)
    export.refresh_from_db()
    assert export.status == ExportStatus.FAILED
    assert list(exports_folder().iterdir()) == []


def test_archive_whose_worker_was_lost_counts_as_failed(member: User) -> None:
    lost = DataExport.objects.create(
        user=member,
        status=ExportStatus.RUNNING,
        created_at=timezone.now() - LOST_AFTER - timedelta(seconds=1),
    )
    assert latest_export(person=member) == lost
    lost.refresh_from_db()
    assert lost.status == ExportStatus.FAILED
    assert request_export(person=member).status == ExportStatus.QUEUED


def test_expired_and_unknown_files_are_removed_and_live_ones_stay(export: DataExport, stranger: User) -> None:
    expired = DataExport.objects.create(user=stranger)
    prepare_export(export_id=expired.pk)
    DataExport.objects.filter(pk=expired.pk).update(expires_at=timezone.now() - timedelta(seconds=1))
    (exports_folder() / "no-row.zip").touch()
    handed_over = hand_over_path(stranger)
    handed_over.touch()
    assert remove_expired_exports() == 2
    assert set(exports_folder().iterdir()) == {archive_path(export), handed_over}
    assert not DataExport.objects.filter(pk=expired.pk).exists()


def test_archive_can_be_fetched_for_a_day(export: DataExport) -> None:
    assert export.finished_at
    assert export.expires_at == export.finished_at + timedelta(days=1)


async def fetch(person: User | None, export: DataExport) -> Any:
    client = AsyncClient()
    if person is not None:
        await client.aforce_login(person)
    return await client.get(reverse("privacy:download", args=[export.pk]))


@pytest.mark.django_db(transaction=True)
async def test_owner_downloads_an_attachment_that_nobody_caches(member: User) -> None:
    export = await run_in_thread(DataExport.objects.create, user=member)
    await run_in_thread(prepare_export, export_id=export.pk)
    response = await fetch(member, export)
    body = b"".join([piece async for piece in response.streaming_content])
    assert zipfile.ZipFile(io.BytesIO(body)).testzip() is None
    assert int(response["Content-Length"]) == len(body)
    assert response["Content-Disposition"].startswith('attachment; filename="cloneai-data-')
    assert response["X-Content-Type-Options"] == "nosniff"
    assert response["Cache-Control"] == "private, no-store"


def test_archive_of_another_expired_or_without_file_is_not_there(
    export: DataExport, member: User, stranger: User, admin: User
) -> None:
    url = reverse("privacy:download", args=[export.pk])
    assert Client().get(url).status_code == 302
    for person in (stranger, admin):
        client = Client()
        client.force_login(person)
        assert client.get(url).status_code == 404
    client = Client()
    client.force_login(member)
    DataExport.objects.filter(pk=export.pk).update(expires_at=timezone.now())
    assert client.get(url).status_code == 404
    DataExport.objects.filter(pk=export.pk).update(expires_at=timezone.now() + timedelta(hours=1))
    archive_path(export).unlink()
    assert client.get(url).status_code == 404
