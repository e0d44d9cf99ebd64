"""The sweep picks up what dead workers left, once each."""

from datetime import timedelta

import pytest
from django.utils import timezone
from django_q.models import OrmQ

from clones.models import Clone
from knowledge.leases import claim_document
from knowledge.models import MAX_ATTEMPTS, Document, Status
from knowledge.tasks import UNCLAIMED, ingest, sweep
from knowledge.tests.conftest import SLEEP, store

pytestmark = pytest.mark.django_db(transaction=True)


def leave_dead(document: Document, *, attempts: int) -> None:
    """As if the worker had been killed in its n-th attempt, after its job was taken from the queue."""
    for attempt in range(attempts):
        assert claim_document(document_id=document.pk), attempt
        Document.objects.filter(pk=document.pk).update(
            status=Status.EMBEDDING, lease_until=timezone.now() - timedelta(seconds=1)
        )
    OrmQ.objects.all().delete()


def waiting_ids() -> list[str]:
    return [job.task["args"][0] for job in OrmQ.objects.all()]


def test_document_of_a_dead_worker_is_queued_again_once(clone: Clone, prices):
    document = store(clone=clone, text=SLEEP)
    leave_dead(document, attempts=1)
    assert (sweep(), sweep()) == (1, 0)
    document.refresh_from_db()
    assert (document.status, document.lease_token) == (Status.QUEUED, None)
    assert waiting_ids() == [str(document.pk)]
    ingest(waiting_ids()[0])
    document.refresh_from_db()
    assert (document.status, document.attempts) == (Status.READY, 2)


def test_document_that_kills_every_worker_is_given_up_with_a_cure(clone: Clone):
    document = store(clone=clone, text=SLEEP)
    leave_dead(document, attempts=MAX_ATTEMPTS)
    assert sweep() == 1
    document.refresh_from_db()
    assert (document.status, document.error_code) == (Status.FAILED, "worker_died")
    assert "upload" in document.error_message
    assert not OrmQ.objects.exists()


def test_document_at_work_is_left_alone(clone: Clone):
    document = store(clone=clone, text=SLEEP)
    claim_document(document_id=document.pk)
    OrmQ.objects.all().delete()
    assert sweep() == 0


def test_waiting_document_with_its_job_is_left_alone(clone: Clone):
    store(clone=clone, text=SLEEP)
    Document.objects.update(updated_at=timezone.now() - 2 * UNCLAIMED)
    assert sweep() == 0
    assert OrmQ.objects.count() == 1


def test_waiting_document_whose_job_was_lost_gets_a_new_one(clone: Clone):
    document = store(clone=clone, text=SLEEP)
    OrmQ.objects.all().delete()
    assert sweep() == 0
    Document.objects.update(updated_at=timezone.now() - 2 * UNCLAIMED)
    assert sweep() == 1
    assert waiting_ids() == [str(document.pk)]


def test_job_that_a_dead_cluster_had_taken_does_not_count_as_waiting(clone: Clone):
    document = store(clone=clone, text=SLEEP)
    OrmQ.objects.update(lock=timezone.now() + timedelta(hours=1))
    Document.objects.update(updated_at=timezone.now() - 2 * UNCLAIMED)
    assert sweep() == 1
    assert waiting_ids() == [str(document.pk)] * 2
