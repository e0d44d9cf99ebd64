"""What an answer costs the database, and what sockets cost the web process: for `benchmarks.chat`."""

import asyncio
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from benchmarks.chat_clients import Heard, Members, ask_by_socket, ask_many, open_sockets, run_daphne

LENGTH_PACE = 200  # tokens a second
IDLE, WARM_UP_SOCKETS, WARM_UP_TOKENS = 200, 40, 60
# Checkpoints of all running texts, every two seconds, and the look at who is still logged in, every second.
BY_THE_CLOCK = ("SET content = draft.content", "django_session", '"accounts_user"."password" AS')


def measure_length(*, host: str, members: Members, tokens: int) -> tuple[Heard, dict[str, int]]:
    """One answer of this length, and the statements that PostgreSQL logged meanwhile: its own, and the process's by
    the clock, which are the same however many answers and sockets there are.
    """
    seat = members.seats(1)[0]
    with statements_logged() as lines:
        heard = asyncio.run(ask_alone(host=host, seat=seat, tokens=tokens))
    by_the_clock = [line for line in lines if any(mark in line for mark in BY_THE_CLOCK)]
    return heard, {"reply": len(lines) - len(by_the_clock), "clock": len(by_the_clock)}


@contextmanager
def statements_logged() -> Iterator[list[str]]:
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
        entries = re.split(
            r"^(?=\d{4}-\d\d-\d\d )", text, flags=re.MULTILINE
        )  # a statement may have many lines
        lines += [entry for entry in entries if "LOG:  statement:" in entry or "LOG:  execute " in entry]
        cursor.execute("ALTER SYSTEM RESET log_statement")
        cursor.execute("SELECT pg_reload_conf()")


async def ask_alone(*, host: str, seat: dict[str, Any], tokens: int) -> Heard:
    async with open_sockets(host=host, seats=[seat]) as (link,):
        return await ask_by_socket(link, tokens=tokens, pace=LENGTH_PACE)


def measure_memory(
    application: str | None, *, members: Members, variables: dict[str, str], is_asked: bool
) -> tuple[float, float]:
    """KiB that an idle socket costs the web process, those after the first `WARM_UP_SOCKETS`, and its MB with all open.

    With `is_asked` the first ones get an answer before, so that what answers need is loaded.
    """
    import psutil

    with run_daphne(application, **variables) as (host, pid):

        async def hold() -> tuple[float, float]:
            seats = await asyncio.to_thread(members.seats, IDLE + WARM_UP_SOCKETS)
            async with open_sockets(host=host, seats=seats[:WARM_UP_SOCKETS]) as links:
                if is_asked:
                    await ask_many(
                        [ask_by_socket(link, tokens=WARM_UP_TOKENS) for link in links], spread_seconds=5
                    )
                await asyncio.sleep(1)
                before = psutil.Process(pid).memory_info().rss
                async with open_sockets(host=host, seats=seats[WARM_UP_SOCKETS:]):
                    await asyncio.sleep(1)
                    after = psutil.Process(pid).memory_info().rss
                    return (after - before) / IDLE / 1024, after / 1024**2

        return asyncio.run(hold())
