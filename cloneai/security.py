"""What browsers and caches may do with our answers: policies of content, permissions and frames, and Cache-Control.

Pages that people read and chat on may stand in frames of EMBED_ORIGINS. The session cookie goes along only when such
an origin belongs to the same site (www.example.org around clones.example.org); others show what anonymous people see.
"""

from collections.abc import Awaitable, Callable

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.conf import settings
from django.core.exceptions import DisallowedHost
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.cache import has_vary_header

PERMISSIONS_POLICY = "camera=(), geolocation=(), microphone=(), payment=(), usb=(), browsing-topics=()"
# The admin's Alpine makes functions from attributes; it and Swagger set styles in attributes.
RELAXED_PATHS = {
    "/admin/": {"script-src": "'self' 'unsafe-eval'", "style-src": "'self' 'unsafe-inline'"},
    "/api/docs": {"style-src": "'self' 'unsafe-inline'"},
}

NEVER_FRAMED = ("/admin/", "/accounts/", "/account/", "/api/", "/v1/")
PROGRAMS = ("/api/", "/v1/")

GetResponse = Callable[[HttpRequest], HttpResponseBase | Awaitable[HttpResponseBase]]


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


class ContentSecurityPolicyMiddleware:
    """Sets the headers unless the view has set its own."""

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response
        self.is_async = iscoroutinefunction(get_response)
        if self.is_async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        if self.is_async:
            return self._respond(request)
        response = self.get_response(request)
        assert isinstance(response, HttpResponseBase)
        return self._add_headers(request, response)

    async def _respond(self, request: HttpRequest) -> HttpResponseBase:
        response = self.get_response(request)
        assert not isinstance(response, HttpResponseBase)
        return self._add_headers(request, await response)

    def _add_headers(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
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
