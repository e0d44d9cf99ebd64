"""The channel layer of a single process."""

import asyncio
import time
from contextlib import suppress
from typing import Any

from channels.exceptions import ChannelFull
from channels.layers import InMemoryChannelLayer

CLEAN_SECONDS = 1.0


class MemoryChannelLayer(InMemoryChannelLayer):
    """Channels' own, without what made it the costliest part of a process with 50 running answers.

    It looks for expired messages once a second, not at each message in every channel and group. A group's members get
    a message without a task for each of them, and all get the same one, not a copy: whoever receives it leaves it as
    it is.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._clean_at = 0.0

    async def close_channel(self, channel: str) -> None:
        """Whoever listened is gone."""
        for group in [group for group, members in self.groups.items() if channel in members]:
            await self.group_discard(group, channel)
        self.channels.pop(channel, None)

    async def send(self, channel: str, message: dict[str, Any]) -> None:
        """Raises ChannelFull."""
        self.require_valid_channel_name(channel)
        queue = self.channels.setdefault(channel, asyncio.Queue(maxsize=self.get_capacity(channel)))
        try:
            queue.put_nowait((time.time() + self.expiry, message))
        except asyncio.QueueFull:
            raise ChannelFull(channel) from None

    async def group_send(self, group: str, message: dict[str, Any]) -> None:
        self.require_valid_group_name(group)
        self._clean_expired()
        for channel in list(self.groups.get(group, ())):
            with suppress(ChannelFull):
                await self.send(channel, message)

    def _clean_expired(self) -> None:
        now = time.monotonic()
        if now >= self._clean_at:
            self._clean_at = now + CLEAN_SECONDS
            super()._clean_expired()
