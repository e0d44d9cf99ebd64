"""Are documents taken in and found faster than by LlamaIndex and LangChain, with their own PostgreSQL vector stores?

All three get the same files, the same provider of vectors (`benchmarks.vector_provider`), the same server and the same
length of passages. The peers run in one process, as their guides show; ours runs as it is delivered, by its cluster of
workers, and once more in one process. The peers read, split, embed and store; ours does besides what the product
promises: stored upload, killable parser, checkpoints, leases, cost records, sketches for likeness, search by words.
Left out of ours is what the peers have no part for: cleaning by a model, the proof that a document is found, and the
second look at a poor search, which asks a chat model for other phrasings. The vectors are those of the local model
under another name, so its floor of relevance applies: a hosted model's refused a sixth of the questions.
Retrieval is from question to passages, with the embedding call. Peers are asked exactly (their default) and with
an HNSW index. The texts are the everyday corpora, those of SHARED_DATA where it is, and DOCUMENTS (40) made ones.
"""

import asyncio
import json
import os
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from benchmarks.harness import FOLDER, Result, milliseconds, percentile

DOCUMENTS, WORDS = int(os.environ.get("DOCUMENTS", "40")), 12_000
CHUNK_TOKENS, OVERLAP_TOKENS, LIMIT = 400, 80, 5
MODEL, DIMENSIONS = "text-embedding-3-small", 1536
REQUIREMENTS = FOLDER / "requirements-peers.txt"
PEERS_VENV = Path(os.environ.get("PEERS_VENV", FOLDER.parent / "var" / "peers-venv"))
PEERS = {"LlamaIndex": "llama_index_peer", "LangChain": "langchain_peer"}
TABLES = {"LlamaIndex": "data_peers", "LangChain": "langchain_peers"}
# The most that the provider takes at once: 300,000 tokens. Their defaults (100 and 1,000) were slower or as fast.
EMBED_BATCH = {"LlamaIndex": 700, "LangChain": 700}
LONGEST_RUN_SECONDS = 200
WORD, EDGE_WORDS = re.compile(r"\w+"), 8
PROMISED_INGESTION, PROMISED_RETRIEVAL = 2.0, 0.5


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A corpus's question, and the file that answers it."""

    file_name: str
    text: str
    question: Any


@dataclass(frozen=True, kw_only=True)
class Found:
    """`passages[n]`: (file name, text) of what question n found, best first; seconds, one a question."""

    passages: Sequence[Sequence[tuple[str, str]]]
    seconds: Sequence[float]


def run() -> Result:
    python = install_peers()
    folder = Path(os.environ["VAR_DIR"]) / "texts"
    asked = write_texts(folder)
    with subprocess.Popen(
        [sys.executable, "-m", "benchmarks.vector_provider"], stdout=subprocess.PIPE, text=True
    ) as provider:
        assert provider.stdout is not None
        address = f"http://127.0.0.1:{int(provider.stdout.readline())}/v1"
        try:
            return compare(python=python, folder=folder, asked=asked, provider=address)
        finally:
            provider.kill()


def install_peers() -> Path:
    """The Python of an environment that has the pinned peers; made when it is missing or out of date."""
    python, stamp = PEERS_VENV / "bin" / "python", PEERS_VENV / "requirements.txt"
    if not stamp.exists() or stamp.read_text() != REQUIREMENTS.read_text():
        print(f"Installing the peers into {PEERS_VENV} …", flush=True)
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(PEERS_VENV)], check=True)
        install = [
            str(python),
            "-m",
            "pip",
            "install",
            "--quiet",
            "--require-hashes",
            "-r",
            str(REQUIREMENTS),
        ]
        subprocess.run(install, check=True)
        stamp.write_text(REQUIREMENTS.read_text())
    return python


def write_texts(folder: Path) -> list[Asked]:
    """The corpora that are plain text, and made ones among which they must be found."""
    from benchmarks.corpora import everyday_corpora, public_corpora
    from benchmarks.ingestion_setup import make_text

    folder.mkdir(parents=True)
    asked: list[Asked] = []
    for corpus in (*everyday_corpora(), *public_corpora()):
        files = [path for path in corpus.files if path.suffix in (".md", ".txt")]
        texts = {path.name: path.read_text() for path in files}
        for name, text in texts.items():
            (folder / name).write_text(text)
        for questions in corpus.sets.values():
            for question in questions:
                holder = next((name for name, text in texts.items() if holds(text, question)), None)
                if holder:
                    asked.append(Asked(file_name=holder, text=texts[holder], question=question))
    for number in range(DOCUMENTS):
        (folder / f"made-{number}.txt").write_text(make_text(number, words=WORDS))
    return asked


def holds(text: str, question: Any) -> bool:
    return bool(question.spans) or question.is_answered_by(content=text, start=0, end=0)


def compare(*, python: Path, folder: Path, asked: Sequence[Asked], provider: str) -> Result:
    from django.db import connection

    questions = [one.question.text for one in asked]
    connection.ensure_connection()
    at = connection.connection.info
    order = {
        "host": at.host,
        "database": at.dbname,
        "user": at.user,
        "folder": str(folder),
        "provider": provider,
        "model": MODEL,
        "dimensions": DIMENSIONS,
        "chunk_tokens": CHUNK_TOKENS,
        "overlap_tokens": OVERLAP_TOKENS,
        "limit": LIMIT,
        "questions": questions,
    }
    clone, ingested = ingest_ours(folder, provider)
    for name in PEERS:
        done = run_peer(name, python=python, order=order | {"task": "ingest"})
        ingested[name] = (done["seconds"], done["passages"])
    vacuum()
    found = {"ours": asyncio.run(ask_ours(clone, questions))}
    for name in PEERS:
        found[name] = ask_peer(name, python=python, order=order)
    for name in PEERS:
        index_peer(name)
        found[f"{name}, HNSW"] = ask_peer(name, python=python, order=order)
    return report(ingested, found, asked)


def ingest_ours(folder: Path, provider: str) -> tuple[Any, dict[str, tuple[float, int]]]:
    """The clone, and seconds and passages of both ways: one document after the other in this process, then by the
    cluster. The first time each is warmed up.
    """
    from django.conf import settings

    from benchmarks.ingestion_setup import make_clone, start_cluster, use_fake_provider, wait_for_the_end
    from knowledge.ingestion import ingest_document
    from knowledge.models import Document
    from knowledge.relevance import CALIBRATIONS

    environment = use_fake_provider(provider) | {"DOCUMENT_PROBES": "false"}
    settings.EMBEDDING_MODEL, settings.EMBEDDING_DIMENSIONS = MODEL, DIMENSIONS
    settings.DOCUMENT_PROBES = False
    # Floor and weights of the model whose vectors these are; no first search is poor, and none is read closely.
    CALIBRATIONS[MODEL] = replace(CALIBRATIONS["local-wordllama-256"], reading=None, sure=-1.0)
    clone = make_clone()
    clone.chunk_tokens, clone.chunk_overlap_tokens = CHUNK_TOKENS, OVERLAP_TOKENS
    clone.save()

    def work_here() -> None:
        for key in Document.objects.values_list("pk", flat=True):
            ingest_document(document_id=key)

    def wait_for_cluster() -> None:
        wait_for_the_end(until=time.monotonic() + LONGEST_RUN_SECONDS, look_every_seconds=0.05)

    ingested = {}
    for _ in range(2):
        ingested["ours, one process"] = measure_ours(clone=clone, folder=folder, work=work_here)
    cluster = start_cluster(environment)
    try:
        for _ in range(2):
            ingested["ours"] = measure_ours(clone=clone, folder=folder, work=wait_for_cluster)
    finally:
        cluster.terminate()
        cluster.wait(timeout=60)
    clone.refresh_from_db()
    return clone, ingested


def measure_ours(*, clone: Any, folder: Path, work: Callable[[], None]) -> tuple[float, int]:
    """Seconds from the first upload until all are ready, and their passages."""
    from django_q.models import OrmQ

    from benchmarks.ingestion_setup import upload_all
    from knowledge.models import Chunk, Document, Status

    delete_all()
    OrmQ.objects.all().delete()  # jobs of documents that were read in this process
    started = time.perf_counter()
    files = {path.name: path.read_text() for path in sorted(folder.iterdir())}
    upload_all(clone=clone, files=[text.encode() for text in files.values()], names=list(files))
    work()
    seconds = time.perf_counter() - started
    unfinished = Document.objects.exclude(status=Status.READY)
    assert not unfinished.exists(), unfinished.values_list("file_name", "error_message")
    return seconds, Chunk.objects.count()


def delete_all() -> None:
    from knowledge.models import Document
    from knowledge.uploads import delete_document

    for document in Document.objects.all():
        delete_document(document=document)
    vacuum()


async def ask_ours(clone: Any, questions: Sequence[str]) -> Found:
    from billing.metering import Payer
    from knowledge.models import Document
    from knowledge.retrieval import search_passages

    names = {
        pk: name async for pk, name in Document.objects.filter(clone=clone).values_list("pk", "file_name")
    }
    payer = Payer(user_id=clone.owner_id, clone_id=clone.pk)
    passages, seconds = [], []
    for question in [*questions, *questions]:
        started = time.perf_counter()
        result = await search_passages(clone=clone, query=question, payer=payer, limit=LIMIT)
        seconds.append(time.perf_counter() - started)
        passages.append([(names[one.document_id], one.content) for one in result.passages])
    half = len(questions)  # the first time all of it is warmed up
    return Found(passages=passages[half:], seconds=seconds[half:])


def ask_peer(name: str, *, python: Path, order: dict[str, Any]) -> Found:
    done = run_peer(name, python=python, order=order | {"task": "retrieve"})
    return Found(passages=done["found"], seconds=done["seconds"])


def run_peer(name: str, *, python: Path, order: dict[str, Any]) -> dict[str, Any]:
    program = FOLDER / "peer_programs" / f"{PEERS[name]}.py"
    done = subprocess.run(
        [str(python), str(program)],
        input=json.dumps(order | {"embed_batch": EMBED_BATCH[name]}),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        env={
            **os.environ,
            "TIKTOKEN_CACHE_DIR": str(FOLDER.parent / "cloneai" / "vocabularies"),
            "LANGSMITH_TRACING": "false",
        },
    )
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


def index_peer(name: str) -> None:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SET maintenance_work_mem = '512MB'")
        cursor.execute(f"CREATE INDEX ON {TABLES[name]} USING hnsw (embedding vector_cosine_ops)")


def vacuum() -> None:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")


def recall_of(found: Found, asked: Sequence[Asked]) -> float:
    """The share of the questions whose answer is among the passages, where it stands in the file or by its words."""
    right = 0
    for one, passages in zip(asked, found.passages, strict=True):
        own = [text for file_name, text in passages if file_name == one.file_name]
        right += any(is_answer(one, text) for text in own)
    return right / len(asked)


def is_answer(one: Asked, passage: str) -> bool:
    start, end = find_place(text=one.text, passage=passage) or (0, 0)
    return one.question.is_answered_by(content=passage, start=start, end=end)


def find_place(*, text: str, passage: str) -> tuple[int, int] | None:
    """Where the passage stands in the file, by its first and last words: white space may have been changed."""
    words = WORD.findall(passage.casefold())
    spelled, starts, ends = spell(text)
    first = spelled.find(f" {' '.join(words[:EDGE_WORDS])} ")
    last = spelled.find(f" {' '.join(words[-EDGE_WORDS:])} ", max(first, 0))
    if not words or first < 0 or last < 0:
        return None
    last_word = spelled.count(" ", 0, last + 1) + min(EDGE_WORDS, len(words)) - 2
    return starts[spelled.count(" ", 0, first)], ends[last_word]


@cache
def spell(text: str) -> tuple[str, list[int], list[int]]:
    """The words of a file with a blank on both sides of each, and where they start and end."""
    found = list(WORD.finditer(text))
    spelled = " ".join(["", *(match.group().casefold() for match in found), ""])
    return spelled, [match.start() for match in found], [match.end() for match in found]


def report(ingested: dict[str, tuple[float, int]], found: dict[str, Found], asked: Sequence[Asked]) -> Result:
    recalls = {name: recall_of(one, asked) for name, one in found.items()}
    medians = {name: statistics.median(one.seconds) for name, one in found.items()}
    seconds, passages = ingested["ours, one process"]
    rows: list[Sequence[object]] = [
        ("ours, one process", f"{seconds:.1f}", passages, f"{passages / seconds:.0f}", "", "", "")
    ]
    for name, one in found.items():
        seconds, passages = ingested.get(name, (0.0, 0))
        rate = f"{passages / seconds:.0f}" if seconds else ""
        rows.append(
            (
                name,
                f"{seconds:.1f}" if seconds else "",
                passages or "",
                rate,
                f"{recalls[name]:.3f}",
                milliseconds(medians[name]),
                milliseconds(percentile(one.seconds, 95)),
            )
        )
    faster = min(ingested[name][0] for name in PEERS) / ingested["ours"][0]
    alone = min(ingested[name][0] for name in PEERS) / ingested["ours, one process"][0]
    latency = medians["ours"] / min(medians[name] for name in PEERS)
    indexed = medians["ours"] / min(medians[f"{name}, HNSW"] for name in PEERS)
    best_recall = max(recalls[name] for name in recalls if name != "ours")
    return Result(
        name="peers",
        question="are documents taken in and found faster than by LlamaIndex and LangChain?",
        ratio=faster,
        ratio_of=f"the faster peer's seconds for the same files / ours (promised: {PROMISED_INGESTION})",
        is_good=faster >= PROMISED_INGESTION
        and latency <= PROMISED_RETRIEVAL
        and recalls["ours"] >= best_recall,
        columns=(
            "",
            "ingestion s",
            "passages",
            "a second",
            f"recall@{LIMIT}",
            "question ms, median",
            "ms, p95",
        ),
        rows=rows,
        notes=(
            f"In one process ours takes the files in {alone:.2f} times as fast as the faster peer.",
            f"A question takes {latency:.2f} of the faster peer's exact search (promised: {PROMISED_RETRIEVAL}) and "
            f"{indexed:.2f} of the faster one's with an HNSW index over the one corpus; {len(asked)} questions.",
            "A question of ours is embedded, paid for and searched by vector and by words; theirs by vector.",
            "The made texts are much alike, which is hard for HNSW: look at its recall before its milliseconds.",
        ),
        figures={
            "retrieval": latency,
            "retrieval_indexed": indexed,
            "recall": recalls,
            "seconds": {name: seconds for name, (seconds, _passages) in ingested.items()},
        },
    )
