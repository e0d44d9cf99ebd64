"""Which pages may open a socket: our own origin (scheme, host and port) and those in CSRF_TRUSTED_ORIGINS."""

from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlsplit

from channels.security.websocket import WebsocketDenier
from django.conf import settings
from django.http.request import split_domain_port, validate_host

DEFAULT_PORTS = {"http": 80, "https": 443}

AsgiApplication = Callable[[dict[str, Any], Any, Any], Awaitable[None]]


class AllowedOriginValidator:
    """Refuses a WebSocket before accept unless its Origin header is allowed; a missing one is refused as well."""

    def __init__(self, application: AsgiApplication) -> None:
        self.application = application

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        headers = {name.lower(): value.decode("latin-1") for name, value in scope.get("headers", [])}
        origin = headers.get(b"origin", "")
        host = headers.get(b"host", "")
        is_secure = scope.get("scheme") in {"wss", "https"} or headers.get(b"x-forwarded-proto") == "https"
        application = (
            self.application if is_allowed_origin(origin=origin, host=host, is_secure=is_secure) else None
        )
        await (application or WebsocketDenier())(scope, receive, send)


def is_allowed_origin(*, origin: str, host: str, is_secure: bool) -> bool:
    """Whether `origin` names the very address that the request came to, or a trusted one."""
    found = _split_origin(origin)
    if found is None:
        return False
    domain, _port = split_domain_port(host)
    scheme = "https" if is_secure else "http"
    if validate_host(domain, settings.ALLOWED_HOSTS) and found == _split_origin(f"{scheme}://{host}"):
        return True
    return any(_covers(trusted, found) for trusted in settings.CSRF_TRUSTED_ORIGINS)


def _covers(trusted: str, found: tuple[str, str, int]) -> bool:
    """`https://*.example.org` stands for every host below example.org, as in Django's own check of forms."""
    named = _split_origin(trusted.replace("://*.", "://"))
    if named is None:
        return False
    scheme, host, port = named
    is_host = found[1].endswith(f".{host}") if "://*." in trusted else found[1] == host
    return is_host and (found[0], found[2]) == (scheme, port)


def _split_origin(origin: str) -> tuple[str, str, int] | None:
    """Scheme, host and port of a serialised origin, or None when it is not one."""
    try:
        parts = urlsplit(origin)
        port = parts.port
    except ValueError:
        return None
    is_bare = not (parts.path or parts.query or parts.fragment or "@" in parts.netloc)
    if parts.scheme not in DEFAULT_PORTS or not parts.hostname or not is_bare:
        return None
    return parts.scheme, parts.hostname.lower(), port or DEFAULT_PORTS[parts.scheme]
