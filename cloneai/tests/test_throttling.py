"""How many requests the APIs take."""

from typing import Any

import pytest
from django.core.cache import cache
from django.test import Client

from cloneai.accounts.models import ApiKey, User

FORGED = ("203.0.113.1", "203.0.113.2", "203.0.113.3", "203.0.113.4", "203.0.113.5")


@pytest.fixture(autouse=True)
def fresh_counts(settings: Any) -> None:
    cache.clear()
    settings.API_REQUESTS_PER_MINUTE = 3


def ask(user: User | None, path: str, **extra: Any) -> Any:
    headers = {"Authorization": f"Bearer {ApiKey.issue(user=user, name='x')[1]}"} if user else {}
    client = Client(headers=headers)
    return lambda **more: client.get(path, **{**extra, **more})


def test_a_key_that_asks_too_often_is_told_when_to_come_back(member: User):
    send = ask(member, "/api/clones")
    assert [send().status_code for _ in range(4)] == [200, 200, 200, 429]
    response = send()
    body = response.json()
    assert body["error_type"] == "rate_limit"
    assert 1 <= body["retry_after"] <= 60
    assert response["Retry-After"] == str(body["retry_after"])


def test_each_key_has_its_own_count_but_an_address_has_one(member: User, stranger: User):
    first, second = ask(member, "/api/clones"), ask(stranger, "/api/clones")
    assert [first().status_code for _ in range(3)] == [200] * 3
    assert [second().status_code for _ in range(3)] == [200] * 3
    assert second().status_code == 429


@pytest.mark.parametrize("path", ["/api/clones", "/v1/models"])
def test_guessing_keys_is_counted_by_address_whatever_is_forwarded(path: str, db: None):
    send = ask(None, path)
    found = [send(headers={"X-Forwarded-For": FORGED[number % 5]}).status_code for number in range(7)]
    assert found == [401] * 6 + [429]


def test_behind_proxies_of_ours_the_last_address_that_they_saw_counts(db: None, settings: Any):
    settings.ALLAUTH_TRUSTED_PROXY_COUNT = 1
    send = ask(None, "/api/clones")
    for number in range(7):
        chain = f"{FORGED[number % 5]}, 198.51.100.7"
        status = send(headers={"X-Forwarded-For": chain}).status_code
    assert status == 429
    assert send(headers={"X-Forwarded-For": "198.51.100.8"}).status_code == 401


@pytest.mark.django_db(transaction=True)
def test_openai_clients_get_their_own_format(member: User):
    send = ask(member, "/v1/models")
    assert [send().status_code for _ in range(4)] == [200, 200, 200, 429]
    response = send()
    assert response.json()["error"]["code"] == "rate_limit_exceeded"
    assert int(response["Retry-After"]) >= 1


def test_browsers_sessions_are_counted_too(client: Client, member: User):
    client.force_login(member)
    assert [client.get("/api/clones").status_code for _ in range(4)] == [200, 200, 200, 429]
