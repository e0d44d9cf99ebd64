from typing import Any

import pytest
from django.http import HttpRequest, HttpResponse
from django.test import AsyncClient, Client, RequestFactory

from cloneai.security import ContentSecurityPolicyMiddleware, build_policy


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
    middleware = ContentSecurityPolicyMiddleware(lambda request: HttpResponse())
    plain = middleware(rf.get("/", headers={"host": "localhost"}))
    assert read_directives(plain["Content-Security-Policy"])["connect-src"] == "'self' ws://localhost"
    secure = middleware(rf.get("/", headers={"host": "localhost"}, secure=True))
    assert read_directives(secure["Content-Security-Policy"])["connect-src"] == "'self' wss://localhost"


def test_forged_host_does_not_reach_the_policy(rf: RequestFactory, settings: Any) -> None:
    settings.ALLOWED_HOSTS = ["example.org"]
    middleware = ContentSecurityPolicyMiddleware(lambda request: HttpResponse())
    response = middleware(rf.get("/", headers={"host": "evil.example"}))
    assert "evil" not in response["Content-Security-Policy"]


def test_view_may_set_a_stricter_policy(rf: RequestFactory) -> None:
    def view(request: HttpRequest) -> HttpResponse:
        return HttpResponse(headers={"Content-Security-Policy": "default-src 'none'"})

    response = ContentSecurityPolicyMiddleware(view)(rf.get("/"))
    assert response["Content-Security-Policy"] == "default-src 'none'"
