"""What does metering cost: a metered call against a bare client call, and the accounts' locks at 50 calls at once.

The provider answers at once, so all that is left is our own work. Bare and metered calls take turns in blocks, shared
and separate accounts too, because the machine is not ours alone. The locks are measured inside PostgreSQL: how long the
statement on the platform's account takes, which waits for the row if another call holds it; for calls that share the
account, as all do, and for the same calls with an account each. They run in the web process's database threads.
"""

import asyncio
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from benchmarks.harness import Result, milliseconds, percentile

WARM_UP, BLOCKS, BLOCK = 30, 12, 25
AT_ONCE, ROUNDS, PROVIDER_SECONDS = 50, 8, 0.5
TEN_TIMES = 500
PROMISED_LOCK_SECONDS = 0.010
LIKELY_PROVIDER_SECONDS = 1.0

# What `billing.ledger_writes` does to an account, as pgbench sends it: each line one message.
BEGIN = "BEGIN\\; SET LOCAL synchronous_commit = off\\; "
COMMIT = "\\; COMMIT\\; SELECT pg_logical_emit_message(true, 'cloneai', '');\n"
SERVER_SCRIPT = (
    BEGIN + "INSERT INTO billing_spendaccount AS account (scope, owner_id, day, settled_usd, reserved_usd) "
    "VALUES ('platform', OWNER, current_date, 0, 0.001) ON CONFLICT (scope, owner_id, day) DO UPDATE "
    "SET reserved_usd = CASE WHEN account.settled_usd + account.reserved_usd + 0.001 <= 1000000 "
    "THEN account.reserved_usd + 0.001 ELSE -1 END"
    + COMMIT
    + BEGIN
    + "UPDATE billing_spendaccount SET reserved_usd = reserved_usd - 0.001, settled_usd = settled_usd + 0.0001 "
    "WHERE scope = 'platform' AND owner_id = OWNER AND day = current_date" + COMMIT
)

# Before and after the statement on an account: how long it took, left in the session to be read.
START_CLOCK = "SELECT set_config('bench.begun', extract(epoch FROM clock_timestamp())::text, true);"
STOP_CLOCK = (
    ";SELECT set_config('bench.seconds', "
    "(extract(epoch FROM clock_timestamp()) - current_setting('bench.begun')::numeric)::text, false)"
)


@dataclass(frozen=True)
class Times:
    """Seconds of the messages that reserve and settle, and of the statement on the account in each."""

    messages: list[float] = field(default_factory=list)
    statements: list[float] = field(default_factory=list)


def run() -> Result:
    from django.conf import settings

    with subprocess.Popen(
        [sys.executable, "-m", "benchmarks.zero_latency"], stdout=subprocess.PIPE, text=True
    ) as provider:
        assert provider.stdout is not None
        settings.AI_OFFLINE, settings.OPENAI_API_KEY = False, "sk-bench"
        settings.OPENAI_BASE_URL = f"http://127.0.0.1:{int(provider.stdout.readline())}/v1"
        settings.DAILY_COST_LIMIT = Decimal(1_000_000)
        try:
            return asyncio.run(measure())
        finally:
            provider.kill()


async def measure() -> Result:
    bare, metered = await compare_calls()
    ratio = statistics.median(metered) / statistics.median(bare)
    with clocks_in_statements():
        shared, separate = await compare_locks(count=AT_ONCE, provider_seconds=PROVIDER_SECONDS)
        many, many_separate = await compare_locks(count=TEN_TIMES, provider_seconds=10 * PROVIDER_SECONDS)
        burst, burst_separate = await compare_locks(count=AT_ONCE, provider_seconds=0)
    capacity = await asyncio.to_thread(measure_capacity)
    server_shared, server_separate = await asyncio.to_thread(measure_server)
    lock, burst_lock, many_lock = (percentile(times.statements, 95) for times in (shared, burst, many))
    rows = [
        row("bare client call", bare),
        row("metered call", metered),
        *rows_of(f"{AT_ONCE} calls at once, ", shared, separate),
        *rows_of(f"{AT_ONCE} in the same moment, ", burst, burst_separate),
        *rows_of(f"{TEN_TIMES} calls at once, ", many, many_separate),
    ]
    return Result(
        name="metering",
        question="what does metering add to a call, and what do the accounts' locks cost?",
        ratio=ratio,
        ratio_of="metered call / bare client call, medians, provider without latency",
        is_good=lock <= PROMISED_LOCK_SECONDS,
        columns=("milliseconds", "calls", "p50", "p95"),
        rows=rows,
        notes=(
            f"Metering adds {milliseconds(statistics.median(metered) - statistics.median(bare))} ms to a call: "
            "counting, two thread hops, three round trips.",
            f"Waiting for the shared account's row and writing it takes {milliseconds(lock)} ms at p95 with {AT_ONCE} "
            f"calls at once that take the provider {PROVIDER_SECONDS} s each (promised: at most "
            f"{PROMISED_LOCK_SECONDS * 1000:.0f} ms); {milliseconds(percentile(separate.statements, 95))} ms of it "
            "without anybody to wait for.",
            f"With all {AT_ONCE} in the same moment: {milliseconds(burst_lock)} ms; ten times as many, {TEN_TIMES}, "
            f"{10 * PROVIDER_SECONDS:.0f} s each: {milliseconds(many_lock)} ms.",
            f"{AT_ONCE} threads of one process that do nothing else reserve and settle {capacity:.0f} calls a second "
            f"on one platform account here: {capacity * LIKELY_PROVIDER_SECONDS:.0f} calls at once of "
            f"{LIKELY_PROVIDER_SECONDS:.0f} s each.",
            f"PostgreSQL alone (pgbench, {AT_ONCE} clients without a pause) holds and books {server_shared:.0f} calls "
            f"a second on one account, {server_separate:.0f} with an account each: Python is the limit, not the lock.",
        ),
        figures={
            "lock_p95_ms": lock * 1000,
            "lock_p95_ms_in_one_moment": burst_lock * 1000,
            "lock_p95_ms_at_ten_times": many_lock * 1000,
            "calls_per_second": capacity,
            "server_calls_per_second": server_shared,
        },
    )


def row(name: str, seconds: list[float]) -> tuple[str, int, str, str]:
    return name, len(seconds), milliseconds(percentile(seconds, 50)), milliseconds(percentile(seconds, 95))


def rows_of(what: str, shared: Times, separate: Times) -> list[tuple[str, int, str, str]]:
    return [
        row(f"{what}{accounts}: {part}", seconds)
        for accounts, times in (("an account each", separate), ("one account", shared))
        for part, seconds in (("whole message", times.messages), ("its account's row", times.statements))
    ]


@contextmanager
def clocks_in_statements() -> Iterator[None]:
    """Lets PostgreSQL time the statements on accounts."""
    from billing import ledger_writes

    plain = ledger_writes.HOLD, ledger_writes.BOOK
    ledger_writes.HOLD, ledger_writes.BOOK = (START_CLOCK + sql + STOP_CLOCK for sql in plain)
    try:
        yield
    finally:
        ledger_writes.HOLD, ledger_writes.BOOK = plain


async def compare_calls() -> tuple[list[float], list[float]]:
    """Seconds of bare and of metered calls, in turns."""
    from billing.gateway.client import shared_client
    from billing.metering import ChatMessage, Payer, complete_chat

    client = await shared_client()
    text = "How do I give feedback to somebody who does not want any?"

    async def bare() -> None:
        from billing.calls import CallTrace
        from billing.gateway.client import call_deadline, send

        await send(
            trace=CallTrace(),
            deadline=call_deadline(),
            request=lambda: client.chat.completions.create(
                model="gpt-4o-mini",
                messages=[{"role": "user", "content": text}],
                max_tokens=100,
                temperature=0,
            ),
        )

    async def metered() -> None:
        await complete_chat(
            payer=Payer(user_id=None, clone_id=None),
            purpose="check",
            model="gpt-4o-mini",
            messages=[ChatMessage("user", text)],
            max_output_tokens=100,
            temperature=0,
        )

    for call in (bare, metered):
        await time_calls(call, count=WARM_UP)
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(BLOCKS):
        for call, found in zip((bare, metered), times, strict=True):
            found += await time_calls(call, count=BLOCK)
    return times


async def time_calls(call: Callable[[], Awaitable[None]], *, count: int) -> list[float]:
    found = []
    for _ in range(count):
        started = time.perf_counter()
        await call()
        found.append(time.perf_counter() - started)
    return found


async def compare_locks(*, count: int, provider_seconds: float) -> tuple[Times, Times]:
    """With one account for all, and with an account for each call, in turns."""
    found = (Times(), Times())
    for _ in range(max(2, ROUNDS * AT_ONCE // count)):
        for is_shared, times in zip((True, False), found, strict=True):
            calls = (
                one_call(
                    owner=0 if is_shared else number + 1,
                    wait_seconds=provider_seconds * number / count,
                    provider_seconds=provider_seconds,
                    times=times,
                )
                for number in range(count)
            )
            await asyncio.gather(*calls)
    return found


async def one_call(*, owner: int, wait_seconds: float, provider_seconds: float, times: Times) -> None:
    """Begins after a while, because people's calls come one after the other; then as a metered call does."""
    from cloneai.threads import run_in_thread

    await asyncio.sleep(wait_seconds)
    reservation = await run_in_thread(timed, reserve_on, owner, times=times)
    await asyncio.sleep(provider_seconds)
    await run_in_thread(timed, settle_on, owner, reservation, times=times)


def timed(work: Callable[..., Any], *arguments: Any, times: Times) -> Any:
    from django.db import connection

    started = time.perf_counter()
    result = work(*arguments)
    times.messages.append(time.perf_counter() - started)
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('bench.seconds')::float8")
        times.statements.append(cursor.fetchone()[0])
    return result


def reserve_on(owner: int) -> Any:
    from billing.ledger_writes import Account, write_reservation
    from billing.models import Scope, utc_today

    values = {
        "day": utc_today(),
        "amount_usd": Decimal("0.001"),
        "purpose": "check",
        "model": "gpt-4o-mini",
        "input_tokens": 20,
        "max_output_tokens": 100,
        "input_usd_per_million": Decimal(1),
        "cached_input_usd_per_million": Decimal(1),
        "output_usd_per_million": Decimal(1),
    }
    return write_reservation(values=values, accounts=[Account(Scope.PLATFORM, owner, Decimal(1_000_000))])


def settle_on(owner: int, reservation: Any) -> None:
    from billing.ledger_writes import Account, write_record
    from billing.models import CostRecord, ReservationState, Scope

    record = CostRecord(
        reservation=reservation,
        day=reservation.day,
        purpose="check",
        model="gpt-4o-mini",
        input_tokens=20,
        output_tokens=3,
        input_usd_per_million=Decimal(1),
        cached_input_usd_per_million=Decimal(1),
        output_usd_per_million=Decimal(1),
        cost_usd=Decimal("0.0001"),
        latency_ms=1,
        outcome="success",
    )
    write_record(
        record=record, accounts=[Account(Scope.PLATFORM, owner, None)], state=ReservationState.SETTLED
    )


def measure_capacity(*, calls_each: int = 20) -> float:
    """Calls a second that 50 connections can reserve and settle on one account, and nothing else."""
    from django.db import connections

    barrier = threading.Barrier(AT_ONCE + 1)

    def work() -> None:
        barrier.wait()
        for _ in range(calls_each):
            settle_on(0, reserve_on(0))
        connections.close_all()

    threads = [threading.Thread(target=work) for _ in range(AT_ONCE)]
    for thread in threads:
        thread.start()
    barrier.wait()
    started = time.perf_counter()
    for thread in threads:
        thread.join()
    return AT_ONCE * calls_each / (time.perf_counter() - started)


def measure_server() -> tuple[float, float]:
    """Calls a second of the same messages without Python: on one account, and on one for each client."""
    from django.conf import settings

    from cloneai.database import cluster, embedded

    server = embedded.attach(var_dir=settings.VAR_DIR)
    command = [str(cluster.find_program("pgbench")), "-h", str(server.socket_dir), "-U", "postgres", "-n"]
    command += ["-c", str(AT_ONCE), "-j", "2", "-T", "3", "-f", "/dev/stdin", cluster.DATABASE_NAME]
    found: tuple[list[float], list[float]] = ([], [])
    for _ in range(2):
        for owner, rates in zip(("0", ":client_id + 1"), found, strict=True):
            done = subprocess.run(
                command,
                input=SERVER_SCRIPT.replace("OWNER", owner),
                capture_output=True,
                text=True,
                check=True,
            )
            rates.append(float(done.stdout.split("tps = ")[1].split()[0]))
    return statistics.mean(found[0]), statistics.mean(found[1])
