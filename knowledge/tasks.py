"""What django-q2 calls, by dotted path and with ids only. `sweep` is scheduled once a minute."""

import logging
import uuid
from datetime import timedelta

from django.db import transaction
from django.db.models import Q
from django.utils import timezone
from django_q.models import OrmQ

from cloneai.threads import run_async
from knowledge.ingestion import ingest_document
from knowledge.models import FINAL_STATUSES, MAX_ATTEMPTS, Document, Status
from knowledge.orphans import audit
from knowledge.probes import probe_document
from knowledge.uploads import JOB, enqueue_ingestion, enqueue_probes
from knowledge.vector_index import keep_indexes

logger = logging.getLogger(__name__)

# A job that was taken from the queue but whose document nobody claimed for this long is taken for lost.
UNCLAIMED = timedelta(seconds=60)
PROBED_AT_ONCE = 20  # then other jobs have their turn


def ingest(document_id: str) -> None:
    """Process one document."""
    ingest_document(document_id=uuid.UUID(document_id))


def probe_ready() -> int:
    """Ask ready documents their own questions, one after the other, while nobody waits to be read; how many were asked.

    What is left when somebody uploads is found by the sweep.
    """
    for done in range(PROBED_AT_ONCE):
        document = None if Document.objects.filter(status=Status.QUEUED).exists() else _claim_unproven()
        if document is None:
            return done
        report = run_async(probe_document(document=document))
        if report:
            # Of this version only: a replacement starts over.
            Document.objects.filter(pk=document.pk, live_version=document.live_version).update(
                probe_count=report.asked, probes_found=report.found, probe_note=report.note
            )
    enqueue_probes()
    return PROBED_AT_ONCE


@transaction.atomic
def _claim_unproven() -> Document | None:
    """The one that has waited longest. It is asked once, whatever comes of it."""
    waiting = Document.objects.unproven().select_related("clone").order_by("ready_at")
    document = waiting.select_for_update(of=("self",), skip_locked=True).first()
    if document:
        document.probed_version = document.live_version
        document.save(update_fields=["probed_version"])
    return document


def audit_orphans() -> int:
    """Count rows and files that belong to no document; returns their total."""
    return audit().total


def sweep() -> int:
    """Pick up what dead workers left: queue it again, or fail it after its last attempt; have proofs that were put
    off made up for. Returns how many documents were queued again or given up.
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
    # In the index's order: PostgreSQL would else look for one of what it thinks a third of all rows by reading them.
    if Document.objects.unproven().order_by("ready_at").values_list("pk").first():
        enqueue_probes()
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
    """Documents with a job in the queue that no worker has taken yet (a taken one is locked into the future)."""
    jobs = (row.task for row in OrmQ.objects.filter(lock__lt=timezone.now()))
    return frozenset(uuid.UUID(job["args"][0]) for job in jobs if job and job.get("func") == JOB)
