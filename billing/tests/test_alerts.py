"""Warnings to staff about limits: once each, to whom they concern."""

import logging
from datetime import timedelta
from decimal import Decimal
from smtplib import SMTPRecipientsRefused
from typing import Any

import pytest
from django.core import mail
from django.core.mail.backends.locmem import EmailBackend as LocmemBackend
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from billing.alert_banner import list_alerts
from billing.alerts import check_limits, send_mails
from billing.calls import Payer
from billing.errors import BudgetExceeded
from billing.ledger import CallPlan, reserve
from billing.models import ModelPrice, SpendAccount, SpendAlert, utc_today
from billing.prices import seed_prices
from billing.tasks import warn_about_limits
from cloneai.accounts.models import User
from clones.models import Clone

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def limits(settings: Any) -> None:
    seed_prices()
    settings.DAILY_COST_LIMIT, settings.USER_DAILY_COST_LIMIT = Decimal(10), Decimal(5)


def spend(amount: str, *, scope: str = "platform", owner_id: int = 0) -> None:
    key = {"scope": scope, "owner_id": owner_id, "day": utc_today()}
    SpendAccount.objects.update_or_create(**key, defaults={"settled_usd": Decimal(amount), "reserved_usd": 0})


def alerts() -> set[tuple[str, int, int]]:
    return set(SpendAlert.objects.values_list("scope", "owner_id", "percent"))


def ask_for(payer: Payer) -> None:
    """Reserves a call that costs up to 8 dollars."""
    with pytest.raises(BudgetExceeded):
        reserve(
            plan=CallPlan(
                payer=payer,
                purpose="chat",
                model="gpt-4.1",
                count_input=lambda: 0,
                max_output_tokens=1_000_000,
            )
        )


@pytest.mark.parametrize(
    ("spent", "percents"), [("7.99", set()), ("8", {80}), ("9.99", {80}), ("10", {80, 100})]
)
def test_platform_is_warned_about_at_both_thresholds(spent: str, percents: set[int]) -> None:
    spend(spent)
    check_limits()
    assert {percent for _, _, percent in alerts()} == percents


def test_reserved_money_counts(caplog: pytest.LogCaptureFixture) -> None:
    spend("5")
    SpendAccount.objects.update(reserved_usd=Decimal(3))
    with caplog.at_level(logging.WARNING):
        assert check_limits() == 1
    assert "at 80% of its daily limit, $8.00 of $10.00" in caplog.text


def test_each_threshold_is_warned_about_once_a_day(caplog: pytest.LogCaptureFixture) -> None:
    spend("8.5")
    assert [check_limits(), check_limits()] == [1, 0]
    spend("10")
    assert [check_limits(), check_limits()] == [1, 0]
    assert caplog.text.count("Budget:") == 2


def test_refused_call_is_a_warning_whatever_was_left(member: User) -> None:
    spend("4", scope="user", owner_id=member.pk)
    ask_for(Payer(user_id=member.pk, clone_id=None))
    ask_for(Payer(user_id=member.pk, clone_id=None))
    alert = SpendAlert.objects.get()
    assert (alert.scope, alert.owner_id, alert.percent) == ("user", member.pk, 100)
    assert (alert.spent_usd, alert.limit_usd) == (4, 5)


def test_own_limits_of_person_and_clone_are_watched(member: User, stranger: User, clone: Clone) -> None:
    member.daily_cost_limit_usd, clone.daily_cost_limit_usd = Decimal(2), Decimal(3)
    member.save()
    clone.save()
    spend("2", scope="user", owner_id=member.pk)
    spend("4.99", scope="user", owner_id=stranger.pk)
    spend("3", scope="clone", owner_id=clone.pk)
    check_limits()
    both = {
        (scope, key, percent)
        for scope, key in (("user", member.pk), ("clone", clone.pk))
        for percent in (80, 100)
    }
    assert alerts() == {*both, ("user", stranger.pk, 80)}


def test_banner_names_ten_accounts_and_counts_the_others(reviewer: User) -> None:
    for number in range(13):
        person = User.objects.create_user(email=f"p{number}@example.com")
        spend("4", scope="user", owner_id=person.pk)
    spend("8")
    check_limits()
    shown = lines(reviewer)
    assert "the platform" in shown[0]
    assert "80% of the daily limit of p0@example.com is used ($4.00 of $5.00)." in shown
    assert shown[-1].startswith("and 4 more people")
    assert len(shown) == 11


def test_clone_without_a_limit_is_never_warned_about(clone: Clone) -> None:
    spend("1000000", scope="clone", owner_id=clone.pk)
    assert check_limits() == 0


def test_looking_costs_one_query_while_all_is_well(django_assert_num_queries: Any) -> None:
    spend("1")
    with django_assert_num_queries(1):
        check_limits()


def test_mail_goes_out_once_to_reviewers_and_to_the_clones_owner(
    settings: Any, reviewer: User, expert: User, other_expert: User, member: User, clone: Clone
) -> None:
    settings.EMAIL_URL = "smtp://localhost"
    spend("8")
    clone.daily_cost_limit_usd = Decimal(1)
    clone.save()
    spend("1", scope="clone", owner_id=clone.pk)
    warn_about_limits()
    warn_about_limits()
    told = sorted((message.to[0], message.subject) for message in mail.outbox)
    full = "[CloneAI] A daily limit for AI calls is reached"
    assert told == [(expert.email, full), (reviewer.email, full)]
    [to_expert, to_reviewer] = sorted(mail.outbox, key=lambda message: message.to)
    assert "“Ada Berg”" in to_expert.body
    assert "platform" not in to_expert.body
    assert "“Ada Berg”" in to_reviewer.body
    assert "80% of the platform's daily limit is used ($8.00 of $10.00)." in to_reviewer.body


def test_address_that_is_refused_keeps_nobody_else_in_the_dark_or_told_twice(
    settings: Any, reviewer: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.EMAIL_URL = "smtp://localhost"
    User.objects.create_superuser(email="a-gone@example.com")
    deliver = LocmemBackend.send_messages

    def refuse_one(backend: LocmemBackend, messages: list[Any]) -> Any:
        if messages[0].to == ["a-gone@example.com"]:
            raise SMTPRecipientsRefused({})
        return deliver(backend, messages)

    monkeypatch.setattr(LocmemBackend, "send_messages", refuse_one)
    spend("8")
    warn_about_limits()
    warn_about_limits()
    assert [message.to for message in mail.outbox] == [[reviewer.email]]


def test_mail_names_people_by_pseudonym(settings: Any, reviewer: User, member: User) -> None:
    settings.EMAIL_URL = "smtp://localhost"
    ask_for(Payer(user_id=member.pk, clone_id=None))
    send_mails()
    [message] = mail.outbox
    assert member.pseudonym in message.body
    assert member.email not in message.body


def test_no_mail_without_a_mail_server(settings: Any, reviewer: User) -> None:
    settings.EMAIL_URL = ""
    spend("8")
    warn_about_limits()
    assert mail.outbox == []
    assert SpendAlert.objects.get().mailed_at is None


def test_mail_that_failed_is_sent_later_but_not_days_later(settings: Any, reviewer: User) -> None:
    settings.EMAIL_URL = "smtp://localhost"
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 1
    spend("8")
    warn_about_limits()
    assert SpendAlert.objects.get().mailed_at is None
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
    assert send_mails(now=timezone.now() + timedelta(days=2)) == 0
    assert send_mails() == 1
    assert len(mail.outbox) == 1


def lines(viewer: User) -> list[str]:
    return [line.text for line in list_alerts(viewer=viewer)]


def test_banner_shows_each_reader_what_concerns_them(
    reviewer: User, expert: User, other_expert: User, member: User, clone: Clone
) -> None:
    clone.daily_cost_limit_usd = Decimal(1)
    clone.save()
    spend("1", scope="clone", owner_id=clone.pk)
    spend("5", scope="user", owner_id=member.pk)
    spend("10")
    check_limits()
    assert len(lines(reviewer)) == 3
    assert any(member.email in line for line in lines(reviewer))
    assert sum("80%" in line for line in lines(reviewer)) == 0  # the graver one says it
    assert [("Ada Berg" in line, "platform" in line) for line in lines(expert)] == [
        (False, True),
        (True, False),
    ]
    [line] = lines(other_expert)
    assert "platform" in line
    assert "$" not in line


def test_yesterdays_warning_is_gone(reviewer: User) -> None:
    spend("10")
    check_limits()
    SpendAlert.objects.update(day=utc_today() - timedelta(days=1))
    assert lines(reviewer) == []


@pytest.mark.parametrize("page", ["admin:index", "admin:billing_report", "admin:billing_performance"])
def test_banner_is_on_the_admins_first_and_money_pages(client: Client, reviewer: User, page: str) -> None:
    spend("8")
    check_limits()
    client.force_login(reviewer)
    content = client.get(reverse(page)).content.decode()
    assert "80% of the platform&#x27;s daily limit is used ($8.00 of $10.00)." in content


def test_banner_names_a_model_without_a_price(
    reviewer: User, expert: User, other_expert: User, clone: Clone
) -> None:
    clone.chat_model = "gpt-unheard-of"
    clone.save()
    assert ["gpt-unheard-of" in line for line in lines(reviewer)] == [True]
    assert ["gpt-unheard-of" in line for line in lines(expert)] == [True]
    assert lines(other_expert) == []
    ModelPrice.objects.create(model="gpt-unheard-of", input_usd_per_million=1, cached_input_usd_per_million=1)
    assert lines(reviewer) == []
