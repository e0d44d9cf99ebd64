"""Shows an answer while it is written, to whoever listens, and keeps what was written safe.

`AnswerWriter` cuts the text into numbered frames: the first piece goes out at once, later ones are gathered for
`COALESCE_SECONDS`. It listens for `stop` and `replay`, which any process may send through the channel layer. One
task per process writes the text of all running answers to the database every `HEARTBEAT_SECONDS`, in one statement.
"""

import asyncio
import logging
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Any, Self
from uuid import UUID

from channels.layers import get_channel_layer
from django.db import DatabaseError, connection
from django.utils import timezone

from chat.frames import Frame, answer_group, chunk_frame, session_group
from chat.markdown import Block, MarkdownStream
from chat.source_keeping import SourceKeeper
from cloneai.redis_layer import LAYER_ERRORS, RedisAway
from cloneai.threads import run_in_thread

COALESCE_SECONDS = 0.05
HEARTBEAT_SECONDS = 2.0
TICK_SECONDS = 1.0
REJOIN_SECONDS = 0.2
SHUT_DOWN_SECONDS = 5.0

logger = logging.getLogger(__name__)

# By hand: `bulk_update` would make a transaction, a CASE for every column and a second query for `stop_requested`.
SAVE_DRAFTS = """
    UPDATE chat_message SET content = draft.content, chunk_ends = draft.chunk_ends, heartbeat_at = %s
    FROM (VALUES {rows}) AS draft (id, content, chunk_ends)
    WHERE chat_message.id = draft.id AND chat_message.status = 'streaming'
    RETURNING chat_message.id, chat_message.stop_requested
"""

_running: dict[UUID, "AnswerWriter"] = {}
_tasks: set[asyncio.Task[Any]] = set()
_keeper: asyncio.Task[Any] | None = None


def count_running_answers() -> int:
    """Answers that this process is writing."""
    return len(_running)


def spawn(work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
    """Runs `work` in the background of this event loop, independent of the request that asked for it."""
    task = asyncio.get_running_loop().create_task(work)
    _tasks.add(task)
    task.add_done_callback(_tasks.discard)
    return task


async def send_to_session(*, session_id: UUID, frame: Frame) -> None:
    await _send_to_group(session_group(session_id), {"type": "turn.frame", "frame": frame})


async def send_to_writer(*, answer_id: UUID, order: dict[str, Any]) -> None:
    """Reaches the process that writes the answer, if one does."""
    await _send_to_group(answer_group(answer_id), order)


async def _send_to_group(group: str, event: dict[str, Any]) -> None:
    """While Redis is away nobody is told; what counts is in the database, and clients ask for what they missed."""
    try:
        await get_channel_layer().group_send(group, event)
    except RedisAway:
        pass
    except LAYER_ERRORS as error:
        logger.warning("The channel layer is away: %s", error)


async def interrupt_running_answers() -> None:
    """Ends the answers of this process with the text that they have; what a process does before it stops."""
    writers = list(_running.values())
    for writer in writers:
        writer.shut_down()
    async with asyncio.timeout(SHUT_DOWN_SECONDS):
        while _running:  # noqa: ASYNC110  (a few of them, once)
            await asyncio.sleep(0.02)


class AnswerWriter:
    """The one writer of a running answer; use as `async with`. `text` is what has been written so far."""

    def __init__(self, *, answer_id: UUID, session_id: UUID, link_hosts: Sequence[str] = ()) -> None:
        self.answer_id = answer_id
        self.session_id = session_id
        self.text = ""
        self.chunk_ends: list[int] = []
        self.was_stopped = False
        self.was_shut_down = False
        self.sources: SourceKeeper | None = None
        self._rendering = MarkdownStream(link_hosts=link_hosts)
        self._blocks: dict[int, list[Block]] = {}
        self._stop = asyncio.Event()
        self._sent_at = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._sending = asyncio.Lock()
        self._layer = get_channel_layer()
        self._channel = ""

    async def __aenter__(self) -> Self:
        with suppress(*LAYER_ERRORS):
            await self._join()
        self._listener = spawn(self._listen())
        _running[self.answer_id] = self
        _ensure_keeper()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _running.pop(self.answer_id, None)
        if self._timer is not None:
            self._timer.cancel()
        self._listener.cancel()
        await self._layer.close_channel(self._channel)

    async def write(self, text: str) -> None:
        """Appends to the answer; it is sent now, or with the next pieces at most `COALESCE_SECONDS` later."""
        self.text += text
        wait_seconds = self._sent_at + COALESCE_SECONDS - asyncio.get_running_loop().time()
        if wait_seconds <= 0:
            await self.flush()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(wait_seconds, lambda: spawn(self.flush()))

    async def flush(self) -> None:
        """Sends what has not been sent yet as one frame."""
        async with self._sending:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            start, end = self._sent_length, len(self.text)
            if start == end:
                return
            self._sent_at = asyncio.get_running_loop().time()
            urls = await self.sources.save_new() if self.sources else {}
            if blocks := self._rendering.push(self.text[start:end], source_urls=urls):
                self._blocks[len(self.chunk_ends)] = blocks
            self.chunk_ends.append(end)
            await send_to_session(session_id=self.session_id, frame=self._frame(len(self.chunk_ends) - 1))

    async def run_until_stopped(self, work: Coroutine[Any, Any, None]) -> None:
        """Awaits `work`, or cancels it as soon as somebody asks to stop; raises what `work` raises."""
        task = spawn(work)
        stop = spawn(self._stop.wait())
        try:
            await asyncio.wait({task, stop}, return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                self.was_stopped = True
                task.cancel()
            await task
        except asyncio.CancelledError:
            if not self.was_stopped:
                task.cancel()
                raise
        finally:
            stop.cancel()

    def stop(self) -> None:
        self._stop.set()

    def shut_down(self) -> None:
        """Ends the answer as if it had been stopped, though nobody asked for it."""
        self.was_shut_down = True
        self.stop()

    @property
    def _sent_length(self) -> int:
        return self.chunk_ends[-1] if self.chunk_ends else 0

    def _frame(self, seq: int) -> Frame:
        start = self.chunk_ends[seq - 1] if seq else 0
        content = self.text[start : self.chunk_ends[seq]]
        return chunk_frame(
            answer_id=self.answer_id, seq=seq, content=content, blocks=self._blocks.get(seq, ())
        )

    async def _join(self) -> None:
        channel = await self._layer.new_channel("writer")
        try:
            await self._layer.group_add(answer_group(self.answer_id), channel)
        except BaseException:
            await self._layer.close_channel(channel)
            raise
        self._channel = channel

    async def _listen(self) -> None:
        while True:
            try:
                order = await self._layer.receive(self._channel)
            except LAYER_ERRORS:  # the channel ended with them
                await asyncio.sleep(REJOIN_SECONDS)
                with suppress(*LAYER_ERRORS):
                    await self._join()
                continue
            if order["type"] == "answer.stop":
                self.stop()
            elif order["type"] == "answer.replay":
                await self._replay(channel=order["channel"], after_seq=order["after_seq"])

    async def _replay(self, *, channel: str, after_seq: int) -> None:
        async with self._sending:  # no live frame may overtake the replay
            frames = [self._frame(seq) for seq in range(after_seq + 1, len(self.chunk_ends))]
            with suppress(*LAYER_ERRORS):  # who asked comes back, and asks again
                await self._layer.send(channel, {"type": "turn.replay", "frames": frames})


def _ensure_keeper() -> None:
    global _keeper
    if _keeper is None or _keeper.done() or _keeper.get_loop() is not asyncio.get_running_loop():
        _keeper = spawn(_keep_alive())


async def _keep_alive() -> None:
    """Saves text and heartbeat of this process's running answers until there are none."""
    saved: set[UUID] = set()
    saved_at = 0.0
    while _running:
        await asyncio.sleep(TICK_SECONDS)
        now = asyncio.get_running_loop().time()
        # A new answer is saved after one second, so that a dead process costs little; then with all the others.
        if now - saved_at >= HEARTBEAT_SECONDS or _running.keys() - saved:
            drafts = [
                (writer.answer_id, writer.text, list(writer.chunk_ends)) for writer in _running.values()
            ]
            if not drafts:  # all ended during the pause
                break
            try:
                to_stop = await run_in_thread(_save_drafts, drafts)
            except DatabaseError as error:
                logger.warning("Running answers are saved later: %s", error)
                continue
            for answer_id in to_stop & _running.keys():
                _running[answer_id].stop()
            saved, saved_at = {answer_id for answer_id, *_ in drafts}, now


def _save_drafts(drafts: Sequence[tuple[UUID, str, list[int]]]) -> set[UUID]:
    """One statement for all of them. Text behind the last frame is not saved: a replay could not cut it.

    Returns those that somebody wants stopped, should the channel layer have lost the order.
    """
    rows = ", ".join(["(%s::uuid, %s::text, %s::int[])"] * len(drafts))
    values = [value for pk, text, ends in drafts for value in (pk, text[: ends[-1]] if ends else "", ends)]
    with connection.cursor() as cursor:
        cursor.execute(SAVE_DRAFTS.format(rows=rows), [timezone.now(), *values])
        return {pk for pk, is_to_stop in cursor.fetchall() if is_to_stop}
