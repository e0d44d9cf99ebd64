"""What the provider reported, read with suspicion: its errors as ours, and its token figures."""

import logging
import math
import re
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


def read_usage(reported: Any) -> Usage | None:
    """The provider's figures, or None when they are missing or make no sense."""
    sent, answered = (
        getattr(reported, "prompt_tokens", None),
        getattr(reported, "completion_tokens", None) or 0,
    )
    if not isinstance(sent, int) or not isinstance(answered, int) or sent < 0 or answered < 0:
        return None
    cached = getattr(getattr(reported, "prompt_tokens_details", None), "cached_tokens", None)
    cached = min(cached, sent) if isinstance(cached, int) and cached > 0 else 0
    return Usage(input_tokens=sent, cached_input_tokens=cached, output_tokens=answered)


def read_error(error: Exception) -> ProviderError:
    """Ours for the client's. Never logs a body: it may quote the key or the prompt."""
    if isinstance(error, openai.APIStatusError):
        return _read_status_error(error)
    if isinstance(error, openai.APITimeoutError | TimeoutError):
        found: ProviderError = CallTimedOut()
    elif isinstance(error, openai.APIConnectionError):
        found = ConnectionFailed(f"{type(error.__cause__).__name__} on the way to the provider.")
    elif isinstance(error, ValueError):
        found = AnswerUnusable("The answer is not JSON.")
    else:
        found = ProviderFailed(type(error).__name__)
    logger.warning("The provider call failed: %s. %s", found.error_type, found.detail)
    return found


def _read_status_error(error: openai.APIStatusError) -> ProviderError:
    code = error.code if error.code and re.fullmatch(r"[\w.-]{1,60}", error.code) else "-"
    detail = f"Status {error.status_code}, code {code}, request {error.request_id or '-'}."
    logger.warning("The provider refused a call. %s", detail)
    kind = STATUS_ERRORS.get(error.status_code, ProviderFailed)
    found = kind(detail, retry_after=read_retry_after(error.response) if kind is RateLimited else None)
    if isinstance(found, RequestRejected) and code in UNSUPPORTED:
        found.refused_parameter = error.param or ""
    return found


def read_retry_after(response: httpx2.Response) -> int | None:
    """Whole seconds of the `Retry-After` header, when it is a plain number of at most a day."""
    try:
        seconds = float(response.headers.get("retry-after", ""))
    except ValueError:
        return None
    return math.ceil(seconds) if 0 <= seconds <= 86_400 else None
