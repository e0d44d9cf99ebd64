"""What a key may do follows from its scopes, never beyond its owner's own rights."""

import uuid

import pytest
from django.test import Client

from cloneai.accounts.models import ApiKey, User
from clones.models import Clone

SOME_ID = uuid.UUID(int=0)


def bearer(user: User, *scopes: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {ApiKey.issue(user=user, name='test', scopes=scopes)[1]}"}


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("get", "/api/chat/sessions", {"chat"}),
        ("get", f"/api/chat/sessions/{SOME_ID}", {"chat"}),
        ("get", "/api/clones", {"chat", "knowledge"}),
        ("get", "/api/clones/ada", {"chat", "knowledge"}),
        ("patch", "/api/clones/ada", {"knowledge"}),
        ("delete", "/api/clones/none", {"knowledge"}),
        ("get", "/api/clones/ada/documents", {"knowledge"}),
        ("get", f"/api/documents/{SOME_ID}", {"knowledge"}),
        ("post", f"/api/documents/{SOME_ID}/retry", {"knowledge"}),
        ("get", "/api/billing/costs", {"billing"}),
    ],
)
def test_each_path_wants_its_scope(method: str, path: str, allowed: set[str], expert: User, clone: Clone):
    for scope in ("chat", "knowledge", "billing"):
        response = getattr(Client(headers=bearer(expert, scope)), method)(
            path, **({"data": {}, "content_type": "application/json"} if method == "patch" else {})
        )
        assert (response.status_code == 403) == (scope not in allowed), (scope, response.content)
        if response.status_code == 403:
            assert response.json()["error_type"] == "authentication"
            assert response.json()["message"].startswith("This API key lacks the scope “")


def test_the_missing_scope_is_named(member: User):
    response = Client(headers=bearer(member, "chat")).get("/api/billing/costs")
    assert response.json() == {
        "error_type": "authentication",
        "message": "This API key lacks the scope “billing”. Make a key that has it.",
        "retry_after": None,
    }


def test_async_operations_ask_for_scopes_too(member: User):
    body = {"session_id": str(SOME_ID), "message": "Hello"}
    client = Client(headers=bearer(member, "billing"))
    assert client.post("/api/chat/message", body, content_type="application/json").status_code == 403


def test_scopes_add_no_rights(member: User, other_clone: Clone):
    client = Client(headers=bearer(member, "chat", "knowledge", "billing"))
    assert client.get("/api/clones/bo").status_code == 404
    assert client.delete("/api/clones/bo").status_code == 404
