"""Who asks, found out without keeping a connection."""

from collections.abc import Callable
from functools import partial
from typing import Any

from asgiref.sync import iscoroutinefunction
from django.contrib.auth.middleware import get_user
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.decorators import sync_and_async_middleware

from cloneai.threads import run_in_thread


@sync_and_async_middleware
def async_user_middleware(get_response: Callable[[HttpRequest], Any]) -> Callable[[HttpRequest], Any]:
    """Lets async views load their user in a database thread; after AuthenticationMiddleware.

    Django's `auser` does so in the request's own thread, which keeps the connection until the request ends. A view
    that needs another one meanwhile waits for ever as soon as as many requests do so as the pool has connections.
    """
    if iscoroutinefunction(get_response):

        async def respond(request: HttpRequest) -> HttpResponseBase:
            request.auser = partial(_load_user, request)
            return await get_response(request)

        return respond
    return get_response


async def _load_user(request: HttpRequest) -> Any:
    """`request.user` finds it too, without another query."""
    return await run_in_thread(get_user, request)
