"""What django-q2 calls, by dotted path and with ids only. `sweep` is scheduled once a minute."""

import asyncio
import logging
import uuid
from datetime import timedelta

from django.db import transaction
from django.db.models import Q
from django.utils import timezone
from django_q.models import OrmQ, Schedule
from django_q.tasks import schedule

from knowledge.ingestion import ingest_document
from knowledge.models import FINAL_STATUSES, MAX_ATTEMPTS, Document, Status
from knowledge.orphans import audit
from knowledge.probes import probe_document
from knowledge.uploads import JOB, PROBE_JOB, enqueue_ingestion
from knowledge.vector_index import keep_indexes

logger = logging.getLogger(__name__)

# A job that was taken from the queue but whose document nobody claimed for this long is taken for lost.
UNCLAIMED = timedelta(seconds=60)
PROBE_DELAY = timedelta(seconds=30)


def ingest(document_id: str) -> None:
    """Process one document."""
    ingest_document(document_id=uuid.UUID(document_id))


def probe(document_id: str) -> None:
    """Ask a ready document's own questions and note how many of them find it; later, while others wait to be read."""
    if Document.objects.filter(status=Status.QUEUED).exists():
        later = timezone.now() + PROBE_DELAY
        schedule(PROBE_JOB, document_id, schedule_type=Schedule.ONCE, next_run=later)
        return
    document = Document.objects.select_related("clone").filter(pk=document_id, status=Status.READY).first()
    report = asyncio.run(probe_document(document=document)) if document else None
    if document and report:
        # Of this version only: a replacement starts over.
        Document.objects.filter(pk=document.pk, live_version=document.live_version).update(
            probe_count=report.asked, probes_found=report.found, probe_note=report.note
        )


def audit_orphans() -> int:
    """Count rows and files that belong to no document; returns their total."""
    return audit().total


def sweep() -> int:
    """Pick up what dead workers left: queue it again, or fail it after its last attempt. Returns rows
    touched.
    """
    now = timezone.now()
    open_documents = Document.objects.exclude(status__in=FINAL_STATUSES)
    expired = open_documents.filter(lease_until__lt=now)
    failed = expired.filter(attempts__gte=MAX_ATTEMPTS).update(
        status=Status.FAILED,
        error_code="worker_died",
        error_message=f"The file ended its worker {MAX_ATTEMPTS} times, so it was given up. Open it in the "
        "program that made it, save it again (or print it to a new PDF), and upload that.",
        lease_token=None,
        lease_until=None,
        updated_at=now,
    )
    orphaned = open_documents.filter(
        Q(lease_until__lt=now) | Q(lease_until=None, status=Status.QUEUED, updated_at__lt=now - UNCLAIMED)
    )
    requeued = 0
    waiting = _waiting_ids() if orphaned.exists() else frozenset()
    for document in orphaned.exclude(pk__in=waiting):
        requeued += _queue_again(document=document)
    if failed or requeued:
        logger.warning("Sweep: %s documents queued again, %s given up", requeued, failed)
    return failed + requeued


def keep_vector_indexes() -> None:
    """Every hour: large clones get an index of their vectors; a build that was cut off is begun anew."""
    keep_indexes()


@transaction.atomic
def _queue_again(*, document: Document) -> int:
    """Take the document back from whoever held it and queue it, unless it changed meanwhile."""
    rows = Document.objects.filter(pk=document.pk, lease_until=document.lease_until, status=document.status)
    released = rows.update(
        status=Status.QUEUED, lease_token=None, lease_until=None, updated_at=timezone.now()
    )
    if released:
        enqueue_ingestion(document=document)
    return released


def _waiting_ids() -> frozenset[uuid.UUID]:
    """Documents with a job in the queue that no worker has taken yet (a taken one is locked into the
    future).
    """
    jobs = (row.task for row in OrmQ.objects.filter(lock__lt=timezone.now()))
    return frozenset(uuid.UUID(job["args"][0]) for job in jobs if job and job.get("func") == JOB)
