"""Looks every `LOOK_SECONDS` whether the people behind this process's sockets may still be here.

One query for all people and one for all logins, however many sockets there are. Who lost their access is woken up at
once; what became of it the socket itself finds out.
"""

import asyncio
import logging
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from django.contrib.sessions.models import Session
from django.db import DatabaseError

from chat.streaming import spawn
from cloneai.accounts.models import User
from cloneai.threads import run_in_thread

logger = logging.getLogger(__name__)

LOOK_SECONDS = 1.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Watched:
    """One socket: whose it is, by which login, and how it is woken up. `password` is the hash that it began with."""

    user_id: int
    password: str
    login_key: str
    wake: Callable[[], None]


@dataclass(slots=True)
class SocketWatch:
    """The sockets of one event loop."""

    sockets: set[Watched] = field(default_factory=set)
    task: asyncio.Task[None] | None = None

    def add(self, socket: Watched) -> None:
        self.sockets.add(socket)
        if self.task is None or self.task.done():
            self.task = spawn(self._look_on())

    def remove(self, socket: Watched) -> None:
        self.sockets.discard(socket)

    async def _look_on(self) -> None:
        while self.sockets:
            await asyncio.sleep(LOOK_SECONDS)
            watched = list(self.sockets)
            try:
                passwords, logins = await run_in_thread(
                    find_present,
                    user_ids={socket.user_id for socket in watched},
                    login_keys={socket.login_key for socket in watched},
                )
            except DatabaseError as error:
                logger.warning("The next look at sockets comes later: %s", error)
                continue
            for socket in watched:
                if passwords.get(socket.user_id) != socket.password or socket.login_key not in logins:
                    socket.wake()


def find_present(
    *, user_ids: Collection[int], login_keys: Collection[str]
) -> tuple[dict[int, str], set[str]]:
    """Password hashes of the active ones among these people, and those of the logins that still exist."""
    people = User.objects.filter(pk__in=user_ids, is_active=True).values_list("pk", "password")
    logins = Session.objects.filter(session_key__in=login_keys).values_list("session_key", flat=True)
    return dict(people), set(logins)


_watches: dict[asyncio.AbstractEventLoop, SocketWatch] = {}


def watch_of_this_loop() -> SocketWatch:
    loop = asyncio.get_running_loop()
    for other in [other for other in _watches if other.is_closed()]:
        del _watches[other]
    return _watches.setdefault(loop, SocketWatch())
