"""Uploads: what is stored, what is refused, and that rows, files and jobs come and go together."""

import errno
import http.client
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import FileSystemStorage
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django_q.models import OrmQ

from chat.tests.live import run_web
from cloneai.accounts.models import ApiKey
from clones.deletion import delete_clone
from clones.models import Clone
from knowledge.file_names import make_safe_name, title_from
from knowledge.models import Document, Status
from knowledge.tests.conftest import SLEEP, ingest, store, stored_files
from knowledge.uploads import (
    UploadRefused,
    create_document,
    delete_document,
    replace_document,
    retry_document,
)


class FullDisk(FileSystemStorage):
    """Room for a few bytes only."""

    def _save(self, name: str, content: Any) -> str:
        super()._save(name, ContentFile(content.read(5)))
        raise OSError(errno.ENOSPC, "No space left on device")


def waiting_ids() -> list[str]:
    return [job.task["args"][0] for job in OrmQ.objects.all()]


def test_upload_stores_row_file_and_one_job(clone: Clone, media):
    document = store(clone=clone, text=SLEEP, name="good-sleep.txt")
    assert (document.status, document.title, document.size_bytes) == (Status.QUEUED, "Good sleep", len(SLEEP))
    assert len(stored_files(media)) == 1
    assert waiting_ids() == [str(document.pk)]


def test_same_bytes_are_refused_once_per_clone(clone: Clone, other_clone: Clone, media):
    first = store(clone=clone, text=SLEEP)
    with pytest.raises(UploadRefused) as refusal:
        store(clone=clone, text=SLEEP, name="another name.txt")
    assert (refusal.value.code, refusal.value.existing) == ("duplicate", first)
    store(clone=other_clone, text=SLEEP)
    assert Document.objects.count() == len(stored_files(media)) == OrmQ.objects.count() == 2


def test_upload_looks_once_for_a_document_with_the_same_bytes(clone: Clone):
    with CaptureQueriesContext(connection) as queries:
        store(clone=clone, text=SLEEP)
    looks = [query["sql"] for query in queries if re.search('SELECT.*WHERE.*"sha256"', query["sql"])]
    assert len(looks) == 1


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("name", ["sleep.pdf", "sleep.csv"])
def test_file_that_failed_for_its_name_is_mended_by_uploading_it_renamed(clone: Clone, media, name: str):
    failed = ingest(store(clone=clone, text=SLEEP, name=name))
    assert failed.error_code in ("type_mismatch", "unsupported_type")
    renamed = store(clone=clone, text=SLEEP, name="good-sleep.txt")
    assert (renamed.pk, renamed.file_name, renamed.title) == (failed.pk, "good-sleep.txt", "Good sleep")
    assert ingest(renamed).status == Status.READY


@pytest.mark.django_db(transaction=True)
def test_file_that_failed_for_its_name_is_mended_by_replacing_it_with_itself_renamed(clone: Clone, media):
    failed = ingest(store(clone=clone, text=SLEEP, name="sleep.pdf"))
    replace_document(
        document=failed, file=ContentFile(SLEEP.encode(), name="sleep.txt"), file_name="sleep.txt"
    )
    assert ingest(failed).status == Status.READY


@pytest.mark.django_db(transaction=True)
def test_duplicate_of_a_file_that_cannot_be_read_is_not_advised_to_be_retried(clone: Clone, media):
    failed = ingest(store(clone=clone, text="  \n ", name="blanks.txt"))
    assert failed.error_code == "no_text"
    with pytest.raises(UploadRefused, match="could not be read: open that one for the reason"):
        store(clone=clone, text="  \n ", name="blanks.md")


def test_empty_file_is_refused_and_leaves_nothing(clone: Clone, media):
    with pytest.raises(UploadRefused) as refusal:
        store(clone=clone, text=b"")
    assert refusal.value.code == "empty_file"
    assert not Document.objects.exists()
    assert not stored_files(media)


def test_file_beyond_the_limit_is_refused(clone: Clone, settings):
    settings.MAX_UPLOAD_BYTES = 100
    store(clone=clone, text=b"x" * 100)
    with pytest.raises(UploadRefused) as refusal:
        store(clone=clone, text=b"x" * 101)
    assert refusal.value.code == "too_large"


def test_upload_to_a_full_disk_is_refused_in_a_sentence_and_leaves_nothing(clone: Clone, media, settings):
    full_disk = {"BACKEND": f"{__name__}.FullDisk"}
    settings.STORAGES = settings.STORAGES | {"default": full_disk}
    with pytest.raises(UploadRefused, match="no room left") as refusal:
        store(clone=clone, text=SLEEP)
    assert refusal.value.code == "storage_full"
    assert not Document.objects.exists()
    assert not OrmQ.objects.exists()
    assert not stored_files(media)


@pytest.mark.django_db(transaction=True)
def test_rolled_back_upload_leaves_no_job(clone: Clone):
    with transaction.atomic():
        store(clone=clone, text=SLEEP)
        transaction.set_rollback(True)
    assert not OrmQ.objects.exists()
    assert not Document.objects.exists()


@pytest.mark.parametrize(
    ("given", "safe"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\Users\\me\\plan.pdf", "plan.pdf"),
        ("\u202efdp.exe\u202c\x00.txt", "fdp.exe.txt"),
        ("", "document"),
        ("...", "document"),
        ("a" * 300 + ".pdf", "a" * 251 + ".pdf"),
        ("  two\n lines .txt", "two lines .txt"),
    ],
)
def test_file_names_are_made_safe(given: str, safe: str):
    assert make_safe_name(name=given) == safe


def test_title_is_read_from_the_file_name():
    assert title_from(file_name="my-first_guide.v2.pdf") == "My first guide.v2"


def test_given_title_wins_and_is_one_line(clone: Clone):
    document = create_document(
        clone=clone, file=ContentFile(b"x"), file_name="a.txt", title="On\n\x00sleep ", uploaded_by=None
    )
    assert document.title == "On sleep"


def test_retry_of_a_failed_document_starts_over_with_a_new_job(clone: Clone):
    document = store(clone=clone, text=SLEEP)
    OrmQ.objects.all().delete()
    Document.objects.update(status=Status.FAILED, error_code="no_text", error_message="Nothing.", attempts=3)
    retry_document(document=document)
    assert (document.status, document.attempts, document.error_message, document.version) == (
        Status.QUEUED,
        0,
        "",
        1,
    )
    assert waiting_ids() == [str(document.pk)]


def test_retry_is_refused_while_the_document_is_processed(clone: Clone):
    document = store(clone=clone, text=SLEEP)
    with pytest.raises(UploadRefused) as refusal:
        retry_document(document=document)
    assert refusal.value.code == "busy"
    assert OrmQ.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_replacing_a_document_that_never_became_ready_drops_its_file(clone: Clone, media):
    document = store(clone=clone, text=SLEEP)
    replaced = replace_document(document=document, file=ContentFile(b"New text."), file_name="new.txt")
    assert (replaced.version, replaced.live_version, replaced.file_name) == (2, None, "new.txt")
    assert len(stored_files(media)) == 1


@pytest.mark.django_db(transaction=True)
def test_deleting_a_document_takes_its_file_along(clone: Clone, media):
    document = store(clone=clone, text=SLEEP)
    kept = store(clone=clone, text="Another text.")
    delete_document(document=document)
    delete_document(document=document)
    assert list(Document.objects.all()) == [kept]
    assert len(stored_files(media)) == 1


@pytest.mark.django_db(transaction=True)
def test_deleting_a_clone_takes_the_files_of_its_documents_along(clone: Clone, other_clone: Clone, media):
    store(clone=clone, text=SLEEP)
    store(clone=other_clone, text=SLEEP)
    delete_clone(clone=clone)
    assert Document.objects.get().clone == other_clone
    assert len(stored_files(media)) == 1
    assert [path.name for path in (media / "documents").iterdir()] == [str(other_clone.pk)]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("megabytes", "status"), [(1, 202), (53, 413)])
def test_an_upload_that_does_not_tell_its_length_is_refused_when_it_has_grown_too_large(
    clone: Clone, prices: None, tmp_path: Path, megabytes: int, status: int
) -> None:
    """Against the web process as it runs, by `Transfer-Encoding: chunked`."""

    def pieces() -> Iterator[bytes]:
        yield b'--x\r\nContent-Disposition: form-data; name="file"; filename="long.txt"\r\n\r\n'
        yield from (b"All work and no play.\n" * 47_662 for _ in range(megabytes))
        yield b"\r\n--x--\r\n"

    token = ApiKey.issue(user=clone.owner, name="script")[1]
    with run_web(log_path=tmp_path / "web.log", STORAGE_URL=f"file://{tmp_path}") as url:
        connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "multipart/form-data; boundary=x"}
        connection.request(
            "POST", f"/api/clones/{clone.slug}/documents", pieces(), headers, encode_chunked=True
        )
        response = connection.getresponse()
        body = json.loads(response.read())
        connection.close()
    assert response.status == status
    assert body.get("error_type", "") == ("too_large" if status == 413 else "")
    assert Document.objects.count() == (status == 202)
