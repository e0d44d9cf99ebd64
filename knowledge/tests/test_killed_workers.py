"""Workers that are killed with -9 at every stage: each document is read in the end, once, and paid for once."""

import json
import os
import re
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from django.conf import settings as django_settings
from django.db.models import Count
from django.utils import timezone
from django_q.models import OrmQ

from billing.models import CostRecord
from billing.tests.fake_provider import FakeProvider
from chat.tests.live import ROOT, database_url_of_tests
from clones.models import Clone
from knowledge import embedding, extraction_process
from knowledge.ingestion import ingest_document
from knowledge.models import Chunk, ChunkEmbedding, Document, Status
from knowledge.tasks import sweep
from knowledge.tests.conftest import SLEEP, ingest, store

pytestmark = pytest.mark.django_db(transaction=True)

WORKERS = """
import json, os, signal, sys
from pydoc import locate
from unittest import mock
import django
django.setup()
from knowledge import embedding, extraction_process
from knowledge.ingestion import ingest_document

def work(document_id, target, moment, max_inputs):
    real = locate(target)

    def die(*arguments, **options):
        if moment == "after":
            real(*arguments, **options)
        os.kill(os.getpid(), signal.SIGKILL)

    embedding.MAX_INPUTS, embedding.REQUESTS_IN_FLIGHT = max_inputs, 1
    with mock.patch(target, die):
        ingest_document(document_id=document_id)

for job in json.loads(sys.argv[1]):
    if os.fork() == 0:
        work(*job)
        os._exit(0)
while True:
    try:
        print(os.waitstatus_to_exitcode(os.wait()[1]), flush=True)
    except ChildProcessError:
        break
"""
FEW, ALL = 2, 2048  # passages in a request: several requests for a document, or one
MOMENTS = (
    ("knowledge.drafting.extract_document", "before", FEW),
    ("knowledge.drafting.clean_pages", "after", FEW),
    ("knowledge.drafting.chunk_text", "after", FEW),
    ("knowledge.version_text._write_passages", "after", FEW),  # inside the transaction
    ("knowledge.ingestion.find_pending", "before", FEW),
    ("knowledge.embedding.check_vectors", "before", FEW),  # paid for, not stored
    ("knowledge.embedding.store_vectors", "after", FEW),
    ("knowledge.publication._take_over", "after", FEW),  # inside the transaction
    ("knowledge.ingestion.request_vectors", "before", ALL),
    ("knowledge.version_text._write_passages", "after", ALL),  # paid for, inside the transaction
    ("knowledge.publication._take_over", "after", ALL),  # paid for, inside the transaction
)
# The one request whose answer nobody could store is made again: two passages, or all of a document's.
TWO_PAID_TWICE, ALL_PAID_TWICE = (5,), (9, 10)


def kill_workers(documents: list[Document], provider: FakeProvider) -> list[str]:
    """A worker process for each document, all at once; returns their exit codes."""
    environment = {
        **os.environ,
        "DATABASE_URL": database_url_of_tests(),
        "VAR_DIR": str(django_settings.VAR_DIR),
        "STORAGE_URL": f"file://{django_settings.MEDIA_ROOT}",
        "DJANGO_SETTINGS_MODULE": "cloneai.settings",
        "OPENAI_API_KEY": "sk-secret",
        "OPENAI_BASE_URL": provider.base_url,
        "EMBEDDING_MODEL": "text-embedding-3-large",
        "EMBEDDING_DIMENSIONS": "4",
    }
    jobs = [(str(document.pk), *moment) for document, moment in zip(documents, MOMENTS, strict=True)]
    done = subprocess.run(
        [sys.executable, "-c", WORKERS, json.dumps(jobs)],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return done.stdout.split()


def long_text(number: int) -> str:
    return "\n\n".join(f"Rule {number} of {index}. {SLEEP.split(chr(10))[0]}" for index in range(14))


def test_killed_worker_loses_nothing_doubles_nothing_and_pays_once(
    clone: Clone, provider: FakeProvider, media: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedding, "MAX_INPUTS", 2)
    monkeypatch.setattr(embedding, "REQUESTS_IN_FLIGHT", 1)
    clone.chunk_tokens, clone.chunk_overlap_tokens = 100, 20
    clone.save()
    documents = [store(clone=clone, text=long_text(number)) for number in range(len(MOMENTS))]
    OrmQ.objects.all().delete()  # as if the workers had taken the jobs
    assert kill_workers(documents, provider) == [str(-signal.SIGKILL)] * len(MOMENTS)
    assert not ChunkEmbedding.objects.filter(is_live=True).exists()

    Document.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    assert sweep() == len(MOMENTS)
    for job in OrmQ.objects.all():
        ingest_document(document_id=job.task["args"][0])

    assert set(Document.objects.values_list("status", "attempts")) == {(Status.READY, 2)}
    chunks = Chunk.objects.annotate(vectors=Count("embeddings"))
    assert set(chunks.values_list("version", "is_live", "vectors")) == {(1, True, 1)}
    assert len({*chunks.values_list("document", "start_char")}) == chunks.count()
    asked = Counter(text for request in provider.requests for text in request["input"])
    twice = {text for text, count in asked.items() if count > 1}
    assert set(asked.values()) <= {1, 2}
    expected = dict.fromkeys(TWO_PAID_TWICE, 2)
    for number in ALL_PAID_TWICE:
        expected[number] = Document.objects.get(pk=documents[number].pk).chunk_count
    assert Counter(int(re.findall(r"Rule (\d+) of", text)[0]) for text in twice) == expected
    assert CostRecord.objects.count() == len(provider.requests)


@pytest.fixture
def self_killing_parser(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    command = (sys.executable, "-c", SELF_KILLING_PARSER)
    with monkeypatch.context() as patch:
        patch.setattr(extraction_process, "SERVER", command)
        patch.setattr(extraction_process, "_idle", [])
        yield
        extraction_process.close_servers()


def test_document_whose_parser_kills_itself_fails_and_the_next_twenty_succeed(
    clone: Clone, prices: None, self_killing_parser: None
) -> None:
    deadly = ingest(store(clone=clone, text="KILL", name="deadly.txt"))
    assert (deadly.status, deadly.error_code, deadly.attempts) == (Status.FAILED, "parser_memory", 1)
    for number in range(20):
        assert ingest(store(clone=clone, text=f"{number}. {SLEEP}")).status == Status.READY


SELF_KILLING_PARSER = """
import os, signal, sys
from knowledge.extraction_child import parse_to_output
from knowledge.extraction_server import main

def work(kind, limits):
    if os.pread(0, 4, 0) == b"KILL":
        os.kill(os.getpid(), signal.SIGKILL)
    parse_to_output(kind, limits)

main(sys.argv[1:], work=work)
"""
