"""What does a frame cost on its way from one web process to another, and does one get lost while listeners come and go?

Reference: the same JSON through redis-py's bare publish and subscribe. Both processes' work is counted, in one process
and by turns, so that both meet the same noise. Needs redis-server.
"""

import asyncio
import json
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from statistics import median
from typing import Any

from redis import asyncio as redis

from benchmarks.harness import Result
from cloneai.redis_layer import RedisChannelLayer

FRAMES, ROUNDS = 1_000, 5
LISTENERS, PASSING, PASSING_SECONDS, LISTENED_FRAMES = 10, 6, 0.02, 300
FRAME: dict[str, Any] = {
    "type": "turn.frame",
    "frame": {
        "type": "ai_response_chunk",
        "message_id": "00000000-0000-0000-0000-000000000000",
        "seq": 17,
        "content": "Simmer it for twenty-five minutes, and do not stir. ",
        "is_complete": False,
    },
}


def run() -> Result:
    from cloneai.tests.redis_server import RedisServer

    with tempfile.TemporaryDirectory() as folder, RedisServer(Path(folder)) as server:
        return asyncio.run(measure(server.url))


async def measure(url: str) -> Result:
    ours: list[tuple[float, float]] = []
    bare: list[tuple[float, float]] = []
    for _ in range(ROUNDS):
        bare.append(await send_bare(url))
        ours.append(await send_ours(url))
    lost = await count_lost(url)
    rows = [
        [name, *(round(1e6 * median(column)) for column in zip(*seen, strict=True))]
        for name, seen in (("bare publish and subscribe", bare), ("ours", ours))
    ]
    ratio = median(mine[1] / theirs[1] for mine, theirs in zip(ours, bare, strict=True))
    return Result(
        name="layer",
        question="what does a frame cost between two web processes, and is one lost while listeners come and go?",
        ratio=ratio,
        ratio_of="processor time of a frame, ours / bare; at most 1.5, and none lost",
        is_good=ratio <= 1.5 and lost == 0,
        columns=("", "µs a frame", "of processor time"),
        rows=rows,
        notes=[
            f"{LISTENERS} listeners of {LISTENED_FRAMES} frames, beside {PASSING} that come and go: {lost} lost."
        ],
        figures={"lost": lost},
    )


async def send_ours(url: str) -> tuple[float, float]:
    here, there = RedisChannelLayer(url=url), RedisChannelLayer(url=url)
    channel = await there.new_channel()
    await there.group_add("talk", channel)
    seconds = await time_frames(
        send=lambda: here.group_send("talk", FRAME), receive=lambda: there.receive(channel)
    )
    await there.group_discard("talk", channel)
    return seconds


async def send_bare(url: str) -> tuple[float, float]:
    async with redis.Redis.from_url(url) as client, client.pubsub(ignore_subscribe_messages=True) as pubsub:
        await pubsub.subscribe("talk")
        messages = pubsub.listen()

        async def receive() -> None:
            json.loads((await anext(messages))["data"])

        return await time_frames(send=lambda: client.publish("talk", json.dumps(FRAME)), receive=receive)


async def time_frames(
    *, send: Callable[[], Awaitable[Any]], receive: Callable[[], Awaitable[Any]]
) -> tuple[float, float]:
    """Seconds a frame: until it is there, and of processor time."""

    async def receive_all() -> None:
        for _ in range(FRAMES):
            await receive()

    receiving = asyncio.create_task(receive_all())
    started, started_work = time.perf_counter(), time.process_time()
    for _ in range(FRAMES):
        await send()
    await receiving
    return (time.perf_counter() - started) / FRAMES, (time.process_time() - started_work) / FRAMES


async def count_lost(url: str) -> int:
    """Frames that listeners miss while others end in the midst of waiting, as an answer's listener does."""
    here, there = RedisChannelLayer(url=url), RedisChannelLayer(url=url)
    listeners = []
    for _ in range(LISTENERS):
        channel = await there.new_channel()
        await there.group_add("talk", channel)
        listeners.append(asyncio.create_task(count_frames(there, channel)))
    passing = [asyncio.create_task(come_and_go(there)) for _ in range(PASSING)]
    for _ in range(LISTENED_FRAMES):
        await here.group_send("talk", FRAME)
        await asyncio.sleep(0.005)
    for task in passing:
        task.cancel()
    return LISTENERS * LISTENED_FRAMES - sum(await asyncio.gather(*listeners))


async def count_frames(layer: RedisChannelLayer, channel: str) -> int:
    count = 0
    try:
        while count < LISTENED_FRAMES:
            await asyncio.wait_for(layer.receive(channel), 5)
            count += 1
    except TimeoutError:
        pass
    return count


async def come_and_go(layer: RedisChannelLayer) -> None:
    while True:
        channel = await layer.new_channel()
        await layer.group_add("passing", channel)
        listening = asyncio.create_task(layer.receive(channel))
        await asyncio.sleep(PASSING_SECONDS)
        listening.cancel()
        await layer.group_discard("passing", channel)
