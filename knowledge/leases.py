"""Who works on a document: a lease on its row, prolonged by a heartbeat, so that a dead worker is noticed.

Attempts are counted when the lease is claimed, not when a result is saved: a document that kills its worker
is not tried for ever. Whoever writes for a document does so under its token and gets LeaseLost when that is
gone.
"""

import contextlib
import logging
import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db import DatabaseError, connection, connections
from django.utils import timezone

from knowledge.errors import LeaseLost
from knowledge.models import FINAL_STATUSES, LEASE, MAX_ATTEMPTS, Document, Status

logger = logging.getLogger(__name__)

PROGRESS_SECONDS = 0.5
BEAT_SECONDS = LEASE.total_seconds() / 4

CLAIM = """
    UPDATE knowledge_document
    SET status = %(begun)s, stage_done = 0, stage_total = 0, attempts = attempts + 1,
        lease_token = %(token)s, lease_until = %(until)s, updated_at = %(now)s
    WHERE id = %(id)s AND attempts < %(most)s AND status <> ALL(%(ended)s)
        AND (lease_until IS NULL OR lease_until < %(now)s)
    RETURNING version, attempts
"""


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to process one version of one document. `attempt` counts from 1."""

    document_id: uuid.UUID
    token: uuid.UUID
    version: int
    attempt: int


@dataclass(frozen=True, slots=True)
class Stage:
    """What is being done with a document, and how much of it."""

    status: Status
    done: int = 0
    total: int = 0


class Progress:
    """The stage that a document is in. The heartbeat writes it, so that showing it costs the work nothing: a small
    document is ready before anybody could have seen more of it than that it was begun.
    """

    def __init__(self) -> None:
        self.stage = Stage(Status.EXTRACTING)
        self.is_lease_lost = False

    def show(self, status: Status, *, done: int = 0, total: int = 0) -> None:
        """Raises LeaseLost when the heartbeat has found that the document is somebody else's."""
        if self.is_lease_lost:
            raise LeaseLost
        self.stage = Stage(status, done, total)


def claim_document(*, document_id: uuid.UUID) -> Lease | None:
    """Take the document for processing; None when it is done, gone, out of attempts or somebody else's."""
    token, now = uuid.uuid4(), timezone.now()
    with connection.cursor() as cursor:
        cursor.execute(
            CLAIM,
            {
                "id": document_id,
                "token": token,
                "now": now,
                "until": now + LEASE,
                "begun": Status.EXTRACTING,
                "ended": list(FINAL_STATUSES),
                "most": MAX_ATTEMPTS,
            },
        )
        row = cursor.fetchone()
    return Lease(document_id=document_id, token=token, version=row[0], attempt=row[1]) if row else None


def update_document(*, lease: Lease, **fields: Any) -> None:
    """Write fields of the leased document. Raises LeaseLost."""
    rows = Document.objects.filter(pk=lease.document_id, lease_token=lease.token)
    if not rows.update(updated_at=timezone.now(), **fields):
        raise LeaseLost


def lock_document(*, lease: Lease) -> Document:
    """Lock the leased document's row, but for those that only point to it, until the transaction ends.

    Raises LeaseLost.
    """
    row = Document.objects.select_for_update(of=("self",), no_key=True).select_related("clone")
    document = row.filter(pk=lease.document_id, lease_token=lease.token).first()
    if document is None:
        raise LeaseLost
    return document


def fail_document(*, lease: Lease, code: str, message: str) -> None:
    """End the document as failed, with a reason; a version that answers goes on answering."""
    with contextlib.suppress(LeaseLost):
        update_document(
            lease=lease,
            status=Status.FAILED,
            error_code=code[:40],
            error_message=message or "The document could not be processed. Retry it.",
            lease_token=None,
            lease_until=None,
        )
        logger.warning("Document %s failed in attempt %s: %s", lease.document_id, lease.attempt, code)


def postpone_document(*, lease: Lease, delay: timedelta) -> None:
    """Give the document back to be tried again after `delay`; the sweep queues it then."""
    with contextlib.suppress(LeaseLost):
        update_document(
            lease=lease, status=Status.QUEUED, lease_token=None, lease_until=timezone.now() + delay
        )


@contextlib.contextmanager
def heartbeat(*, lease: Lease) -> Iterator[Progress]:
    """Prolong the lease and write the progress from a thread and a connection of its own, until the block ends."""
    progress, stop = Progress(), threading.Event()
    thread = threading.Thread(target=_beat, args=(lease, progress, stop), name="lease-heartbeat", daemon=True)
    thread.start()
    try:
        yield progress
    finally:
        stop.set()
        thread.join(timeout=LEASE.total_seconds())


def _beat(lease: Lease, progress: Progress, stop: threading.Event) -> None:
    written, written_at = progress.stage, time.monotonic()
    try:
        while not stop.wait(PROGRESS_SECONDS):
            stage = progress.stage
            if stage == written and time.monotonic() < written_at + BEAT_SECONDS:
                continue
            try:
                is_ours = _write_beat(lease=lease, stage=stage)
            except DatabaseError:
                logger.warning("The lease of %s could not be prolonged; trying again", lease.document_id)
                connections.close_all()
                continue
            if not is_ours:
                progress.is_lease_lost = True
                return
            written, written_at = stage, time.monotonic()
            connections.close_all()
    finally:
        connections.close_all()


def _write_beat(*, lease: Lease, stage: Stage) -> bool:
    """Whether the lease is still ours. In one statement, so that no stage is written under a lease that is gone."""
    now = timezone.now()
    return bool(
        Document.objects.filter(pk=lease.document_id, lease_token=lease.token).update(
            lease_until=now + LEASE,
            updated_at=now,
            status=stage.status,
            stage_done=stage.done,
            stage_total=stage.total,
        )
    )
