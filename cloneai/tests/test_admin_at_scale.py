"""The admin's pages stay as large as they are, however many clones and rows there are."""

import pytest
from django.core.files.base import ContentFile
from django.test import Client

from chat.models import ChatSession, Message, MessageStatus, Role
from chat.transcript_search import find_said
from cloneai.accounts import admin_lists
from cloneai.accounts.admin_lists import BoundedPaginator, count_most, list_distinct
from cloneai.accounts.models import AuditEntry, User
from clones.admin_filters import MAX_CHOICES
from clones.models import Clone
from knowledge.models import Document
from knowledge.uploads import create_document

DOCUMENTS = "/admin/knowledge/document/"
pytestmark = pytest.mark.django_db


def make_clones(owner: User, *, first: int, count: int) -> list[Clone]:
    return Clone.objects.bulk_create(
        Clone(owner=owner, name=f"Clone {number:04}", slug=f"clone-{number}")
        for number in range(first, first + count)
    )


@pytest.mark.parametrize(
    "address",
    [DOCUMENTS, "/admin/billing/costrecord/", "/admin/chat/chatsession/", "/admin/chat/sessionsummary/"],
)
def test_a_list_does_not_grow_with_the_number_of_clones(admin: User, client: Client, address: str) -> None:
    client.force_login(admin)
    make_clones(admin, first=0, count=MAX_CHOICES + 1)
    before = len(client.get(address).content)
    make_clones(admin, first=MAX_CHOICES + 1, count=200)
    assert len(client.get(address).content) <= before + 200  # a token may be a little longer


def test_clones_that_are_no_choice_are_found_by_name_and_by_link(admin: User, client: Client) -> None:
    client.force_login(admin)
    *_, last = make_clones(admin, first=0, count=MAX_CHOICES + 1)
    first = Clone.objects.get(name="Clone 0000")
    for clone in (first, last):
        file = ContentFile(f"What {clone.name} says.".encode(), name="a.txt")
        create_document(
            clone=clone, file=file, file_name="a.txt", title=f"Of {clone.name}", uploaded_by=admin
        )
    plain = client.get(DOCUMENTS).content.decode()
    assert 'name="clone_name"' in plain
    assert f"?clone={last.pk}" not in plain
    by_name = client.get(DOCUMENTS, {"clone_name": "0050"}).content.decode()
    assert "Of Clone 0050" in by_name
    assert "Of Clone 0000" not in by_name
    by_link = client.get(DOCUMENTS, {"clone": last.pk}).content.decode()
    assert "Of Clone 0050" in by_link
    assert "Of Clone 0000" not in by_link


def test_few_clones_are_choices_alone(expert: User, clone: Clone, client: Client) -> None:
    client.force_login(expert)
    page = client.get(DOCUMENTS).content.decode()
    assert clone.name in page
    assert 'name="clone_name"' not in page


def test_counts_end_somewhere_and_say_so(
    admin: User, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admin_lists, "MOST_COUNTED", 60)
    AuditEntry.objects.bulk_create(AuditEntry(action="clone.change", target=f"clone:{n}") for n in range(60))
    assert BoundedPaginator(AuditEntry.objects.order_by("pk"), 50).count == 60
    assert count_most(AuditEntry.objects.all()) == "60"
    client.force_login(admin)
    assert "60 audit entries" in " ".join(client.get("/admin/accounts/auditentry/").content.decode().split())
    AuditEntry.objects.create(action="clone.delete", target="clone:1")
    assert count_most(AuditEntry.objects.all()) == "60+"
    page = " ".join(client.get("/admin/accounts/auditentry/", {"p": 2}).content.decode().split())
    assert "more than 60 audit entries" in page
    assert list_distinct(model=AuditEntry, column="action") == ["clone.change", "clone.delete"]


@pytest.mark.parametrize(
    ("word", "is_found"),
    [
        ("Pfeffer", True),
        ("pfeff", True),
        ("suppe", False),
        ("O'Hara", True),
        ("\\", False),
        ("':*", False),
        ("3.5", True),
    ],
)
def test_words_of_conversations_are_found_as_they_begin(
    clone: Clone, member: User, word: str, is_found: bool
) -> None:
    session = ChatSession.objects.create(clone=clone, user=member)
    said = Message.objects.create(
        session=session, role=Role.USER, content="Pfeffersuppe von O'Hara, 3.5 Liter"
    )
    Message.objects.create(
        session=session, role=Role.ASSISTANT, content="Pfeffer", status=MessageStatus.STREAMING
    )
    assert list(find_said(word)) == [said] * is_found


def test_documents_of_all_clones_are_listed_without_looking_at_the_clones(admin: User) -> None:
    assert "clones_clone" not in str(Document.objects.editable_by(admin).query)
