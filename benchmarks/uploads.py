"""What does the product add to the provider's time: from the upload of 200 documents until all are ready.

A running django-q2 cluster against a provider that takes 100 ms for every request; then the same passages by the bare
client, a request a document, as many requests at once as the cluster has workers, and two at once: the workers wait
for an answer with part of them only, and compute with the others. Half of the documents are PDFs.
`DOCUMENTS_COUNT=50` for a shorter run.
"""

import asyncio
import math
import os
import time
import uuid
from collections.abc import Sequence
from typing import TYPE_CHECKING

from benchmarks.harness import Result, milliseconds
from benchmarks.ingestion_setup import (
    DIMENSIONS,
    KEY,
    MODEL,
    make_clone,
    make_pdf,
    make_text,
    paced_provider,
    start_cluster,
    upload_all,
    use_fake_provider,
    wait_for_the_end,
)

if TYPE_CHECKING:
    from clones.models import Clone

DOCUMENTS = int(os.environ.get("DOCUMENTS_COUNT", "200"))
WORDS = 2_500  # about six printed pages
PROVIDER_SECONDS = 0.1
PROMISED = 1.25
FEWEST_AT_ONCE = 2
LONGEST_RUN_SECONDS = 300


def run() -> Result:
    from django.conf import settings

    from billing.models import CostRecord
    from knowledge.models import Chunk, Document, Status

    workers = settings.JOB_WORKERS
    texts = [make_text(number, words=WORDS) for number in range(DOCUMENTS)]
    files = [make_pdf(text) if number % 2 else text.encode() for number, text in enumerate(texts)]
    with paced_provider(seconds=PROVIDER_SECONDS) as base_url:
        environment = use_fake_provider(base_url)
        clone = make_clone()
        cluster = start_cluster(environment)
        try:
            warm_up(clone=clone, workers=workers)
            started = time.perf_counter()
            uploaded = upload_all(clone=clone, files=files)
            upload_seconds = time.perf_counter() - started
            wait_for_the_end(until=time.monotonic() + LONGEST_RUN_SECONDS, look_every_seconds=0.1)
            ours_seconds = time.perf_counter() - started
        finally:
            cluster.terminate()
            cluster.wait(timeout=60)
        passages = [read_passages(document.pk) for document in uploaded]
        bare_seconds = {
            count: asyncio.run(embed_bare(base_url, passages, concurrency=count))
            for count in sorted({FEWEST_AT_ONCE, workers})
        }
    ids = [document.pk for document in uploaded]
    ready = Document.objects.filter(pk__in=ids, status=Status.READY).count()
    requests = CostRecord.objects.filter(document__in=ids, purpose="document_embedding").count()
    optimum = sum(fewest_requests(document_id) for document_id in ids)
    ratio = ours_seconds / bare_seconds[workers]
    return Result(
        name="uploads",
        question=f"what does the upload of {DOCUMENTS} documents take beyond the provider's time?",
        ratio=ratio,
        ratio_of=f"from the first upload until all are ready / bare embedding calls, {workers} at once",
        is_good=ratio <= PROMISED and ready == DOCUMENTS and requests == optimum,
        columns=("", "figure"),
        rows=(
            ("documents, half of them PDFs", DOCUMENTS),
            ("ready", ready),
            ("passages", Chunk.objects.filter(document__in=ids).count()),
            *(
                (f"bare embedding calls, {count} at once (s)", f"{seconds:.2f}")
                for count, seconds in bare_seconds.items()
            ),
            ("from the first upload until all are ready (s)", f"{ours_seconds:.2f}"),
            ("of these until the last upload is stored (s)", f"{upload_seconds:.2f}"),
            ("embedding requests", requests),
            ("embedding requests, packed optimum", optimum),
        ),
        notes=(
            f"A document adds {milliseconds((ours_seconds - bare_seconds[workers]) / DOCUMENTS)} ms to its request.",
            f"/ bare calls, {FEWEST_AT_ONCE} at once: {ours_seconds / bare_seconds[FEWEST_AT_ONCE]:.2f}",
        ),
        figures={"requests": requests, "optimum": optimum},
    )


def warm_up(*, clone: "Clone", workers: int) -> None:
    """A first document for each worker, so that Python, the parsers and the vocabulary are loaded."""
    texts = [make_text(10**6 + number, words=100) for number in range(2 * workers)]
    upload_all(clone=clone, files=[file for text in texts for file in (text.encode(), make_pdf(text))])
    wait_for_the_end(until=time.monotonic() + LONGEST_RUN_SECONDS)


def read_passages(document_id: uuid.UUID) -> list[str]:
    from knowledge.models import Chunk

    return list(
        Chunk.objects.filter(document=document_id).order_by("index").values_list("content", flat=True)
    )


def fewest_requests(document_id: uuid.UUID) -> int:
    """No request of the provider's takes more than so many inputs and tokens."""
    from django.db.models import Count, Sum

    from knowledge.embedding import MAX_INPUTS, MAX_REQUEST_TOKENS
    from knowledge.models import Chunk

    found = Chunk.objects.filter(document=document_id).aggregate(count=Count("pk"), tokens=Sum("token_count"))
    return max(math.ceil(found["count"] / MAX_INPUTS), math.ceil((found["tokens"] or 0) / MAX_REQUEST_TOKENS))


async def embed_bare(base_url: str, inputs: Sequence[Sequence[str]], *, concurrency: int) -> float:
    """Seconds for a request each by the official client, so many at once."""
    import openai

    client = openai.AsyncOpenAI(api_key=KEY, base_url=base_url, max_retries=0)
    waiting = list(inputs)

    async def work() -> None:
        while waiting:
            found = await client.embeddings.create(
                input=list(waiting.pop()), model=MODEL, dimensions=DIMENSIONS
            )
            assert found.data

    await client.embeddings.create(input="warm", model=MODEL, dimensions=DIMENSIONS)
    started = time.perf_counter()
    await asyncio.gather(*(work() for _ in range(concurrency)))
    return time.perf_counter() - started
