"""What do others notice while one member opens 200 sockets and sends 1,000 frames a second on each that stays open?

Others have a conversation open each and send orders that are answered at once (unknown ones: what counts is the way
there and back, not the provider), a few a second. Calm and flood take turns on the same web process; the flood is a
process of its own.
"""

import asyncio
import json
import subprocess
import sys
import time
from typing import Any

from websockets.exceptions import ConnectionClosed, InvalidHandshake

from benchmarks.chat_clients import open_socket, open_sockets, run_daphne
from benchmarks.harness import Result, milliseconds, percentile

OTHERS, ASKED, PAUSE_SECONDS = 8, 25, 0.4
SOCKETS, FRAMES_PER_SECOND, ROUNDS = 200, 1000, 2
MAX_RATIO, MAX_GROWTH_MEGABYTES = 2.0, 50.0
FRAME = json.dumps({"type": "nonsense", "padding": "x" * 500})


def run() -> Result:
    with run_daphne() as (host, pid):
        seats, attacker = make_people()
        calm, flooded, closed, growth = asyncio.run(
            take_turns(host=host, pid=pid, seats=seats, attacker=attacker)
        )
    ratio = percentile(flooded, 95) / percentile(calm, 95)
    rows = [
        [name, len(values), *(milliseconds(percentile(values, percent)) for percent in (50, 95, 99))]
        for name, values in (("calm", calm), ("flood", flooded))
    ]
    return Result(
        name="flood",
        question="what do others notice of one member who floods?",
        ratio=ratio,
        ratio_of="others' p95, flood to calm",
        is_good=ratio < MAX_RATIO and growth < MAX_GROWTH_MEGABYTES and closed == ROUNDS * SOCKETS,
        columns=("", "orders", "p50 ms", "p95 ms", "p99 ms"),
        rows=rows,
        notes=(
            f"{closed} of {ROUNDS * SOCKETS} sockets of the flood were refused, or closed by the server with 4429.",
            f"The web process grew by {growth:.1f} MB.",
        ),
        figures={"growth_megabytes": growth, "closed": closed},
    )


def make_people() -> tuple[list[dict[str, Any]], dict[str, Any]]:
    from django.conf import settings
    from django.test import Client

    from chat.models import ChatSession
    from cloneai.accounts.models import User
    from clones.models import Clone, Visibility

    found = []
    for number in range(OTHERS + 1):
        user = User.objects.create_user(email=f"m{number}@example.com")
        clone, _ = Clone.objects.get_or_create(
            slug="ada", defaults={"owner": user, "name": "Ada", "visibility": Visibility.PUBLIC}
        )
        client = Client()
        client.force_login(user)
        name = settings.SESSION_COOKIE_NAME
        session = ChatSession.objects.create(clone=clone, user=user)
        found.append({"session_id": str(session.pk), "cookie": f"{name}={client.cookies[name].value}"})
    return found[1:], found[0]


async def take_turns(
    *, host: str, pid: int, seats: list[dict[str, Any]], attacker: dict[str, Any]
) -> tuple[list[float], list[float], int, float]:
    """Seconds of orders in calm and in flood, sockets that were closed, and megabytes that the process grew by."""
    calm: list[float] = []
    flooded: list[float] = []
    closed = 0
    command = [sys.executable, "-m", "benchmarks.flood", host, attacker["session_id"], attacker["cookie"]]
    async with open_sockets(host=host, seats=seats) as links:
        await listen(links)  # what is loaded with the first frames
        before = read_memory_megabytes(pid)
        for _ in range(ROUNDS):
            calm += await listen(links)
            process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE)
            assert process.stdout is not None
            await process.stdout.readline()  # it has begun
            flooded += await listen(links)
            output, _errors = await process.communicate()
            closed += int(output)
        return calm, flooded, closed, read_memory_megabytes(pid) - before


async def listen(links: list[Any]) -> list[float]:
    """Seconds from each order of each member to its refusal."""

    async def ask(link: Any) -> list[float]:
        heard = []
        for _ in range(ASKED):
            begun_at = time.perf_counter()
            await link.send('{"type":"nonsense"}')
            await link.recv()
            heard.append(time.perf_counter() - begun_at)
            await asyncio.sleep(PAUSE_SECONDS)
        return heard

    return [seconds for heard in await asyncio.gather(*map(ask, links)) for seconds in heard]


async def flood(*, host: str, session_id: str, cookie: str) -> int:
    """Opens the sockets and sends; returns how many the server closed as too many."""

    async def read(link: Any) -> None:
        async for _frame in link:  # who does not read is not told that the socket is closed
            pass

    async def send() -> int:
        try:
            async with open_socket(host=host, session_id=session_id, cookie=cookie) as link:
                reading = asyncio.create_task(read(link))
                reading.add_done_callback(lambda done: done.cancelled() or done.exception())
                while True:
                    begun_at = time.perf_counter()
                    for _ in range(FRAMES_PER_SECOND // 10):
                        await link.send(FRAME)
                    await asyncio.sleep(max(0, 0.1 - (time.perf_counter() - begun_at)))
        except (InvalidHandshake, TimeoutError, ConnectionError):
            return 1  # so many knocked at once that the server did not wait for its own answer
        except ConnectionClosed as closed:
            return int(closed.rcvd is not None and closed.rcvd.code == 4429)

    return sum(await asyncio.gather(*(send() for _ in range(SOCKETS))))


def read_memory_megabytes(pid: int) -> float:
    import psutil

    return float(psutil.Process(pid).memory_info().rss / 1024**2)


if __name__ == "__main__":
    print("begun", flush=True)
    print(asyncio.run(flood(host=sys.argv[1], session_id=sys.argv[2], cookie=sys.argv[3])))
