"""/account/data/: what it tells, the archive's states, and the way out with its receipt."""

import re
from typing import Any

import pytest
from django.core.cache import cache
from django.test import Client
from django.urls import reverse

from cloneai.accounts.models import DataExport, ExportStatus, User
from cloneai.privacy.exports import prepare_export
from clones.models import Clone
from conftest import PASSWORD

DATA = "/account/data/"


@pytest.fixture(autouse=True)
def _fresh_limits() -> None:
    cache.clear()


@pytest.fixture
def browser(client: Client, member: User) -> Client:
    client.force_login(member)
    return client


def form_of(person: User, **changes: str) -> dict[str, str]:
    return {"email": person.email, "password": PASSWORD, **changes}


def text_of(response: Any) -> str:
    return re.sub(r"\s+", " ", response.content.decode())


def test_every_address_asks_for_a_login(client: Client, db: None) -> None:
    for name in ("data", "prepare", "erase"):
        method = client.get if name == "data" else client.post
        response = method(reverse(f"privacy:{name}"))
        assert (response.status_code, response.url.split("?")[0]) == (302, reverse("account_login")), name


def test_page_counts_what_is_kept_and_says_who_reads_it(browser: Client, settled: User) -> None:
    page = text_of(browser.get(DATA))
    assert "<dt>Your conversations</dt><dd>1</dd>" in page
    assert "Reviewers of this service" in page
    assert settled.pseudonym in page
    assert "They are the books" in page


def test_page_says_where_words_go(browser: Client, settings: Any) -> None:
    settings.AI_OFFLINE = True
    assert "offline mode" in text_of(browser.get(DATA))
    settings.AI_OFFLINE = False
    assert "What you write is sent there" in text_of(browser.get(DATA))


def test_page_says_how_long_conversations_stay(browser: Client, settings: Any) -> None:
    assert "until you delete them" in text_of(browser.get(DATA))
    settings.RETENTION_DAYS_SESSIONS = 90
    assert "deleted 90 days after its last message" in text_of(browser.get(DATA))


def test_page_asks_a_bounded_number_of_queries(
    browser: Client, settled: User, django_assert_max_num_queries: Any
) -> None:
    with django_assert_max_num_queries(50):
        browser.get(DATA)


def test_page_is_linked_in_the_account_menu(browser: Client) -> None:
    assert f'href="{DATA}"' in browser.get(reverse("chat:sessions")).content.decode()


def test_asking_for_an_archive_shows_each_state(browser: Client, member: User) -> None:
    assert browser.post(reverse("privacy:prepare")).status_code == 302
    page = text_of(browser.get(DATA))
    assert "waiting for its turn" in page
    assert '<noscript><meta http-equiv="refresh"' in page
    export = DataExport.objects.get(user=member)
    prepare_export(export_id=export.pk)
    page = text_of(browser.get(DATA))
    assert reverse("privacy:download", args=[export.pk]) in page
    assert "meta http-equiv" not in page
    DataExport.objects.update(status=ExportStatus.FAILED)
    assert "could not be prepared" in text_of(browser.get(DATA))


def test_script_gets_the_state_alone(browser: Client, member: User) -> None:
    DataExport.objects.create(user=member)
    part = browser.get(DATA, headers={"X-Requested-With": "fetch"})
    assert part.content.decode().startswith('<div class="archive" data-state="queued" data-pending>')
    assert "X-Requested-With" in part["Vary"]


def test_right_address_and_password_erase_and_show_the_receipt(browser: Client, settled: User) -> None:
    response = browser.post(reverse("privacy:erase"), form_of(settled), follow=True)
    assert response.redirect_chain == [(reverse("privacy:erased"), 302)]
    page = text_of(response)
    assert "Your account is erased" in page
    assert "<dt>Messages</dt><dd>2</dd>" in page
    assert "They are the books" in page
    assert settled.email not in page
    assert not User.objects.filter(pk=settled.pk).exists()
    assert browser.get(DATA).status_code == 302
    assert browser.get(reverse("privacy:erased")).status_code == 200


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"password": "wrong"}, "This is not your password."),
        ({"email": "stranger@example.com"}, "This is not the address of the account."),
        ({"email": ""}, "This field is required."),
    ],
)
def test_wrong_address_or_password_erases_nothing(
    browser: Client, member: User, changes: dict[str, str], problem: str
) -> None:
    response = browser.post(reverse("privacy:erase"), form_of(member, **changes))
    page = text_of(response)
    assert response.status_code == 422
    assert problem in page
    assert "<details open>" in page
    assert PASSWORD not in page
    assert User.objects.filter(pk=member.pk).exists()
    assert browser.get(DATA).status_code == 200


def test_guessing_the_password_is_slowed_down(browser: Client, member: User) -> None:
    statuses = [
        browser.post(reverse("privacy:erase"), form_of(member, password=f"guess {number}")).status_code
        for number in range(11)
    ]
    assert statuses == [422] * 10 + [429]
    assert browser.post(reverse("privacy:erase"), form_of(member)).status_code == 429
    assert User.objects.filter(pk=member.pk).exists()


def test_owner_of_clones_has_to_say_that_they_go_too(client: Client, expert: User, clone: Clone) -> None:
    client.force_login(expert)
    assert "You own Ada Berg." in text_of(client.get(DATA))
    response = client.post(reverse("privacy:erase"), form_of(expert))
    assert response.status_code == 422
    assert "have the clones given to another expert first" in text_of(response)
    response = client.post(reverse("privacy:erase"), form_of(expert, with_clones="on"), follow=True)
    assert "<dt>Clones</dt><dd>1</dd>" in text_of(response)
    assert not Clone.objects.exists()


def test_only_administrator_is_told_why_not(client: Client, admin: User) -> None:
    client.force_login(admin)
    response = client.post(reverse("privacy:erase"), form_of(admin))
    assert "only administrator" in text_of(response)
    assert User.objects.filter(pk=admin.pk).exists()


def test_receipt_is_shown_to_nobody_else(client: Client, browser: Client, member: User) -> None:
    assert Client().get(reverse("privacy:erased")).status_code == 404
    assert browser.get(reverse("privacy:erased")).status_code == 404
