"""The nightly audit: rows and files of documents that belong to nothing. There should be none; `count_orphans`.

It only counts: what it finds is a defect to be looked into, and the log names the files.
"""

import logging
from dataclasses import asdict, dataclass
from datetime import timedelta

from django.core.files.storage import default_storage
from django.db.models import F, Q
from django.utils import timezone

from knowledge.models import Chunk, ChunkEmbedding, Document, DocumentPage, OrphanAudit

logger = logging.getLogger(__name__)

# A file is stored a moment before its row, and removed a moment after.
SETTLED = timedelta(hours=1)
FOLDER = "documents"
FILES_NAMED = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Orphans:
    """How many of each. `files` lie in the storage without a row, `missing_files` are rows without their file."""

    pages: int
    passages: int
    vectors: int
    live_vectors: int
    files: int
    missing_files: int

    @property
    def total(self) -> int:
        return sum(asdict(self).values())


def audit() -> Orphans:
    """Count, write the counts down and log them."""
    orphans = count_orphans()
    OrphanAudit.objects.create(total=orphans.total, counts=asdict(orphans))
    OrphanAudit.objects.filter(created_at__lt=timezone.now() - timedelta(days=90)).delete()
    logger.log(
        logging.WARNING if orphans.total else logging.INFO, "Orphans of documents: %s", asdict(orphans)
    )
    return orphans


def count_orphans() -> Orphans:
    """Four counting queries, one for the names of all files, and a look at each stored file."""
    stale = ~Q(version=F("document__version")) & ~Q(version=F("document__live_version"))
    unversioned = Q(document__live_version__isnull=True) & ~Q(version=F("document__version"))
    live = ChunkEmbedding.objects.filter(is_live=True)
    wrongly_live = live.exclude(
        chunk__is_live=True,
        chunk__version=F("document__live_version"),
        model=F("clone__embedding_model"),
        dimensions=F("clone__embedding_dimensions"),
    )
    files, missing_files = _compare_files()
    return Orphans(
        pages=DocumentPage.objects.filter(stale | unversioned).count(),
        passages=Chunk.objects.filter(stale | unversioned).count(),
        vectors=ChunkEmbedding.objects.exclude(
            chunk__document=F("document"), chunk__clone=F("clone")
        ).count(),
        live_vectors=wrongly_live.count(),
        files=files,
        missing_files=missing_files,
    )


def _compare_files() -> tuple[int, int]:
    """Stored files without a row, and rows without their stored file."""
    stored = _stored_files()
    rows = Document.objects.values_list("file", "live_file", "updated_at")
    known: set[str] = set()
    needed: set[str] = set()
    for file, live_file, updated_at in rows:
        known |= {file, live_file}
        if updated_at < timezone.now() - SETTLED:
            needed |= {file, live_file} - {""}
    orphans = sorted(stored - known)
    if orphans:
        logger.warning("Files without a document: %s", ", ".join(orphans[:FILES_NAMED]))
    return len(orphans), sum(not default_storage.exists(name) for name in needed)


def _stored_files() -> set[str]:
    """Names of the files that have lain in the storage for a while."""
    found: set[str] = set()
    if not default_storage.exists(FOLDER):
        return found
    folders, _files = default_storage.listdir(FOLDER)
    for folder in folders:
        _folders, files = default_storage.listdir(f"{FOLDER}/{folder}")
        names = (f"{FOLDER}/{folder}/{file}" for file in files)
        found |= {name for name in names if _is_settled(name)}
    return found


def _is_settled(name: str) -> bool:
    try:
        return default_storage.get_modified_time(name) < timezone.now() - SETTLED
    except FileNotFoundError:  # removed meanwhile
        return False
