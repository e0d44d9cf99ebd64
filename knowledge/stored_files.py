"""Files of documents in the storage: measured, put there, taken away. Sizes are bytes."""

import errno
import hashlib
import logging
from contextlib import suppress

from django.conf import settings
from django.core.files import File
from django.core.files.storage import default_storage
from django.db.models import Q

from knowledge.errors import UploadRefused
from knowledge.models import Document, storage_path

logger = logging.getLogger(__name__)

DISK_FULL = (errno.ENOSPC, errno.EDQUOT)


def inspect_upload(*, file: File[bytes]) -> tuple[str, int]:
    """The upload's SHA-256 and size, read once in pieces; refuses what is empty or too large."""
    limit = settings.MAX_UPLOAD_BYTES
    digest, size_bytes = hashlib.sha256(), 0
    try:
        file.seek(0)
        for piece in file.chunks():
            size_bytes += len(piece)
            if size_bytes > limit:
                raise UploadRefused(
                    code="too_large",
                    message=f"The file is larger than {limit // 2**20} MB. Split it into smaller files, or "
                    "reduce its pictures, and upload it again.",
                )
            digest.update(piece)
        file.seek(0)
    except OSError as error:
        raise UploadRefused(
            code="unreadable", message="The upload could not be read. Check the file and upload it again."
        ) from error
    if not size_bytes:
        raise UploadRefused(
            code="empty_file", message="The file is empty (0 bytes). Check the original and upload it again."
        )
    return digest.hexdigest(), size_bytes


def store_file(*, document: Document, file: File[bytes]) -> str:
    """Saves the file and returns its stored name. What was written before the disk was full is taken away again."""
    name = storage_path(document, document.file_name)
    try:
        return default_storage.save(name, file)
    except OSError as error:
        with suppress(OSError):
            default_storage.delete(name)
        if error.errno not in DISK_FULL:
            raise
        logger.error("An upload could not be stored: %s", error)
        raise UploadRefused(
            code="storage_full",
            message="There is no room left for files on the server, so nothing was stored. Tell the operator, and "
            "upload the file again later.",
        ) from error


def find_stored_files(which: Q) -> frozenset[str]:
    """Names of all files of those documents: the newest version's, and the one that answers come from."""
    pairs = Document.objects.filter(which).values_list("file", "live_file")
    return frozenset(name for pair in pairs for name in pair if name)


def remove_files(names: frozenset[str]) -> None:
    for name in names:
        default_storage.delete(name)


def remove_folder(folder: str, names: frozenset[str]) -> None:
    """These files, and their folder when nothing else is left in it."""
    remove_files(names)
    with suppress(OSError):  # what else lies there, say of an upload that broke off, keeps the folder
        default_storage.delete(folder)
