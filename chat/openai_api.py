"""`/v1/`: clones for programs that speak OpenAI's chat completions. A model is a clone, its id the clone's slug.

Every answer, errors included, has OpenAI's format (`chat.openai_format`). Plain views, because the format of errors
differs from the JSON API's. A client that goes away cancels the provider's call: Django cancels the view or closes the
stream, and both close `stream_completion`.
"""

import logging
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine
from contextlib import aclosing
from functools import wraps
from typing import Any

from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest, JsonResponse, StreamingHttpResponse
from django.http.request import UnreadablePostError
from django.http.response import HttpResponseBase
from django.urls import path, re_path
from django.views.decorators.csrf import csrf_exempt

from billing.metering import MeteredCallError, TextDelta
from chat.completions import CompletionEnd, ContextTooLong, stream_completion
from chat.gaps import record_api_gap
from chat.openai_format import (
    ApiError,
    CompletionWriter,
    describe_failed_call,
    describe_model,
    describe_too_long,
    read_completion,
    read_order,
    write_event,
)
from cloneai.accounts.models import ApiKey, Scope, User
from cloneai.accounts.throttling import TooManyRequestsError, count_address, count_caller
from cloneai.logs import current_request_id, note_user
from cloneai.threads import run_in_thread
from clones.models import Clone

logger = logging.getLogger(__name__)

Events = AsyncGenerator[TextDelta | CompletionEnd, None]
View = Callable[..., Coroutine[Any, Any, HttpResponseBase]]


def endpoint(*, method: str) -> Callable[[View], View]:
    """A view for the owner of the bearer key; whatever goes wrong is answered in OpenAI's format."""

    def decorate(view: View) -> View:
        @csrf_exempt  # no cookie is looked at
        @wraps(view)
        async def answer(request: HttpRequest, **parameters: Any) -> HttpResponseBase:
            try:
                user = await run_in_thread(authenticate, request)
                if request.method != method:
                    raise ApiError(405, f"Use {method} for {request.path}.", code="method_not_supported")
                response = await view(request, user, **parameters)
            except Exception as error:  # noqa: BLE001  (the outermost boundary: it answers and records)
                response = answer_error(describe_error(error, path=request.path))
            response["X-Request-Id"] = f"req_{current_request_id() or uuid.uuid4().hex}"
            return response

        return answer

    return decorate


def authenticate(request: HttpRequest) -> User:
    """The owner of the key. Raises ApiError 401 or 403, or TooManyRequestsError."""
    count_address(request)
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    key = ApiKey.objects.use(token.strip()) if scheme.lower() == "bearer" else None
    if key is None:
        raise ApiError(
            401,
            "Incorrect API key provided: send a valid one as “Authorization: Bearer …”. "
            "You make keys on the page /account/api-keys/.",
            code="invalid_api_key",
        )
    count_caller(key)
    note_user(key.user_id)
    if Scope.CHAT not in key.scopes:
        raise ApiError(
            403, "This API key lacks the scope “chat”. Make one that has it.", code="missing_scope"
        )
    return key.user


def find_clone(*, user: User, slug: str) -> Clone:
    clone = Clone.objects.visible_to(user).filter(slug=slug.replace("\x00", "")).first()
    if clone is None:
        raise ApiError(
            404,
            f"The model `{slug}` does not exist or you do not have access to it.",
            param="model",
            code="model_not_found",
        )
    return clone


@endpoint(method="GET")
async def list_models(request: HttpRequest, user: User) -> HttpResponseBase:
    """The clones that the gallery shows to this person; unlisted ones work too, for who knows their id."""
    clones = await run_in_thread(lambda: list(Clone.objects.listed_for(user)))
    return JsonResponse({"object": "list", "data": [describe_model(clone) for clone in clones]})


@endpoint(method="GET")
async def get_model(request: HttpRequest, user: User, slug: str) -> HttpResponseBase:
    return JsonResponse(describe_model(await run_in_thread(find_clone, user=user, slug=slug)))


@endpoint(method="POST")
async def create_completion(request: HttpRequest, user: User) -> HttpResponseBase:
    asked = read_completion(request.body)
    clone = await run_in_thread(find_clone, user=user, slug=asked.model)
    writer = CompletionWriter(
        model=clone.slug,
        includes_usage=bool(asked.stream_options and asked.stream_options.include_usage),
    )
    order = read_order(asked)
    events = note_gap(
        stream_completion(clone=clone, user=user, order=order),
        clone=clone,
        user=user,
        question=order.question,
    )
    if not asked.stream:
        return JsonResponse(await collect(events=events, writer=writer))
    try:
        first = await anext(events)  # what fails before the first word has a status of its own
    except BaseException:
        await events.aclose()
        raise
    return EventStream(write_stream(first=first, events=events, writer=writer))


@csrf_exempt
async def unknown_address(request: HttpRequest) -> HttpResponseBase:
    return answer_error(ApiError(404, f"Invalid URL ({request.method} {request.path})", code="unknown_url"))


async def note_gap(events: Events, *, clone: Clone, user: User, question: str) -> Events:
    """The same events; what the material did not answer is kept for the clone's expert."""
    async with aclosing(events):
        async for event in events:
            if isinstance(event, CompletionEnd) and event.gap is not None:
                await run_in_thread(
                    record_api_gap,
                    clone=clone,
                    user=user,
                    question=question,
                    query=event.query_used,
                    reason=event.gap,
                )
            yield event


async def collect(*, events: Events, writer: CompletionWriter) -> dict[str, Any]:
    """The whole answer as one object."""
    text = ""
    async with aclosing(events):
        async for event in events:
            if isinstance(event, CompletionEnd):
                return writer.whole(text=text, end=event)
            text += event.text
    raise AssertionError("a completion ends with its end")


async def write_stream(
    *, first: TextDelta | CompletionEnd, events: Events, writer: CompletionWriter
) -> AsyncGenerator[bytes, None]:
    """Server-sent events. A failure on the way is an event of its own, which the official clients raise."""
    async with aclosing(events):
        yield writer.delta(role="assistant", content="")
        try:
            yield write_piece(first, writer=writer)
            async for event in events:
                yield write_piece(event, writer=writer)
        except Exception as error:  # noqa: BLE001  (the outermost boundary: the headers are sent already)
            yield write_event(describe_error(error, path="a stream").body)


def write_piece(event: TextDelta | CompletionEnd, *, writer: CompletionWriter) -> bytes:
    return writer.end(event) if isinstance(event, CompletionEnd) else writer.delta(content=event.text)


class EventStream(StreamingHttpResponse):
    """A stream of events that closes its generator as soon as nobody reads; Django's own leaves that to chance."""

    def __init__(self, events: AsyncGenerator[bytes, None]) -> None:
        super().__init__(
            events,
            content_type="text/event-stream; charset=utf-8",
            headers={"Cache-Control": "no-cache", "X-Accel-Buffering": "no"},
        )
        self._events = events

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async with aclosing(self._events):
            async for event in self._events:
                yield event


def describe_error(error: Exception, *, path: str) -> ApiError:
    match error:
        case ApiError():
            return error
        case MeteredCallError():
            return describe_failed_call(error)
        case ContextTooLong():
            return describe_too_long(error)
        case TooManyRequestsError():
            return ApiError(
                429,
                error.message,
                error_type="rate_limit_error",
                code="rate_limit_exceeded",
                retry_after=error.retry_after,
            )
        case RequestDataTooBig():
            return ApiError(413, "The request is too large.", code="request_too_large")
        case UnreadablePostError():
            return ApiError(400, "The request could not be read.")
    logger.error("Unhandled error in %s", path, exc_info=error)
    return ApiError(500, "Something went wrong. Please try again.", error_type="server_error")


def answer_error(error: ApiError) -> JsonResponse:
    response = JsonResponse(error.body, status=error.status)
    if error.status == 401:
        response["WWW-Authenticate"] = "Bearer"
    if error.retry_after is not None:
        response["Retry-After"] = str(error.retry_after)
    if error.is_final:
        response["X-Should-Retry"] = "false"
    return response


urlpatterns = [
    path("models", list_models),
    path("models/<str:slug>", get_model),
    path("chat/completions", create_completion),
    re_path("", unknown_address),
]
