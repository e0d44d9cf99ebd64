"""A replacement that fails: the version before goes on answering, and one action goes back to it."""

from pathlib import Path
from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.test import Client
from django.urls import reverse

from billing.tests.fake_provider import FakeProvider
from clones.models import Clone
from knowledge.earlier_versions import keep_earlier_version
from knowledge.models import Chunk, Document, DocumentPage, Status
from knowledge.tests.conftest import MEETINGS, SLEEP, ingest, store, stored_files
from knowledge.tests.made_documents import make_pdf
from knowledge.uploads import UploadRefused, replace_document, retry_document

pytestmark = pytest.mark.django_db(transaction=True)
MOMENTS = ("updated_at", "attempts", "stage_done", "stage_total")


def described(document: Document) -> dict[str, Any]:
    """All that the row says, but for its moments."""
    row = Document.objects.filter(pk=document.pk).values().get()
    return {name: value for name, value in row.items() if name not in MOMENTS}


def fail_replacement(document: Document, *, file: bytes | None = None, name: str = "scan.pdf") -> Document:
    content = ContentFile(make_pdf("") if file is None else file)
    document = ingest(replace_document(document=document, file=content, file_name=name))
    assert document.status == Status.FAILED
    return document


def make_noted(document: Document, twin: Document) -> Document:
    """As its proof, its warnings and a document that says nearly the same leave it."""
    Document.objects.filter(pk=document.pk).update(
        similar_document=twin, similar_share=0.8, warnings=["No text on page 3."],
        probe_count=5, probes_found=2, probe_note="Others stood before it.",
    )  # fmt: skip
    document.refresh_from_db()
    return document


def test_failed_replacement_is_given_up_and_the_document_is_what_it_was(clone: Clone, media: Path) -> None:
    twin = ingest(store(clone=clone, text=MEETINGS, name="twin.txt"))
    document = make_noted(ingest(store(clone=clone, text=SLEEP, name="sleep.txt")), twin)
    before = described(document)
    fail_replacement(document)
    again = fail_replacement(document, file=b"%PDF-1.7 broken", name="second try.pdf")
    assert again.has_earlier
    keep_earlier_version(document=document)
    assert described(document) == before
    assert len(stored_files(media)) == 2
    with default_storage.open(before["file"]) as kept:
        assert kept.read() == SLEEP.encode()


def test_what_was_stored_of_the_failed_version_goes(clone: Clone, provider: FakeProvider) -> None:
    document = ingest(store(clone=clone, text=SLEEP))
    before = described(document)
    provider.vector_length = 3
    document = fail_replacement(document, file=f"# {MEETINGS}".encode(), name="meetings.md")
    assert document.kind == "md"
    assert DocumentPage.objects.filter(version=2).exists()
    keep_earlier_version(document=document)
    assert described(document) == before
    assert set(Chunk.objects.values_list("version", "is_live")) == {(1, True)}
    assert not DocumentPage.objects.filter(version=2).exists()


def test_document_that_failed_when_it_was_read_again_is_kept_too(clone: Clone, media: Path) -> None:
    document = ingest(store(clone=clone, text=SLEEP))
    before = described(document)
    retry_document(document=document)
    Document.objects.update(status=Status.FAILED, error_message="The provider is away.")
    keep_earlier_version(document=document)
    assert described(document) == before
    assert len(stored_files(media)) == 1


def test_document_can_be_replaced_after_it_was_kept(clone: Clone, media: Path) -> None:
    document = fail_replacement(ingest(store(clone=clone, text=SLEEP)))
    keep_earlier_version(document=document)
    replace_document(document=document, file=ContentFile(MEETINGS.encode()), file_name="new.txt")
    document = ingest(document)
    assert (document.status, document.live_version, document.earlier) == (Status.READY, 2, None)
    assert len(stored_files(media)) == 1


def test_nothing_is_kept_where_nothing_was_replaced(clone: Clone) -> None:
    waiting = store(clone=clone, text=make_pdf(""), name="scan.pdf")
    with pytest.raises(UploadRefused, match="being processed"):
        keep_earlier_version(document=waiting)
    for document in (ingest(waiting), ingest(store(clone=clone, text=SLEEP))):
        with pytest.raises(UploadRefused, match="no earlier version"):
            keep_earlier_version(document=document)


def test_earlier_file_that_was_uploaded_anew_meanwhile_is_not_kept_twice(clone: Clone) -> None:
    document = fail_replacement(ingest(store(clone=clone, text=SLEEP)))
    twin = store(clone=clone, text=SLEEP, name="once more.txt")
    with pytest.raises(UploadRefused, match="as “Once more”") as refusal:
        keep_earlier_version(document=document)
    assert refusal.value.existing == twin
    document.refresh_from_db()
    assert document.has_earlier
    assert Chunk.objects.filter(document=document, is_live=True).exists()


def test_page_of_a_failed_replacement_says_what_answers_and_goes_back_to_it(
    client: Client, clone: Clone
) -> None:
    document = fail_replacement(ingest(store(clone=clone, text=SLEEP, name="sleep.txt")))
    client.force_login(clone.owner)
    keep = reverse("admin:knowledge_document_keep", args=[document.pk])
    page = client.get(document.get_absolute_url()).content.decode()
    assert "The earlier version (sleep.txt) still answers." in page
    assert f'action="{keep}"' in page
    assert client.get(keep).status_code == 405
    page = client.post(keep, follow=True).content.decode()
    assert "The earlier version is kept: sleep.txt." in page
    assert keep not in page
    assert "There is no earlier version to go back to." in client.post(keep, follow=True).content.decode()
