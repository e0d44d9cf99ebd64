"""Is anything lost, doubled or paid twice when workers are killed: 100 documents, kill -9 at every stage.

A real django-q2 cluster works while the provider takes its time. At every stage workers are killed, at last the whole
cluster at once; then a second one is started beside the new one, and all that is left must end. Some documents are
large, because the stage is shown twice a second, and a small one is cut into passages in less.
`DOCUMENTS_COUNT=20` for a shorter run; it takes some minutes, because a lease is 30 seconds.
"""

import os
import time
from collections import Counter
from contextlib import suppress
from datetime import timedelta
from typing import Any

import psutil

from benchmarks.harness import Result
from benchmarks.ingestion_setup import (
    make_clone,
    make_text,
    start_cluster,
    upload_all,
    use_fake_provider,
    wait_for_the_end,
)

DOCUMENTS = int(os.environ.get("DOCUMENTS_COUNT", "100"))
LARGE, LARGE_WORDS = 6, 500_000  # Markdown, which no model cleans
KILLS_PER_STAGE = 3 if DOCUMENTS >= 100 else 1
PROVIDER_SECONDS = 0.8
LONGEST_RUN_SECONDS = 480


def run() -> Result:
    from cloneai.local_ai.testing import FakeProvider, Fault

    with FakeProvider() as provider:
        provider.always(Fault(delay_seconds=PROVIDER_SECONDS))
        # Two workers, so that a kill uses up the first attempt of two documents only.
        environment = use_fake_provider(provider.base_url) | {"DOCUMENT_PROBES": "false", "JOB_WORKERS": "2"}
        clone = make_clone(is_cleaning_on=True)
        documents = upload_all(clone=clone, **make_files())
        clusters = [start_cluster(environment)]
        started = time.monotonic()
        try:
            kills = kill_at_every_stage(psutil.Process(clusters[0].pid))
            kill_all(psutil.Process(clusters[0].pid))
            clusters[0].wait()
            clusters += [start_cluster(environment), start_cluster(environment)]
            wait_for_the_end(until=started + LONGEST_RUN_SECONDS)
        finally:
            for cluster in clusters:
                cluster.terminate()
                cluster.wait(timeout=60)
        return judge(
            documents=len(documents),
            kills=kills,
            seconds=time.monotonic() - started,
            asked=[text for request in provider.requests_to("/embeddings") for text in request.json["input"]],
            requests=len(provider.requests_to("/embeddings")),
        )


def make_files() -> dict[str, list[Any]]:
    """Contents and names; every third document is large, until there are enough of these."""
    is_large = [number % 3 == 0 and number < 3 * LARGE for number in range(DOCUMENTS)]
    words = [LARGE_WORDS if large else 2_500 for large in is_large]
    return {
        "files": [make_text(number, words=count).encode() for number, count in enumerate(words)],
        "names": [f"{number}.{'md' if large else 'txt'}" for number, large in enumerate(is_large)],
    }


def kill_at_every_stage(cluster: psutil.Process) -> Counter[str]:
    """Kills all processes of the cluster's workers as soon as a document is seen in a stage, several times each."""
    from knowledge.models import Document, Status

    kills: Counter[str] = Counter()
    give_up_at = time.monotonic() + 120
    stages = [Status.EXTRACTING, Status.CLEANING, Status.CHUNKING, Status.EMBEDDING]
    while time.monotonic() < give_up_at and any(kills[stage] < KILLS_PER_STAGE for stage in stages):
        wanted = [stage for stage in stages if kills[stage] < KILLS_PER_STAGE]
        found = Document.objects.filter(status__in=wanted, lease_token__isnull=False, attempts=1)
        stage = found.values_list("status", flat=True).first()
        if stage is None:
            continue
        for child in cluster.children(recursive=True):
            # The sentinel stays and starts workers anew; what is below it is workers, pusher and monitor.
            if child.ppid() != cluster.pid:
                with suppress(psutil.NoSuchProcess):
                    child.kill()
        kills[stage] += 1
        time.sleep(1.5)  # new workers come
    return kills


def kill_all(cluster: psutil.Process) -> None:
    for process in (cluster, *cluster.children(recursive=True)):
        with suppress(psutil.NoSuchProcess):
            process.kill()


def judge(*, documents: int, kills: Counter[str], seconds: float, asked: list[str], requests: int) -> Result:
    from django.db.models import Count

    from billing.ledger import settle_abandoned
    from billing.models import CostRecord
    from knowledge.models import FINAL_STATUSES, Chunk, ChunkEmbedding, Document, Status

    settle_abandoned(older_than=timedelta(0))
    lost = documents - Document.objects.filter(status__in=FINAL_STATUSES).count()
    chunks = Chunk.objects.count()
    doubled = chunks - len(set(Chunk.objects.values_list("document", "start_char", "end_char")))
    wrong_vectors = Chunk.objects.annotate(vectors=Count("embeddings")).exclude(vectors=1)
    ready = Document.objects.filter(status=Status.READY)
    incomplete = wrong_vectors.filter(document__in=ready).count()
    orphans = ChunkEmbedding.objects.filter(is_live=True).exclude(document__in=ready).count()
    reasons = Counter(Document.objects.filter(status=Status.FAILED).values_list("error_code", flat=True))
    again = sum(count - 1 for count in Counter(asked).values())
    records = CostRecord.objects.filter(purpose="document_embedding").count()
    # What was held for a request that a killed worker had not sent yet is charged too: nobody can know.
    unsent = records - requests
    is_good = not (lost or doubled or incomplete or orphans) and 0 <= unsent <= 8 * (sum(kills.values()) + 1)
    return Result(
        name="crashes",
        question=f"are {documents} documents lost, doubled or paid twice when workers are killed at every stage?",
        ratio=float(lost + doubled + incomplete + orphans),
        ratio_of="documents lost + passages doubled, without their vector or live without a document; 0",
        is_good=is_good and len(kills) == 4,
        columns=("", "count"),
        rows=(
            ("documents", documents),
            ("ready", ready.count()),
            ("failed, by reason", dict(reasons) or 0),
            ("neither (lost)", lost),
            *((f"workers killed while {stage}", count) for stage, count in sorted(kills.items())),
            ("whole clusters killed", 1),
            ("passages", chunks),
            ("passages doubled", doubled),
            ("passages of ready documents without exactly one vector", incomplete),
            ("live vectors of documents that are not ready", orphans),
            ("most attempts of a document", max(Document.objects.values_list("attempts", flat=True))),
            ("embedding requests that reached the provider", requests),
            ("their cost records", records),
            ("cost records of requests that a killed worker had held money for", unsent),
            ("passages asked for again, because their answer died with its worker", again),
            ("seconds", round(seconds)),
        ),
    )
