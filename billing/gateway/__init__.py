"""The only module that talks to the provider. It knows no money: `billing.metering` is its only caller.

Enter at `request_chat`, `stream_chat`, `request_embeddings` and `list_models`. Each fills the `CallTrace`
that it is given, also when it fails, and raises nothing but the `ProviderError` branch of the tree in
`billing.errors`: rate_limit (RateLimited), connection (ConnectionFailed), timeout (CallTimedOut),
authentication (ProviderAuthenticationFailed), invalid_request (RequestRejected, AnswerRefused), unknown
(ProviderFailed, AnswerUnusable, EmbeddingsUnusable), and StreamFault for a stream that broke, stalled, ended
without a finish reason, sent garbage or would not stop.

The client itself retries 408, 409, 429, 5xx, timeouts and lost connections, three times at most, and waits as
`Retry-After` says, unless that is longer than `AI_LONGEST_RETRY_WAIT_SECONDS`. A stream is not retried once it has
begun. `AI_CALL_TIMEOUT_SECONDS` bounds all of it.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from billing.gateway.chat import request_chat, stream_chat
    from billing.gateway.client import list_models
    from billing.gateway.embeddings import request_embeddings

__all__ = ["list_models", "request_chat", "request_embeddings", "stream_chat"]

_HOMES = {
    "list_models": "client",
    "request_chat": "chat",
    "request_embeddings": "embeddings",
    "stream_chat": "chat",
}


def __getattr__(name: str) -> Any:
    """Loads the official client with the first use: it takes about a second, which most commands never need."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
