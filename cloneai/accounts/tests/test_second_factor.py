"""Staff and their second factor: without one no page of the admin opens where the settings demand it."""

import base64
import hashlib
import hmac
import re
import struct
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import TOTP, generate_totp_secret
from asgiref.sync import sync_to_async
from asgiref.testing import ApplicationCommunicator
from django.core.cache import cache
from django.db import connections
from django.test import AsyncClient, Client
from django.urls import reverse

from cloneai.accounts.models import User
from cloneai.threads import run_in_thread
from conftest import PASSWORD

ADMIN = reverse("admin:index")


@pytest.fixture(autouse=True)
def demanded(settings: Any) -> None:
    cache.clear()
    settings.STAFF_TOTP_REQUIRED = True


def browser(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def browser_cookie(client: Client) -> str:
    return client.cookies["sessionid"].value


def give_factor(user: User) -> str:
    """Its secret."""
    secret = generate_totp_secret()
    TOTP.activate(user, secret)
    return secret


def read_code(secret: str, *, steps: int = 0) -> str:
    """RFC 6238 by hand: what the person's app shows, `steps` of 30 seconds later."""
    counter = struct.pack(">Q", int(time.time()) // 30 + steps)
    digest = hmac.new(base64.b32decode(secret), counter, hashlib.sha1).digest()
    start = digest[-1] & 15
    return f"{(struct.unpack('>I', digest[start : start + 4])[0] & 0x7FFFFFFF) % 10**6:06}"


@pytest.mark.parametrize(
    "path", ["", "clones/clone/", "clones/clone/add/", "accounts/user/", "search/?s=x", "jsi18n/"]
)
def test_staff_without_a_factor_are_sent_to_set_one_up(path: str, expert: User, admin: User):
    for user in (expert, admin):
        response = browser(user).get(f"{ADMIN}{path}")
        assert response.status_code == 302
        assert response.url.startswith(f"{reverse('mfa_activate_totp')}?next=%2Fadmin%2F")


def test_also_what_changes_something(expert: User, clone: Any):
    response = browser(expert).post(f"{ADMIN}clones/clone/{clone.pk}/delete/", {"post": "yes"})
    assert response.url.startswith(reverse("mfa_activate_totp"))
    clone.refresh_from_db()


@pytest.fixture
async def closed_connections() -> AsyncIterator[None]:
    yield
    await sync_to_async(connections.close_all)()


@pytest.mark.django_db(transaction=True)
async def test_no_prefix_leads_round_it(expert: User, closed_connections: None):
    """Daphne takes a prefix from a header, and Django would write it before all addresses."""
    from cloneai.asgi import application

    cookie = f"sessionid={browser_cookie(await run_in_thread(browser, expert))}"
    scope = {
        "type": "http", "method": "GET", "path": "/admin/", "root_path": "/x", "query_string": b"", "scheme": "http",
        "headers": [(b"host", b"localhost"), (b"cookie", cookie.encode())], "client": ["127.0.0.1", 1],
    }  # fmt: skip
    communicator = ApplicationCommunicator(application, scope)
    await communicator.send_input({"type": "http.request", "body": b""})
    answer = await communicator.receive_output(timeout=20)
    assert answer["status"] == 302
    assert dict(answer["headers"])[b"Location"].startswith(b"/accounts/2fa/totp/activate/?next=%2Fadmin%2F")
    while (await communicator.receive_output(timeout=20)).get("more_body"):
        pass
    await communicator.wait(timeout=20)


@pytest.mark.django_db(transaction=True)
async def test_asynchronous_requests_are_held_up_too(expert: User, closed_connections: None):
    client = AsyncClient()
    await run_in_thread(client.force_login, expert)
    response = await client.get(ADMIN)
    assert response.url.startswith(reverse("mfa_activate_totp"))


def test_with_a_factor_they_are_in(expert: User):
    give_factor(expert)
    assert browser(expert).get(ADMIN).status_code == 200


def test_members_are_not_asked_and_keys_go_on(member: User, expert: User):
    assert browser(member).get("/chat/").status_code == 200
    assert browser(expert).get("/").status_code == 200
    assert browser(member).get(ADMIN).status_code == 302


def test_a_password_alone_opens_nothing_when_there_is_a_factor(expert: User):
    secret = give_factor(expert)
    client = Client()
    form = {"login": expert.email, "password": PASSWORD}
    assert client.post(reverse("account_login"), form).url == reverse("mfa_authenticate")
    assert client.get(ADMIN).status_code == 302
    assert client.get("/chat/").status_code == 302
    code = read_code(secret)
    assert client.post(reverse("mfa_authenticate"), {"code": code}).status_code == 302
    assert client.get(ADMIN).status_code == 200
    second = Client()
    second.post(reverse("account_login"), form)
    assert second.post(reverse("mfa_authenticate"), {"code": code}).status_code == 200, "a code works once"
    assert second.get(ADMIN).status_code == 302


def test_guessing_codes_ends_within_ten_tries_whatever_is_forwarded(expert: User):
    secret = give_factor(expert)
    client = Client()
    client.post(reverse("account_login"), {"login": expert.email, "password": PASSWORD})
    right = read_code(secret)
    guesses = [str(number) for number in range(100_000, 100_012) if str(number) != right][:10]
    for number, guess in enumerate(guesses):
        client.post(
            reverse("mfa_authenticate"), {"code": guess}, headers={"X-Forwarded-For": f"203.0.113.{number}"}
        )
    client.post(reverse("mfa_authenticate"), {"code": read_code(secret)})
    assert client.get(ADMIN).status_code == 302, "the right code comes too late"
    other = Client(headers={"X-Forwarded-For": "198.51.100.1"})
    other.post(reverse("account_login"), {"login": expert.email, "password": PASSWORD})
    other.post(reverse("mfa_authenticate"), {"code": read_code(secret)})
    assert other.get(ADMIN).status_code == 302, "a new login does not start the count anew"


def test_recovery_codes_open_once(expert: User):
    from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes

    give_factor(expert)
    code = RecoveryCodes.activate(expert).get_unused_codes()[0]
    for expected in (200, 302):
        client = Client()
        client.post(reverse("account_login"), {"login": expert.email, "password": PASSWORD})
        client.post(reverse("mfa_authenticate"), {"code": code})
        assert client.get(ADMIN).status_code == expected
    assert Authenticator.objects.filter(user=expert).count() == 2


def test_the_page_to_set_one_up_can_be_scanned_and_copied(member: User):
    client = browser(member)
    client.post(reverse("account_reauthenticate"), {"password": PASSWORD})
    page = client.get(reverse("mfa_activate_totp")).content.decode()
    assert '<img class="qr" src="data:image/svg+xml' in page
    assert re.search(
        r'<label for="authenticator_secret">[\s\S]*<input type="text" id="authenticator_secret"', page
    )
    assert "readonly" in page
