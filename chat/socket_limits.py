"""Refuses the sockets that one login opens beyond its share, before anything is loaded for them."""

from collections import Counter
from typing import Any

from django.conf import settings

from chat.consumers import MAX_SOCKETS_PER_USER, TOO_MANY
from cloneai.origins import AsgiApplication

_sockets_of_login: Counter[str] = Counter()


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
        if _sockets_of_login[login] >= MAX_SOCKETS_PER_USER:
            await send({"type": "websocket.accept"})  # else the client is not told the code
            await send({"type": "websocket.close", "code": TOO_MANY})
            return
        _sockets_of_login[login] += 1
        try:
            await self.application(scope, receive, send)
        finally:
            _sockets_of_login[login] -= 1
            if not _sockets_of_login[login]:
                del _sockets_of_login[login]
