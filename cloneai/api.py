"""The JSON API: mounts the apps' routers and maps every error to `{"error_type","message","retry_after"}` once."""

import logging
import re
from typing import Any

from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import BadRequest, RequestDataTooBig, SuspiciousOperation
from django.core.exceptions import ValidationError as DjangoValidationError
from django.db import InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse
from django.http.multipartparser import MultiPartParserError
from django.http.request import UnreadablePostError
from ninja.errors import AuthenticationError, HttpError, ValidationError
from ninja.utils import check_csrf

from billing.api import router as billing_router
from billing.metering import MeteredCallError
from chat.api import router as chat_router
from chat.memory_api import router as memory_router
from chat.sessions import ConversationClosed
from chat.turn_records import AnswerFailed, TurnRefused
from cloneai.accounts.models import ApiKey, Scope, User
from cloneai.accounts.throttling import TooManyRequestsError, count_address, count_caller
from cloneai.api_input import StorableParser
from cloneai.api_schema import DocumentedApi
from cloneai.error_pages import NOT_FOUND, UNAVAILABLE, UNAVAILABLE_SECONDS
from cloneai.threads import release_connection
from clones.api import router as clones_router
from knowledge.api import router as knowledge_router
from knowledge.errors import UploadRefused

logger = logging.getLogger(__name__)

PROVIDER_STATUS = {
    "budget_exceeded": 429,
    "rate_limit": 503,
    "connection": 503,
    "timeout": 503,
    "authentication": 503,
}
REFUSED_UPLOAD_STATUS = {"duplicate": 409, "busy": 409, "too_large": 413, "storage_full": 507}
REFUSED_TURN_STATUS = {"not_found": 404, "rate_limit": 429, "turn_running": 409, "timeout": 504}


# The scopes of which a key needs one, by the beginning of the path; what is not listed needs all of them.
SCOPES_BY_PATH = {
    "/api/chat": {Scope.CHAT},
    "/api/memory": {Scope.CHAT},
    "/api/billing": {Scope.BILLING},
    "/api/clones": {Scope.KNOWLEDGE},
    "/api/documents": {Scope.KNOWLEDGE},
}
CLONE_PATH = re.compile(r"/api/clones(/[^/]+)?$")


def check_scopes(*, key: ApiKey, method: str, path: str) -> None:
    """Raises HttpError 403 when the key was not made for this. Clones may also be read with the chat scope."""
    held = set(key.scopes)
    if method in {"GET", "HEAD"} and CLONE_PATH.match(path) and Scope.CHAT in held:
        return
    for prefix, needed in SCOPES_BY_PATH.items():
        if path == prefix or path.startswith(f"{prefix}/"):
            missing = set() if needed & held else needed
            break
    else:
        missing = set(Scope) - held
    if missing:
        names = " and ".join(f"“{scope}”" for scope in sorted(missing))
        raise HttpError(403, f"This API key lacks the scope {names}. Make a key that has it.")


class KeyOrSession:
    """`Authorization: Bearer <api key>`, else the session cookie with CSRF protection. Sets `request.user`."""

    def __call__(self, request: HttpRequest) -> User | None:
        """Holds no connection afterwards: its thread would keep it while an async view waits for an answer."""
        try:
            return self._authenticate(request)
        finally:
            release_connection()

    def _authenticate(self, request: HttpRequest) -> User | None:
        count_address(request)
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme:
            return self._by_key(request, token.strip()) if scheme.lower() == "bearer" else None
        if isinstance(request.user, AnonymousUser) or not request.user.is_active:
            return None
        if check_csrf(request) is not None:
            raise HttpError(
                403, "The CSRF token is missing or wrong. Send it as X-CSRFToken, or use an API key."
            )
        count_caller(request.user)
        return request.user

    def _by_key(self, request: HttpRequest, token: str) -> User | None:
        key = ApiKey.objects.use(token)
        if key is None:
            return None
        count_caller(key)
        check_scopes(key=key, method=request.method or "", path=request.path_info)
        request.user = key.user
        return key.user


api = DocumentedApi(
    title="CloneAI",
    version="1",
    description="Clones of experts, their documents and conversations.",
    auth=KeyOrSession(),
    parser=StorableParser(),
)
api.add_router("", clones_router, tags=["clones"])
api.add_router("", knowledge_router, tags=["knowledge"])
api.add_router("/chat", chat_router, tags=["chat"])
api.add_router("/memory", memory_router, tags=["memory"])
api.add_router("/billing", billing_router, tags=["billing"])


def answer_error(
    request: HttpRequest, status: int, error_type: str, message: str, retry_after: int | None = None
) -> HttpResponse:
    body = {"error_type": error_type, "message": message, "retry_after": retry_after}
    response = api.create_response(request, body, status=status)
    if retry_after is not None:
        response["Retry-After"] = str(retry_after)
    return response


@api.exception_handler(AuthenticationError)
def on_missing_login(request: HttpRequest, error: AuthenticationError) -> HttpResponse:
    return answer_error(request, 401, "authentication", "Log in, or send a valid API key as a bearer token.")


@api.exception_handler(Http404)
def on_missing(request: HttpRequest, error: Http404) -> HttpResponse:
    message = str(error) if isinstance(error, ConversationClosed) else NOT_FOUND
    return answer_error(request, 404, "not_found", message)


@api.exception_handler(ValidationError)
def on_bad_input(request: HttpRequest, error: ValidationError) -> HttpResponse:
    return answer_error(request, 422, "invalid_request", " ".join(_describe(item) for item in error.errors))


@api.exception_handler(BadRequest)
@api.exception_handler(MultiPartParserError)
@api.exception_handler(SuspiciousOperation)
@api.exception_handler(UnreadablePostError)
def on_malformed_body(request: HttpRequest, error: Exception) -> HttpResponse:
    """What Django finds while it takes a form apart, which happens as late as it is read."""
    if isinstance(error, RequestDataTooBig):
        return answer_error(request, 413, "too_large", "The request is larger than is taken here.")
    return answer_error(request, 422, "invalid_request", "The body is malformed, or not what its type says.")


@api.exception_handler(DjangoValidationError)
def on_bad_value(request: HttpRequest, error: DjangoValidationError) -> HttpResponse:
    return answer_error(request, 422, "invalid_request", " ".join(_describe_fields(error)))


@api.exception_handler(TooManyRequestsError)
def on_too_many_requests(request: HttpRequest, error: TooManyRequestsError) -> HttpResponse:
    return answer_error(request, 429, "rate_limit", error.message, error.retry_after)


@api.exception_handler(TurnRefused)
def on_refused_turn(request: HttpRequest, error: TurnRefused) -> HttpResponse:
    status = REFUSED_TURN_STATUS.get(error.error_type, 422)
    return answer_error(request, status, error.error_type, error.message, error.retry_after)


@api.exception_handler(AnswerFailed)
def on_failed_answer(request: HttpRequest, error: AnswerFailed) -> HttpResponse:
    status = PROVIDER_STATUS.get(error.error_type, 502)
    return answer_error(request, status, error.error_type, error.message, error.retry_after)


@api.exception_handler(MeteredCallError)
def on_failed_call(request: HttpRequest, error: MeteredCallError) -> HttpResponse:
    status = PROVIDER_STATUS.get(error.error_type, 502)
    return answer_error(request, status, error.error_type, error.user_message, error.retry_after)


@api.exception_handler(UploadRefused)
def on_refused_upload(request: HttpRequest, error: UploadRefused) -> HttpResponse:
    return answer_error(request, REFUSED_UPLOAD_STATUS.get(error.code, 422), error.code, error.message)


@api.exception_handler(HttpError)
def on_http_error(request: HttpRequest, error: HttpError) -> HttpResponse:
    if isinstance(error.__cause__, HttpError):
        error = error.__cause__  # what our parser found, in ninja's wrapping
    error_type = {403: "authentication", 429: "rate_limit"}.get(error.status_code, "invalid_request")
    status = 422 if error.status_code == 400 else error.status_code
    return answer_error(request, status, error_type, str(error))


@api.exception_handler(OperationalError)
@api.exception_handler(InterfaceError)
def on_absent_database(request: HttpRequest, error: Exception) -> HttpResponse:
    logger.error("The database failed in %s %s: %s", request.method, request.path, error)
    return answer_error(request, 503, "unavailable", UNAVAILABLE, UNAVAILABLE_SECONDS)


@api.exception_handler(Exception)
def on_defect(request: HttpRequest, error: Exception) -> HttpResponse:
    logger.error("Unhandled error in %s %s", request.method, request.path, exc_info=error)
    return answer_error(request, 500, "unknown", "Something went wrong. Please try again.")


def _describe(item: dict[str, Any]) -> str:
    """One pydantic error as a sentence that names the field."""
    where = ".".join(str(part) for part in item.get("loc", ())[1:] if part not in {"payload", "data"})
    message = str(item.get("msg", "is not valid")).removeprefix("Value error, ")
    return f"{where}: {message}." if where else f"The input: {message}."


def _describe_fields(error: DjangoValidationError) -> list[str]:
    if hasattr(error, "message_dict"):
        return [f"{field}: {' '.join(messages)}" for field, messages in error.message_dict.items()]
    return list(error.messages)
