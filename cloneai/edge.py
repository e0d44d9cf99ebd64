"""The outermost layers of the web process: every request gets an id and an access line, and no body is endless."""

import json
import logging
import re
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import quote

from asgiref.sync import iscoroutinefunction
from django.conf import settings
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.decorators import sync_and_async_middleware

from cloneai.error_pages import render_alone
from cloneai.logs import begin_request, note_request, redact

access_logger = logging.getLogger("cloneai.access")

Scope = dict[str, Any]
AsgiApplication = Callable[[Scope, Any, Any], Awaitable[None]]
CLIENT_LEFT = 499
FORM_BYTES = 1024 * 1024  # what a form may need beside its file
FILES_AT_ONCE = 4  # forms without script send them in one request
UPLOADS = re.compile(r"^/api/clones/[^/]+/documents$")
TOO_LARGE = "The request is too large: at most {megabytes} MB are taken here."

answers_counted: Counter[str] = Counter()  # by class of status ("2xx"), of this process


class RecordedRequests:
    """Gives each request an id, which the answer carries as X-Request-ID, and logs it when it has ended.

    Takes away the prefix that Daphne reads from the header `Daphne-Root-Path`, whoever sent it: all addresses that the
    product writes or compares would begin with it.
    """

    def __init__(self, application: AsgiApplication) -> None:
        self.application = application

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        if scope["type"] not in {"http", "websocket"}:
            await self.application(scope, receive, send)
            return
        scope = {**scope, "root_path": ""}
        context, started_at, status = begin_request(), time.perf_counter(), 0

        async def note_status(message: dict[str, Any]) -> None:
            nonlocal status
            kind = message["type"]
            if kind == "http.response.start":
                status = message["status"]
                headers = list(message.get("headers", []))
                if not any(name.lower() == b"x-request-id" for name, _value in headers):
                    headers.append((b"X-Request-ID", context.request_id.encode()))
                message = {**message, "headers": headers}
            elif kind == "websocket.accept":
                status = 101
            elif kind == "websocket.close":
                status = message.get("code", 1000) if status == 101 else 403
            await send(message)

        try:
            await self.application(scope, receive, note_status)
        except Exception:
            status = 500
            raise
        finally:
            _log_access(scope, status=status or CLIENT_LEFT, seconds=time.perf_counter() - started_at)


def _log_access(scope: Scope, *, status: int, seconds: float) -> None:
    method = "SOCKET" if scope["type"] == "websocket" else scope["method"]
    path = redact(quote(scope["path"], safe="/:@"))  # without the query: it may hold what was searched for
    if scope["type"] == "http":
        answers_counted[f"{status // 100}xx"] += 1
    fields = {"method": method, "path": path, "status": status, "duration_ms": round(seconds * 1000)}
    access_logger.info('"%s %s" %s %d ms', *fields.values(), extra=fields)


class BodyTooLargeError(Exception):
    pass


class LimitedBodies:
    """Answers 413 to a body that is, or turns out to be, larger than its address takes."""

    def __init__(self, application: AsgiApplication) -> None:
        self.application = application

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self.application(scope, receive, send)
            return
        limit, received, has_begun = find_limit(scope["path"]), 0, False

        async def count() -> dict[str, Any]:
            nonlocal received
            message: dict[str, Any] = await receive()
            received += len(message.get("body", b""))
            if received > limit:
                raise BodyTooLargeError
            return message

        async def note_begin(message: dict[str, Any]) -> None:
            nonlocal has_begun
            has_begun = True
            await send(message)

        try:
            if _declared_length(scope) > limit:
                raise BodyTooLargeError
            await self.application(scope, count, note_begin)
        except BodyTooLargeError:
            if has_begun:
                raise
            await _refuse(scope["path"], limit=limit, send=send)


def find_limit(path: str) -> int:
    """Bytes that a request to this path may have."""
    if UPLOADS.match(path):
        return settings.MAX_UPLOAD_BYTES + FORM_BYTES
    if path.startswith("/admin/"):
        return FILES_AT_ONCE * settings.MAX_UPLOAD_BYTES + FORM_BYTES
    return settings.DATA_UPLOAD_MAX_MEMORY_SIZE


def _declared_length(scope: Scope) -> int:
    for name, value in scope.get("headers", []):
        if name.lower() == b"content-length" and value.isdigit():
            return int(value)
    return 0


async def _refuse(path: str, *, limit: int, send: Any) -> None:
    message = TOO_LARGE.format(megabytes=limit // 1024**2)
    content_type = b"application/json"
    if path.startswith("/v1/"):
        error = {"message": message, "type": "invalid_request_error", "param": None, "code": "too_large"}
        body = json.dumps({"error": error})
    elif path.startswith("/api/"):
        body = json.dumps({"error_type": "too_large", "message": message, "retry_after": None})
    else:
        body, content_type = render_alone("413.html"), b"text/html; charset=utf-8"
    headers = [(b"Content-Type", content_type), (b"Connection", b"close")]
    content = body.encode()
    headers.append((b"Content-Length", str(len(content)).encode()))
    await send({"type": "http.response.start", "status": 413, "headers": headers})
    await send({"type": "http.response.body", "body": content})


@sync_and_async_middleware
def log_context_middleware(get_response: Callable[[HttpRequest], Any]) -> Callable[[HttpRequest], Any]:
    """Lets log lines know the request's person."""
    if iscoroutinefunction(get_response):

        async def respond(request: HttpRequest) -> HttpResponseBase:
            note_request(request)
            return await get_response(request)

        return respond

    def respond_sync(request: HttpRequest) -> HttpResponseBase:
        note_request(request)
        response: HttpResponseBase = get_response(request)
        return response

    return respond_sync
