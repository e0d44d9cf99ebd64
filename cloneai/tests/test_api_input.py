"""Bodies that are not what the JSON API takes: a sentence and a 422, never a 500."""

from typing import Any

import pytest
from django.test import Client
from django.test.client import BOUNDARY

from chat.models import ChatSession
from cloneai.accounts.models import ApiKey, User
from clones.models import Clone


@pytest.fixture
def program(expert: User) -> Client:
    return Client(headers={"Authorization": f"Bearer {ApiKey.issue(user=expert, name='test')[1]}"})


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("multipart/form-data", b""),
        ("multipart/form-data; boundary=\xe9", b"x"),
        ("multipart/form-data; boundary=x", b"--x--\r\n"),
        (f"multipart/form-data; boundary={BOUNDARY}", b"\x00\xff"),
        ("application/json", b"{}"),
        ("text/plain", b"file=a"),
    ],
)
def test_malformed_uploads_are_refused(content_type: str, body: bytes, program: Client, clone: Clone):
    response = program.generic("POST", "/api/clones/ada/documents", body, content_type=content_type)
    assert response.status_code == 422
    assert response.json()["error_type"] == "invalid_request"


def test_too_many_fields_are_refused(program: Client, clone: Clone):
    fields: Any = {str(number): "x" for number in range(1001)}
    assert program.post("/api/clones/ada/documents", fields).status_code == 422


def test_a_browser_with_a_malformed_form_is_told_so(expert: User, clone: Clone):
    browser = Client()
    browser.force_login(expert)
    response = browser.generic("POST", "/api/clones/ada/documents", b"", content_type="multipart/form-data")
    assert response.status_code in (403, 422)


@pytest.mark.parametrize("body", ["[]", "[null]", "5", '"text"', "null", "true"])
def test_bodies_must_be_objects(body: str, program: Client, clone: Clone, expert: User):
    session = ChatSession.objects.create(clone=clone, user=expert)
    for method, path in (
        ("POST", f"/api/chat/sessions/{session.pk}/summaries"),
        ("PATCH", "/api/clones/ada"),
    ):
        response = program.generic(method, path, body, content_type="application/json")
        assert response.status_code == 422, (method, path)
        assert "object" in response.json()["message"]
    assert not session.summaries.exists()


@pytest.mark.parametrize("depth", [900, 100_000])
def test_deep_bodies_are_refused(depth: int, program: Client):
    body = '{"name":' + "[" * depth + "]" * depth + "}"
    response = program.generic("POST", "/api/clones", body, content_type="application/json")
    assert response.status_code == 422


@pytest.mark.parametrize("day", ["0", "86400", "2026-3-1", "٢٠٢٦-٠٣-٠١", "2026-02-30", "2026-03-01T00:00"])
def test_days_are_written_in_one_way(day: str, program: Client):
    response = program.get("/api/billing/costs", {"to": day})
    assert response.status_code == 422
    assert response.json()["message"].startswith("to: ")
    assert "Value error" not in response.json()["message"]
