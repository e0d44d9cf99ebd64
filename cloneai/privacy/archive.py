"""All that is kept of a person as one zip: JSON by table, conversations as Markdown, a README in plain words."""

import io
import json
import os
import shutil
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any

from django.core.files.storage import default_storage
from django.core.serializers.json import DjangoJSONEncoder
from django.db import transaction
from django.utils import timezone

from cloneai.accounts.models import User
from cloneai.privacy.conversations import write_conversations
from cloneai.privacy.mentions import find_audit_entries
from cloneai.privacy.tables import TABLES
from knowledge.models import Document

ROWS_AT_A_TIME = 500
ABOUT_YOU = "about_you"


def write_archive(*, person: User, path: Path) -> int:
    """Writes the archive to a new file that only this system user may read; returns its size in bytes.

    Raises FileExistsError. Everything is read in one transaction; memory stays small whatever the person has.
    """
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with (
            os.fdopen(handle, "wb") as file,
            zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive,
            transaction.atomic(),
        ):
            _write_all(archive=archive, person=person)
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    return path.stat().st_size


def _write_all(*, archive: zipfile.ZipFile, person: User) -> None:
    lines = []
    for table in TABLES:
        if table.not_exported:
            continue
        rows = table.rows(person_id=person.pk).order_by("pk").values(*table.columns())
        if count := _write_json(archive, table.name, rows.iterator(chunk_size=ROWS_AT_A_TIME)):
            lines.append(f"{table.name}.json: {table.title} ({count})")
    about = find_audit_entries(person_id=person.pk).order_by("at").values("at", "action", "target")
    if count := _write_json(archive, ABOUT_YOU, about.iterator(chunk_size=ROWS_AT_A_TIME)):
        lines.append(
            f"{ABOUT_YOU}.json: What staff did with your data, for example read a conversation ({count})"
        )
    for name, text in write_conversations(person=person):
        archive.writestr(f"conversations/{name}", text)
    for document in Document.objects.filter(clone__owner=person).select_related("clone").iterator():
        _copy_document(archive, document)
    archive.writestr("README.txt", _write_readme(person=person, lines=lines))


def _write_json(archive: zipfile.ZipFile, name: str, rows: Iterator[Any]) -> int:
    """One array, a row a line, written as it is read; returns the number of rows."""
    count = 0
    with _open_entry(archive, f"{name}.json") as raw, io.TextIOWrapper(raw, encoding="utf-8") as file:
        file.write("[")
        for row in rows:
            file.write(",\n" if count else "\n")
            file.write(json.dumps(row, cls=DjangoJSONEncoder, ensure_ascii=False))
            count += 1
        file.write("\n]\n" if count else "]\n")
    return count


def _copy_document(archive: zipfile.ZipFile, document: Document) -> None:
    name = document.file.name
    if not name or not default_storage.exists(name):
        return
    target = f"documents/{document.clone.slug}/{document.pk.hex[:8]}-{document.file_name}"
    with default_storage.open(name) as source, _open_entry(archive, target) as copy:
        shutil.copyfileobj(source, copy)


def _open_entry(archive: zipfile.ZipFile, name: str) -> IO[bytes]:
    entry = zipfile.ZipInfo(name, date_time=timezone.now().timetuple()[:6])
    entry.compress_type = zipfile.ZIP_DEFLATED
    return archive.open(entry, "w", force_zip64=True)


def _write_readme(*, person: User, lines: Iterable[str]) -> str:
    """The archive explained; what stays or is left out is named only where there are rows of this person."""
    explained = (table for table in TABLES if table.reason or table.not_exported)
    own = [table for table in explained if table.rows(person_id=person.pk).exists()]
    left_out = [f"- {table.title}. {table.not_exported}" for table in own if table.not_exported]
    kept = [f"- {table.title}. {table.reason}" for table in own if table.reason]
    parts = [
        "YOUR DATA",
        f"Everything that this CloneAI installation keeps of {person.email}, as of "
        f"{timezone.now():%d %B %Y, %H:%M} UTC.",
        "Begin with the folder conversations: each file is one conversation, readable in any text editor. The files "
        "that end in .json hold the same and everything else, one file for each table of the database, for programs. "
        "In brackets: the number of rows. Files that are not named here are empty.",
        "\n".join(lines),
        "Not in this archive: passwords and the secret parts of keys and links, which nobody can read back, and "
        "marks that show how an answer was transmitted.",
    ]
    if left_out:
        parts.append("Nor are these:\n" + "\n".join(left_out))
    if kept:
        parts.append("If you erase your account, all of this goes, except:\n" + "\n".join(kept))
    return "\n\n".join(parts) + "\n"
