"""`manage.py ingest CLONE_SLUG FILE...`: uploads files through the same pipeline as the admin."""

import sys
import threading
import uuid
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.files import File
from django.core.management.base import BaseCommand, CommandError
from django.db import connections

from clones.models import Clone
from knowledge.ingestion import ingest_document
from knowledge.models import Document, Status
from knowledge.uploads import UploadRefused, create_document, retry_document

BAR_WIDTH = 24
STAGES = (Status.QUEUED, Status.EXTRACTING, Status.CLEANING, Status.CHUNKING, Status.EMBEDDING, Status.READY)


class Command(BaseCommand):
    help = "Uploads files to a clone and processes them here and now; exit code 1 when any of them failed."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("clone_slug")
        parser.add_argument("files", nargs="+", type=Path)

    def handle(self, *args: Any, **options: Any) -> None:
        clone = Clone.objects.filter(slug=options["clone_slug"]).first()
        if clone is None:
            raise CommandError(f"There is no clone “{options['clone_slug']}”. Create it in the admin first.")
        failures = sum(not self._ingest(clone=clone, path=path) for path in options["files"])
        if failures:
            raise CommandError(
                f"{failures} of {len(options['files'])} documents failed; the reasons are above."
            )

    def _ingest(self, *, clone: Clone, path: Path) -> bool:
        try:
            with path.open("rb") as source:
                document = create_document(
                    clone=clone, file=File(source), file_name=path.name, uploaded_by=clone.owner
                )
        except OSError as error:
            return self._report(
                path=path, problem=f"It cannot be read ({error.strerror}). Check the path and its rights."
            )
        except UploadRefused as refusal:
            if refusal.existing is None:
                return self._report(path=path, problem=refusal.message)
            document = refusal.existing
            if document.status == Status.FAILED:
                retry_document(document=document)
        document = self._process(document_id=document.pk, name=path.name)
        if document.status != Status.READY:
            return self._report(path=path, problem=f"{document.error_message} [{document.error_code}]")
        self.stdout.write(
            f"{path.name}: ready, {_count(document.page_count, 'page')}, "
            f"{_count(document.chunk_count, 'passage')}, {_count(document.token_count, 'token')}"
        )
        for warning in document.warnings:
            self.stdout.write(f"  note: {warning}")
        return True

    def _process(self, *, document_id: uuid.UUID, name: str) -> Document:
        """Process the document in a thread, or watch the worker that was faster, and draw its progress."""
        while True:
            worker = threading.Thread(target=_work, args=(document_id,), daemon=True)
            worker.start()
            while worker.is_alive():
                worker.join(timeout=0.2)
                self._draw(document=Document.objects.get(pk=document_id), name=name)
            document = Document.objects.get(pk=document_id)
            if document.is_final:
                self._draw(document=None, name=name)
                return document
            worker.join(timeout=0.5)
            threading.Event().wait(0.5)

    def _draw(self, *, document: Document | None, name: str) -> None:
        if not sys.stderr.isatty():
            return
        if document is None:
            self.stderr.write("\r\x1b[K", ending="")
            return
        stage = STAGES.index(Status(document.status)) if document.status in STAGES else len(STAGES) - 1
        part = document.stage_done / document.stage_total if document.stage_total else 0.0
        filled = round(BAR_WIDTH * min((stage + part) / (len(STAGES) - 1), 1.0))
        bar = "█" * filled + "░" * (BAR_WIDTH - filled)
        count = f" {document.stage_done}/{document.stage_total}" if document.stage_total else ""
        self.stderr.write(f"\r\x1b[K{bar} {name}: {document.get_status_display()}{count}", ending="")
        self.stderr.flush()

    def _report(self, *, path: Path, problem: str) -> bool:
        self.stderr.write(self.style.ERROR(f"{path.name}: {problem}"))
        return False


def _work(document_id: uuid.UUID) -> None:
    try:
        ingest_document(document_id=document_id)
    finally:
        connections.close_all()


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
