"""Everything that a metered call raises. `error_type` goes to metrics, `user_message` to the person.

    MeteredCallError
    ├── CallRefused                      nothing was sent, nothing is charged
    │   ├── BudgetExceeded               budget_exceeded: a limit of the platform, the person or the clone
    │   └── UnpricedModel                unpriced_model: no price is known, so the call cannot be paid for
    └── ProviderError                    the provider was asked, or could not be reached
        ├── RateLimited                  rate_limit: 429 after the client's retries
        ├── ConnectionFailed             connection: refused, reset, name not found; 5xx is `unknown`
        ├── CallTimedOut                 timeout: connecting, reading, in total, or 408
        ├── ProviderAuthenticationFailed authentication: 401, 403
        ├── RequestRejected              invalid_request: 400, 404, 413, 422
        ├── StreamFault                  connection, timeout or unknown: it began and did not end well
        ├── AnswerUnusable               unknown: empty, not JSON, not of the schema, cut off
        ├── AnswerRefused                invalid_request: the model declined, or a content filter did
        ├── EmbeddingsUnusable           unknown: wrong count or length, not finite, all zero
        └── ProviderFailed               unknown: everything else

No message carries what the provider said: it may quote the key or the prompt. It is logged without bodies.
"""
# ruff: noqa: N818 - named by what happened, like UploadRefused and TurnRefused elsewhere

from typing import Literal

ErrorType = Literal[
    "rate_limit",
    "connection",
    "authentication",
    "invalid_request",
    "unknown",
    "budget_exceeded",
    "unpriced_model",
    "timeout",
]

USER_MESSAGES: dict[ErrorType, str] = {
    "rate_limit": "Too many requests. Please wait a moment before trying again.",
    "connection": "Connection error. Please try again.",
    "authentication": "Service temporarily unavailable. Please try again later.",
    "invalid_request": "Your request couldn't be processed. Please try rephrasing.",
    "unknown": "Something went wrong. Please try again.",
    "budget_exceeded": "Today's budget for AI answers is used up. Please come back tomorrow.",
    "unpriced_model": "Service temporarily unavailable. Please try again later.",
    "timeout": "The AI service took too long to answer. Please try again.",
}
RETRY_AFTER_SECONDS: dict[ErrorType, int] = {"rate_limit": 60, "connection": 30, "timeout": 30}
StreamFaultKind = Literal["broken", "stalled", "unfinished", "garbled", "oversized"]
FAULT_TYPES: dict[StreamFaultKind, ErrorType] = {"broken": "connection", "stalled": "timeout"}


class MeteredCallError(Exception):
    """Base of the tree. `detail` is for staff and logs; `retry_after` counts seconds."""

    error_type: ErrorType = "unknown"

    def __init__(
        self,
        detail: str = "",
        *,
        error_type: ErrorType | None = None,
        retry_after: int | None = None,
        text_so_far: str = "",
    ) -> None:
        super().__init__(detail or type(self).__name__)
        self.detail = detail
        self.error_type = error_type or type(self).error_type
        self.user_message = USER_MESSAGES[self.error_type]
        self.retry_after = RETRY_AFTER_SECONDS.get(self.error_type) if retry_after is None else retry_after
        self.text_so_far = text_so_far


class CallRefused(MeteredCallError):
    """Refused by us; the provider was not asked."""


class BudgetExceeded(CallRefused):
    """`scope` says whose limit: platform, user or clone."""

    error_type = "budget_exceeded"

    def __init__(self, *, scope: str, retry_after: int) -> None:
        super().__init__(f"The {scope}'s daily limit is reached.", retry_after=retry_after)
        self.scope = scope


class UnpricedModel(CallRefused):
    error_type = "unpriced_model"

    def __init__(self, *, model: str) -> None:
        super().__init__(f"The model {model!r} has no price. Add one in the admin, or by refresh_prices.")
        self.model = model


class ProviderError(MeteredCallError):
    """Base of whatever the provider, or the way to it, did wrong."""


class RateLimited(ProviderError):
    error_type = "rate_limit"


class ConnectionFailed(ProviderError):
    error_type = "connection"


class CallTimedOut(ProviderError):
    error_type = "timeout"


class ProviderAuthenticationFailed(ProviderError):
    error_type = "authentication"


class RequestRejected(ProviderError):
    """`refused_parameter` names the request's parameter that this model does not take, when that was it."""

    error_type = "invalid_request"
    refused_parameter = ""


class StreamFault(ProviderError):
    """A stream that began and did not end as it should; `text_so_far` is what had arrived."""

    def __init__(self, *, fault: StreamFaultKind, detail: str = "") -> None:
        super().__init__(
            f"The stream was {fault}. {detail}".strip(), error_type=FAULT_TYPES.get(fault, "unknown")
        )
        self.fault = fault


class AnswerUnusable(ProviderError):
    """The answer came, and is of no use: empty, cut off, or not what the schema asks for."""


class AnswerRefused(ProviderError):
    error_type = "invalid_request"


class EmbeddingsUnusable(ProviderError):
    """Vectors that must never be stored."""


class ProviderFailed(ProviderError):
    """5xx after the client's retries, and everything that has no class of its own."""
