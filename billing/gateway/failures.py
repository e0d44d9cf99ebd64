"""What the provider reported, read with suspicion: its errors as ours, and its token figures."""

import logging
import math
import re
import time
from email.utils import parsedate_to_datetime
from typing import Any

import httpx2
import openai

from billing.calls import Usage
from billing.errors import (
    AnswerUnusable,
    CallTimedOut,
    ConnectionFailed,
    ProviderAuthenticationFailed,
    ProviderError,
    ProviderFailed,
    RateLimited,
    RequestRejected,
)

logger = logging.getLogger(__name__)

# What reading an answer raises that is not of the shape it should be: the client parses it without a check.
UNREADABLE = (ValueError, TypeError, AttributeError, LookupError, RecursionError)
UNSUPPORTED = frozenset({"unsupported_parameter", "unsupported_value"})
STATUS_ERRORS: dict[int, type[ProviderError]] = {
    400: RequestRejected,
    401: ProviderAuthenticationFailed,
    403: ProviderAuthenticationFailed,
    404: RequestRejected,
    408: CallTimedOut,
    413: RequestRejected,
    422: RequestRejected,
    429: RateLimited,
}


def read_usage(reported: Any, *, has_output: bool = True) -> Usage | None:
    """The provider's figures, or None when they are missing or make no sense. Embeddings have no output.

    `reported` is the client's model of them, or what stood in a stream's event.
    """
    sent = _read(reported, "prompt_tokens")
    answered = _read(reported, "completion_tokens") if has_output else 0
    if not isinstance(sent, int) or not isinstance(answered, int) or sent <= 0 or answered < 0:
        return None
    cached = _read(_read(reported, "prompt_tokens_details"), "cached_tokens")
    cached = min(cached, sent) if isinstance(cached, int) and cached > 0 else 0
    return Usage(input_tokens=sent, cached_input_tokens=cached, output_tokens=answered)


def _read(reported: Any, name: str) -> Any:
    return reported.get(name) if isinstance(reported, dict) else getattr(reported, name, None)


def read_error(error: Exception) -> ProviderError:
    """Ours for the client's. Never logs a body: it may quote the key or the prompt."""
    if isinstance(error, openai.APIStatusError):
        return _read_status_error(error)
    if isinstance(error, openai.APITimeoutError | TimeoutError):
        found: ProviderError = CallTimedOut()
    elif isinstance(error, openai.APIConnectionError):
        found = ConnectionFailed(f"{type(error.__cause__).__name__} on the way to the provider.")
    elif isinstance(error, UNREADABLE):
        found = AnswerUnusable(f"The answer cannot be read: {type(error).__name__}.")
    else:
        found = ProviderFailed(type(error).__name__)
    logger.warning("The provider call failed: %s. %s", found.error_type, found.detail)
    return found


def _read_status_error(error: openai.APIStatusError) -> ProviderError:
    code = _printable(error.code)
    detail = f"Status {error.status_code}, code {code}, request {_printable(error.request_id)}."
    logger.warning("The provider refused a call. %s", detail)
    kind = STATUS_ERRORS.get(error.status_code, ProviderFailed)
    found = kind(detail, retry_after=read_retry_after(error.response) if kind is RateLimited else None)
    if isinstance(found, RequestRejected) and code in UNSUPPORTED:
        found.refused_parameter = error.param or ""
    return found


def _printable(name: object) -> str:
    """An identifier that the provider sent, unless it is something else in its place."""
    return name if isinstance(name, str) and re.fullmatch(r"[\w.-]{1,60}", name) else "-"


def read_retry_after(response: httpx2.Response) -> int | None:
    """Whole seconds of the `Retry-After` header, a number or a date, when they are at most a day."""
    header = response.headers.get("retry-after", "")
    try:
        seconds = float(header)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(header).timestamp() - time.time()
        except (ValueError, OverflowError):
            return None
    return math.ceil(seconds) if 0 <= seconds <= 86_400 else None
