"""Who works on a document: a lease on its row, prolonged by a heartbeat, so that a dead worker is noticed.

Attempts are counted when the lease is claimed, not when a result is saved: a document that kills its worker
is not tried for ever. Whoever writes for a document does so under its token and gets LeaseLost when that is
gone.
"""

import contextlib
import logging
import threading
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db import DatabaseError, connections
from django.db.models import F, Q
from django.utils import timezone

from knowledge.errors import LeaseLost
from knowledge.models import FINAL_STATUSES, LEASE, MAX_ATTEMPTS, Document, Status

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to process one version of one document. `attempt` counts from 1."""

    document_id: uuid.UUID
    token: uuid.UUID
    version: int
    attempt: int


def claim_document(*, document_id: uuid.UUID) -> Lease | None:
    """Take the document for processing; None when it is done, gone, out of attempts or somebody else's."""
    token, now = uuid.uuid4(), timezone.now()
    free = Q(lease_until=None) | Q(lease_until__lt=now)
    claimed = (
        Document.objects.filter(free, pk=document_id, attempts__lt=MAX_ATTEMPTS)
        .exclude(status__in=FINAL_STATUSES)
        .update(lease_token=token, lease_until=now + LEASE, attempts=F("attempts") + 1, updated_at=now)
    )
    if not claimed:
        return None
    row = Document.objects.filter(lease_token=token).values_list("version", "attempts").first()
    return Lease(document_id=document_id, token=token, version=row[0], attempt=row[1]) if row else None


def update_document(*, lease: Lease, **fields: Any) -> None:
    """Write fields of the leased document. Raises LeaseLost."""
    rows = Document.objects.filter(pk=lease.document_id, lease_token=lease.token)
    if not rows.update(updated_at=timezone.now(), **fields):
        raise LeaseLost


def lock_document(*, lease: Lease) -> Document:
    """Lock the leased document's row until the transaction ends. Raises LeaseLost."""
    row = Document.objects.select_for_update(of=("self",)).select_related("clone")
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
def heartbeat(*, lease: Lease) -> Iterator[None]:
    """Prolong the lease from a thread of its own, on a connection of its own, until the block ends."""
    stop = threading.Event()
    thread = threading.Thread(target=_beat, args=(lease, stop), name="lease-heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(timeout=LEASE.total_seconds())


def _beat(lease: Lease, stop: threading.Event) -> None:
    try:
        while not stop.wait(LEASE.total_seconds() / 4):
            try:
                rows = Document.objects.filter(pk=lease.document_id, lease_token=lease.token)
                if not rows.update(lease_until=timezone.now() + LEASE):
                    return
            except DatabaseError:
                logger.warning("The lease of %s could not be prolonged; trying again", lease.document_id)
                connections.close_all()
    finally:
        connections.close_all()
