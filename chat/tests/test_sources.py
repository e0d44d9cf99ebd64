"""What a source shows beyond its page, and who gets its file."""

import re
import uuid
from collections.abc import Callable

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.test import AsyncClient, Client
from django.urls import reverse

from chat.models import ChatSession, Citation, Role
from cloneai.accounts.models import User
from cloneai.threads import run_in_thread
from clones.models import Clone
from knowledge.models import Document, DocumentPage

PAGES = [
    "Page one is far away.",
    "Page two comes before.",
    "The passage stands here.",
    "Page four.",
    "Page five.",
]


@pytest.fixture
def make_citation(clone: Clone, session: ChatSession) -> Callable[..., Citation]:
    def make(*, kind: str = "pdf", allow_download: bool = False, file_name: str = "notes.pdf") -> Citation:
        Clone.objects.filter(pk=clone.pk).update(allow_download=allow_download)
        stored = default_storage.save(f"documents/{uuid.uuid4().hex}", ContentFile(b"%PDF-1.7 the file"))
        document = Document.objects.create(
            clone=clone, title="Notes", file=stored, live_file=stored, file_name=file_name, kind=kind,
            live_version=1, page_count=5, sha256=uuid.uuid4().hex,
        )  # fmt: skip
        start = 0
        for number, text in enumerate(PAGES, start=1):
            DocumentPage.objects.create(
                document=document, version=1, number=number, text=text, start_char=start
            )
            start += len(text) + 2
        passage = DocumentPage.objects.get(document=document, number=3)
        answer = session.messages.create(role=Role.ASSISTANT, content="So it is [1].")
        return Citation.objects.create(
            message=answer, number=1, document=document, document_version=1, title="Notes", page=3,
            quote="passage", start_char=passage.start_char + 4, end_char=passage.start_char + 11,
            similarity_score=0.6,
        )  # fmt: skip

    return make


def file_url(citation: Citation) -> str:
    return reverse("chat:download", args=[citation.pk])


@pytest.mark.django_db
def test_pages_beside_the_passage_are_there_and_no_others(
    client: Client, member: User, make_citation: Callable[..., Citation]
) -> None:
    citation = make_citation()
    client.force_login(member)
    page = client.get(citation.get_absolute_url()).text
    hidden = re.findall(r"<details.*?</details>", page, re.DOTALL)
    assert [PAGES[1] in hidden[-2], PAGES[3] in hidden[-1]] == [True, True]
    assert PAGES[0] not in page
    assert PAGES[4] not in page
    assert file_url(citation) not in page


@pytest.mark.django_db
@pytest.mark.parametrize(("kind", "anchor"), [("pdf", "#page=3"), ("docx", "")])
def test_file_is_offered_where_the_expert_allows_it(
    kind: str, anchor: str, client: Client, member: User, make_citation: Callable[..., Citation]
) -> None:
    citation = make_citation(kind=kind, allow_download=True)
    client.force_login(member)
    assert f'href="{file_url(citation)}{anchor}"' in client.get(citation.get_absolute_url()).text


@pytest.mark.django_db(transaction=True)
async def test_file_behind_a_source_keeps_its_name_and_kind_while_a_replacement_has_failed(
    member: User, async_client: AsyncClient, make_citation: Callable[..., Citation]
) -> None:
    citation = await run_in_thread(make_citation, allow_download=True)
    await Document.objects.aupdate(
        kind="docx", file_name="new.docx", version=2, earlier={"file_name": "notes.pdf", "kind": "pdf"}
    )
    await run_in_thread(async_client.force_login, member)
    response = await async_client.get(file_url(citation))
    assert response.headers["Content-Type"] == "application/pdf"
    assert response.headers["Content-Disposition"] == 'inline; filename="notes.pdf"'


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("kind", "content_type", "disposition"),
    [
        ("pdf", "application/pdf", "inline"),
        ("html", "application/octet-stream", "attachment"),
        ("txt", "text/plain; charset=utf-8", "attachment"),
    ],
)
async def test_file_is_served_so_that_nothing_in_it_runs(
    kind: str, content_type: str, disposition: str, member: User, async_client: AsyncClient,
    make_citation: Callable[..., Citation],
) -> None:  # fmt: skip
    citation = await run_in_thread(
        make_citation, kind=kind, allow_download=True, file_name='a "quoted"; name.html'
    )
    await run_in_thread(async_client.force_login, member)
    response = await async_client.get(file_url(citation))
    assert b"".join([piece async for piece in response.streaming_content]) == b"%PDF-1.7 the file"
    assert response["Content-Type"] == content_type
    assert response["X-Content-Type-Options"] == "nosniff"
    assert response["Content-Disposition"] == rf'{disposition}; filename="a \"quoted\"; name.html"'
    assert "default-src 'none'" in response["Content-Security-Policy"]
    assert "script-src" not in response["Content-Security-Policy"]


@pytest.mark.django_db(transaction=True)
async def test_file_is_missing_for_everybody_who_may_not_have_it(
    member: User, stranger: User, clone: Clone, async_client: AsyncClient,
    make_citation: Callable[..., Citation],
) -> None:  # fmt: skip
    citation = await run_in_thread(make_citation, allow_download=True)
    url = file_url(citation)
    assert (await async_client.get(url)).status_code == 302  # to the login
    await run_in_thread(async_client.force_login, stranger)
    assert (await async_client.get(url)).status_code == 404
    await run_in_thread(async_client.force_login, member)
    assert (await async_client.get(url)).status_code == 200
    assert (await async_client.get(reverse("chat:download", args=[uuid.uuid4()]))).status_code == 404
    await Document.objects.aupdate(live_version=2)  # the file has changed since
    assert (await async_client.get(url)).status_code == 404
    await Document.objects.aupdate(live_version=1)
    await Clone.objects.filter(pk=clone.pk).aupdate(allow_download=False)
    assert (await async_client.get(url)).status_code == 404


@pytest.mark.django_db
def test_files_cannot_be_reached_by_guessing(
    client: Client, member: User, stranger: User, make_citation: Callable[..., Citation]
) -> None:
    citation = make_citation(allow_download=True)
    document = citation.document
    assert document is not None
    client.force_login(stranger)
    for headers in (
        {},
        {"Range": "bytes=0-3"},
        {"Range": "bytes=-1"},
        {"If-Range": "*", "Range": "bytes=0-"},
    ):
        assert client.get(file_url(citation), headers=headers).status_code == 404
        assert client.head(file_url(citation), headers=headers).status_code == 404
    for user in (stranger, member):
        client.force_login(user)
        for path in (
            document.live_file,
            f"media/{document.live_file}",
            f"var/media/{document.live_file}",
            f"static/../var/media/{document.live_file}",
            f"static/%2e%2e/var/media/{document.live_file}",
            f"sources/{citation.pk}/..%2f..%2f{document.live_file}",
            f"sources/{document.pk}/file/",
            f"sources/{document.pk}/",
        ):
            assert client.get(f"/{path}").status_code == 404, path
