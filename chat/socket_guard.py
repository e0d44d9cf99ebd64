"""A socket that is open only while its person may see the conversation, within limits of number, size and pace.

Enter at `GuardedSocket`; what is said over it is its subclass's matter.
"""

import asyncio
import logging
import time
from contextlib import suppress
from typing import Any
from uuid import UUID

from channels.consumer import get_handler_name
from channels.generic.websocket import AsyncWebsocketConsumer
from django.db import DatabaseError

from chat.frames import final_frame, session_group
from chat.socket_access import Access, check_access, open_session
from chat.socket_limits import TOO_MANY, FrameRate, SocketPlaces
from chat.socket_watch import Watched, watch_of_this_loop
from chat.streaming import send_to_session, spawn
from chat.turn_records import interrupt_stale_answers
from cloneai.logs import note_user
from cloneai.redis_layer import LAYER_ERRORS
from cloneai.threads import run_in_thread

logger = logging.getLogger(__name__)

NOT_LOGGED_IN, UNKNOWN_SESSION, IDLE = 4401, 4404, 4408
TOO_BIG, AWAY = 4413, 4503  # a server may send 1000 and 3000 to 4999 only
MAX_FRAME_BYTES = 64 * 1024
RECHECK_SECONDS = 15.0
IDLE_SECONDS = 60 * 60.0

_places_of_people = SocketPlaces()


class UnknownSocket(AsyncWebsocketConsumer):
    """Whatever is no conversation: refused before accept."""

    async def connect(self) -> None:
        await self.close(code=UNKNOWN_SESSION)


def count_sockets() -> int:
    """Open sockets of this process."""
    return _places_of_people.total()


class GuardedSocket(AsyncWebsocketConsumer):
    """Knows `user` and `session` once it is accepted. `must_recheck` set = access is looked at now, not later."""

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
            await self.channel_layer.close_channel(self.channel_name)

    async def dispatch(self, message: dict[str, Any]) -> None:
        """As Channels' own, without closing old connections of the one thread that all of Django's async code shares.

        These sockets ask the database in threads that give their connection back; a wait for the shared one at every
        frame would have all sockets queue up behind each other.
        """
        await getattr(self, get_handler_name(message))(message)

    async def connect(self) -> None:
        self.must_recheck = asyncio.Event()
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
        self._leave()

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
        """Hands on what is neither a frame too many nor too big."""
        if not self.rate.allows_another():
            if not self.is_flooded:  # what was read with the frame too many still arrives
                self.is_flooded = True
                await self.close(code=TOO_MANY)
            return
        if text_data is None or len(text_data) > MAX_FRAME_BYTES or len(text_data.encode()) > MAX_FRAME_BYTES:
            await self.close(code=TOO_BIG)
            return
        await self.receive_text(text_data)

    async def receive_text(self, text: str) -> None:
        raise NotImplementedError

    async def catch_up(self) -> None:
        """Called every `RECHECK_SECONDS`: shows what got lost on its way without leaving a gap."""

    async def has_access(self) -> bool:
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

    async def _recheck(self) -> None:
        """Ends the socket when idle, within `RECHECK_SECONDS` of a lost permission, at once after a logout."""
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(self.must_recheck.wait(), RECHECK_SECONDS)
            self.must_recheck.clear()
            try:
                if not await self.has_access():
                    return
                if time.monotonic() - self.rate.last_at > IDLE_SECONDS:
                    await self.close(code=IDLE)
                    return
                for answer in await run_in_thread(interrupt_stale_answers, session_id=self.session_id):
                    await send_to_session(
                        session_id=self.session_id, frame=await run_in_thread(final_frame, answer)
                    )
                await self.catch_up()
            except DatabaseError as error:  # this task must outlive it, or nobody would look again
                logger.warning("A socket is looked at later: %s", error)
                await asyncio.sleep(1)
                self.must_recheck.set()
