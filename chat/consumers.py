"""The socket of one open conversation: takes orders, shows frames. It owns nothing; turns go on without it.

Frames of an answer are forwarded in their order, as `FrameSequence` judges them. A gap (a late join, a dropped layer
message, a `resume`) is closed by asking the writer, or for a finished answer the database, for what is missing.
"""

import asyncio
import json
import logging
import time
from contextlib import suppress
from typing import Any
from uuid import UUID

from channels.consumer import get_handler_name
from channels.generic.websocket import AsyncWebsocketConsumer
from django.db import DatabaseError
from django.utils import timezone

from chat.frame_sequence import FrameSequence, Verdict
from chat.frames import (
    Frame,
    error_frame,
    final_frame,
    missed_frames,
    session_group,
    start_frame,
    user_message_frame,
)
from chat.models import Message
from chat.orders import (
    Edit,
    Order,
    Regenerate,
    Resume,
    SendMessage,
    Stop,
    UnknownOrder,
    parse_order,
)
from chat.socket_access import Access, check_access, find_answer, open_session
from chat.socket_limits import TOO_MANY, FrameRate, SocketPlaces
from chat.socket_watch import Watched, watch_of_this_loop
from chat.streaming import LAYER_ERRORS, send_to_session, send_to_writer, spawn
from chat.turn_records import STALE_AFTER, interrupt_stale_answers
from chat.turns import TurnRefused, edit_message, regenerate_answer, start_turn, stop_answer
from cloneai.logs import note_user
from cloneai.threads import run_in_thread

logger = logging.getLogger(__name__)

NOT_LOGGED_IN, UNKNOWN_SESSION, IDLE = 4401, 4404, 4408
TOO_BIG, AWAY = 4413, 4503  # a server may send 1000 and 3000 to 4999 only
MAX_FRAME_BYTES = 64 * 1024
RECHECK_SECONDS = 15.0
IDLE_SECONDS = 60 * 60.0
LATE_JOIN_SECONDS = 0.5  # so long a socket that comes into a running answer may say what it has seen of it

_places_of_people = SocketPlaces()


class UnknownSocket(AsyncWebsocketConsumer):
    """Whatever is no conversation: refused before accept."""

    async def connect(self) -> None:
        await self.close(code=UNKNOWN_SESSION)


def count_sockets() -> int:
    """Open sockets of this process."""
    return _places_of_people.total()


class ChatConsumer(AsyncWebsocketConsumer):
    """See `contracts.md` for frames and close codes."""

    has_place = is_flooded = False
    watched: Watched | None = None
    checker: asyncio.Task[Any] | None = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """While Redis or the database is away the socket ends, and its browser comes back until they are there.

        Its place is given back however it ends: after an error nobody calls `disconnect`.
        """
        try:
            await super().__call__(scope, receive, send)
        except (DatabaseError, *LAYER_ERRORS) as error:
            logger.warning("A socket ends, for its browser to come back: %s", error)
            await self.close(code=AWAY)
        finally:
            self._leave()

    async def dispatch(self, message: dict[str, Any]) -> None:
        """As Channels' own, without closing old connections of the one thread that all of Django's async code shares.

        This consumer asks the database in threads that give their connection back; a wait for the shared one at every
        frame would have all sockets queue up behind each other.
        """
        await getattr(self, get_handler_name(message))(message)

    async def connect(self) -> None:
        self.must_recheck = asyncio.Event()
        self.sequence = FrameSequence()
        self.rate = FrameRate()
        self.session_id: UUID = self.scope["url_route"]["kwargs"]["session_id"]
        user = self.scope["user"]
        if not user.is_authenticated or not user.is_active:
            await self.close(code=NOT_LOGGED_IN)
            return
        note_user(user.pk)
        self.user = user
        self.has_place = _places_of_people.take(user.pk)
        if not self.has_place:  # before the database is asked for more
            await self.accept()
            await self.close(code=TOO_MANY)
            return
        session = await run_in_thread(open_session, session_id=self.session_id, user=user)
        await self.accept()
        if session is None:
            await self.close(code=UNKNOWN_SESSION)
            return
        self.session = session
        await self.channel_layer.group_add(session_group(self.session_id), self.channel_name)
        self.watched = Watched(
            user_id=user.pk,
            password=user.password,
            login_key=self.scope["session"].session_key,
            wake=self.must_recheck.set,
        )
        watch_of_this_loop().add(self.watched)
        self.checker = spawn(self._recheck())

    async def disconnect(self, code: int) -> None:
        was_watched = self.watched is not None
        self._leave()
        if was_watched:
            with suppress(*LAYER_ERRORS):  # Redis forgets the channel by itself
                await self.channel_layer.group_discard(session_group(self.session_id), self.channel_name)

    def _leave(self) -> None:
        """Forgets the socket; a second call does nothing."""
        if self.checker is not None:
            self.checker.cancel()
        if self.watched is not None:
            watch_of_this_loop().remove(self.watched)
            self.watched = None
        if self.has_place:
            self.has_place = False
            _places_of_people.give_back(self.user.pk)

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        if not self.rate.allows_another():
            if not self.is_flooded:  # what was read with the frame too many still arrives
                self.is_flooded = True
                await self.close(code=TOO_MANY)
            return
        if text_data is None or len(text_data) > MAX_FRAME_BYTES or len(text_data.encode()) > MAX_FRAME_BYTES:
            await self.close(code=TOO_BIG)
            return
        try:
            order = parse_order(text_data)
            if not await self._has_access():
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
                await self._resume(answer_id=order.message_id, after_seq=order.after_seq)

    async def _send_message(self, order: SendMessage) -> None:
        started = await start_turn(
            session=self.session, content=order.content, client_message_id=order.client_message_id
        )
        if not started.is_new:  # a repeated send: this socket gets the turn again from its beginning
            question = await run_in_thread(Message.objects.get, pk=started.user_message_id)
            await self._send(user_message_frame(question))
            await self._resume(answer_id=started.answer_id, after_seq=-1)

    async def _resume(self, *, answer_id: UUID, after_seq: int) -> None:
        answer = await run_in_thread(find_answer, session_id=self.session_id, answer_id=answer_id)
        if answer is None:
            await self._refuse("not_found", "There is no such answer in this conversation.")
            return
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

    async def turn_frame(self, event: dict[str, Any]) -> None:
        """A live frame from the channel layer."""
        await self._forward(event["frame"])

    async def turn_replay(self, event: dict[str, Any]) -> None:
        """Frames of one answer that this socket asked the writer for."""
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
        if self.sequence.is_reader_awaited(answer_id=answer_id) and self.watched is not None:
            with suppress(DatabaseError):  # its reader will ask
                await self._resume(answer_id=UUID(answer_id), after_seq=-1)

    async def _recheck(self) -> None:
        """Ends the socket at once after a logout or a deactivation, within `RECHECK_SECONDS` of a lost permission, or
        when idle.
        """
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(self.must_recheck.wait(), RECHECK_SECONDS)
            self.must_recheck.clear()
            try:
                if not await self._has_access():
                    return
                if time.monotonic() - self.rate.last_at > IDLE_SECONDS:
                    await self.close(code=IDLE)
                    return
                for answer in await run_in_thread(interrupt_stale_answers, session_id=self.session_id):
                    await send_to_session(
                        session_id=self.session_id, frame=await run_in_thread(final_frame, answer)
                    )
            except DatabaseError as error:  # this task must outlive it, or nobody would look again
                logger.warning("A socket is looked at later: %s", error)
                await asyncio.sleep(1)
                self.must_recheck.set()

    async def _has_access(self) -> bool:
        """Whether the person may still be here. Closes the socket when not."""
        access = await run_in_thread(
            check_access,
            session_id=self.session_id,
            user=self.user,
            login_key=self.scope["session"].session_key,
        )
        if access is not Access.GRANTED:
            await self.close(code=NOT_LOGGED_IN if access is Access.LOGIN_LOST else UNKNOWN_SESSION)
        return access is Access.GRANTED

    async def _refuse(self, error_type: str, message: str, retry_after: int | None = None) -> None:
        await self._send(error_frame(error_type=error_type, message=message, retry_after=retry_after))

    async def _send(self, frame: Frame) -> None:
        await self.send(text_data=json.dumps(frame, ensure_ascii=False))
