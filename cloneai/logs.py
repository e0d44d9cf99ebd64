"""Log lines that say which request, person and turn they belong to, and never what was said.

A request's context is set at the edge (`cloneai.edge`), a turn's where it is written. Formatters take keys, cookies and
one-time links out of whatever reaches them: the last line of defence, not a licence to log them.
"""

import json
import logging
import re
import uuid
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.http import HttpRequest
from django.utils.functional import LazyObject, empty

STANDARD_FIELDS = ("method", "path", "status", "duration_ms")  # of access lines, as `extra`
HIDDEN = "[hidden]"
SECRETS = (
    re.compile(r"\bcak_[\w-]{6,}"),
    re.compile(r"\bsk-[\w*-]{6,}"),
    re.compile(r"(?i)(?<=bearer )\S+"),
    re.compile(r"(?i)(?<=sessionid=)[^;\s'\"]+"),
    re.compile(r"(?i)(?<=csrftoken=)[^;\s'\"]+"),
    re.compile(r"(?<=://)[^/\s:@]*:[^/\s@]+(?=@)"),  # user and password of an address
    re.compile(r"(?<=DETAIL:  )[^\n]+"),  # PostgreSQL shows the row that it refused
    re.compile(r"(?<=/accounts/confirm-email/)[^/\s\"]+"),
    re.compile(r"(?<=/accounts/password/reset/key/)[^/\s\"]+"),
)
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


@dataclass(slots=True)
class RequestContext:
    """Of one HTTP request or socket. Changed on the way: the person is known later than the request."""

    request_id: str
    request: HttpRequest | None = None
    user_id: int | None = None


_context: ContextVar[RequestContext | None] = ContextVar("request_context", default=None)
_turn_id: ContextVar[str] = ContextVar("turn_id", default="")


def begin_request() -> RequestContext:
    """A context with a fresh id; what the client calls its request is not asked."""
    context = RequestContext(request_id=uuid.uuid4().hex)
    _context.set(context)
    return context


def note_request(request: HttpRequest) -> None:
    if (context := _context.get()) is not None:
        context.request = request


def note_user(user_id: int) -> None:
    if (context := _context.get()) is not None:
        context.user_id = user_id


def begin_turn(answer_id: uuid.UUID) -> None:
    """For the task that writes this answer, and what it starts."""
    _turn_id.set(str(answer_id))


def current_request_id() -> str:
    context = _context.get()
    return context.request_id if context is not None else ""


def current_user_id() -> int | None:
    """The person of this request if somebody has asked for them already; makes no query."""
    context = _context.get()
    if context is None:
        return None
    attributes = context.request.__dict__ if context.request is not None else {}
    for user in (attributes.get("user"), attributes.get("_cached_user"), attributes.get("_acached_user")):
        if user is None or (isinstance(user, LazyObject) and user._wrapped is empty):
            continue
        return user.pk
    return context.user_id


def redact(text: str) -> str:
    for secret in SECRETS:
        text = secret.sub(HIDDEN, text)
    return text


def _describe_context() -> dict[str, Any]:
    found = {"request_id": current_request_id(), "user_id": current_user_id(), "turn_id": _turn_id.get()}
    return {name: value for name, value in found.items() if value}


class LineFormatter(logging.Formatter):
    """For people: one line, then the trace if there is one."""

    def format(self, record: logging.LogRecord) -> str:
        return redact(super().format(record))

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802
        record.message = CONTROL.sub(lambda found: repr(found[0])[1:-1], record.message)
        known = " ".join(f"{name.removesuffix('_id')}={value}" for name, value in _describe_context().items())
        return super().formatMessage(record) + (f" [{known}]" if known else "")


class JsonFormatter(logging.Formatter):
    """For programs: one JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": redact(record.getMessage()),
            **_describe_context(),
        }
        line |= {name: record.__dict__[name] for name in STANDARD_FIELDS if name in record.__dict__}
        if record.exc_info and record.exc_info[0] is not None:
            line["error"] = record.exc_info[0].__name__
            line["trace"] = redact(self.formatException(record.exc_info))
        return json.dumps(line, ensure_ascii=False, default=str)
