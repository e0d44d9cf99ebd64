"""The channel layer of a single process."""

import pytest

from cloneai import memory_layer
from cloneai.memory_layer import MemoryChannelLayer


async def test_messages_that_nobody_took_are_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory_layer, "CLEAN_SECONDS", 0.0)
    layer = MemoryChannelLayer(expiry=-1)
    await layer.send("left", {"type": "a"})
    await layer.group_send("nobody", {"type": "b"})
    assert "left" not in layer.channels


async def test_messages_arrive_once_and_in_order() -> None:
    layer = MemoryChannelLayer()
    await layer.group_add("group", "one")
    for number in range(5):
        await layer.group_send("group", {"type": "a", "number": number})
    assert [(await layer.receive("one"))["number"] for _ in range(5)] == list(range(5))


async def test_a_full_channel_costs_its_group_nothing() -> None:
    layer = MemoryChannelLayer(capacity=1)
    for channel in ("slow", "fast"):
        await layer.group_add("group", channel)
    await layer.group_send("group", {"type": "a"})
    await layer.receive("fast")
    await layer.group_send("group", {"type": "b"})
    assert await layer.receive("fast") == {"type": "b"}
    assert await layer.receive("slow") == {"type": "a"}
