"""The JSON API as a developer's client sees it: with a key, over HTTP, by the contract's shapes."""

import uuid
from typing import Any

import pytest
from django.test import AsyncClient, Client

from chat.models import ChatSession, Message, SessionSummary
from chat.tasks import interrupt_stale, write_summary
from cloneai.accounts.models import ApiKey, User
from cloneai.local_ai.faults import Fault
from cloneai.local_ai.testing import FakeProvider
from clones.models import Clone
from knowledge.models import Document

QUESTION = "How long does the pepper soup simmer?"
ANSWER_KEYS = {
    "message_id",
    "response",
    "html",
    "sources",
    "session_cost",
    "cost",
    "processing_time_ms",
    "tokens_used",
    "input_tokens",
    "output_tokens",
    "model",
    "retrieval_quality",
    "rag_enabled",
    "context_chunks_used",
    "status",
}


def bearer(user: User) -> dict[str, str]:
    return {"Authorization": f"Bearer {ApiKey.issue(user=user, name='test')[1]}"}


@pytest.fixture
def api(member: User) -> Client:
    return Client(headers=bearer(member))


@pytest.fixture
def send(member: User) -> Any:
    """Posts to /api/chat/message, which awaits the provider."""
    headers = bearer(member)

    async def post(body: dict[str, str]) -> Any:
        return await AsyncClient().post(
            "/api/chat/message", body, content_type="application/json", headers=headers
        )

    return post


@pytest.mark.django_db(transaction=True)
async def test_message_is_answered_with_sources_and_figures(
    material: Document, session: ChatSession, send: Any
) -> None:
    body = {"session_id": str(session.pk), "message": QUESTION, "client_message_id": str(uuid.uuid4())}
    answer = await send(body)
    assert answer.status_code == 200, answer.content
    data = answer.json()
    assert set(data) == ANSWER_KEYS
    assert "twenty-five minutes" in data["response"]
    assert data["sources"][0]["title"] == "Notes"
    again = await send(body)
    assert again.json()["message_id"] == data["message_id"]
    assert await session.messages.acount() == 2


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("fault", "status", "error_type"),
    [
        (Fault(path="/chat/completions", status=401), 503, "authentication"),
        (Fault(path="/chat/completions", status=400), 502, "invalid_request"),
        (Fault(path="/chat/completions", status=418), 502, "unknown"),
    ],
)
async def test_provider_failures_have_the_contracts_status(
    fault: Fault,
    status: int,
    error_type: str,
    provider: FakeProvider,
    material: Document,
    session: ChatSession,
    send: Any,
) -> None:
    provider.always(fault)
    body = {"session_id": str(session.pk), "message": QUESTION}
    answer = await send(body)
    assert answer.status_code == status
    assert answer.json()["error_type"] == error_type
    assert set(answer.json()) == {"error_type", "message", "retry_after"}


@pytest.mark.django_db(transaction=True)
async def test_exhausted_budget_is_429_until_midnight(
    provider: FakeProvider, material: Document, session: ChatSession, member: User, send: Any
) -> None:
    await User.objects.filter(pk=member.pk).aupdate(daily_cost_limit_usd="0.0000001")
    body = {"session_id": str(session.pk), "message": QUESTION}
    answer = await send(body)
    assert (answer.status_code, answer.json()["error_type"]) == (429, "budget_exceeded")
    assert 0 < answer.json()["retry_after"] <= 86_400


@pytest.mark.django_db
@pytest.mark.parametrize(
    "headers", [{}, {"Authorization": "Bearer nonsense"}, {"Authorization": "Basic eDp5"}]
)
def test_no_or_bad_key_is_401(headers: dict[str, str], client: Client, session: ChatSession) -> None:
    for path in (
        "/api/clones",
        "/api/chat/sessions",
        f"/api/chat/sessions/{session.pk}",
        "/api/billing/costs",
    ):
        answer = client.get(path, headers=headers)
        assert (answer.status_code, answer.json()["error_type"]) == (401, "authentication")


def test_revoked_key_and_deactivated_owner_are_401(member: User, client: Client) -> None:
    headers = bearer(member)
    assert client.get("/api/clones", headers=headers).status_code == 200
    User.objects.filter(pk=member.pk).update(is_active=False)
    assert client.get("/api/clones", headers=headers).status_code == 401


def test_session_cookie_needs_the_csrf_token(member: User, clone: Clone) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(member)
    answer = client.post("/api/chat/sessions", {"clone": "ada"}, content_type="application/json")
    assert answer.status_code == 403
    assert set(answer.json()) == {"error_type", "message", "retry_after"}
    assert not ChatSession.objects.exists()


def test_foreign_and_missing_sessions_look_the_same(session: ChatSession, stranger: User) -> None:
    client = Client(headers=bearer(stranger))
    for session_id in (session.pk, uuid.uuid4()):
        answers = [
            client.get(f"/api/chat/sessions/{session_id}"),
            client.delete(f"/api/chat/sessions/{session_id}"),
            client.post(f"/api/chat/sessions/{session_id}/end"),
            client.get(f"/api/chat/sessions/{session_id}/summaries"),
            client.post(
                "/api/chat/message",
                {"session_id": str(session_id), "message": "Hi"},
                content_type="application/json",
            ),
        ]
        assert {(answer.status_code, answer.content) for answer in answers} == {(404, answers[0].content)}
    assert ChatSession.objects.filter(pk=session.pk).exists()


def test_lists_have_items_and_count_and_obey_limits(api: Client, session: ChatSession) -> None:
    data = api.get("/api/chat/sessions?limit=1&offset=0").json()
    assert data["count"] == 1
    assert data["items"][0]["clone"] == "ada"
    assert api.get("/api/chat/sessions?offset=5").json() == {"items": [], "count": 1}
    answer = api.get("/api/chat/sessions?limit=100000")
    assert (answer.status_code, answer.json()["error_type"]) == (422, "invalid_request")
    assert "limit" in answer.json()["message"]


@pytest.mark.parametrize("body", ["{", "[]", '{"message": "x"}', '{"session_id": "x", "message": "y"}'])
def test_bad_input_is_422_with_a_sentence(body: str, api: Client) -> None:
    answer = api.post("/api/chat/message", body, content_type="application/json")
    assert (answer.status_code, answer.json()["error_type"]) == (422, "invalid_request")
    assert answer.json()["message"]


def test_feedback_is_kept_and_only_for_own_answers(
    api: Client, session: ChatSession, stranger: User, member: User
) -> None:
    question = Message.objects.create(session=session, role="user", content="Why?")
    answer = Message.objects.create(session=session, role="assistant", content="Because.", reply_to=question)
    path = f"/api/chat/messages/{answer.pk}/feedback"
    body = {"rating": -1, "comment": "Too short"}
    foreign = Client(headers=bearer(stranger)).post(path, body, content_type="application/json")
    assert foreign.status_code == 404
    assert api.post(path, body, content_type="application/json").status_code == 200
    for rating in (5, True, "1", None):
        refused = api.post(path, {"rating": rating}, content_type="application/json")
        assert (refused.status_code, refused.json()["error_type"]) == (422, "invalid_request"), rating
        assert "rating" in refused.json()["message"]
    answer.refresh_from_db()
    assert (answer.rating, answer.rating_comment) == (-1, "Too short")


def test_session_whose_clone_turned_private_says_so_and_can_be_deleted(
    api: Client, session: ChatSession, clone: Clone, stranger: User
) -> None:
    Clone.objects.filter(pk=clone.pk).update(visibility="private", name="Renamed")
    path = f"/api/chat/sessions/{session.pk}"
    gone = api.get(path)
    assert (gone.status_code, gone.json()["error_type"]) == (404, "not_found")
    assert "no longer open to you" in gone.json()["message"]
    foreign = Client(headers=bearer(stranger))
    assert "no longer open" not in foreign.get(path).json()["message"]
    assert foreign.delete(path).status_code == 404
    assert api.get("/api/chat/sessions").json() == {"items": [], "count": 0}
    assert api.delete(path).status_code == 204


@pytest.mark.django_db(transaction=True)
def test_ending_a_session_leaves_a_detailed_summary(api: Client, session: ChatSession) -> None:
    question = Message.objects.create(session=session, role="user", content="How do I give better feedback?")
    Message.objects.create(
        session=session,
        role="assistant",
        reply_to=question,
        content="You should describe what you saw within forty-eight hours. Try to write it down first.",
    )
    assert api.post(f"/api/chat/sessions/{session.pk}/end").json()["ended_at"]
    summary = SessionSummary.objects.get(session=session)
    write_summary(str(summary.pk))
    listed = api.get(f"/api/chat/sessions/{session.pk}/summaries").json()
    assert listed["count"] == 1
    item = listed["items"][0]
    assert (item["summary_type"], item["status"]) == ("detailed", "ready")
    data: dict[str, Any] = item["structured_data"]
    assert data["main_topics"]
    assert data["overall_assessment"]
    message_ids = {str(key) for key in session.messages.values_list("pk", flat=True)}
    assert data["action_items"]
    assert {entry["message_id"] for entry in data["action_items"]} <= message_ids
    refused = api.post(
        "/api/chat/message",
        {"session_id": str(session.pk), "message": "One more?"},
        content_type="application/json",
    )
    assert refused.status_code == 422
    assert "ended" in refused.json()["message"]


@pytest.mark.django_db(transaction=True)
def test_a_summary_that_fails_says_so_and_is_asked_for_once(
    provider: FakeProvider, api: Client, session: ChatSession
) -> None:
    provider.always(Fault(path="/chat/completions", status=401))
    Message.objects.create(session=session, role="user", content="Hello")
    path = f"/api/chat/sessions/{session.pk}/summaries"
    first = api.post(path, {"summary_type": "brief"}, content_type="application/json")
    second = api.post(path, {"summary_type": "brief"}, content_type="application/json")
    assert first.status_code == second.status_code == 202
    assert first.json()["id"] == second.json()["id"]
    write_summary(first.json()["id"])
    summary = SessionSummary.objects.get()
    assert summary.status == "failed"
    assert summary.error_message


@pytest.mark.django_db(transaction=True)
def test_a_summary_whose_worker_died_ends_with_a_reason(session: ChatSession) -> None:
    from datetime import timedelta

    from django.utils import timezone

    summary = SessionSummary.objects.create(
        session=session, status="running", started_at=timezone.now() - timedelta(minutes=9)
    )
    interrupt_stale()
    summary.refresh_from_db()
    assert (summary.status, bool(summary.error_message)) == ("failed", True)
