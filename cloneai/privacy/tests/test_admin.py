"""Superusers hand over and erase somebody's data; nobody else does."""

import io
import zipfile

import pytest
from django.test import AsyncClient, Client
from django.urls import reverse

from cloneai.accounts.models import AuditEntry, User
from cloneai.privacy.exports import exports_folder
from cloneai.privacy.tests.conftest import SECRET
from cloneai.threads import run_in_thread
from clones.models import Clone


def page_of(person: User) -> str:
    return reverse("admin:accounts_user_personal_data", args=[person.pk])


@pytest.fixture
def desk(client: Client, admin: User) -> Client:
    client.force_login(admin)
    return client


def test_page_is_closed_to_other_staff(client: Client, expert: User, reviewer: User, member: User) -> None:
    for person in (expert, reviewer):
        client.force_login(person)
        assert client.get(page_of(member)).status_code == 404
        assert client.post(page_of(member), {"email": member.email}).status_code == 404
    assert User.objects.filter(pk=member.pk).exists()


def test_page_counts_rows_and_change_page_links_to_it(desk: Client, settled: User) -> None:
    page = desk.get(page_of(settled)).content.decode()
    assert "Your conversations" in page
    assert SECRET not in page
    change = desk.get(reverse("admin:accounts_user_change", args=[settled.pk])).content.decode()
    assert page_of(settled) in change


@pytest.mark.parametrize("action", ["export_data", "erase_data"])
def test_actions_lead_to_the_page_of_one_person(
    desk: Client, member: User, stranger: User, action: str
) -> None:
    url = reverse("admin:accounts_user_changelist")
    response = desk.post(url, {"action": action, "_selected_action": [member.pk]})
    assert response.url == page_of(member)  # type: ignore[attr-defined]
    both = {"action": action, "_selected_action": [member.pk, stranger.pk]}
    assert "one person at a time" in desk.post(url, both, follow=True).content.decode()


@pytest.mark.django_db(transaction=True)
async def test_archive_is_handed_over_and_the_handing_over_is_logged(admin: User, settled: User) -> None:
    client = AsyncClient()
    await client.aforce_login(admin)
    response = await client.post(page_of(settled), {"export": "1"})
    body = b"".join([piece async for piece in response.streaming_content])
    with zipfile.ZipFile(io.BytesIO(body)) as archive:
        assert SECRET in archive.read("messages.json").decode()
    assert await run_in_thread(lambda: list(exports_folder().iterdir())) == []
    entry = await AuditEntry.objects.aget(action="person.export")
    assert (entry.actor_id, entry.target) == (admin.pk, f"user:{settled.pk}")


def test_erasing_needs_the_address_and_shows_the_receipt(desk: Client, admin: User, settled: User) -> None:
    refused = desk.post(page_of(settled), {"email": "other@example.com"})
    assert "not the address" in refused.content.decode()
    page = desk.post(page_of(settled), {"email": settled.email}).content.decode()
    assert "The person is erased" in page
    assert "<td>Messages</td><td>2</td>" in page
    assert not User.objects.filter(pk=settled.pk).exists()
    assert AuditEntry.objects.get(action="person.erase").actor == admin


def test_owner_of_clones_goes_only_with_them(desk: Client, clone: Clone, expert: User) -> None:
    assert "Tick this" in desk.post(page_of(expert), {"email": expert.email}).content.decode()
    assert Clone.objects.exists()
    desk.post(page_of(expert), {"email": expert.email, "with_clones": "on"})
    assert not User.objects.filter(pk=expert.pk).exists()


def test_administrator_does_not_erase_themselves_here(desk: Client, admin: User) -> None:
    User.objects.create_superuser("second@example.com", "x")
    assert "on the page My data" in desk.post(page_of(admin), {"email": admin.email}).content.decode()
    assert User.objects.filter(pk=admin.pk).exists()


def test_people_are_erased_never_plainly_deleted(desk: Client, member: User) -> None:
    url = reverse("admin:accounts_user_delete", args=[member.pk])
    assert desk.post(url, {"post": "yes"}).status_code == 403
    plain = {"action": "delete_selected", "_selected_action": [member.pk], "post": "yes"}
    desk.post(reverse("admin:accounts_user_changelist"), plain)
    assert User.objects.filter(pk=member.pk).exists()
