"""The page on which members make and revoke their API keys."""

import re

import pytest
from django.test import Client
from django.urls import reverse

from cloneai.accounts.models import ApiKey, User
from cloneai.accounts.views import MAX_KEYS

PAGE = reverse("accounts:api-keys")
EVERYTHING = {"name": "Notebook", "scopes": ["chat", "knowledge", "billing"]}


@pytest.fixture
def browser(client: Client, member: User) -> Client:
    client.force_login(member)
    return client


def test_new_key_is_shown_once_and_opens_the_api(browser: Client, member: User):
    shown = browser.post(PAGE, EVERYTHING).content.decode()
    token = re.search(r'<code id="token"[^>]*>(cak_[^<]+)</code>', shown)[1]
    assert ApiKey.objects.find(token).user == member
    assert Client(headers={"Authorization": f"Bearer {token}"}).get("/api/clones").status_code == 200
    later = browser.get(PAGE).content.decode()
    assert token not in later
    assert token[:10] in later
    assert "Notebook" in later


def test_page_with_a_token_is_never_stored_by_browsers(browser: Client):
    assert "no-store" in browser.post(PAGE, EVERYTHING)["Cache-Control"]


def test_key_gets_the_chosen_scopes_only(browser: Client):
    browser.post(PAGE, {"name": "Ledger", "scopes": ["billing"]})
    assert ApiKey.objects.get().scopes == ["billing"]


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        ({"name": "", "scopes": ["chat"]}, "Give the key a name."),
        ({"name": "Notebook"}, "Choose at least one."),
        ({"name": "Notebook", "scopes": ["everything"]}, "everything is not one of the available choices"),
        ({"name": "x" * 101, "scopes": ["chat"]}, "at most 100 characters"),
    ],
)
def test_bad_input_makes_no_key_and_says_why(data: dict[str, object], complaint: str, browser: Client):
    assert complaint in browser.post(PAGE, data).content.decode()
    assert not ApiKey.objects.exists()


def test_there_is_an_end_to_the_number_of_keys(browser: Client, member: User):
    for number in range(MAX_KEYS):
        ApiKey.issue(user=member, name=str(number))
    assert "Revoke one first." in browser.post(PAGE, EVERYTHING).content.decode()
    assert member.api_keys.count() == MAX_KEYS


def test_revoked_key_stops_working_and_leaves_the_list(browser: Client, member: User):
    key, token = ApiKey.issue(user=member, name="Lost laptop")
    assert "cannot be undone" in browser.get(PAGE).content.decode()
    response = browser.post(reverse("accounts:revoke-api-key", args=[key.pk]), follow=True)
    assert "The key “Lost laptop” is revoked." in response.content.decode()
    assert ApiKey.objects.find(token) is None
    assert token[:10] not in response.content.decode()


def test_foreign_and_missing_keys_cannot_be_revoked_or_seen(browser: Client, stranger: User):
    key, _token = ApiKey.issue(user=stranger, name="Of a stranger")
    assert "Of a stranger" not in browser.get(PAGE).content.decode()
    for number in (key.pk, key.pk + 1):
        assert browser.post(reverse("accounts:revoke-api-key", args=[number])).status_code == 404
    key.refresh_from_db()
    assert key.revoked_at is None


def test_name_of_a_key_is_text_and_not_markup(browser: Client, member: User):
    ApiKey.issue(user=member, name="<script>alert(1)</script>")
    assert "<script>alert" not in browser.get(PAGE).content.decode()


def test_page_is_for_members_and_revoking_for_posts(browser: Client, member: User):
    key, _token = ApiKey.issue(user=member, name="Notebook")
    assert browser.get(reverse("accounts:revoke-api-key", args=[key.pk])).status_code == 405
    assert Client().get(PAGE).url == f"{reverse('account_login')}?next={PAGE}"
    assert Client().post(reverse("accounts:revoke-api-key", args=[key.pk])).status_code == 302
    key.refresh_from_db()
    assert key.revoked_at is None


@pytest.mark.parametrize("mail_url", ["", "memorymail://"])
def test_sign_up_speaks_of_mail_only_where_mail_is_sent(db: None, client: Client, settings, mail_url: str):
    settings.EMAIL_URL = mail_url
    email = f"new-{len(mail_url)}@example.com"  # one message an address: allauth counts them in the cache
    form = {"email": email, "password1": "correct horse battery"}
    answer = client.post(reverse("account_signup"), form, follow=True)
    assert User.objects.filter(email=email).exists()
    told = [str(message) for message in answer.context["messages"]]
    assert (f"A message to confirm the address was sent to {email}." in told) == bool(mail_url)
    assert any("sent" in text for text in told) == bool(mail_url)


@pytest.mark.parametrize("mail_url", ["", "memorymail://"])
def test_links_by_mail_are_offered_only_where_mail_is_sent(browser: Client, settings, mail_url: str):
    settings.EMAIL_URL = mail_url
    forgotten = Client().get(reverse("account_reset_password")).content.decode()
    assert ("Send the link" in forgotten) == bool(mail_url)
    assert ("sends no mail" in forgotten) == (not mail_url)
    browser.post(reverse("account_email"), {"action_add": "", "email": "second@example.com"})
    assert ("Send the link again" in browser.get(reverse("account_email")).content.decode()) == bool(mail_url)
