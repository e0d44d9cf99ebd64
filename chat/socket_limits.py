"""How many sockets a person opens and how fast they may send, in this process.

`LimitedSockets` refuses what one login opens beyond its share, before anything is loaded for it.
"""

import time
from collections import Counter, deque
from collections.abc import Hashable
from typing import Any

from django.conf import settings

from cloneai.origins import AsgiApplication

TOO_MANY = 4429
MAX_SOCKETS_PER_USER = 20
MAX_FRAMES, FRAMES_WINDOW_SECONDS = 40, 10.0


class SocketPlaces:
    """The open sockets of each holder, at most `MAX_SOCKETS_PER_USER`."""

    def __init__(self) -> None:
        self._taken: Counter[Hashable] = Counter()

    def take(self, holder: Hashable) -> bool:
        """Whether there was a place left, which is the holder's now."""
        if self._taken[holder] >= MAX_SOCKETS_PER_USER:
            return False
        self._taken[holder] += 1
        return True

    def give_back(self, holder: Hashable) -> None:
        self._taken[holder] -= 1
        if not self._taken[holder]:
            del self._taken[holder]

    def total(self) -> int:
        return self._taken.total()


class FrameRate:
    """When the last frames of a socket came: `MAX_FRAMES` in any `FRAMES_WINDOW_SECONDS`."""

    def __init__(self) -> None:
        self.last_at = time.monotonic()
        self._recent: deque[float] = deque(maxlen=MAX_FRAMES)

    def allows_another(self) -> bool:
        """Whether the frame that has just come is one of those that may."""
        self.last_at = now = time.monotonic()
        if len(self._recent) == MAX_FRAMES and now - self._recent[0] < FRAMES_WINDOW_SECONDS:
            return False
        self._recent.append(now)
        return True


_places_of_logins = SocketPlaces()


class LimitedSockets:
    """Stands inside Channels' CookieMiddleware. A session cookie opens `MAX_SOCKETS_PER_USER` sockets of this process.

    The consumer counts by person, which takes the database to know; hundreds that knock at once must not get so far.
    """

    def __init__(self, application: AsgiApplication) -> None:
        self.application = application

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        login = scope["cookies"].get(settings.SESSION_COOKIE_NAME, "")
        if not login:
            await self.application(scope, receive, send)
            return
        if not _places_of_logins.take(login):
            await send({"type": "websocket.accept"})  # else the client is not told the code
            await send({"type": "websocket.close", "code": TOO_MANY})
            return
        try:
            await self.application(scope, receive, send)
        finally:
            _places_of_logins.give_back(login)
