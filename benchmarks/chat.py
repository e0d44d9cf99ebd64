"""What does the chat add to its provider: time to the first token, pace, bytes, statements, memory, connections.

The web process runs as in production, with a pool of four connections, against `benchmarks.paced_provider`: 200 ms to
the first token, then 50 tokens a second, embeddings at once. "Bare" is the openai client in this process making the
same two calls with nothing around them. Both take turns, because the machine is not ours alone.
"""

import asyncio
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import contextmanager
from typing import Any

from benchmarks.chat_clients import (
    CHAT_MODEL,
    DIMENSIONS,
    EMBEDDING_MODEL,
    Heard,
    ask_bare,
    ask_by_socket,
    ask_many,
    open_sockets,
    run_daphne,
)
from benchmarks.harness import Result, milliseconds, percentile

POOL_SIZE, MEMBERS, PASSAGES = 4, 13, 300
ONE_BY_ONE, AT_ONCE, TOKENS_AT_ONCE = 30, 50, 200
CROWD, CROWD_TOKENS = 100, 60
SHORT, LONG, LENGTH_PACE = 500, 2000, 200
IDLE, WARM_UP_SOCKETS = 200, 40
PROMISED = {"first token": 1.20, "p95 of 50": 1.5, "pace of 50": 0.9, "bytes": 4.2, "memory": 2.0}


class Members:
    """People with cookies, and conversations that nobody has used yet."""

    def __init__(self) -> None:
        from django.conf import settings
        from django.test import Client

        from cloneai.accounts.models import User

        self.cookies = []
        self.users = [User.objects.create_user(email=f"m{n}@example.com") for n in range(MEMBERS)]
        for user in self.users:
            client = Client()
            client.force_login(user)
            name = settings.SESSION_COOKIE_NAME
            self.cookies.append(f"{name}={client.cookies[name].value}")
        self.clone = make_clone(owner=self.users[0])

    def seats(self, count: int) -> list[dict[str, Any]]:
        """New conversations with their member's cookie, in turn."""
        from chat.models import ChatSession

        sessions = ChatSession.objects.bulk_create(
            ChatSession(clone=self.clone, user=self.users[n % MEMBERS]) for n in range(count)
        )
        return [
            {"session_id": session.pk, "cookie": self.cookies[n % MEMBERS]}
            for n, session in enumerate(sessions)
        ]


def run() -> Result:
    from django.conf import settings
    from django.core.management import call_command

    call_command("collectstatic", interactive=False, verbosity=0)  # what pages outside DEBUG look for
    with subprocess.Popen(
        [sys.executable, "-m", "benchmarks.paced_provider"], stdout=subprocess.PIPE, text=True
    ) as provider:
        assert provider.stdout is not None
        address = f"http://127.0.0.1:{int(provider.stdout.readline())}/v1"
        settings.AI_OFFLINE, settings.OPENAI_API_KEY, settings.OPENAI_BASE_URL = False, "sk-bench", address
        settings.GPT_4_MODEL, settings.GPT_4_MINI_MODEL = CHAT_MODEL, "gpt-4o-mini"
        settings.EMBEDDING_MODEL, settings.EMBEDDING_DIMENSIONS = EMBEDDING_MODEL, DIMENSIONS
        variables = {
            "OPENAI_API_KEY": "sk-bench",
            "OPENAI_BASE_URL": address,
            "GPT_4_MODEL": CHAT_MODEL,
            "DATABASE_POOL_SIZE": str(POOL_SIZE),
            "DAILY_COST_LIMIT": "1000000",
            "DEBUG": "false",
            "SECRET_KEY": settings.SECRET_KEY,  # that of the cookies
            "ALLOWED_HOSTS": "127.0.0.1",
            "INSECURE_HTTP": "true",
            "STAFF_TOTP_REQUIRED": "false",
        }
        try:
            return measure(members=Members(), address=address, variables=variables)
        finally:
            provider.kill()


def make_clone(*, owner: Any) -> Any:
    """A clone with `PASSAGES` passages, through the real pipeline."""
    from django.core.files.base import ContentFile

    from clones.models import Clone, Visibility
    from knowledge.ingestion import ingest_document
    from knowledge.uploads import create_document

    clone = Clone.objects.create(
        owner=owner,
        name="Ada Berg",
        slug="ada",
        visibility=Visibility.PUBLIC,
        chunk_tokens=100,
        chunk_overlap_tokens=0,
        daily_cost_limit_usd=None,
    )
    text = "\n\n".join(
        f"# Part {number}\n\nBegin each one-on-one number {number} with a question. "
        + "Then listen to what they say about it. " * 7
        for number in range(PASSAGES)
    )
    file = ContentFile(text.encode(), name="book.md")
    document = create_document(clone=clone, file=file, file_name="book.md", uploaded_by=owner)
    ingest_document(document_id=document.pk)
    document.refresh_from_db()
    assert document.chunk_count >= PASSAGES / 2, (document.status, document.error_message)
    return clone


def measure(*, members: Members, address: str, variables: dict[str, str]) -> Result:
    with run_daphne("cloneai.asgi:application", **variables) as (host, _pid):
        one_by_one = asyncio.run(compare_one_by_one(host=host, members=members, address=address))
        at_once = asyncio.run(compare_at_once(host=host, members=members, address=address))
        lengths = [measure_length(host=host, members=members, tokens=tokens) for tokens in (SHORT, LONG)]
        crowd = asyncio.run(ask_crowd(host=host, members=members))
    ours, bare = (
        measure_memory(application, members=members, variables=variables)
        for application in ("cloneai.asgi:application", "benchmarks.bare_consumer:application")
    )
    return report(one_by_one=one_by_one, at_once=at_once, lengths=lengths, crowd=crowd, memory=(ours, bare))


async def compare_one_by_one(*, host: str, members: Members, address: str) -> tuple[list[Heard], list[Heard]]:
    socket_answers, bare_answers = [], []
    seats = await asyncio.to_thread(members.seats, ONE_BY_ONE + 3)
    async with provider_client(address) as client:
        for number, seat in enumerate(seats):
            async with open_sockets(host=host, seats=[seat]) as (link,):
                by_socket = await ask_by_socket(link, tokens=10)
            bare = await ask_bare(client, tokens=10)
            if number >= 3:  # what is loaded with the first call
                socket_answers.append(by_socket)
                bare_answers.append(bare)
    return socket_answers, bare_answers


async def compare_at_once(*, host: str, members: Members, address: str) -> tuple[list[Heard], list[Heard]]:
    seats = await asyncio.to_thread(members.seats, AT_ONCE)
    async with provider_client(address) as client:
        bare = await ask_many([ask_bare(client, tokens=TOKENS_AT_ONCE) for _ in range(AT_ONCE)])
    async with open_sockets(host=host, seats=seats) as links:
        by_socket = await ask_many([ask_by_socket(link, tokens=TOKENS_AT_ONCE) for link in links])
    return by_socket, bare


async def ask_crowd(*, host: str, members: Members) -> list[Heard]:
    seats = await asyncio.to_thread(members.seats, CROWD)
    async with open_sockets(host=host, seats=seats) as links:
        return await ask_many([ask_by_socket(link, tokens=CROWD_TOKENS) for link in links])


async def ask_alone(*, host: str, seat: dict[str, Any], tokens: int) -> Heard:
    async with open_sockets(host=host, seats=[seat]) as (link,):
        return await ask_by_socket(link, tokens=tokens, pace=LENGTH_PACE)


def provider_client(address: str) -> Any:
    import openai

    return openai.AsyncOpenAI(api_key="sk-bench", base_url=address)


def measure_length(*, host: str, members: Members, tokens: int) -> tuple[Heard, dict[str, int]]:
    """One answer of this length, and the statements that PostgreSQL logged meanwhile, by who made them."""
    seat = members.seats(1)[0]
    with statements_logged() as lines:
        heard = asyncio.run(ask_alone(host=host, seat=seat, tokens=tokens))
    checkpoints = [line for line in lines if '"heartbeat_at" = ' in line or "stop_requested" in line]
    watch = [line for line in lines if "django_session" in line or '"accounts_user"."password" AS' in line]
    return heard, {"reply": len(lines) - len(checkpoints) - len(watch), "checkpoints": len(checkpoints)}


@contextmanager
def statements_logged() -> Any:
    """Collects what other processes have PostgreSQL do while the block runs."""
    from django.conf import settings
    from django.db import connection

    log = next((settings.VAR_DIR / "postgres").glob("log*"), None)
    log = next(log.glob("*")) if log is not None and log.is_dir() else log
    assert log is not None, "the embedded server keeps no log"
    lines: list[str] = []
    with connection.cursor() as cursor:
        cursor.execute("ALTER SYSTEM SET log_statement = 'all'")
        cursor.execute("SELECT pg_reload_conf()")
        time.sleep(0.5)
        start = log.stat().st_size
        yield lines
        time.sleep(0.5)
        text = log.read_bytes()[start:].decode(errors="replace")
        lines += [
            line for line in text.splitlines() if "LOG:  statement:" in line or "LOG:  execute " in line
        ]
        cursor.execute("ALTER SYSTEM RESET log_statement")
        cursor.execute("SELECT pg_reload_conf()")


def measure_memory(application: str, *, members: Members, variables: dict[str, str]) -> float:
    """KiB that an idle socket costs the web process: those after the first `WARM_UP_SOCKETS`."""
    import psutil

    with run_daphne(application, **variables) as (host, pid):

        async def hold() -> float:
            seats = await asyncio.to_thread(members.seats, IDLE + WARM_UP_SOCKETS)
            async with open_sockets(host=host, seats=seats[:WARM_UP_SOCKETS]):
                await asyncio.sleep(1)
                before = psutil.Process(pid).memory_info().rss
                async with open_sockets(host=host, seats=seats[WARM_UP_SOCKETS:]):
                    await asyncio.sleep(1)
                    return (psutil.Process(pid).memory_info().rss - before) / IDLE / 1024

        return asyncio.run(hold())


def report(
    *,
    one_by_one: tuple[Sequence[Heard], Sequence[Heard]],
    at_once: tuple[Sequence[Heard], Sequence[Heard]],
    lengths: Sequence[tuple[Heard, dict[str, int]]],
    crowd: Sequence[Heard],
    memory: tuple[float, float],
) -> Result:
    first = [statistics.median(heard.first_token for heard in side) for side in one_by_one]
    p95 = [percentile([heard.first_token for heard in side], 95) for side in at_once]
    pace = [statistics.median(heard.tokens_per_second for heard in side) for side in at_once]
    (short, short_statements), (long, long_statements) = lengths
    ratios = {
        "first token": first[0] / first[1],
        "p95 of 50": p95[0] / p95[1],
        "pace of 50": pace[0] / pace[1],
        "bytes": long.socket_bytes / short.socket_bytes,
        "memory": memory[0] / memory[1],
    }
    finished = sum(heard.status == "complete" for heard in crowd)
    is_good = (
        all(
            ratio >= PROMISED[name] if name == "pace of 50" else ratio <= PROMISED[name]
            for name, ratio in ratios.items()
        )
        and long_statements["reply"] <= short_statements["reply"]
        and finished == CROWD
    )

    def row(name: str, ours: object, bare: object, key: str = "") -> tuple[object, ...]:
        sign = ">=" if key == "pace of 50" else "<="
        return (name, ours, bare, f"{ratios[key]:.2f} ({sign} {PROMISED[key]})" if key else "")

    return Result(
        name="chat",
        question="what does the chat add to its provider?",
        ratio=ratios["first token"],
        ratio_of="first token through a socket / bare embedding and chat call",
        is_good=is_good,
        columns=("", "chat", "bare", "ratio"),
        rows=(
            row("first token, one by one (ms, median)", *map(milliseconds, first), "first token"),
            row(f"first token, {AT_ONCE} at once (ms, p95)", *map(milliseconds, p95), "p95 of 50"),
            row(f"tokens a second, {AT_ONCE} at once (median)", *(f"{p:.1f}" for p in pace), "pace of 50"),
            row(f"bytes of {LONG} tokens, of {SHORT}", long.socket_bytes, short.socket_bytes, "bytes"),
            row(
                f"statements of {LONG} tokens, of {SHORT}",
                long_statements["reply"],
                short_statements["reply"],
            ),
            row(
                "checkpoints of the process meanwhile",
                long_statements["checkpoints"],
                short_statements["checkpoints"],
            ),
            row("an idle socket (KiB)", *(f"{kib:.1f}" for kib in memory), "memory"),
            row(f"of {CROWD} streams over {POOL_SIZE} connections, complete", finished, ""),
        ),
        notes=(
            "bytes, statements and checkpoints compare a long answer with a short one",
            "checkpoints save the texts of all running answers of the process in one statement, every two seconds",
        ),
        figures={"ratios": ratios},
    )
