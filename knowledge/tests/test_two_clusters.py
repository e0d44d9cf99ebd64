"""Two job clusters and a document that takes longer than `retry`: it is handed out again, and read once."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from django.conf import settings as django_settings

from billing.models import CostRecord
from billing.tests.fake_provider import FakeProvider, Handler, answer_well
from chat.tests.live import ROOT, database_url_of_tests
from clones.models import Clone
from knowledge.models import Chunk, ChunkEmbedding, Status
from knowledge.tests.conftest import SLEEP, store

pytestmark = pytest.mark.django_db(transaction=True)

LONGER_THAN_RETRY_SECONDS = 6.0
PATIENCE_SECONDS = 60


@pytest.fixture
def cluster_logs(provider: FakeProvider, media: Path, tmp_path: Path) -> Iterator[list[Path]]:
    """Two `manage.py qcluster` on the test database, at work; what they log."""
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "knowledge.tests.impatient_settings",
        "DATABASE_URL": database_url_of_tests(),
        "VAR_DIR": str(django_settings.VAR_DIR),
        "STORAGE_URL": f"file://{media}",
        "OPENAI_API_KEY": "sk-secret",
        "OPENAI_BASE_URL": provider.base_url,
        "EMBEDDING_MODEL": "text-embedding-3-large",
        "EMBEDDING_DIMENSIONS": "4",
        "DOCUMENT_PROBES": "false",
    }
    logs = [tmp_path / "first.log", tmp_path / "second.log"]
    with ExitStack() as ending:
        for path in logs:
            log = ending.enter_context(path.open("wb"))
            process = subprocess.Popen(
                [sys.executable, "manage.py", "qcluster"], cwd=ROOT, env=environment, stdout=log, stderr=log
            )
            ending.callback(process.wait, timeout=60)
            ending.callback(process.terminate)
        for path in logs:
            wait_for(lambda path=path: "running" in path.read_text())
        yield logs


def wait_for(condition) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_job_longer_than_retry_is_delivered_again_but_done_once(
    clone: Clone, provider: FakeProvider, cluster_logs: list[Path]
) -> None:
    def answer_late(handler: Handler, body: dict) -> None:
        time.sleep(LONGER_THAN_RETRY_SECONDS)
        answer_well(handler, body)

    provider.replies = [answer_late]
    document = store(clone=clone, text=SLEEP)

    def is_ready() -> bool:
        document.refresh_from_db()
        return document.is_final

    wait_for(is_ready)
    deliveries = sum(path.read_text().count(f"processing ingest {document.pk}") for path in cluster_logs)
    assert deliveries > 1
    assert (document.status, document.attempts, document.version) == (Status.READY, 1, 1)
    assert len(provider.requests) == CostRecord.objects.count() == 1
    assert Chunk.objects.count() == ChunkEmbedding.objects.filter(is_live=True).count() == 1
