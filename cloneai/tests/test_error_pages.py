"""Errors as the browser sees them, above all under DEBUG, which is how `make run` runs."""

from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import PermissionDenied, SuspiciousOperation
from django.db import OperationalError
from django.http import Http404, HttpRequest, HttpResponse
from django.test import AsyncClient, Client
from django.urls import include, path

from cloneai.accounts.models import User
from cloneai.api_input import UNSTORABLE
from cloneai.error_pages import SERVER_ERROR, UNAVAILABLE, render_alone

TRACES = ("Traceback", "test_error_pages", "Request Method", "urlpatterns", "secret-detail")


def fail(request: HttpRequest) -> HttpResponse:
    raise RuntimeError("secret-detail")


def find_no_database(request: HttpRequest) -> HttpResponse:
    raise OperationalError("secret-detail")


def miss(request: HttpRequest) -> HttpResponse:
    raise Http404("secret-detail")


def deny(request: HttpRequest) -> HttpResponse:
    raise PermissionDenied("secret-detail")


def suspect(request: HttpRequest) -> HttpResponse:
    raise SuspiciousOperation("secret-detail")


def keep(request: HttpRequest) -> HttpResponse:
    User.objects.filter(name=request.POST["text"]).exists()
    return HttpResponse()


handler404 = "cloneai.error_pages.page_not_found"
handler500 = "cloneai.error_pages.server_error"
urlpatterns = [
    path("fail/", fail),
    path("away/", find_no_database),
    path("api/away/", find_no_database),
    path("v1/away/", find_no_database),
    path("miss/", miss),
    path("deny/", deny),
    path("suspect/", suspect),
    path("keep/", keep),
    path("api/fail/", fail),
    path("v1/fail/", fail),
    path("", include("cloneai.urls")),
]


@pytest.fixture
def visitor(db: None, settings: Any) -> Client:
    settings.ROOT_URLCONF = __name__
    return Client(raise_request_exception=False)


@pytest.mark.parametrize("debug", [True, False])
@pytest.mark.parametrize(
    ("address", "status", "words"),
    [
        ("/fail/", 500, "Something went wrong"),
        ("/away/", 503, "Nothing that was sent before is lost"),
        ("/miss/", 404, "There is nothing here"),
        ("/no-such-page", 404, "There is nothing here"),
        ("/deny/", 403, ""),
        ("/suspect/", 400, "was not understood"),
    ],
)
def test_browser_gets_a_page_without_details(
    visitor: Client, settings: Any, debug: bool, address: str, status: int, words: str
) -> None:
    settings.DEBUG = debug
    response = visitor.get(address)
    text = response.content.decode()
    assert response.status_code == status
    assert words in text
    assert "CloneAI" in text
    assert [trace for trace in TRACES if trace in text] == []


@pytest.mark.parametrize("debug", [True, False])
def test_programs_get_their_apis_error_format_for_an_unknown_address(
    visitor: Client, settings: Any, debug: bool
) -> None:
    settings.DEBUG = debug
    assert visitor.get("/api/nothing/here").json()["error_type"] == "not_found"
    assert visitor.get("/v1/nothing/here").json()["error"]["code"] == "unknown_url"


def test_programs_get_their_apis_error_format_for_a_defect(visitor: Client) -> None:
    answer = visitor.get("/api/fail/")
    assert answer.status_code == 500
    assert answer.json() == {"error_type": "unknown", "message": SERVER_ERROR, "retry_after": None}
    assert visitor.get("/v1/fail/").json()["error"]["type"] == "server_error"


def test_programs_are_told_when_to_come_back_while_the_database_is_away(visitor: Client) -> None:
    answer = visitor.get("/api/away/")
    assert (answer.status_code, answer["Retry-After"]) == (503, "10")
    assert answer.json() == {"error_type": "unavailable", "message": UNAVAILABLE, "retry_after": None}
    assert visitor.get("/v1/away/").json()["error"]["type"] == "server_error"


def test_trace_goes_to_the_log(visitor: Client, settings: Any, caplog: pytest.LogCaptureFixture) -> None:
    settings.DEBUG = True
    visitor.get("/fail/")
    logged = [record for record in caplog.records if record.name == "django.request"]
    assert logged
    assert "secret-detail" in str(logged[0].exc_info)


def test_defects_reach_the_tests_that_cause_them(db: None, settings: Any) -> None:
    settings.ROOT_URLCONF = __name__
    with pytest.raises(RuntimeError, match="secret-detail"):
        Client().get("/fail/")


@pytest.mark.django_db(transaction=True)
async def test_async_requests_get_the_page_too(async_client: AsyncClient, settings: Any) -> None:
    settings.DEBUG = True
    response = await async_client.get("/no-such-page")
    assert response.status_code == 404
    assert "There is nothing here" in response.content.decode()


def test_page_of_a_defect_needs_neither_request_nor_database() -> None:
    assert "Something went wrong" in render_alone("500.html")


def test_plain_words_when_even_the_page_is_broken(settings: Any, tmp_path: Path) -> None:
    (tmp_path / "500.html").write_text("{% include 'no-such-template.html' %}")
    settings.TEMPLATES = [{**settings.TEMPLATES[0], "DIRS": [tmp_path]}]
    assert SERVER_ERROR in render_alone("500.html")


def test_wrong_method_is_told_in_the_json_apis_format(client: Client) -> None:
    answer = client.put("/api/clones")
    assert (answer.status_code, answer["Allow"]) == (405, "GET, POST")
    assert answer.json() == {
        "error_type": "invalid_request",
        "message": "PUT does not work here. Use GET or POST.",
        "retry_after": None,
    }


@pytest.mark.parametrize(
    ("address", "status"),
    [
        ("/?q=%00", 400),
        ("/c/a%00b/", 404),
        ("/chat/?q=a%00", 400),
        ("/admin/clones/clone/?q=%00", 400),
        ("/api/clones?q=%00", 422),
        ("/api/clones/a%00b", 404),
        ("/v1/models?x=%00", 400),
    ],
)
def test_nul_in_an_address_is_no_defect(visitor: Client, admin: User, address: str, status: int) -> None:
    visitor.force_login(admin)
    answer = visitor.get(address)
    assert answer.status_code == status
    if address.startswith("/api/"):
        assert answer.json()["error_type"] == {404: "not_found", 422: "invalid_request"}[status]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("debug", [True, False])
async def test_nul_in_an_address_of_an_async_page(
    async_client: AsyncClient, settings: Any, debug: bool
) -> None:
    settings.DEBUG = debug
    settings.SECURE_SSL_REDIRECT = False
    assert (await async_client.get("/?q=%00")).status_code == 400
    assert (await async_client.put("/api/chat/message")).json()["error_type"] == "invalid_request"


def test_nul_in_a_form_is_no_defect(visitor: Client, member: User) -> None:
    visitor.force_login(member)
    assert visitor.post("/keep/", {"text": "a\x00b"}).status_code == 400


@pytest.mark.parametrize(
    "fields", [{"name": "a\x00b"}, {"name": "Ida", "hard_rules": ["\x00"]}, {"name": "\ud800"}, {"\x00": 1}]
)
def test_unstorable_text_to_the_api_is_refused(client: Client, expert: User, fields: dict[str, Any]) -> None:
    client.force_login(expert)
    answer = client.post("/api/clones", fields, content_type="application/json")
    assert answer.status_code == 422
    assert answer.json() == {"error_type": "invalid_request", "message": UNSTORABLE, "retry_after": None}
