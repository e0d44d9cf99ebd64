"""The audit finds nothing after whatever people do with documents, and finds each kind of orphan."""

import os
from pathlib import Path

import pytest
from django.core.files.base import ContentFile
from django.utils import timezone

from clones.models import Clone
from knowledge.models import Chunk, ChunkEmbedding, Document, DocumentPage, OrphanAudit
from knowledge.orphans import SETTLED, count_orphans
from knowledge.tasks import audit_orphans
from knowledge.tests.conftest import MEETINGS, SLEEP, SOURDOUGH, ingest, store
from knowledge.uploads import delete_document, replace_document

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _prices(prices: None) -> None:
    """Every ingestion here is metered."""


def let_time_pass(media: Path) -> None:
    Document.objects.update(updated_at=timezone.now() - 2 * SETTLED)
    for path in media.rglob("*"):
        os.utime(path, (0, 0))


def test_nothing_is_orphaned_by_uploads_replacements_failures_and_deletions(
    clone: Clone, media: Path
) -> None:
    kept = ingest(store(clone=clone, text=SLEEP))
    deleted = ingest(store(clone=clone, text=MEETINGS))
    ingest(store(clone=clone, text=b"\x00\x01\x02" * 50, name="program.exe"))
    store(clone=clone, text=SOURDOUGH)  # waits
    replace_document(document=kept, file=ContentFile(b"Other words for it."), file_name="new.txt")
    ingest(kept)
    replace_document(document=kept, file=ContentFile(b"\x00\x01" * 90), file_name="broken.txt")
    ingest(kept)
    delete_document(document=deleted)
    let_time_pass(media)
    assert audit_orphans() == 0
    assert OrphanAudit.objects.latest().total == 0


def test_each_kind_of_orphan_is_counted(clone: Clone, media: Path) -> None:
    document = ingest(store(clone=clone, text=SLEEP))
    DocumentPage.objects.create(document=document, version=7, number=1, text="x", start_char=0)
    old = Chunk.objects.get()
    old.pk, old.version = None, 7
    old.save()
    ChunkEmbedding.objects.filter(document=document).update(model="another")
    (media / "documents" / str(clone.pk) / "left-behind").write_bytes(b"x")
    (media / document.file.name).unlink()
    let_time_pass(media)
    found = count_orphans()
    assert (found.pages, found.passages, found.live_vectors, found.files, found.missing_files) == (
        1,
        1,
        1,
        1,
        1,
    )
    assert found.total == 5


def test_file_of_this_moment_is_no_orphan(clone: Clone, media: Path) -> None:
    store(clone=clone, text=SLEEP)
    (media / "documents" / str(clone.pk) / "arriving").write_bytes(b"x")
    assert count_orphans().total == 0
