"""The socket of one open conversation: takes orders, shows frames. It owns nothing; turns go on without it.

Frames of an answer are forwarded in their order, as `FrameSequence` judges them. A gap (a late join, a dropped layer
message, a `resume`) is closed by asking the writer, or for a finished answer the database, for what is missing.
"""

import asyncio
import json
import logging
from contextlib import suppress
from typing import Any
from uuid import UUID

from django.db import DatabaseError
from django.utils import timezone

from chat.frame_sequence import FrameSequence, Verdict
from chat.frames import Frame, error_frame, final_frame, missed_frames, start_frame, user_message_frame
from chat.models import Message
from chat.orders import Edit, Order, Regenerate, Resume, SendMessage, Stop, UnknownOrder, parse_order
from chat.socket_access import find_answer
from chat.socket_guard import GuardedSocket
from chat.streaming import send_to_writer, spawn
from chat.turn_records import STALE_AFTER
from chat.turns import TurnRefused, edit_message, regenerate_answer, start_turn, stop_answer
from cloneai.threads import run_in_thread

logger = logging.getLogger(__name__)

LATE_JOIN_SECONDS = 0.5  # so long a socket that comes into a running answer may say what it has seen of it


class ChatConsumer(GuardedSocket):
    """Frames and close codes stand in `docs/contracts.md`."""

    async def connect(self) -> None:
        self.sequence = FrameSequence()
        self.showing = asyncio.Lock()  # an answer is shown by one task at a time
        await super().connect()

    async def receive_text(self, text: str) -> None:
        try:
            order = parse_order(text)
            if not await self.has_access():
                return
            await self._carry_out(order)
        except UnknownOrder as error:
            await self._refuse("invalid_request", f"This frame is not one that the chat knows. {error}.")
        except TurnRefused as error:
            await self._refuse(error.error_type, error.message, error.retry_after)
        except DatabaseError as error:
            logger.warning("An order could not be carried out: %s", error)
            await self._refuse(
                "unavailable", "The service is away for a moment. Please try again in a minute."
            )
        except Exception:  # a defect of ours must not look like the client's, nor end the socket
            logger.exception("An order failed")
            await self._refuse("unknown", "Something went wrong. Please try again.")

    async def _carry_out(self, order: Order) -> None:
        match order:
            case SendMessage():
                await self._send_message(order)
            case Stop():
                await stop_answer(session=self.session, answer_id=order.message_id)
            case Regenerate():
                await regenerate_answer(session=self.session, answer_id=order.message_id)
            case Edit():
                await edit_message(session=self.session, message_id=order.message_id, content=order.content)
            case Resume():
                await self._hear_reader(answer_id=order.message_id, after_seq=order.after_seq)

    async def _send_message(self, order: SendMessage) -> None:
        started = await start_turn(
            session=self.session, content=order.content, client_message_id=order.client_message_id
        )
        if not started.is_new:  # a repeated send: this socket gets the turn again from its beginning
            question = await run_in_thread(Message.objects.get, pk=started.user_message_id)
            await self._send(user_message_frame(question))
            await self._hear_reader(answer_id=started.answer_id, after_seq=-1)

    async def _hear_reader(self, *, answer_id: UUID, after_seq: int) -> None:
        """The reader says what they have seen. `_join` must know of it before it is their turn."""
        self.sequence.hear_reader(answer_id=str(answer_id))
        async with self.showing:
            await self._resume(answer_id=answer_id, after_seq=after_seq)

    async def _resume(self, *, answer_id: UUID, after_seq: int) -> None:
        try:
            answer = await run_in_thread(find_answer, session_id=self.session_id, answer_id=answer_id)
        except DatabaseError:
            self.sequence.forget(answer_id=str(answer_id))
            raise
        if answer is None:
            await self._refuse("not_found", "There is no such answer in this conversation.")
            return
        await self._show(answer, after_seq=after_seq)

    async def _show(self, answer: Message, *, after_seq: int) -> None:
        """The answer behind the frame that its reader has seen; what runs still comes from its writer."""
        answer_id = answer.pk
        self.sequence.start_after(after_seq, answer_id=str(answer_id), is_replay_asked=answer.is_running)
        if after_seq < 0:
            await self._send(start_frame(answer_id=answer_id, reply_to=answer.reply_to_id))
        if answer.is_running:
            self._recheck_when_stale(answer)
            await self._ask_for_replay(answer_id=answer_id, after_seq=after_seq)
            return
        for missed in await run_in_thread(missed_frames, answer=answer, after_seq=after_seq):
            await self._forward(missed)
        await self._forward(await run_in_thread(final_frame, answer))

    def _recheck_when_stale(self, answer: Message) -> None:
        """Should nobody write the answer, its reader is told as soon as that is sure."""
        if answer.heartbeat_at is not None:
            sure_at = answer.heartbeat_at + STALE_AFTER
            wait_seconds = max(0.0, (sure_at - timezone.now()).total_seconds()) + 0.1
            asyncio.get_running_loop().call_later(wait_seconds, self.must_recheck.set)

    async def _ask_for_replay(self, *, answer_id: UUID, after_seq: int) -> None:
        order = {"type": "answer.replay", "after_seq": after_seq, "channel": self.channel_name}
        await send_to_writer(answer_id=answer_id, order=order)

    async def catch_up(self) -> None:
        for answer_id in self.sequence.running():
            answer = await run_in_thread(find_answer, session_id=self.session_id, answer_id=UUID(answer_id))
            async with self.showing:
                if answer is not None and not answer.is_running and answer_id in self.sequence.running():
                    await self._show(answer, after_seq=self.sequence.last_seq(answer_id=answer_id))

    async def turn_frame(self, event: dict[str, Any]) -> None:
        """A live frame from the channel layer."""
        async with self.showing:
            await self._forward(event["frame"])

    async def turn_replay(self, event: dict[str, Any]) -> None:
        """Frames of one answer that this socket asked the writer for."""
        async with self.showing:
            for frame in event["frames"]:
                self.sequence.note_replay(answer_id=frame["message_id"])
                await self._forward(frame)

    async def _forward(self, frame: Frame) -> None:
        """Sends a frame when it is its turn, and sees to those that are missing before it."""
        if frame["type"] != "ai_response_chunk":
            await self._send(frame)
            return
        answer_id: str = frame["message_id"]
        verdict = self.sequence.judge(answer_id=answer_id, seq=frame["seq"], is_complete=frame["is_complete"])
        match verdict:
            case Verdict.SEND:
                await self._send(frame)
            case Verdict.DROP:
                pass
            case Verdict.AWAIT_READER:
                spawn(self._join(answer_id))
            case Verdict.ASK_WRITER:
                after_seq = self.sequence.last_seq(answer_id=answer_id)
                await self._ask_for_replay(answer_id=UUID(answer_id), after_seq=after_seq)
            case Verdict.READ_STORED:
                after_seq = self.sequence.last_seq(answer_id=answer_id)
                await self._resume(answer_id=UUID(answer_id), after_seq=after_seq)

    async def _join(self, answer_id: str) -> None:
        """Shows a running answer from its beginning, unless its reader says meanwhile what they have seen of it."""
        await asyncio.sleep(LATE_JOIN_SECONDS)
        if not self._awaits_reader(answer_id):
            return
        with suppress(DatabaseError):  # its reader will ask
            answer = await run_in_thread(find_answer, session_id=self.session_id, answer_id=UUID(answer_id))
            async with self.showing:
                if answer is not None and self._awaits_reader(answer_id):
                    await self._show(answer, after_seq=-1)

    def _awaits_reader(self, answer_id: str) -> bool:
        return self.watched is not None and self.sequence.is_reader_awaited(answer_id=answer_id)

    async def _refuse(self, error_type: str, message: str, retry_after: int | None = None) -> None:
        await self._send(error_frame(error_type=error_type, message=message, retry_after=retry_after))

    async def _send(self, frame: Frame) -> None:
        await self.send(text_data=json.dumps(frame, ensure_ascii=False))
