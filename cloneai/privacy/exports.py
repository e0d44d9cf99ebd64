"""Archives that a person asked for: prepared in the background, kept for a while, removed with row and file.

Files lie in `VAR_DIR/exports`, named by the row (`<uuid>.zip`) or, when a command or an administrator made them, by
the person's number (`user-<number>-<time>.zip`).
"""

import logging
from contextlib import suppress
from datetime import timedelta
from functools import partial
from pathlib import Path
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.utils import timezone
from django_q.tasks import async_task

from cloneai.accounts.models import DataExport, ExportStatus, User
from cloneai.privacy.archive import write_archive

logger = logging.getLogger(__name__)

JOB = "cloneai.privacy.tasks.prepare_export"
# A job cannot run longer; an archive that is older and not ready lost its worker.
LOST_AFTER = timedelta(seconds=2 * settings.JOB_TIMEOUT_SECONDS)


def exports_folder() -> Path:
    """Made when it is missing; nobody but this system user may look into it."""
    folder = Path(settings.EXPORTS_ROOT)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def archive_path(export: DataExport) -> Path:
    return exports_folder() / f"{export.pk}.zip"


def hand_over_path(person: User) -> Path:
    """Where an archive that was not asked for on the page is written."""
    return exports_folder() / f"user-{person.pk}-{timezone.now():%Y%m%d-%H%M%S-%f}.zip"


def find_archives(*, person: User) -> list[Path]:
    """The person's archives on disk, half-written ones too."""
    folder = exports_folder()
    patterns = [f"{key}.zip*" for key in person.data_exports.values_list("pk", flat=True)]
    patterns.append(f"user-{person.pk}-*")
    return sorted(path for pattern in patterns for path in folder.glob(pattern))


def latest_export(*, person: User) -> DataExport | None:
    """The person's newest archive; one whose worker was lost is marked as failed first."""
    export = person.data_exports.first()
    if export is not None and export.is_unfinished and export.created_at < timezone.now() - LOST_AFTER:
        person.data_exports.filter(pk=export.pk).update(status=ExportStatus.FAILED)
        export.refresh_from_db()
    return export


def request_export(*, person: User) -> DataExport:
    """Queues an archive; one that is being prepared is returned as it is, an older one is replaced."""
    with transaction.atomic():
        User.objects.select_for_update().get(pk=person.pk)
        export = latest_export(person=person)
        if export is not None and export.is_unfinished:
            return export
        for old in person.data_exports.all():
            transaction.on_commit(partial(archive_path(old).unlink, missing_ok=True))
        person.data_exports.all().delete()
        export = DataExport.objects.create(user=person)
        async_task(JOB, str(export.pk))
        return export


def prepare_export(*, export_id: UUID) -> None:
    """The job. Ends `ready` or `failed`; when the person was erased meanwhile, nothing stays behind."""
    if not DataExport.objects.filter(pk=export_id, status=ExportStatus.QUEUED).update(
        status=ExportStatus.RUNNING
    ):
        return
    export = DataExport.objects.select_related("user").get(pk=export_id)
    path = archive_path(export)
    half_written = path.with_suffix(".zip.part")
    try:
        half_written.unlink(missing_ok=True)
        size_bytes = write_archive(person=export.user, path=half_written)
        half_written.rename(path)
    except Exception:
        logger.exception("The archive %s could not be made", export_id)
        half_written.unlink(missing_ok=True)
        DataExport.objects.filter(pk=export_id).update(status=ExportStatus.FAILED, finished_at=timezone.now())
        return
    now = timezone.now()
    is_wanted = DataExport.objects.filter(pk=export_id).update(
        status=ExportStatus.READY,
        size_bytes=size_bytes,
        finished_at=now,
        expires_at=now + timedelta(days=settings.RETENTION_DAYS_EXPORTS),
    )
    if not is_wanted:
        path.unlink(missing_ok=True)


def remove_expired_exports() -> int:
    """Removes archives past their time, and files that no row knows; returns the number of files."""
    now = timezone.now()
    DataExport.objects.filter(expires_at__lt=now).delete()
    DataExport.objects.filter(status=ExportStatus.FAILED, created_at__lt=now - timedelta(days=1)).delete()
    known = {str(key) for key in DataExport.objects.values_list("pk", flat=True)}
    oldest = (now - timedelta(days=settings.RETENTION_DAYS_EXPORTS)).timestamp()
    removed = 0
    for path in exports_folder().iterdir():
        if path.name.split(".")[0] in known:
            continue
        with suppress(FileNotFoundError):  # somebody else was faster
            if not path.name.startswith("user-") or path.stat().st_mtime < oldest:
                path.unlink()
                removed += 1
    return removed
