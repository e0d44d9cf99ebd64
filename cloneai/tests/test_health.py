from datetime import timedelta
from typing import Any

import pytest
from django.db import DatabaseError, connection
from django.db.migrations.recorder import MigrationRecorder
from django.test import Client
from django.utils import timezone
from django_q.models import OrmQ

from cloneai import health
from knowledge.models import OrphanAudit


@pytest.fixture(autouse=True)
def fresh_process() -> None:
    health._find_no_pending_migration.cache_clear()


def test_process_answers_without_the_database(client: Client) -> None:
    assert client.get("/healthz").json() == {"status": "ok"}


def test_ready_names_provider_and_queue(client: Client, db: None, settings: Any) -> None:
    settings.AI_OFFLINE = True
    response = client.get("/readyz")
    assert response.status_code == 200
    assert response.json() == {
        "status": "ready",
        "provider": "offline",
        "reasons": [],
        "jobs": {"waiting": 0, "oldest_seconds": 0},
        "last_audit": None,
    }
    assert "no-store" in response["Cache-Control"]


def test_last_audit_of_documents_is_shown(client: Client, db: None) -> None:
    OrphanAudit.objects.create(total=0, counts={})
    assert client.get("/readyz").json()["last_audit"]["orphans"] == 0


def test_oldest_waiting_job_is_shown_and_running_ones_are_not(client: Client, db: None) -> None:
    now = timezone.now()
    OrmQ.objects.create(key="cloneai", payload="", lock=now - timedelta(seconds=90))
    OrmQ.objects.create(key="cloneai", payload="", lock=now - timedelta(seconds=10))
    OrmQ.objects.create(key="cloneai", payload="", lock=now + timedelta(seconds=600))
    jobs = client.get("/readyz").json()["jobs"]
    assert jobs["waiting"] == 2
    assert 90 <= jobs["oldest_seconds"] < 120


def test_not_ready_while_a_migration_is_pending(client: Client, db: None) -> None:
    MigrationRecorder(connection).record_unapplied("sessions", "0001_initial")
    response = client.get("/readyz")
    assert response.status_code == 503
    assert response.json()["status"] == "not ready"
    assert "manage.py migrate" in response.json()["reasons"][0]


def test_not_ready_becomes_ready_without_a_restart(client: Client, db: None) -> None:
    recorder = MigrationRecorder(connection)
    recorder.record_unapplied("sessions", "0001_initial")
    assert client.get("/readyz").status_code == 503
    recorder.record_applied("sessions", "0001_initial")
    assert client.get("/readyz").status_code == 200


@pytest.mark.parametrize(
    ("debug", "told"), [(True, "host db.internal"), (False, "The database is unavailable.")]
)
def test_outage_is_told_in_full_only_under_debug(
    client: Client, db: None, settings: Any, debug: bool, told: str
) -> None:
    def refuse(*args: Any) -> None:
        raise DatabaseError("host db.internal cannot be reached")

    settings.DEBUG = debug
    with connection.execute_wrapper(refuse):
        response = client.get("/readyz")
    assert response.status_code == 503
    assert told in response.json()["reasons"][0]
    assert ("db.internal" in response.content.decode()) is debug


def test_only_reading_is_allowed(client: Client, db: None) -> None:
    assert client.post("/readyz").status_code == 405
    assert client.head("/healthz").status_code == 200
