"""What browsers and caches may do with our answers: policies of content, permissions and frames, and Cache-Control.

Pages that people read and chat on may stand in frames of EMBED_ORIGINS. The session cookie goes along only when such
an origin belongs to the same site (www.example.org around clones.example.org); others show what anonymous people see.
"""

from collections.abc import Callable
from typing import Any

from asgiref.sync import iscoroutinefunction
from django.conf import settings
from django.core.exceptions import DisallowedHost
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.cache import has_vary_header
from django.utils.decorators import sync_and_async_middleware

PERMISSIONS_POLICY = "camera=(), geolocation=(), microphone=(), payment=(), usb=(), browsing-topics=()"
# The admin's Alpine makes functions from attributes; it and Swagger set styles in attributes.
RELAXED_PATHS = {
    "/admin/": {"script-src": "'self' 'unsafe-eval'", "style-src": "'self' 'unsafe-inline'"},
    "/api/docs": {"style-src": "'self' 'unsafe-inline'"},
}

NEVER_FRAMED = ("/admin/", "/accounts/", "/account/", "/api/", "/v1/")
PROGRAMS = ("/api/", "/v1/")


def build_policy(*, path: str, socket_origin: str) -> str:
    """The policy of one page; not every browser counts `socket_origin` (wss://host) as 'self'."""
    directives = {
        "default-src": "'self'",
        "script-src": "'self'",
        "style-src": "'self'",
        "img-src": "'self' data:",
        "connect-src": f"'self' {socket_origin}".strip(),
        "object-src": "'none'",
        "base-uri": "'none'",
        "form-action": "'self'",
        "frame-ancestors": " ".join(["'self'", *settings.EMBED_ORIGINS]) if may_be_framed(path) else "'none'",
    }
    for prefix, relaxed in RELAXED_PATHS.items():
        if path.startswith(prefix):
            directives |= relaxed
    if not settings.DEBUG and not settings.INSECURE_HTTP:
        directives["upgrade-insecure-requests"] = ""
    return "; ".join(f"{name} {value}".strip() for name, value in directives.items())


def may_be_framed(path: str) -> bool:
    """Never where people log in, change their account or work: a page around it could lead their clicks."""
    return bool(settings.EMBED_ORIGINS) and not path.startswith(NEVER_FRAMED)


@sync_and_async_middleware
def browser_policies_middleware(get_response: Callable[[HttpRequest], Any]) -> Callable[[HttpRequest], Any]:
    """Sets the headers unless the view has set its own."""
    if iscoroutinefunction(get_response):

        async def respond(request: HttpRequest) -> HttpResponseBase:
            return _add_headers(request, await get_response(request))

        return respond

    return lambda request: _add_headers(request, get_response(request))


def _add_headers(request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
    policy = build_policy(path=request.path, socket_origin=_socket_origin(request))
    response.headers.setdefault("Content-Security-Policy", policy)
    response.headers.setdefault("Permissions-Policy", PERMISSIONS_POLICY)
    if may_be_framed(request.path):
        response.headers.pop("X-Frame-Options", None)  # knows no origins; `frame-ancestors` rules
    if request.path.startswith(PROGRAMS):
        response.headers.setdefault("Cache-Control", "no-store")
    elif has_vary_header(response, "Cookie"):
        response.headers.setdefault("Cache-Control", "private, no-cache")
    return response


def _socket_origin(request: HttpRequest) -> str:
    try:
        return f"{'wss' if request.is_secure() else 'ws'}://{request.get_host()}"
    except DisallowedHost:
        return ""
