"""Does a clone answer more slowly because there are others? Search and lists of one clone, alone and among 1,000.

DOCUMENTS (1000,10000,100000) sets the sizes of the installation, three passages a document. The passages are the demo's
own words, their vectors the local model's, handed round; so every word of a question is also in the other clones.
"""

import asyncio
import os
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

from benchmarks.harness import Result, milliseconds

SIZES = [int(size) for size in os.environ.get("DOCUMENTS", "1000,10000,100000").split(",")]
OTHERS, PASSAGES_PER_DOCUMENT, OWN_DOCUMENTS = 1000, 3, 170
REPEATS, QUESTIONS = 5, 12
PROMISED = 1.10


def run() -> Result:
    from django.core.management import call_command
    from django.db import connection
    from django.test import Client

    from clones.models import Clone

    call_command("demo", verbosity=0)
    probe = Clone.objects.get(slug="mara")
    passages = read_pool(probe)
    owner = probe.owner
    others = Clone.objects.bulk_create(
        [Clone(owner=owner, name=f"Clone {n}", slug=f"clone-{n}", visibility="public") for n in range(OTHERS)]
    )
    fill(clone_ids=[probe.pk], documents=OWN_DOCUMENTS, pool=passages)
    browser = Client()
    browser.force_login(owner)
    visits = {
        "gallery": "/",
        "profile": "/c/mara/",
        "documents of the clone": f"/admin/knowledge/document/?clone={probe.pk}",
        "all documents": "/admin/knowledge/document/",
        "documents by API": f"/api/clones/{probe.slug}/documents",
        "all clones": "/admin/clones/clone/",
        "overview of the admin": "/admin/",
        "insights": "/admin/chat/sessionsummary/insights/",
        "cost report": "/admin/billing/costrecord/report/?group_by=clone",
    }
    questions = load_questions()

    def measure() -> dict[str, float]:
        with connection.cursor() as cursor:
            cursor.execute("VACUUM ANALYZE")
        found = {"search": time_search(probe, questions)}
        for name, address in visits.items():
            found[name] = time_call(lambda address=address: visit(browser, address))  # type: ignore[misc]
        return found

    figures = {0: measure()}
    for size, before in zip(SIZES, [0, *SIZES], strict=False):
        fill(clone_ids=[clone.pk for clone in others], documents=size - before, pool=passages)
        figures[size] = measure()
    alone, largest = figures[0], figures[SIZES[-1]]
    ratio = largest["search"] / alone["search"]
    return Result(
        name="growth",
        question=f"what does a clone's own work cost among {OTHERS:,} others?",
        ratio=ratio,
        ratio_of=f"search among {SIZES[-1]:,} documents of others / alone",
        is_good=ratio <= PROMISED,
        columns=("milliseconds, median", "alone", *(f"{size:,} others" for size in SIZES)),
        rows=[(name, *(milliseconds(figures[size][name]) for size in figures)) for name in alone],
        notes=(f"The clone has {OWN_DOCUMENTS * PASSAGES_PER_DOCUMENT:,} passages, as have no others.",),
        figures={"seconds": figures},
    )


def read_pool(clone: Any) -> list[tuple[str, int, str]]:
    """Text, tokens and vector of the demo's passages."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT chunk.content, chunk.token_count, made.embedding::text FROM knowledge_chunk chunk"
            " JOIN knowledge_chunkembedding made ON made.chunk_id = chunk.id WHERE chunk.clone_id = %s",
            [clone.pk],
        )
        return list(cursor.fetchall())


def fill(*, clone_ids: Sequence[int], documents: int, pool: Sequence[tuple[str, int, str]]) -> None:
    """Documents with their passages and vectors, made by the server from the pool, spread over the clones."""
    from django.db import connection, transaction

    from knowledge.models import Chunk, ChunkEmbedding, Document, Status

    if documents <= 0:
        return
    made = [
        Document(
            clone_id=clone_ids[number % len(clone_ids)],
            title=f"Document {number}",
            file_name=f"{number}.txt",
            file=f"documents/{number}",
            live_file=f"documents/{number}",
            kind="text",
            sha256=f"{clone_ids[0]}-{documents}-{number}",
            status=Status.READY,
            live_version=1,
            version=1,
            page_count=1,
            chunk_count=PASSAGES_PER_DOCUMENT,
        )
        for number in range(documents)
    ]
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")  # no check of 300,000 foreign keys
        Document.objects.bulk_create(made, batch_size=5000)
        cursor.execute(
            "CREATE TEMP TABLE pool (n int, content text, tokens int, vector halfvec) ON COMMIT DROP"
        )
        cursor.executemany(
            "INSERT INTO pool VALUES (%s, %s, %s, %s::halfvec)", [(n, *row) for n, row in enumerate(pool)]
        )
        cursor.execute("CREATE TEMP TABLE fresh (document uuid, clone bigint, n int) ON COMMIT DROP")
        with cursor.copy("COPY fresh FROM STDIN") as copy:
            for number, document in enumerate(made):
                copy.write_row((str(document.pk), document.clone_id, number))
        cursor.execute(
            f"INSERT INTO {Chunk._meta.db_table} (document_id, clone_id, version, index, content, headings, start_char,"
            " end_char, page_start, page_end, token_count, is_live, language)"
            " SELECT document, clone, 1, part, content, '{}', 0, length(content), 1, 1, tokens, true, 'english'"
            " FROM fresh CROSS JOIN generate_series(0, %s) part"
            " JOIN pool ON pool.n = (fresh.n * 7 + part * 31) %% %s",
            [PASSAGES_PER_DOCUMENT - 1, len(pool)],
        )
        cursor.execute(
            f"INSERT INTO {ChunkEmbedding._meta.db_table} (chunk_id, document_id, clone_id, model, dimensions,"
            " embedding, is_live)"
            " SELECT chunk.id, document, clone, %s, 256, vector, true"
            f" FROM fresh JOIN {Chunk._meta.db_table} chunk ON chunk.document_id = fresh.document"
            " JOIN pool ON pool.n = (fresh.n * 7 + chunk.index * 31) %% %s",
            ["local-wordllama-256", len(pool)],
        )


def load_questions() -> list[str]:
    import json
    from pathlib import Path

    import cloneai.demo

    found = json.loads((Path(cloneai.demo.__file__).parent / "questions.json").read_text())
    return [item["question"] for item in found[:QUESTIONS]]


def time_search(clone: Any, questions: Sequence[str]) -> float:
    """Median seconds of a search, embedding of the question included."""
    from billing.metering import Payer
    from knowledge.retrieval import search_passages

    payer = Payer(user_id=clone.owner_id, clone_id=clone.pk)

    async def search_all() -> list[float]:
        times = []
        for round_number in range(REPEATS + 1):
            for question in questions:
                started = time.perf_counter()
                await search_passages(clone=clone, query=question, payer=payer)
                if round_number:
                    times.append(time.perf_counter() - started)
        return times

    return statistics.median(asyncio.run(search_all()))


def time_call(call: Callable[[], object]) -> float:
    times = []
    for number in range(REPEATS + 1):
        started = time.perf_counter()
        call()
        if number:
            times.append(time.perf_counter() - started)
    return statistics.median(times)


def visit(browser: Any, address: str) -> None:
    response = browser.get(address, headers={"host": "localhost"})
    assert response.status_code == 200, (address, response.status_code)
