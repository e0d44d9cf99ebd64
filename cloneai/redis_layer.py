"""The channel layer of several processes, over Redis' publish and subscribe.

Enter at `RedisChannelLayer`. Every event loop has one line to Redis: one task reads from it for all of the loop's
listeners, so a listener that goes takes no message along. A message reaches who listens at that moment, and is kept for
nobody else. When the line breaks, every listener is told by an error: what they missed is in the database.
"""

import asyncio
import json
import logging
import uuid
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from channels.layers import BaseChannelLayer
from redis import asyncio as redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.maint_notifications import MaintNotificationsConfig

ANSWER_SECONDS = 5.0  # so long Redis may take for a command
SILENCE_SECONDS = 15.0  # then it is asked whether it is there
RETRY_SECONDS = 1.0
CONNECTIONS = 8  # per event loop, one of them for listening; who finds none free waits
LAYER_ERRORS = (OSError, RedisError)

logger = logging.getLogger(__name__)

Message = dict[str, Any]


class RedisAway(ConnectionError):  # noqa: N818
    """Known since the line to Redis broke, and logged then."""


class RedisChannelLayer(BaseChannelLayer):
    """Messages are dictionaries that JSON can hold; all members of a group in a process are handed the same one.

    `capacity` is how many messages wait for one listener; further ones are dropped. Every method raises one of
    `LAYER_ERRORS` while Redis is away. A broken line ends the channels of its process: `receive` raises, and whoever
    wants to go on takes a new channel and joins its groups again.
    """

    extensions = ("groups",)

    def __init__(self, *, url: str, prefix: str = "cloneai", **options: Any) -> None:
        super().__init__(**options)
        self._url = url
        self._prefix = prefix
        self._lines: dict[asyncio.AbstractEventLoop, _Line] = {}

    async def new_channel(self, prefix: str = "specific") -> str:
        return self._line().open_channel(prefix)

    async def close_channel(self, channel: str) -> None:
        """Whoever listened is gone, also without having been cancelled in `receive`, which does the same."""
        await self._line().close_channel(channel)

    async def send(self, channel: str, message: Message) -> None:
        self.require_valid_channel_name(channel)
        process, _, _ = channel.partition("!")
        await self._line().publish(topic=process, channel=channel, message=message)

    async def receive(self, channel: str) -> Message:
        return await self._line().receive(channel)

    async def group_add(self, group: str, channel: str) -> None:
        self.require_valid_group_name(group)
        await self._line().join(topic=self._topic(group), channel=channel)

    async def group_discard(self, group: str, channel: str) -> None:
        await self._line().leave(topic=self._topic(group), channel=channel)

    async def group_send(self, group: str, message: Message) -> None:
        self.require_valid_group_name(group)
        await self._line().publish(topic=self._topic(group), channel=None, message=message)

    def _topic(self, group: str) -> str:
        return f"{self._prefix}.group.{group}"

    def _line(self) -> "_Line":
        loop = asyncio.get_running_loop()
        if loop not in self._lines:
            for other in [other for other in self._lines if other.is_closed()]:
                del self._lines[other]
            self._lines[loop] = _Line(url=self._url, prefix=self._prefix, capacity=self.capacity)
        return self._lines[loop]


class _Line:
    """What one event loop has with Redis. It listens from its first use on, until the loop ends."""

    def __init__(self, *, url: str, prefix: str, capacity: int) -> None:
        self._address = f"{prefix}.process.{uuid.uuid4().hex}"
        self._capacity = capacity
        self._queues: dict[str, asyncio.Queue[Message | Exception]] = {}
        self._members: dict[str, set[str]] = {}
        self._confirmed: dict[str, asyncio.Event] = {}  # the topics that this process wants
        self._pubsub: redis.client.PubSub | None = None
        self._error: Exception | None = None
        pool = redis.BlockingConnectionPool.from_url(
            url,
            max_connections=CONNECTIONS,
            timeout=ANSWER_SECONDS,
            socket_timeout=ANSWER_SECONDS,
            socket_connect_timeout=ANSWER_SECONDS,
            # With them, redis-py does not look whether a connection has been closed before it sends over it.
            maint_notifications_config=MaintNotificationsConfig(enabled=False),
            retry=Retry(NoBackoff(), 0),  # a silent second try would hide that messages were missed
        )
        self._redis = redis.Redis.from_pool(pool)
        self._reader = asyncio.get_running_loop().create_task(self._read())

    def open_channel(self, prefix: str) -> str:
        channel = f"{self._address}!{prefix}.{uuid.uuid4().hex}"
        self._queues[channel] = asyncio.Queue()
        return channel

    async def receive(self, channel: str) -> Message:
        try:
            message = await self._queue(channel).get()
        except asyncio.CancelledError:  # whoever listened is gone
            await self.close_channel(channel)
            raise
        if isinstance(message, Exception):
            raise message
        return message

    async def publish(self, *, topic: str, channel: str | None, message: Message) -> None:
        """To one channel of a process, or to all channels of a group."""
        self._refuse_while_away()
        content = json.dumps([channel, message])  # in ASCII: it also holds half of a surrogate pair
        with _errors_of_a_closing_line():
            await self._redis.publish(topic, content)

    async def join(self, *, topic: str, channel: str) -> None:
        """Once it returns, the channel gets what is published under the topic."""
        self._refuse_while_away()
        self._queue(channel)
        self._members.setdefault(topic, set()).add(channel)
        is_first = topic not in self._confirmed
        confirmed = self._confirmed.setdefault(topic, asyncio.Event())
        try:
            if is_first and self._pubsub is not None:
                await _tell(self._pubsub, self._pubsub.subscribe, topic)
            async with asyncio.timeout(ANSWER_SECONDS):
                await confirmed.wait()
            self._refuse_while_away()
        except BaseException:  # also when cancelled: nobody else knows that it is a member
            with suppress(*LAYER_ERRORS):
                await self.leave(topic=topic, channel=channel)
            raise

    async def leave(self, *, topic: str, channel: str) -> None:
        members = self._members.get(topic, set())
        members.discard(channel)
        if not members and self._members.pop(topic, None) is not None:
            self._confirmed.pop(topic, None)
            if self._pubsub is not None:
                await _tell(self._pubsub, self._pubsub.unsubscribe, topic)

    async def close_channel(self, channel: str) -> None:
        self._queues.pop(channel, None)
        with suppress(*LAYER_ERRORS):
            for topic in [topic for topic, members in self._members.items() if channel in members]:
                await self.leave(topic=topic, channel=channel)

    def _queue(self, channel: str) -> asyncio.Queue[Message | Exception]:
        try:
            return self._queues[channel]
        except KeyError:
            raise ConnectionError("This channel ended with the line to Redis") from None

    def _refuse_while_away(self) -> None:
        if self._error is not None:
            raise RedisAway(f"Redis is away: {self._error}")

    async def _read(self) -> None:
        try:
            while True:
                try:
                    await self._listen()
                except Exception as error:  # noqa: BLE001  (whatever it is, this process must not stay deaf)
                    self._break_off(error)
                await asyncio.sleep(RETRY_SECONDS)
        finally:
            await self._redis.aclose(close_connection_pool=True)

    async def _listen(self) -> None:
        """Hands out what comes in, until the line breaks."""
        try:
            async with self._redis.pubsub() as pubsub:
                await pubsub.connect()
                self._pubsub = pubsub  # from here on, who joins subscribes
                await pubsub.subscribe(self._address, *self._confirmed)
                is_asked = False
                while True:
                    _refuse_closed(pubsub)
                    message = await pubsub.get_message(timeout=SILENCE_SECONDS)
                    if message is not None:
                        self._take(message)
                    elif is_asked:
                        raise ConnectionError("Redis does not answer")
                    else:
                        await pubsub.ping()
                    is_asked = message is None
        finally:
            self._pubsub = None

    def _take(self, message: dict[str, Any]) -> None:
        match message["type"]:
            case "subscribe":
                self._error = None
                if confirmed := self._confirmed.get(message["channel"].decode()):
                    confirmed.set()
            case "message":
                channel, content = json.loads(message["data"])
                listeners = [channel] if channel else self._members.get(message["channel"].decode(), ())
                for listener in listeners:
                    queue = self._queues.get(listener)
                    if queue is not None and queue.qsize() < self._capacity:
                        queue.put_nowait(content)

    def _break_off(self, error: Exception) -> None:
        """Ends all channels; whoever waits for one, or for a topic, is told."""
        if self._error is None:
            defect = None if isinstance(error, LAYER_ERRORS) else error
            logger.warning("The line to Redis broke: %s", error, exc_info=defect)
        self._error = error
        for queue in self._queues.values():
            queue.put_nowait(ConnectionError(f"The line to Redis broke: {error}"))
        for confirmed in self._confirmed.values():
            confirmed.set()
        self._queues.clear()
        self._members.clear()
        self._confirmed.clear()


async def _tell(pubsub: redis.client.PubSub, command: Callable[[str], Awaitable[Any]], topic: str) -> None:
    _refuse_closed(pubsub)
    with _errors_of_a_closing_line():
        await command(topic)


def _refuse_closed(pubsub: redis.client.PubSub) -> None:
    """redis-py would connect and subscribe anew without a word, and nobody would learn what they missed meanwhile."""
    if pubsub.connection is None or not pubsub.connection.is_connected:
        raise ConnectionError("The line to Redis broke")


@contextmanager
def _errors_of_a_closing_line() -> Iterator[None]:
    """redis-py and uvloop know no error of their own for a connection that is closed just then."""
    try:
        yield
    except (AttributeError, RuntimeError) as error:
        raise ConnectionError("The line to Redis broke") from error
