"""What does the chat add to its provider: time to the first token, pace, bytes, statements, memory, connections.

The web process runs as in production, with a pool of four connections, against `benchmarks.paced_provider`: 200 ms to
the first token, then 50 tokens a second, embeddings at once. "Bare" is the openai client in this process making the
same two calls with nothing around them. Both take turns, because the machine is not ours alone.
"""

import asyncio
import os
import statistics
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

from benchmarks.chat_clients import (
    CHAT_MODEL,
    DIMENSIONS,
    EMBEDDING_MODEL,
    Heard,
    Members,
    ask_bare,
    ask_by_socket,
    ask_many,
    open_sockets,
    run_daphne,
)
from benchmarks.chat_costs import IDLE, measure_length, measure_memory
from benchmarks.harness import Result, milliseconds, percentile

POOL_SIZE = 4
ONE_BY_ONE, AT_ONCE, TOKENS_AT_ONCE = 25, 50, 350
SPREAD_SECONDS = 5.0  # in which they begin: the last one while all others are being answered
CROWD, CROWD_TOKENS = 100, 60
SHORT, LONG = 500, 2000
PROMISED = {"first token": 1.20, "p95 of 50": 1.5, "pace of 50": 0.9, "bytes": 4.2, "memory": 2.0}
PROMISED_MB = 250


def run() -> Result:
    from django.conf import settings

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
        # As the web process will look for them: with the names that files have outside DEBUG.
        command = [sys.executable, "manage.py", "collectstatic", "--no-input", "--verbosity", "0"]
        subprocess.run(command, env={**os.environ, **variables}, check=True)
        try:
            return measure(members=Members(), address=address, variables=variables)
        finally:
            provider.kill()


def measure(*, members: Members, address: str, variables: dict[str, str]) -> Result:
    with run_daphne(**variables) as (host, _pid):
        one_by_one = asyncio.run(compare_one_by_one(host=host, members=members, address=address))
        at_once = asyncio.run(compare_at_once(host=host, members=members, address=address))
        lengths = [measure_length(host=host, members=members, tokens=tokens) for tokens in (SHORT, LONG)]
        crowd = asyncio.run(ask_crowd(host=host, members=members))
    ours, bare = (
        measure_memory(application, members=members, variables=variables, is_asked=is_asked)
        for application, is_asked in (
            (None, False),
            ("benchmarks.bare_consumer:application", False),
        )
    )
    _, used = measure_memory(None, members=members, variables=variables, is_asked=True)
    return report(
        one_by_one=one_by_one,
        at_once=at_once,
        lengths=lengths,
        crowd=crowd,
        memory=(ours[0], bare[0]),
        used_mb=used,
    )


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
        bare = await ask_many(
            [ask_bare(client, tokens=TOKENS_AT_ONCE) for _ in range(AT_ONCE)], spread_seconds=SPREAD_SECONDS
        )
    async with open_sockets(host=host, seats=seats) as links:
        by_socket = await ask_many(
            [ask_by_socket(link, tokens=TOKENS_AT_ONCE) for link in links], spread_seconds=SPREAD_SECONDS
        )
    return by_socket, bare


async def ask_crowd(*, host: str, members: Members) -> list[Heard]:
    seats = await asyncio.to_thread(members.seats, CROWD)
    async with open_sockets(host=host, seats=seats) as links:
        return await ask_many([ask_by_socket(link, tokens=CROWD_TOKENS) for link in links], spread_seconds=1)


def provider_client(address: str) -> Any:
    import openai

    return openai.AsyncOpenAI(api_key="sk-bench", base_url=address)


def report(
    *,
    one_by_one: tuple[Sequence[Heard], Sequence[Heard]],
    at_once: tuple[Sequence[Heard], Sequence[Heard]],
    lengths: Sequence[tuple[Heard, dict[str, int]]],
    crowd: Sequence[Heard],
    memory: tuple[float, float],
    used_mb: float,
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
        and used_mb <= PROMISED_MB
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
                "statements of the process meanwhile, by the clock",
                long_statements["clock"],
                short_statements["clock"],
            ),
            row("an idle socket (KiB)", *(f"{kib:.1f}" for kib in memory), "memory"),
            row(f"the process with {IDLE} idle sockets, after answers (MB)", f"{used_mb:.0f}", ""),
            row(
                f"first token, {CROWD} who ask within one second (ms, p95)",
                milliseconds(percentile([heard.first_token for heard in crowd], 95)),
                "",
            ),
            row(f"of {CROWD} streams over {POOL_SIZE} connections, complete", finished, ""),
        ),
        notes=(
            "bytes and statements compare a long answer with a short one",
            "by the clock: the running texts of the process in one statement every two seconds, a look at its logins",
        ),
        figures={"ratios": ratios, "process_mb": used_mb},
    )
