"""What a person or a program gets when a request fails: never a stack trace, also not under DEBUG.

Under DEBUG Django would answer with its technical pages, and `make run` is under DEBUG. Traces go to the log.
"""

import logging
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import unquote

from asgiref.sync import iscoroutinefunction, markcoroutinefunction, sync_to_async
from django.conf import settings
from django.core.exceptions import SuspiciousOperation
from django.db import DataError, InterfaceError, OperationalError
from django.http import (
    Http404,
    HttpRequest,
    HttpResponse,
    HttpResponseBadRequest,
    HttpResponseServerError,
    JsonResponse,
)
from django.http.response import HttpResponseBase
from django.template import loader
from django.utils.safestring import SafeString
from django.views import defaults
from django.views.debug import ExceptionReporter

GetResponse = Callable[[HttpRequest], HttpResponseBase | Awaitable[HttpResponseBase]]
NOT_FOUND = "There is nothing here, or it is not yours to see."
MALFORMED = "The request is malformed: it holds NUL characters."
SERVER_ERROR = "Something went wrong. The fault is ours and has been noted. Please try again in a moment."
UNAVAILABLE = (
    "The service is away for a moment. Nothing that was sent before is lost. Please try again in a minute."
)
UNAVAILABLE_SECONDS = 10  # after which a program may try again

logger = logging.getLogger(__name__)


def page_not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    if body := _describe_to_program(path=request.path, error_type="not_found", message=NOT_FOUND):
        return JsonResponse(body, status=404)
    return defaults.page_not_found(request, exception)


def bad_request(request: HttpRequest) -> HttpResponse:
    """422 in the JSON API's way, 400 elsewhere."""
    if body := _describe_to_program(path=request.path, error_type="invalid_request", message=MALFORMED):
        return JsonResponse(body, status=422 if request.path.startswith("/api/") else 400)
    return HttpResponseBadRequest(render_alone("400.html"))


def server_error(request: HttpRequest) -> HttpResponse:
    if body := _describe_to_program(path=request.path, error_type="unknown", message=SERVER_ERROR):
        return JsonResponse(body, status=500)
    return HttpResponseServerError(render_alone("500.html"))


def database_absent(request: HttpRequest) -> HttpResponse:
    """503: the database is away or starts again, which no request can help and which passes."""
    headers = {"Retry-After": str(UNAVAILABLE_SECONDS)}
    if body := _describe_to_program(path=request.path, error_type="unavailable", message=UNAVAILABLE):
        return JsonResponse(body, status=503, headers=headers)
    return HttpResponse(render_alone("503.html"), status=503, headers=headers)


def render_alone(template: str) -> str:
    """A page without request or database; plain words when even that fails."""
    try:
        return loader.get_template(template).render()
    except Exception:  # noqa: BLE001  (whatever is broken, an answer is due; the first error is already logged)
        return f"<!doctype html><html lang=en><title>CloneAI</title><h1>{SERVER_ERROR}</h1>"


def _describe_to_program(*, path: str, error_type: str, message: str) -> dict[str, Any] | None:
    """The body in the format of the API that owns the path, if one does."""
    if path.startswith("/v1/"):
        # OpenAI's clients know two kinds of error: the caller's and the server's.
        kind = "server_error" if error_type in {"unknown", "unavailable"} else "invalid_request_error"
        return {"error": {"message": message, "type": kind, "param": None, "code": error_type}}
    if path.startswith("/api/"):
        return {"error_type": error_type, "message": message, "retry_after": None}
    return None


class PageExceptionReporter(ExceptionReporter):
    """DEFAULT_EXCEPTION_REPORTER: in place of Django's technical error page the ordinary one."""

    def get_traceback_html(self) -> SafeString:
        if self.is_email:
            return super().get_traceback_html()
        is_bad_request = isinstance(self.exc_value, SuspiciousOperation)
        return SafeString(render_alone("400.html" if is_bad_request else "500.html"))

    def get_traceback_text(self) -> SafeString:
        return super().get_traceback_text() if self.is_email else SafeString(SERVER_ERROR)


class ErrorPagesMiddleware:
    """Puts our answers in the place of Django's and ninja's technical ones.

    NUL characters, which no text of ours holds and PostgreSQL refuses, end here: in the path it is a page that
    does not exist, in the query and in forms a malformed request.
    """

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
        if refusal := _refuse(request):
            return refusal
        response = self.get_response(request)
        assert isinstance(response, HttpResponseBase)
        return _replace(request, response)

    async def _respond(self, request: HttpRequest) -> HttpResponseBase:
        if refusal := await sync_to_async(_refuse)(request) if _has_nul(request) else None:
            return refusal
        awaitable = self.get_response(request)
        assert not isinstance(awaitable, HttpResponseBase)
        response = await awaitable
        if response.status_code in (404, 405):
            return await sync_to_async(_replace)(request, response)
        return response

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        if isinstance(exception, DataError | ValueError) and "NUL (0x00)" in str(exception):
            return bad_request(request)
        if isinstance(exception, OperationalError | InterfaceError):
            logger.error("The database failed in %s %s: %s", request.method, request.path, exception)
            return database_absent(request)
        return (
            page_not_found(request, exception) if settings.DEBUG and isinstance(exception, Http404) else None
        )


def _has_nul(request: HttpRequest) -> bool:
    return "\x00" in request.path or "\x00" in unquote(request.META.get("QUERY_STRING", ""))


def _refuse(request: HttpRequest) -> HttpResponse | None:
    if not _has_nul(request):
        return None
    return page_not_found(request, Http404()) if "\x00" in request.path else bad_request(request)


def _replace(request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
    if response.status_code == 405 and request.path.startswith("/api/"):
        return _method_not_allowed(request, response)
    # No view was found for the path; what a view raises is answered by `process_exception`.
    is_technical = settings.DEBUG and response.status_code == 404 and request.resolver_match is None
    return page_not_found(request, Http404()) if is_technical else response


def _method_not_allowed(request: HttpRequest, response: HttpResponseBase) -> HttpResponse:
    allowed = ", ".join(sorted(name.strip() for name in response.get("Allow", "").split(",")))
    message = f"{request.method} does not work here. Use {allowed.replace(', ', ' or ')}."
    body = _describe_to_program(path=request.path, error_type="invalid_request", message=message)
    return JsonResponse(body, status=405, headers={"Allow": allowed})
