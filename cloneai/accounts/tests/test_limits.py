"""Guessing at the doors: passwords at both logins, accounts, reset links, sign-ups. Forged headers change nothing."""

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from allauth.account.models import EmailAddress
from django.contrib.auth.hashers import MD5PasswordHasher
from django.core import mail
from django.core.cache import cache
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse

from cloneai.accounts.models import User
from conftest import PASSWORD

LOGINS = [reverse("account_login"), reverse("admin:login")]
TRIES = 10


@pytest.fixture(autouse=True)
def fresh_counts() -> Iterator[None]:
    cache.clear()
    yield
    cache.clear()


def forge(number: int) -> dict[str, str]:
    """What somebody sends who would like to be counted as somebody else each time."""
    address = f"203.0.113.{number}"
    return {
        "X-Forwarded-For": f"{address}, 198.51.100.{number}",
        "X-Real-IP": address,
        "Forwarded": f"for={address}",
        "CF-Connecting-IP": address,
        "True-Client-IP": address,
        "X-Client-IP": address,
    }


def log_in(
    client: Client, *, email: str, password: str, path: str = LOGINS[0], number: int = 0
) -> HttpResponse:
    form = {"login": email, "username": email, "password": password}
    return client.post(path, form, headers=forge(number))


def is_in(client: Client) -> bool:
    return client.get("/chat/").status_code == 200


@pytest.mark.parametrize("path", LOGINS)
@pytest.mark.parametrize(
    "spell",
    [str.lower, str.upper, lambda email: f" {email} ", str.title],
    ids=["lower", "upper", "spaces", "title"],
)
def test_passwords_of_an_account_are_locked_within_ten_tries(
    path: str, spell: Callable[[str], str], admin: User
):
    for number in range(TRIES):
        log_in(Client(), email=spell(admin.email), password=f"guess {number}", path=path, number=number)
    client = Client()
    log_in(client, email=admin.email, password=PASSWORD, path=path, number=99)
    if path == LOGINS[0]:
        assert not is_in(client)
    assert client.get("/admin/").status_code == 302


@pytest.mark.parametrize("path", LOGINS)
def test_one_password_for_many_accounts_is_locked_too(path: str, member: User):
    for number in range(TRIES):
        log_in(
            Client(), email=f"person{number}@example.com", password="Summer2026!", path=path, number=number
        )
    client = Client()
    log_in(client, email=member.email, password=PASSWORD, path=LOGINS[0], number=99)
    assert not is_in(client) or path == LOGINS[1]


def test_the_admins_own_login_form_takes_no_password(admin: User):
    """It is only a way to the one login, so that its limits are the only ones."""
    client = Client()
    response = log_in(client, email=admin.email, password=PASSWORD, path=LOGINS[1])
    assert response.status_code == 302
    assert not is_in(client)


def test_the_lock_says_what_to_do_and_ends(member: User, time_machine: Any):
    time_machine.move_to("2026-03-01T12:00:00Z", tick=False)
    for number in range(TRIES):
        response = log_in(Client(), email=member.email, password=f"guess {number}")
    assert "Too many failed login attempts. Try again later." in response.content.decode()
    time_machine.shift(6 * 60)
    client = Client()
    log_in(client, email=member.email, password=PASSWORD)
    assert is_in(client)


def test_the_password_is_not_guessed_from_inside_either(member: User):
    """Somebody at an open screen: confirming the password, changing it, erasing the account."""
    for path, form in (
        (reverse("account_reauthenticate"), {"password": "guess"}),
        (
            reverse("account_change_password"),
            {"oldpassword": "guess", "password1": "x7!kk9", "password2": "x7!kk9"},
        ),
        (reverse("privacy:erase"), {"email": member.email, "password": "guess"}),
    ):
        cache.clear()
        client = Client()
        client.force_login(member)
        found = [client.post(path, form, headers=forge(number)).status_code for number in range(TRIES + 1)]
        assert found[-1] == 429, (path, found)


@pytest.fixture
def with_mail(settings: Any) -> None:
    settings.EMAIL_URL = "memorymail://"
    settings.ACCOUNT_EMAIL_VERIFICATION = "mandatory"


def test_one_mailbox_is_not_flooded_with_reset_links(with_mail: None, member: User):
    for number in range(TRIES):
        Client().post(reverse("account_reset_password"), {"email": member.email}, headers=forge(number))
    assert len(mail.outbox) == 5


def test_sign_ups_from_one_address_have_an_end(with_mail: None, db: None):
    found = []
    for number in range(22):
        form = {"email": f"new{number}@example.com", "password1": PASSWORD}
        found.append(Client().post(reverse("account_signup"), form, headers=forge(number)).status_code)
    assert found == [302] * 20 + [429] * 2
    assert User.objects.count() == 20


def answer_of(client: Client, path: str, form: dict[str, str]) -> str:
    """Status, place and page without what differs for everybody: tokens and the address that was typed."""
    response = client.post(path, form, follow=True)
    page = re.sub(r'(csrf[^>]{0,40}?)[0-9A-Za-z]{64}|nonce="[^"]*"', "", response.content.decode())
    return f"{response.redirect_chain} {response.status_code} {page}".replace(
        form.get("email", form.get("login", "")), ""
    )


@pytest.mark.parametrize(
    ("path", "form"),
    [
        (reverse("account_reset_password"), {}),
        (reverse("account_signup"), {"password1": PASSWORD}),
        (LOGINS[0], {"password": "wrong guess"}),
    ],
    ids=["reset", "sign-up", "login"],
)
def test_nobody_learns_whether_an_address_has_an_account(
    path: str, form: dict[str, str], with_mail: None, member: User
):
    field = "login" if path == LOGINS[0] else "email"
    known, unknown = (
        answer_of(Client(), path, {**form, field: email}) for email in (member.email, "nobody@example.com")
    )
    assert known == unknown


class CountingHasher(MD5PasswordHasher):
    """Hashing is what a login takes its time for, so the number of hashes is the time."""

    algorithm = "counting"
    count = 0

    def encode(self, password: str, salt: str) -> str:
        type(self).count += 1
        return super().encode(password, salt)


@pytest.mark.parametrize(
    ("path", "form"),
    [
        (reverse("account_signup"), {"password1": PASSWORD}),
        (LOGINS[0], {"password": "wrong guess"}),
    ],
    ids=["sign-up", "login"],
)
def test_an_answer_takes_as_long_with_and_without_an_account(
    path: str, form: dict[str, str], with_mail: None, member: User, settings: Any
):
    settings.PASSWORD_HASHERS = [f"{__name__}.CountingHasher"]
    member.set_password(PASSWORD)
    member.save()
    field, counts = ("login" if path == LOGINS[0] else "email"), []
    for email in (member.email, "nobody@example.com"):
        CountingHasher.count = 0
        Client().post(path, {**form, field: email})
        counts.append(CountingHasher.count)
    assert counts[0] == counts[1] > 0


def test_inactive_accounts_look_like_wrong_passwords_to_guessers(member: User):
    User.objects.filter(pk=member.pk).update(is_active=False)
    wrong = answer_of(Client(), LOGINS[0], {"login": member.email, "password": "wrong guess"})
    unknown = answer_of(Client(), LOGINS[0], {"login": "nobody@example.com", "password": "wrong guess"})
    assert wrong == unknown
    client = Client()
    log_in(client, email=member.email, password=PASSWORD)
    assert not is_in(client)


def test_a_reset_link_works_once_and_not_on_a_forged_host(with_mail: None, member: User, settings: Any):
    settings.ALLOWED_HOSTS = ["testserver"]
    EmailAddress.objects.create(user=member, email=member.email, primary=True, verified=True)
    forged = Client().post(
        reverse("account_reset_password"), {"email": member.email}, headers={"Host": "evil.example"}
    )
    assert forged.status_code == 400
    Client().post(
        reverse("account_reset_password"),
        {"email": member.email},
        headers={"X-Forwarded-Host": "evil.example"},
    )
    [message] = mail.outbox
    assert "evil" not in message.body
    link = re.search(r"http://testserver(/accounts/password/reset/key/\S+)", message.body)[1]
    new = {"password1": "a new long passphrase", "password2": "a new long passphrase"}
    client = Client()
    page = client.get(link)
    assert client.post(page.url, new).status_code == 302
    again = Client()
    assert again.get(link).status_code == 200, "it says that the link is used up instead of leading on"
    fresh = Client()
    log_in(fresh, email=member.email, password="a new long passphrase")
    assert is_in(fresh)


@pytest.mark.parametrize(
    "target",
    [
        "https://evil.example/",
        "//evil.example/",
        "/\\evil.example",
        "https:evil.example",
        "javascript:alert(1)",
        "\thttps://evil.example",
    ],
)
def test_logins_lead_nowhere_else(target: str, member: User):
    response = Client().post(LOGINS[0], {"login": member.email, "password": PASSWORD, "next": target})
    assert response.status_code == 302
    assert response.url == "/"
    client = Client()
    client.force_login(member)
    assert client.post(reverse("account_logout"), {"next": target}).url == "/"
