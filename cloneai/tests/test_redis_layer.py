"""The channel layer of several processes, on a real Redis that also stops and falls silent."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

import cloneai.redis_layer
from cloneai.redis_layer import LAYER_ERRORS, RedisChannelLayer
from cloneai.tests.redis_server import RedisServer


@pytest.fixture(scope="module")
def shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with RedisServer(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
def layer(shared_server: RedisServer) -> RedisChannelLayer:
    return RedisChannelLayer(url=shared_server.url)


@pytest.fixture
def other_process(shared_server: RedisServer) -> RedisChannelLayer:
    """What another web process has: a line of its own."""
    return RedisChannelLayer(url=shared_server.url)


async def join(layer: RedisChannelLayer, group: str) -> str:
    channel = await layer.new_channel()
    await layer.group_add(group, channel)
    return channel


async def join_as_soon_as_it_is_back(layer: RedisChannelLayer, group: str) -> str:
    async with asyncio.timeout(10):
        while True:
            with suppress(*LAYER_ERRORS):
                return await join(layer, group)
            await asyncio.sleep(0.05)


async def read(layer: RedisChannelLayer, channel: str, count: int) -> list[int]:
    async with asyncio.timeout(10):
        return [(await layer.receive(channel))["number"] for _ in range(count)]


@asynccontextmanager
async def running(work: Any) -> AsyncIterator[asyncio.Task[Any]]:
    task = asyncio.ensure_future(work)
    try:
        yield task
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError, *LAYER_ERRORS):
            await task


async def until(is_true: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not is_true():  # noqa: ASYNC110  (another process knows it)
            await asyncio.sleep(0.02)


async def test_everyone_in_a_group_gets_every_message_in_order(
    layer: RedisChannelLayer, other_process: RedisChannelLayer
) -> None:
    listeners = [(each, await join(each, "talk")) for each in (layer, layer, other_process)]
    for number in range(50):
        await layer.group_send("talk", {"number": number})
    for each, channel in listeners:
        assert await read(each, channel, 50) == list(range(50))


async def test_listeners_that_go_take_no_message_of_others_along(
    layer: RedisChannelLayer, other_process: RedisChannelLayer
) -> None:
    """Each of them is cancelled while it waits, as the listener of an answer is when the answer ends."""

    async def come_and_go() -> None:
        while True:
            channel = await join(layer, "passing")
            listener = asyncio.ensure_future(layer.receive(channel))
            await asyncio.sleep(0.002)
            listener.cancel()
            await layer.group_discard("passing", channel)

    channel = await join(layer, "talk")
    async with running(read(layer, channel, 200)) as heard, running(come_and_go()), running(come_and_go()):
        for number in range(200):
            await other_process.group_send("talk", {"number": number})
            await asyncio.sleep(0.002)
        assert await asyncio.wait_for(heard, 10) == list(range(200))


async def test_one_channel_of_another_process_is_reached(
    layer: RedisChannelLayer, other_process: RedisChannelLayer
) -> None:
    channel, neighbour = await layer.new_channel(), await layer.new_channel()
    await join(layer, "any")  # from now on it listens
    await other_process.send(channel, {"text": "für dich \ud83d"})
    assert await layer.receive(channel) == {"text": "für dich \ud83d"}
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(layer.receive(neighbour), 0.2)


async def test_who_left_a_group_gets_nothing_more(layer: RedisChannelLayer) -> None:
    gone, stays = await join(layer, "talk"), await join(layer, "talk")
    await layer.group_discard("talk", gone)
    await layer.group_send("talk", {"number": 1})
    assert await read(layer, stays, 1) == [1]
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(layer.receive(gone), 0.2)


async def test_a_listener_that_goes_leaves_nothing_behind(
    layer: RedisChannelLayer, shared_server: RedisServer
) -> None:
    before = shared_server.count_listeners()
    channel = await join(layer, "left-alone")
    assert shared_server.count_listeners() == before + 1
    async with running(layer.receive(channel)):
        await asyncio.sleep(0.05)
    await until(lambda: shared_server.count_listeners() == before)
    with pytest.raises(ConnectionError):
        await layer.receive(channel)


async def test_a_listener_that_goes_with_a_message_in_hand_leaves_nothing_behind(
    layer: RedisChannelLayer, shared_server: RedisServer
) -> None:
    """A socket that ends while it works on something is not in `receive`, so nobody cancels it there."""
    before = shared_server.count_listeners()
    channel = await join(layer, "left-at-work")
    await layer.group_send("left-at-work", {"number": 1})
    await read(layer, channel, 1)
    await layer.close_channel(channel)
    await until(lambda: shared_server.count_listeners() == before)
    with pytest.raises(ConnectionError):
        await layer.receive(channel)


async def test_who_did_not_get_into_a_group_is_no_member(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with RedisServer(tmp_path) as server:
        layer = RedisChannelLayer(url=server.url)
        await join(layer, "talk")
        server.fall_silent()
        monkeypatch.setattr(cloneai.redis_layer, "ANSWER_SECONDS", 0.2)
        with pytest.raises(TimeoutError):
            await join(layer, "late")
        server.go_on()
        await join(layer, "end")
        await until(lambda: server.count_listeners() == 2)


async def test_a_closed_line_is_not_opened_anew_without_a_word(layer: RedisChannelLayer) -> None:
    """redis-py would, when somebody joins before the reader has learned of it; who listened would miss messages."""
    channel = await join(layer, "talk")
    pubsub = layer._line()._pubsub
    assert pubsub is not None
    assert pubsub.connection is not None
    await pubsub.connection.disconnect(nowait=True)
    with pytest.raises(LAYER_ERRORS):
        await join(layer, "other")
    with pytest.raises(ConnectionError):
        await asyncio.wait_for(layer.receive(channel), 5)


async def test_what_nobody_reads_is_dropped_beyond_the_capacity(shared_server: RedisServer) -> None:
    layer = RedisChannelLayer(url=shared_server.url, capacity=3)
    channel, mark = await join(layer, "talk"), await join(layer, "end")
    for number in range(10):
        await layer.group_send("talk", {"number": number})
    await layer.group_send("end", {"number": 0})
    await read(layer, mark, 1)
    assert await read(layer, channel, 3) == [0, 1, 2]
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(layer.receive(channel), 0.2)


async def test_an_idle_listener_keeps_its_channel(
    layer: RedisChannelLayer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """redis-py itself would give up a silent read; here Redis is asked instead, and answers."""
    monkeypatch.setattr(cloneai.redis_layer, "SILENCE_SECONDS", 0.05)
    monkeypatch.setattr(cloneai.redis_layer, "ANSWER_SECONDS", 0.2)
    channel = await join(layer, "talk")
    async with running(read(layer, channel, 1)) as heard:
        await asyncio.sleep(1)
        await layer.group_send("talk", {"number": 7})
        assert await asyncio.wait_for(heard, 5) == [7]


async def test_a_broken_line_is_told_to_all_and_mended_by_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cloneai.redis_layer, "RETRY_SECONDS", 0.05)
    with RedisServer(tmp_path) as server:
        layer = RedisChannelLayer(url=server.url)
        waiting, busy = await join(layer, "talk"), await join(layer, "talk")
        async with running(layer.receive(waiting)) as wait:
            await asyncio.sleep(0.05)
            server.stop()
            with pytest.raises(ConnectionError):
                await asyncio.wait_for(wait, 5)
        with pytest.raises(ConnectionError):  # who was at work learns it when they listen again
            await layer.receive(busy)
        channel = await layer.new_channel()
        for refused in (
            layer.group_send("talk", {}),
            layer.send(channel, {}),
            layer.group_add("talk", channel),
        ):
            with pytest.raises(LAYER_ERRORS):
                await refused
        server.start()
        channel = await join_as_soon_as_it_is_back(layer, "talk")
        await layer.group_send("talk", {"number": 1})
        assert await read(layer, channel, 1) == [1]


async def test_a_restart_of_redis_is_told_though_it_is_back_at_once(tmp_path: Path) -> None:
    """What was sent meanwhile is lost: a listener that did not learn of it would miss it without a word."""
    with RedisServer(tmp_path) as server:
        layer = RedisChannelLayer(url=server.url)
        channel = await join(layer, "talk")
        server.stop()
        server.start()
        with pytest.raises(ConnectionError):
            await asyncio.wait_for(layer.receive(channel), 5)


async def test_what_is_sent_after_a_restart_of_redis_arrives(tmp_path: Path) -> None:
    """The connections over which was sent before are closed, each of them."""
    with RedisServer(tmp_path) as server:
        layer = RedisChannelLayer(url=server.url)
        channel = await join(layer, "talk")
        await asyncio.gather(*[layer.group_send("other", {}) for _ in range(5)])
        server.stop()
        server.start()
        with pytest.raises(ConnectionError):
            await asyncio.wait_for(layer.receive(channel), 5)
        channel = await join_as_soon_as_it_is_back(layer, "talk")
        await asyncio.gather(*[layer.group_send("talk", {"number": 1}) for _ in range(5)])
        assert await read(layer, channel, 5) == [1] * 5


async def test_a_redis_that_answers_nothing_counts_as_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cloneai.redis_layer, "SILENCE_SECONDS", 0.1)
    monkeypatch.setattr(cloneai.redis_layer, "ANSWER_SECONDS", 0.3)
    with RedisServer(tmp_path) as server:
        layer = RedisChannelLayer(url=server.url)
        channel = await join(layer, "talk")
        server.fall_silent()
        with pytest.raises(ConnectionError):
            await asyncio.wait_for(layer.receive(channel), 5)
        with pytest.raises(LAYER_ERRORS):
            await layer.group_send("talk", {})


@pytest.mark.parametrize("group", ["", "a b", "ä", "x" * 200])
async def test_a_group_needs_a_plain_name(layer: RedisChannelLayer, group: str) -> None:
    channel = await layer.new_channel()
    with pytest.raises(TypeError, match="Group name"):
        await layer.group_add(group, channel)
    with pytest.raises(TypeError, match="Group name"):
        await layer.group_send(group, {})


async def test_a_channel_that_nobody_opened_cannot_be_heard(layer: RedisChannelLayer) -> None:
    with pytest.raises(ConnectionError):
        await layer.receive("cloneai.process.0!specific.0")
