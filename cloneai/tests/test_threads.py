import asyncio
import contextvars
import threading

import pytest
from asgiref.sync import ThreadSensitiveContext, sync_to_async
from django.db import connection, connections
from django.http import HttpRequest, HttpResponse
from django.test import Client, RequestFactory
from django.utils.functional import SimpleLazyObject

from cloneai.accounts.async_user import async_user_middleware
from cloneai.accounts.models import ApiKey, User
from cloneai.api import KeyOrSession
from cloneai.threads import run_in_thread

voice: contextvars.ContextVar[str] = contextvars.ContextVar("voice")


def count_users() -> int:
    return User.objects.count()


@pytest.mark.django_db(transaction=True)
async def test_result_of_a_query_comes_back() -> None:
    assert await run_in_thread(count_users) == 0


@pytest.mark.django_db(transaction=True)
async def test_connection_is_given_back_when_the_function_ends() -> None:
    seen = []

    def query() -> None:
        count_users()
        seen.append(connections["default"])
        assert connection.connection is not None

    await run_in_thread(query)
    assert seen[0].connection is None


@pytest.mark.django_db(transaction=True)
async def test_connection_is_given_back_when_the_function_fails() -> None:
    seen = []

    def fail() -> None:
        count_users()
        seen.append(connections["default"])
        raise ValueError("as planned")

    with pytest.raises(ValueError, match="as planned"):
        await run_in_thread(fail)
    assert seen[0].connection is None


async def test_calls_run_side_by_side() -> None:
    both_are_here = threading.Barrier(2, timeout=30)
    await asyncio.gather(run_in_thread(both_are_here.wait), run_in_thread(both_are_here.wait))


async def test_event_loop_goes_on_while_a_function_blocks() -> None:
    released = threading.Event()
    waiting = asyncio.create_task(run_in_thread(released.wait, timeout=30))
    await asyncio.sleep(0)
    released.set()
    assert await waiting is True


async def test_function_sees_the_callers_context_and_arguments() -> None:
    voice.set("calm")

    def describe(first: str, *, second: str) -> str:
        return f"{voice.get()} {first} {second}"

    assert await run_in_thread(describe, "a", second="b") == "calm a b"


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("scheme", ["key", "cookie"])
async def test_api_request_that_waits_for_an_answer_holds_no_connection(member: User, scheme: str) -> None:
    """Else as many waiting requests as the pool has connections would leave none for the answers."""
    request = RequestFactory().get("/api/chat/sessions")
    if scheme == "key":
        _, token = await run_in_thread(lambda: ApiKey.issue(user=member, name="test"))
        request.META["HTTP_AUTHORIZATION"] = f"Bearer {token}"
    request.user = SimpleLazyObject(lambda: User.objects.get(pk=member.pk))  # as a session gives it
    async with ThreadSensitiveContext():  # as around every request
        assert await sync_to_async(KeyOrSession())(request) == member
        assert await sync_to_async(lambda: connection.connection)() is None


@pytest.mark.django_db(transaction=True)
async def test_async_page_learns_who_asks_without_holding_a_connection(member: User) -> None:
    """Else as many pages at once as the pool has connections would wait for each other's second one."""

    def log_in() -> HttpRequest:
        client = Client()
        client.force_login(member)
        request = RequestFactory().get("/chat/")
        request.session = client.session
        return request

    async def view(request: HttpRequest) -> HttpResponse:
        assert await request.auser() == member
        assert await sync_to_async(lambda: connection.connection)() is None
        return HttpResponse()

    request = await run_in_thread(log_in)
    async with ThreadSensitiveContext():  # as around every request
        await async_user_middleware(view)(request)
