"""What does a full house look like over ten minutes: throughput, times, errors that a member sees, memory?

`manage.py serve` as `make run` starts it, outside DEBUG, against `benchmarks.paced_provider`. MEMBERS (20) chat, stop,
lose their line and come back, leave; an expert uploads. DURATION seconds (600). Writes results/load.md and load.svg.
"""

import asyncio
import os
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from benchmarks.harness import FOLDER, Result, percentile
from benchmarks.load_people import Member, Notes, upload_until
from benchmarks.plots import write_charts

DURATION = float(os.environ.get("DURATION", "600"))
MEMBERS, WORDS = int(os.environ.get("MEMBERS", "20")), 2_500
PROMISED_GROWTH, SAMPLE_SECONDS, BUCKETS, MEGABYTE = 1.05, 1.0, 40, 2**20
DOCUMENTS_SECONDS = 60.0
Memory = dict[str, list[tuple[float, float]]]


def run() -> Result:
    from benchmarks.chat_clients import CHAT_MODEL, DIMENSIONS, EMBEDDING_MODEL, make_clone
    from chat.tests.live import find_free_port
    from cloneai.accounts.models import User

    provider = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.paced_provider"], stdout=subprocess.PIPE, text=True
    )
    assert provider.stdout is not None
    address = f"http://127.0.0.1:{int(provider.stdout.readline())}/v1"
    from django.conf import settings

    settings.AI_OFFLINE, settings.OPENAI_API_KEY, settings.OPENAI_BASE_URL = False, "sk-bench", address
    settings.EMBEDDING_MODEL, settings.EMBEDDING_DIMENSIONS = EMBEDDING_MODEL, DIMENSIONS
    port = find_free_port()
    variables = {
        "PORT": str(port),
        "OPENAI_API_KEY": "sk-bench",
        "OPENAI_BASE_URL": address,
        "GPT_4_MODEL": CHAT_MODEL,
        "DAILY_COST_LIMIT": "1000000",
        "USER_DAILY_COST_LIMIT": "1000000",
        "API_REQUESTS_PER_MINUTE": "100000",  # all come from one address
        "DEBUG": "false",
        "SECRET_KEY": settings.SECRET_KEY,
        "ALLOWED_HOSTS": "127.0.0.1",
        "INSECURE_HTTP": "true",
        "STAFF_TOTP_REQUIRED": "false",
        "DOCUMENT_CLEANING": "false",  # this provider's answers are no cleaned text, nor questions
        "DOCUMENT_PROBES": "false",
    }
    # As the web process will look for them: with the names that files have outside DEBUG.
    command = [sys.executable, "manage.py", "collectstatic", "--no-input", "--verbosity", "0"]
    subprocess.run(command, env={**os.environ, **variables}, check=True)
    try:
        clone = make_clone(owner=User.objects.create_user(email="expert@example.com", is_staff=True))
        with serve(variables) as (host, supervisor):
            notes, memory, taken = asyncio.run(live(host=host, clone=clone, supervisor=supervisor))
            finished = wait_for_documents()
        return report(notes=notes, memory=memory, taken=taken, finished=finished)
    finally:
        provider.kill()


@contextmanager
def serve(variables: dict[str, str]) -> Iterator[tuple[str, psutil.Process]]:
    host = f"127.0.0.1:{variables['PORT']}"
    process = subprocess.Popen(
        [sys.executable, "manage.py", "serve"],
        cwd=FOLDER.parent,
        env={**os.environ, **variables},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        while process.poll() is None:
            try:
                urllib.request.urlopen(f"http://{host}/readyz", timeout=5).close()
                break
            except OSError:
                time.sleep(0.2)
        yield host, psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait(timeout=60)


async def live(*, host: str, clone: Any, supervisor: psutil.Process) -> tuple[Notes, Memory, int]:
    import httpx2

    people, token = await asyncio.to_thread(make_people, clone)
    async with httpx2.AsyncClient(timeout=30, limits=httpx2.Limits(max_connections=200)) as http:
        notes = Notes()
        end = notes.began + DURATION
        members = [Member(host=host, slug=clone.slug, http=http, notes=notes, **one) for one in people]
        uploading = upload_until(
            end,
            url=f"http://{host}/api/clones/{clone.slug}/documents",
            token=token,
            http=http,
            notes=notes,
            words=WORDS,
        )
        memory, taken, *_ = await asyncio.gather(
            watch_memory(supervisor, notes=notes, end=end),
            uploading,
            *(member.live_until(end) for member in members),
        )
    return notes, memory, taken


def make_people(clone: Any) -> tuple[list[dict[str, str]], str]:
    from django.conf import settings
    from django.contrib.auth.models import Group
    from django.test import Client

    from cloneai.accounts.models import ApiKey, User

    name, people = settings.SESSION_COOKIE_NAME, []
    for number in range(MEMBERS):
        user = User.objects.create_user(email=f"m{number}@example.com")
        browser = Client()
        browser.force_login(user)
        cookie = f"{name}={browser.cookies[name].value}"
        people.append({"cookie": cookie, "token": ApiKey.issue(user=user, name="bench")[1]})
    clone.owner.groups.add(*Group.objects.filter(name="Experts"))
    return people, ApiKey.issue(user=clone.owner, name="bench")[1]


async def watch_memory(supervisor: psutil.Process, *, notes: Notes, end: float) -> Memory:
    """Megabytes of the web process and of all processes of the job cluster; what they share is counted once."""
    found: Memory = {"web": [], "workers": []}
    while time.monotonic() < end:
        sizes = {"web": 0.0, "workers": 0.0}
        for process in supervisor.children(recursive=True):
            try:
                command, size = process.cmdline(), proportional_size(process.pid) / MEGABYTE
            except (psutil.Error, OSError):
                continue
            if "cloneai.web" in command:
                sizes["web"] += size
            elif "qcluster" in command:
                sizes["workers"] += size
        for name, size in sizes.items():
            found[name].append((time.monotonic() - notes.began, size))
        await asyncio.sleep(SAMPLE_SECONDS)
    return found


def proportional_size(pid: int) -> int:
    """Bytes of its own, and its part of those that it shares with others (Linux)."""
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return next(int(line.split()[1]) * 1024 for line in rollup.splitlines() if line.startswith("Pss:"))


def wait_for_documents() -> int:
    """How many became ready, the one from before included."""
    from knowledge.models import FINAL_STATUSES, Document, Status

    began = time.monotonic()
    while (
        Document.objects.exclude(status__in=FINAL_STATUSES).exists()
        and time.monotonic() < began + DOCUMENTS_SECONDS
    ):
        time.sleep(0.5)
    return Document.objects.filter(status=Status.READY).count()


def growth(samples: Sequence[tuple[float, float]]) -> float:
    """Mean of the last third over the mean of the middle one."""
    third = len(samples) // 3
    sizes = [size for _at, size in samples]
    return statistics.mean(sizes[2 * third :]) / statistics.mean(sizes[third : 2 * third])


def report(*, notes: Notes, memory: Memory, taken: int, finished: int) -> Result:
    rows = []
    for kind, values in sorted(notes.took.items()):
        seconds = [took for _at, took in values]
        if kind == "come back":
            rows.append((kind, len(seconds), f"{len(seconds) / DURATION:.2f}", "", "", ""))
            continue
        times = [f"{percentile(seconds, percent) * 1000:.0f}" for percent in (50, 95, 99)]
        rows.append((kind, len(seconds), f"{len(seconds) / DURATION:.2f}", *times))
    grown = {name: growth(samples) for name, samples in memory.items()}
    lost = taken + 1 - finished
    largest = {name: max(size for _at, size in samples) for name, samples in memory.items()}
    notes_of = (
        f"{MEMBERS} members and an expert for {DURATION:.0f} s; errors that they saw: "
        f"{notes.errors.total()} {dict(notes.errors) or ''}",
        f"{taken} uploads taken, {lost} of them not ready.",
        *(
            f"Memory of {name}: at most {largest[name]:.0f} MB, last third / middle third {grown[name]:.3f}."
            for name in memory
        ),
    )
    result = Result(
        name="load",
        question=f"what does a full house look like over {DURATION:.0f} seconds?",
        ratio=max(grown.values()),
        ratio_of=f"memory, last third / middle third, the larger of both (promised: {PROMISED_GROWTH})",
        is_good=max(grown.values()) <= PROMISED_GROWTH and not notes.errors and not lost,
        columns=("", "number", "a second", "p50 ms", "p95 ms", "p99 ms"),
        rows=rows,
        notes=notes_of,
        figures={"growth": grown, "largest_megabytes": largest, "errors": dict(notes.errors)},
    )
    write_report(result, notes=notes, memory=memory)
    return result


def write_report(result: Result, *, notes: Notes, memory: Memory) -> None:
    folder = FOLDER / "results"
    answers = [values for kind, values in notes.took.items() if kind.startswith("answer")]
    write_charts(
        folder / "load.svg",
        {
            "Answers a second": {"answers": rate([point for values in answers for point in values])},
            "First token, milliseconds": {
                "median": over_time(notes.took["first token"], 50),
                "p95": over_time(notes.took["first token"], 95),
            },
            "Page, milliseconds": {
                "median": over_time(notes.took["page"], 50),
                "p95": over_time(notes.took["page"], 95),
            },
            "Upload taken, milliseconds": {"median": over_time(notes.took.get("upload", []), 50)},
            "Memory, megabytes": memory,
        },
        seconds=DURATION,
    )
    lines = [f"# Load: {result.question}", "", "![Over time](load.svg)", ""]
    lines += [f"| {' | '.join(result.columns)} |", "|---" * len(result.columns) + "|"]
    lines += [f"| {' | '.join(str(cell) for cell in row)} |" for row in result.rows]
    lines += ["", *(f"* {note}" for note in result.notes)]
    (folder / "load.md").write_text("\n".join(lines) + "\n")


def buckets(values: Sequence[tuple[float, float]]) -> dict[float, list[float]]:
    """Values by the middle of their part of the time."""
    width = DURATION / BUCKETS
    found: dict[float, list[float]] = {}
    for at, took in sorted(values):
        if at <= DURATION:
            found.setdefault((at // width + 0.5) * width, []).append(took)
    return found


def over_time(values: Sequence[tuple[float, float]], percent: int) -> list[tuple[float, float]]:
    return [(at, percentile(part, percent) * 1000) for at, part in buckets(values).items()]


def rate(values: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    return [(at, len(part) * BUCKETS / DURATION) for at, part in buckets(values).items()]
