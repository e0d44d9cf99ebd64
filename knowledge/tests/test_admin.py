"""Documents in the admin: upload, progress, text, passages, retry, replacement, retrieval check."""

import pytest
from django.core.files.base import ContentFile
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse
from django_q.models import OrmQ

from cloneai.accounts.models import AuditEntry, User
from clones.models import Clone
from knowledge.ingestion import ingest_document
from knowledge.models import Chunk, Document, DocumentPage, Status
from knowledge.uploads import create_document

LIST = "admin:knowledge_document_changelist"
ADD = "admin:knowledge_document_add"
STATUS = "admin:knowledge_document_status"
SLEEP = b"Sleep well. People who go to bed at the same hour every night sleep better and wake up rested. " * 3
WORK = b"Meetings should end with a list of who does what until when, written down by one person. " * 3


@pytest.fixture(autouse=True)
def media(settings, tmp_path):
    settings.MEDIA_ROOT = tmp_path
    return tmp_path


def text_file(name: str = "sleep.txt", content: bytes = SLEEP) -> SimpleUploadedFile:
    return SimpleUploadedFile(name, content, content_type="text/plain")


def store(clone: Clone, name: str = "sleep.txt", content: bytes = SLEEP) -> Document:
    return create_document(
        clone=clone, file=ContentFile(content, name=name), file_name=name, uploaded_by=clone.owner
    )


def make_failed(document: Document) -> Document:
    Document.objects.filter(pk=document.pk).update(
        status=Status.FAILED, error_code="no_text", error_message="There is no text in it. Run OCR first."
    )
    document.refresh_from_db()
    return document


def messages_of(response) -> list[str]:
    return [str(message) for message in response.context["messages"]]


def test_many_files_become_documents_with_one_job_each(client: Client, expert: User, clone: Clone):
    client.force_login(expert)
    files = [text_file(), text_file("work.md", WORK)]
    response = client.post(reverse(ADD), {"clone": clone.pk, "files": files}, follow=True)
    assert response.redirect_chain == [(f"{reverse(LIST)}?clone={clone.pk}", 302)]
    assert messages_of(response) == ["Accepted 2 of 2 files: sleep.txt, work.md."]
    assert set(Document.objects.values_list("file_name", "uploaded_by")) == {
        ("sleep.txt", expert.pk),
        ("work.md", expert.pk),
    }
    assert OrmQ.objects.count() == 2


def test_only_one_who_has_a_single_clone_need_not_choose_it(client: Client, expert: User, clone: Clone):
    client.force_login(expert)
    assert client.get(reverse(ADD)).context["form"]["clone"].initial == clone
    Clone.objects.create(owner=expert, name="Another", slug="another")
    assert client.get(reverse(ADD)).context["form"]["clone"].initial == ""
    client.post(reverse(ADD), {"clone": "", "files": [text_file()]})
    assert not Document.objects.exists()


def test_refused_files_say_why_and_the_good_ones_are_taken(
    client: Client, expert: User, clone: Clone, settings
):
    settings.MAX_UPLOAD_BYTES = 1000
    existing = store(clone)
    client.force_login(expert)
    files = [
        text_file("again.txt"),
        text_file("<empty>.txt", b""),
        text_file("big.txt", b"x" * 1001),
        text_file("work.txt", WORK),
    ]
    page = client.post(reverse(ADD), {"clone": clone.pk, "files": files}, follow=True)
    said = messages_of(page)
    assert said[0] == "Accepted 1 of 4 files: work.txt."
    assert "again.txt: This clone already has this file" in said[1]
    assert existing.get_absolute_url() in said[1]
    assert "&lt;empty&gt;.txt: The file is empty" in said[2]
    assert "big.txt: The file is larger than" in said[3]
    assert Document.objects.count() == 2


def test_script_gets_the_outcome_of_each_file_as_json(client: Client, expert: User, clone: Clone):
    client.force_login(expert)
    files = [text_file(), text_file("empty.txt", b"")]
    response = client.post(
        reverse(ADD), {"clone": clone.pk, "files": files}, headers={"Accept": "application/json"}
    )
    good, bad = response.json()["results"]
    document = Document.objects.get()
    assert good == {
        "file_name": "sleep.txt",
        "is_accepted": True,
        "message": "Accepted",
        "url": document.get_absolute_url(),
    }
    assert (bad["file_name"], bad["is_accepted"]) == ("empty.txt", False)
    assert "empty" in bad["message"]


def test_upload_without_a_file_says_so(client: Client, expert: User, clone: Clone):
    client.force_login(expert)
    page = client.post(reverse(ADD), {"clone": clone.pk}).content.decode()
    assert "Choose at least one file." in page


def test_nothing_is_uploaded_to_a_foreign_clone(
    client: Client, expert: User, clone: Clone, other_clone: Clone
):
    client.force_login(expert)
    assert other_clone.name not in client.get(reverse(ADD), {"clone": other_clone.pk}).content.decode()
    client.post(reverse(ADD), {"clone": other_clone.pk, "files": [text_file()]})
    assert not Document.objects.exists()


def test_reviewer_has_no_documents(client: Client, reviewer: User, clone: Clone):
    document = store(clone)
    client.force_login(reviewer)
    for url in (reverse(LIST), reverse(ADD), document.get_absolute_url()):
        assert client.get(url).status_code == 403
    assert client.get(reverse(STATUS), {"id": document.pk}).json() == {"documents": []}
    for name in ("text", "passages", "replace", "retry"):
        assert client.post(reverse(f"admin:knowledge_document_{name}", args=[document.pk])).status_code == 404
    assert client.get(reverse("admin:knowledge_retrieval_check", args=[clone.pk])).status_code == 404


def test_foreign_document_is_missing_everywhere(client: Client, expert: User, other_clone: Clone):
    document = make_failed(store(other_clone))
    client.force_login(expert)
    assert document.title not in client.get(reverse(LIST)).content.decode()
    for name in ("change", "delete", "history", "text", "passages", "replace", "retry"):
        url = reverse(f"admin:knowledge_document_{name}", args=[document.pk])
        assert client.get(url).status_code == 404, name
        assert client.post(url, {"post": "yes"}).status_code == 404 or name == "history", name
    for action in ("retry", "delete_selected"):
        client.post(reverse(LIST), {"action": action, "_selected_action": [document.pk], "post": "yes"})
    assert client.get(reverse(STATUS), {"id": document.pk}).json() == {"documents": []}
    assert client.get(reverse("admin:knowledge_retrieval_check", args=[other_clone.pk])).status_code == 404
    document.refresh_from_db()
    assert document.status == Status.FAILED


def test_filter_offers_no_foreign_clone(client: Client, expert: User, clone: Clone, other_clone: Clone):
    store(clone)
    store(other_clone)
    client.force_login(expert)
    response = client.get(reverse(LIST), {"clone": other_clone.pk})
    assert list(response.context["cl"].result_list) == []
    assert other_clone.name not in response.content.decode()


def test_status_tells_stage_counts_and_reason(client: Client, expert: User, clone: Clone):
    working, failed = store(clone), make_failed(store(clone, "work.txt", WORK))
    Document.objects.filter(pk=working.pk).update(
        status=Status.EMBEDDING, stage_done=3, stage_total=7, chunk_count=7
    )
    client.force_login(expert)
    query = {"id": [working.pk, failed.pk, "no-uuid", "00000000-0000-0000-0000-000000000000"]}
    found = {entry["id"]: entry for entry in client.get(reverse(STATUS), query).json()["documents"]}
    assert set(found) == {str(working.pk), str(failed.pk)}
    assert not found[str(working.pk)]["is_final"]
    assert found[str(working.pk)]["chunk_count"] == 7
    assert "3 of 7" in found[str(working.pk)]["html"]
    assert found[str(failed.pk)]["is_final"]
    assert "Run OCR first." in found[str(failed.pk)]["html"]


def test_list_shows_the_same_state_as_the_refresh(client: Client, expert: User, clone: Clone):
    document = make_failed(store(clone))
    client.force_login(expert)
    refreshed = client.get(reverse(STATUS), {"id": document.pk}).json()["documents"][0]["html"]
    page = client.get(reverse(LIST)).content.decode()
    assert refreshed.strip() in page


def test_failed_document_is_retried_from_its_page_and_in_bulk(client: Client, expert: User, clone: Clone):
    document = make_failed(store(clone))
    client.force_login(expert)
    assert "Run OCR first." in client.get(document.get_absolute_url()).content.decode()
    client.post(reverse("admin:knowledge_document_retry", args=[document.pk]))
    document.refresh_from_db()
    assert (document.status, document.error_message) == (Status.QUEUED, "")

    make_failed(document)
    client.post(reverse(LIST), {"action": "retry", "_selected_action": [document.pk]})
    document.refresh_from_db()
    assert document.status == Status.QUEUED


def test_retry_by_a_link_does_nothing(client: Client, expert: User, clone: Clone):
    document = make_failed(store(clone))
    client.force_login(expert)
    assert client.get(reverse("admin:knowledge_document_retry", args=[document.pk])).status_code == 405
    document.refresh_from_db()
    assert document.status == Status.FAILED


def test_title_is_editable_and_the_rest_is_not(
    client: Client, expert: User, clone: Clone, other_clone: Clone
):
    document = store(clone)
    client.force_login(expert)
    form = {"title": "Sleeping well", "clone": other_clone.pk, "status": "ready"}
    client.post(document.get_absolute_url(), form)
    document.refresh_from_db()
    assert (document.title, document.clone, document.status) == ("Sleeping well", clone, Status.QUEUED)


def test_replacement_starts_a_new_version(client: Client, expert: User, clone: Clone):
    document = store(clone)
    client.force_login(expert)
    url = reverse("admin:knowledge_document_replace", args=[document.pk])
    assert client.get(url).status_code == 200
    assert client.post(url, {"file": text_file("new.txt", WORK)}).status_code == 302
    document.refresh_from_db()
    assert (document.version, document.file_name) == (2, "new.txt")


def test_refused_replacement_says_why_and_changes_nothing(client: Client, expert: User, clone: Clone):
    document = store(clone)
    client.force_login(expert)
    url = reverse("admin:knowledge_document_replace", args=[document.pk])
    page = client.post(url, {"file": text_file("new.txt", b"")}).content.decode()
    assert "The file is empty" in page
    document.refresh_from_db()
    assert document.version == 1


def test_deletion_takes_rows_and_file_and_is_logged(
    client: Client, expert: User, clone: Clone, media, django_capture_on_commit_callbacks
):
    document, other = store(clone), store(clone, "work.txt", WORK)
    client.force_login(expert)
    with django_capture_on_commit_callbacks(execute=True):
        client.post(reverse("admin:knowledge_document_delete", args=[document.pk]), {"post": "yes"})
        form = {"action": "delete_selected", "_selected_action": [other.pk], "post": "yes"}
        client.post(reverse(LIST), form)
    assert not Document.objects.exists()
    assert [path for path in media.rglob("*") if path.is_file()] == []
    assert AuditEntry.objects.filter(action="document.delete", actor=expert).count() == 2


def test_deleting_a_clone_in_the_admin_takes_its_files(
    client: Client, expert: User, clone: Clone, media, django_capture_on_commit_callbacks
):
    store(clone)
    client.force_login(expert)
    url = reverse("admin:clones_clone_delete", args=[clone.pk])
    assert "Documents: 1" in client.get(url).content.decode()
    with django_capture_on_commit_callbacks(execute=True):
        client.post(url, {"post": "yes"})
    assert not Document.objects.exists()
    assert [path for path in media.rglob("*") if path.is_file()] == []


def test_text_and_passages_are_shown_in_pages(client: Client, expert: User, clone: Clone):
    document = store(clone)
    DocumentPage.objects.bulk_create(
        DocumentPage(
            document=document,
            version=1,
            number=number,
            text="" if number == 3 else f"<i>text {number}</i>",
            start_char=0,
        )
        for number in range(1, 13)
    )
    Chunk.objects.bulk_create(
        Chunk(
            document=document, clone=clone, version=1, index=index, content=f"passage no {index};",
            start_char=0, end_char=5, page_start=1, page_end=2, token_count=5, headings=["Night"],
        )
        for index in range(25)
    )  # fmt: skip
    client.force_login(expert)
    url = reverse("admin:knowledge_document_text", args=[document.pk])
    first, second = (client.get(url, {"page": number}).content.decode() for number in (1, 2))
    assert "No text on page 3" in first
    assert "&lt;i&gt;text 10&lt;/i&gt;" in first
    assert "text 11" not in first
    assert "text 11" in second
    url = reverse("admin:knowledge_document_passages", args=[document.pk])
    first, second = (client.get(url, {"page": number}).content.decode() for number in (1, 2))
    assert "passage no 19;" in first
    assert "passage no 20;" not in first
    assert "passage no 20;" in second


def test_list_does_not_query_once_a_document(
    client: Client, admin: User, expert: User, django_assert_max_num_queries
):
    for number in range(12):
        own = Clone.objects.create(owner=expert, name=f"C{number}", slug=f"c{number}")
        store(own)
    client.force_login(admin)
    with django_assert_max_num_queries(14):
        assert client.get(reverse(LIST)).status_code == 200


def make_ready(document: Document, **fields: object) -> Document:
    Document.objects.filter(pk=document.pk).update(
        status=Status.READY, live_version=1, chunk_count=1, **fields
    )
    return document


@pytest.fixture
def concerns(clone: Clone) -> dict[str, Document]:
    """One document for each thing to look at, and one that nothing is the matter with."""
    names = ("fine", "failed", "hard_to_find", "near_copy", "warnings")
    found = {name: store(clone, f"{name}.txt", f"About {name}. ".encode() + SLEEP) for name in names}
    make_ready(found["fine"])
    make_failed(found["failed"])
    make_ready(found["hard_to_find"], probe_note="Other documents stood before it.", probe_count=5)
    make_ready(found["near_copy"], similar_document=found["fine"], similar_share=0.8)
    make_ready(found["warnings"], warnings=["3 characters could not be read."])
    return found


def test_documents_that_need_a_look_are_found(client: Client, expert: User, other_clone: Clone, concerns):
    make_failed(store(other_clone))
    client.force_login(expert)

    def listed(look: str) -> set[str]:
        found = client.get(reverse(LIST), {"look": look}).context["cl"].result_list
        return {document.file_name.removesuffix(".txt") for document in found}

    for name in ("failed", "hard_to_find", "near_copy", "warnings"):
        assert listed(name) == {name}
    assert listed("any") == {"failed", "hard_to_find", "near_copy", "warnings"}
    assert listed("nonsense") == {"fine", "failed", "hard_to_find", "near_copy", "warnings"}


def test_state_names_everything_that_needs_a_look(client: Client, expert: User, concerns):
    make_ready(concerns["near_copy"], warnings=["No text on page 3."])
    client.force_login(expert)
    page = client.get(reverse(LIST), {"look": "near_copy"}).content.decode()
    assert "Nearly the same as another one" in page
    assert "1 warning" in page


def test_filter_for_a_look_costs_no_query_a_document(
    client: Client, admin: User, expert: User, concerns, django_assert_max_num_queries
):
    client.force_login(admin)
    with django_assert_max_num_queries(14):
        assert len(client.get(reverse(LIST), {"look": "any"}).context["cl"].result_list) == 4


@pytest.mark.django_db(transaction=True)
def test_retrieval_check_ranks_the_passages_of_the_clone(client: Client, expert: User, clone: Clone):
    for name, content in (("sleep.txt", SLEEP), ("work.txt", WORK)):
        ingest_document(document_id=store(clone, name, content).pk)
    assert set(Document.objects.values_list("status", flat=True)) == {Status.READY}
    client.force_login(expert)
    url = reverse("admin:knowledge_retrieval_check", args=[clone.pk])
    response = client.post(url, {"question": "When should I go to bed to sleep better?"})
    found = response.context["result"].passages
    assert found[0].document_title == "Sleep"
    page = response.content.decode()
    assert "go to bed at the same hour" in page
    assert "Score" in page


@pytest.mark.django_db(transaction=True)
def test_retrieval_check_shows_what_the_model_would_be_sent(client: Client, expert: User, clone: Clone):
    ingest_document(document_id=store(clone, "sleep.txt", SLEEP).pk)
    client.force_login(expert)
    url = reverse("admin:knowledge_retrieval_check", args=[clone.pk])
    response = client.post(url, {"question": "When should I go to bed to sleep better?"})
    page, preview = response.content.decode(), response.context["preview"]
    assert "What the model would be sent: 1 passage," in page
    assert "Sent as [1]" in page
    assert preview.messages[-1].content == "When should I go to bed to sleep better?"
    assert f"You are {clone.name}" in preview.messages[0].content
    assert "go to bed at the same hour" in preview.messages[0].content


@pytest.mark.django_db(transaction=True)
def test_retrieval_check_says_when_no_model_would_be_asked(client: Client, expert: User, clone: Clone):
    ingest_document(document_id=store(clone, "sleep.txt", SLEEP).pk)
    Clone.objects.filter(pk=clone.pk).update(similarity_threshold=1, is_strict=True)
    client.force_login(expert)
    url = reverse("admin:knowledge_retrieval_check", args=[clone.pk])
    response = client.post(url, {"question": "What is the capital of Peru?"})
    assert response.context["preview"] is None
    assert "No model would be asked; the clone would say" in response.content.decode()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("threshold", "told"),
    [
        (None, "down to half of it, 0.09"),
        (0.2, "Passages below this clone’s own threshold of 0.20 are not used"),
    ],
)
def test_retrieval_check_says_what_is_used(
    client: Client, expert: User, clone: Clone, threshold: float | None, told: str
):
    ingest_document(document_id=store(clone, "sleep.txt", SLEEP).pk)
    Clone.objects.filter(pk=clone.pk).update(similarity_threshold=threshold)
    client.force_login(expert)
    url = reverse("admin:knowledge_retrieval_check", args=[clone.pk])
    page = client.post(url, {"question": "When should I go to bed to sleep better?"}).content.decode()
    assert told in page


@pytest.mark.django_db(transaction=True)
def test_retrieval_check_of_a_clone_without_documents_leads_to_the_upload(
    client: Client, expert: User, clone: Clone
):
    client.force_login(expert)
    url = reverse("admin:knowledge_retrieval_check", args=[clone.pk])
    for page in (client.get(url), client.post(url, {"question": "When should I go to bed?"})):
        assert "no ready document yet" in page.content.decode()
        assert f'{reverse("admin:knowledge_document_add")}?clone={clone.pk}"' in page.content.decode()
        assert "by words only" not in page.content.decode()


def test_retrieval_check_searches_nothing_before_it_is_asked(client: Client, expert: User, clone: Clone):
    client.force_login(expert)
    url = reverse("admin:knowledge_retrieval_check", args=[clone.pk])
    assert client.get(url, {"question": "sleep"}).context["result"] is None
    assert "Type a question." in client.post(url, {"question": " "}).content.decode()


def test_empty_list_tells_nothing_at_all_from_nothing_that_fits(client: Client, expert: User, clone: Clone):
    client.force_login(expert)
    assert "There are no documents yet" in client.get(reverse(LIST)).content.decode()
    narrowed = client.get(reverse(LIST), {"status__exact": "failed"}).content.decode()
    assert "No documents fit the search and the filters" in narrowed
    assert "Show all documents" in narrowed
