"""The one exception of the local provider, carried to the caller as OpenAI's error object."""

from __future__ import annotations

import json


class LocalAiError(Exception):
    """A request that the provider refuses. `status` is the HTTP status; the rest fills the error object."""

    def __init__(
        self,
        message: str,
        *,
        status: int = 400,
        error_type: str = "invalid_request_error",
        param: str | None = None,
        code: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.error_type = error_type
        self.param = param
        self.code = code


def error_body(*, error: LocalAiError) -> bytes:
    """Write the error object `{"error": {"message", "type", "param", "code"}}` as UTF-8 JSON."""
    fields = {"message": error.message, "type": error.error_type, "param": error.param, "code": error.code}
    return json.dumps({"error": fields}, ensure_ascii=False).encode()


def model_not_found(*, model: str) -> LocalAiError:
    """Build the error of an unknown model, worded and coded as OpenAI's."""
    return LocalAiError(
        f"The model `{model}` does not exist or you do not have access to it.",
        status=404,
        param="model",
        code="model_not_found",
    )
