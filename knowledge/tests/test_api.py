"""Documents and search over the API, and who may use them."""

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from cloneai.accounts.models import User
from clones.models import Clone
from knowledge.models import Document, Status
from knowledge.tests.conftest import SLEEP, ingest, store

pytestmark = pytest.mark.django_db(transaction=True)

DOCUMENTS = "/api/clones/ada/documents"
SEARCH = "/api/clones/ada/search"


@pytest.fixture(autouse=True)
def _prices(prices: None) -> None:
    """Searches are metered."""


def upload(client: Client, content: bytes = SLEEP.encode(), **fields: str):
    return client.post(DOCUMENTS, {"file": SimpleUploadedFile("sleep.txt", content), **fields})


def test_upload_is_accepted_and_can_be_followed(client: Client, expert: User, clone: Clone):
    client.force_login(expert)
    response = upload(client, title="On sleep")
    assert response.status_code == 202
    body = response.json()
    assert (body["title"], body["status"], body["clone"]) == ("On sleep", "queued", "ada")
    ingest(Document.objects.get(pk=body["id"]))
    body = client.get(f"/api/documents/{body['id']}").json()
    assert (body["status"], body["page_count"], body["chunk_count"], body["error_message"]) == (
        "ready",
        1,
        1,
        "",
    )
    assert body["token_count"] > 20
    assert body["stage_done"] == body["stage_total"] == 1


@pytest.mark.parametrize(("said", "is_on"), [({}, True), ({"is_cleaning_on": "false"}, False)])
def test_upload_says_whether_its_text_is_cleaned(
    client: Client, expert: User, clone: Clone, said: dict[str, str], is_on: bool
):
    client.force_login(expert)
    assert upload(client, **said).status_code == 202
    assert Document.objects.get().is_cleaning_on is is_on
    assert upload(client, b"Other words.", is_cleaning_on="0").status_code == 422


@pytest.mark.parametrize(("content", "status"), [(SLEEP.encode(), 409), (b"", 422), (b"x" * 200, 413)])
def test_refused_upload_says_why(
    client: Client, expert: User, clone: Clone, settings, content: bytes, status: int
):
    settings.MAX_UPLOAD_BYTES = 100_000 if status == 409 else 199
    if status == 409:
        store(clone=clone, text=SLEEP)
    client.force_login(expert)
    response = upload(client, content)
    assert response.status_code == status
    assert set(response.json()) == {"error_type", "message", "retry_after"}
    assert response.json()["message"].endswith(".")


def test_documents_are_listed_in_pages(client: Client, expert: User, clone: Clone):
    for number in range(3):
        store(clone=clone, text=f"Text {number}", name=f"{number}.txt")
    client.force_login(expert)
    body = client.get(DOCUMENTS, {"limit": 2, "offset": 1}).json()
    assert (body["count"], [item["title"] for item in body["items"]]) == (3, ["1", "0"])


def test_listing_takes_the_same_queries_for_any_number(
    client: Client, expert: User, clone: Clone, django_assert_max_num_queries
):
    for number in range(5):
        store(clone=clone, text=f"Text {number}", name=f"{number}.txt")
    client.force_login(expert)
    with django_assert_max_num_queries(7):
        assert client.get(DOCUMENTS).status_code == 200


def test_failed_document_can_be_retried_and_a_running_one_cannot(client: Client, expert: User, clone: Clone):
    document = store(clone=clone, text=SLEEP)
    client.force_login(expert)
    url = f"/api/documents/{document.pk}/retry"
    assert client.post(url).status_code == 409
    Document.objects.update(status=Status.FAILED, error_code="no_text", error_message="Nothing in it.")
    response = client.post(url)
    assert (response.status_code, response.json()["status"]) == (202, "queued")


def test_deleted_document_is_gone(client: Client, expert: User, clone: Clone):
    document = store(clone=clone, text=SLEEP)
    client.force_login(expert)
    url = f"/api/documents/{document.pk}"
    assert client.delete(url).status_code == 204
    assert client.get(url).status_code == 404


def test_search_answers_by_the_contract(client: Client, expert: User, clone: Clone):
    document = ingest(store(clone=clone, text=SLEEP, name="sleep.txt"))
    client.force_login(expert)
    body = client.get(SEARCH, {"q": "How cool should the bedroom be?", "limit": 5}).json()
    (result,) = body["results"]
    assert result["document_id"] == str(document.pk)
    assert (result["document_title"], result["page"], result["rank"]) == ("Sleep", 1, 1)
    assert result["content"][:5] == "Sleep"
    assert {"chunk_id", "start_char", "end_char", "similarity_score"} <= set(result)
    assert set(body["retrieval_quality"]) == {"score", "status", "chunk_count", "diversity"}
    assert body["query_used"] == "How cool should the bedroom be?"


@pytest.mark.parametrize("parameters", [{}, {"q": " "}, {"q": "x", "limit": 0}, {"q": "x", "limit": 1000}])
def test_search_refuses_bad_input(client: Client, expert: User, clone: Clone, parameters: dict):
    client.force_login(expert)
    response = client.get(SEARCH, parameters)
    assert (response.status_code, response.json()["error_type"]) == (422, "invalid_request")


@pytest.mark.parametrize("who", ["other_expert", "member", "reviewer"])
def test_material_of_another_s_clone_does_not_exist(request, client: Client, clone: Clone, who: str):
    document = store(clone=clone, text=SLEEP)
    client.force_login(request.getfixturevalue(who))
    one = f"/api/documents/{document.pk}"
    statuses = [
        client.get(DOCUMENTS).status_code,
        upload(client, b"Other text.").status_code,
        client.get(SEARCH, {"q": "sleep"}).status_code,
        client.get(one).status_code,
        client.delete(one).status_code,
        client.post(f"{one}/retry").status_code,
    ]
    assert statuses == [404] * 6
    assert Document.objects.count() == 1


def test_nobody_without_a_login_reaches_anything(client: Client, clone: Clone):
    document = store(clone=clone, text=SLEEP)
    for url in (DOCUMENTS, SEARCH + "?q=a", f"/api/documents/{document.pk}"):
        assert client.get(url).status_code == 401
