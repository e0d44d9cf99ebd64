from typing import Any

import pytest
from django.http import HttpRequest, HttpResponse
from django.test import AsyncClient, Client, RequestFactory

from cloneai.accounts.models import ApiKey
from cloneai.security import browser_policies_middleware, build_policy


def read_directives(policy: str) -> dict[str, str]:
    parts = [part.strip().partition(" ") for part in policy.split(";")]
    return {name: value for name, _, value in parts}


@pytest.mark.parametrize("path", ["/healthz", "/no-such-page", "/static/favicon.svg"])
@pytest.mark.django_db
def test_every_response_carries_the_strict_policy(client: Client, path: str) -> None:
    response = client.get(path)
    response.close()
    directives = read_directives(response["Content-Security-Policy"])
    assert directives["script-src"] == directives["style-src"] == directives["form-action"] == "'self'"
    assert directives["object-src"] == directives["base-uri"] == directives["frame-ancestors"] == "'none'"
    assert "camera=()" in response["Permissions-Policy"]


async def test_async_requests_carry_the_policy_too(async_client: AsyncClient) -> None:
    response = await async_client.get("/healthz")
    assert "script-src 'self';" in response["Content-Security-Policy"]


@pytest.mark.parametrize(
    "path", ["/", "/chat/", "/accounts/login/", "/c/admin/", "/api/clones", "/v1/models"]
)
def test_nothing_unsafe_is_allowed_outside_the_admin(path: str) -> None:
    assert "unsafe" not in build_policy(path=path, socket_origin="")


def test_admin_may_evaluate_its_attributes_but_no_inline_script() -> None:
    directives = read_directives(build_policy(path="/admin/login/", socket_origin=""))
    assert directives["script-src"] == "'self' 'unsafe-eval'"
    assert directives["style-src"] == "'self' 'unsafe-inline'"


def test_sockets_may_go_to_the_pages_own_host_only(rf: RequestFactory) -> None:
    middleware = browser_policies_middleware(lambda request: HttpResponse())
    plain = middleware(rf.get("/", headers={"host": "localhost"}))
    assert read_directives(plain["Content-Security-Policy"])["connect-src"] == "'self' ws://localhost"
    secure = middleware(rf.get("/", headers={"host": "localhost"}, secure=True))
    assert read_directives(secure["Content-Security-Policy"])["connect-src"] == "'self' wss://localhost"


def test_forged_host_does_not_reach_the_policy(rf: RequestFactory, settings: Any) -> None:
    settings.ALLOWED_HOSTS = ["example.org"]
    middleware = browser_policies_middleware(lambda request: HttpResponse())
    response = middleware(rf.get("/", headers={"host": "evil.example"}))
    assert "evil" not in response["Content-Security-Policy"]


def test_view_may_set_a_stricter_policy(rf: RequestFactory) -> None:
    def view(request: HttpRequest) -> HttpResponse:
        return HttpResponse(headers={"Content-Security-Policy": "default-src 'none'"})

    response = browser_policies_middleware(view)(rf.get("/"))
    assert response["Content-Security-Policy"] == "default-src 'none'"


EMBEDDER = "https://www.example.org"


@pytest.mark.parametrize(
    ("path", "is_framed"),
    [
        ("/", True),
        ("/no-such-page", True),
        ("/accounts/login/", False),
        ("/account/api-keys/", False),
        ("/admin/login/", False),
        ("/api/docs", False),
        ("/v1/models", False),
    ],
)
@pytest.mark.django_db
def test_only_a_configured_origin_frames_pages_and_never_those_of_accounts(
    path: str, is_framed: bool, client: Client, settings: Any
) -> None:
    plain = client.get(path)
    assert "frame-ancestors 'none'" in plain["Content-Security-Policy"]
    assert plain["X-Frame-Options"] == "DENY"
    settings.EMBED_ORIGINS = [EMBEDDER]
    response = client.get(path)
    expected = f"'self' {EMBEDDER}" if is_framed else "'none'"
    assert read_directives(response["Content-Security-Policy"])["frame-ancestors"] == expected
    assert response.headers.get("X-Frame-Options") == (None if is_framed else "DENY")


@pytest.mark.django_db
def test_no_shared_cache_keeps_what_is_somebodys_own(client: Client, member: Any) -> None:
    key = ApiKey.issue(user=member, name="x")[1]
    answer = Client(headers={"Authorization": f"Bearer {key}"}).get("/api/clones")
    assert answer["Cache-Control"] == "no-store"
    client.force_login(member)
    assert client.get("/chat/")["Cache-Control"] == "private, no-cache"
    assert "no-store" in client.get("/account/api-keys/")["Cache-Control"]
    assert client.get("/")["Cache-Control"] == "private, no-cache"
