"""Money in the admin: the ledger and the report by role, prices for superusers."""

import csv
from datetime import date
from decimal import Decimal

import pytest
from django.test import Client
from django.urls import reverse

from billing.models import (
    CostRecord,
    ModelPrice,
    Outcome,
    Purpose,
    Reservation,
    ReservationState,
)
from cloneai.accounts.models import User
from clones.models import Clone

RECORDS = "admin:billing_costrecord_changelist"
REPORT = "admin:billing_report"


def spend(
    *, user: User, clone: Clone, cost: str, day: date = date(2026, 3, 10), model: str = "m-one"
) -> CostRecord:
    from django.utils import timezone

    prices = {
        "input_usd_per_million": Decimal(1),
        "cached_input_usd_per_million": Decimal(1),
        "output_usd_per_million": Decimal(2),
    }
    reservation = Reservation.objects.create(
        state=ReservationState.SETTLED, closed_at=timezone.now(), day=day, amount_usd=Decimal(cost),
        purpose=Purpose.CHAT, model=model, input_tokens=10, max_output_tokens=10, **prices,
    )  # fmt: skip
    return CostRecord.objects.create(
        reservation=reservation, day=day, purpose=Purpose.CHAT, model=model, user=user, clone=clone,
        input_tokens=10, output_tokens=5, cost_usd=Decimal(cost), latency_ms=100, outcome=Outcome.SUCCESS, **prices,
    )  # fmt: skip


def test_report_by_person_shows_the_dearest_and_the_file_has_all(
    client: Client, reviewer: User, clone: Clone, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("billing.admin_report.ROWS_SHOWN", 2)
    for number in range(3):
        spend(
            user=User.objects.create_user(email=f"payer{number}@example.com"),
            clone=clone,
            cost=f"{number + 1}",
        )
    client.force_login(reviewer)
    asked = {"first_day": "2026-03-01", "last_day": "2026-03-31", "group_by": "user"}
    response = client.get(reverse(REPORT), asked)
    assert [row.label for row, _ in response.context["rows"]] == ["payer2@example.com", "payer1@example.com"]
    assert "has 1 more" in response.content.decode()
    assert response.context["report"].total.cost_usd == Decimal(6)
    file = client.get(reverse(REPORT), {**asked, "format": "csv"})
    assert "payer0@example.com" in b"".join(file).decode()


@pytest.fixture
def records(clone: Clone, other_clone: Clone, member: User) -> list[CostRecord]:
    return [
        spend(user=member, clone=clone, cost="0.25"),
        spend(user=member, clone=clone, cost="0.50", day=date(2026, 3, 11), model="m-two"),
        spend(user=member, clone=other_clone, cost="4.00"),
    ]


def report(client: Client, **query: str) -> dict[str, Decimal]:
    """Costs by label, as the page shows them."""
    response = client.get(reverse(REPORT), {"first_day": "2026-03-01", "last_day": "2026-03-31", **query})
    assert response.status_code == 200
    return {row.label: row.cost_usd for row, _ in response.context["rows"]}


def test_reviewer_sees_all_costs_and_expert_those_of_own_clones(
    client: Client, reviewer: User, expert: User, records: list[CostRecord]
):
    client.force_login(reviewer)
    assert report(client, group_by="clone") == {"Bo Holm": Decimal("4"), "Ada Berg": Decimal("0.75")}
    client.force_login(expert)
    assert report(client, group_by="clone") == {"Ada Berg": Decimal("0.75")}


def test_report_groups_by_day_person_and_model(
    client: Client, expert: User, reviewer: User, member: User, records: list[CostRecord]
):
    client.force_login(expert)
    assert report(client, group_by="day") == {"2026-03-10": Decimal("0.25"), "2026-03-11": Decimal("0.5")}
    assert report(client, group_by="model") == {"m-two": Decimal("0.5"), "m-one": Decimal("0.25")}
    assert report(client, group_by="user") == {member.pseudonym: Decimal("0.75")}
    client.force_login(reviewer)
    assert report(client, group_by="user") == {member.email: Decimal("4.75")}


def test_report_keeps_to_the_period(client: Client, reviewer: User, records: list[CostRecord]):
    client.force_login(reviewer)
    shown = report(client, group_by="day", first_day="2026-03-11", last_day="2026-03-11")
    assert shown == {"2026-03-11": Decimal("0.5")}


@pytest.mark.parametrize(
    "query",
    [
        {"first_day": "2026-04-01", "last_day": "2026-03-01"},
        {"first_day": "nonsense"},
        {"first_day": "0001-01-01"},
        {"group_by": "password"},
    ],
)
def test_report_survives_a_wrong_period(
    client: Client, reviewer: User, records: list[CostRecord], query: dict[str, str]
):
    client.force_login(reviewer)
    assert client.get(reverse(REPORT), query).status_code == 200


@pytest.mark.parametrize("group_by", ["day", "user", "model", "clone", "purpose"])
def test_report_leads_to_the_single_calls_that_it_summed(
    client: Client, reviewer: User, records: list[CostRecord], group_by: str
):
    client.force_login(reviewer)
    query = {"first_day": "2026-03-01", "last_day": "2026-03-31", "group_by": group_by}
    rows = client.get(reverse(REPORT), query).context["rows"]
    assert rows
    for row, url in rows:
        response = client.get(url)
        assert response.status_code == 200
        assert sum(record.cost_usd for record in response.context["cl"].result_list) == row.cost_usd


def test_members_have_no_cost_pages_in_the_admin(client: Client, member: User):
    client.force_login(member)
    for name in (REPORT, RECORDS):
        assert client.get(reverse(name), follow=True).status_code == 403


def test_expert_sees_no_address_and_no_foreign_record(
    client: Client, expert: User, member: User, records: list[CostRecord]
):
    client.force_login(expert)
    own, _, foreign = records
    pages = [
        client.get(reverse(RECORDS)),
        client.get(reverse("admin:billing_costrecord_change", args=[own.pk])),
    ]
    for page in pages:
        assert member.pseudonym in page.content.decode()
        assert member.email not in page.content.decode()
        assert "Bo Holm" not in page.content.decode()
    assert client.get(reverse("admin:billing_costrecord_change", args=[foreign.pk])).status_code == 404


def test_ledger_cannot_be_written(client: Client, admin: User, records: list[CostRecord]):
    client.force_login(admin)
    url = reverse("admin:billing_costrecord_change", args=[records[0].pk])
    assert client.post(url, {"cost_usd": "0"}).status_code == 403
    assert client.get(reverse("admin:billing_costrecord_add")).status_code == 403
    assert (
        client.post(
            reverse("admin:billing_costrecord_delete", args=[records[0].pk]), {"post": "yes"}
        ).status_code
        == 403
    )
    assert CostRecord.objects.count() == 3


def test_ledger_does_not_query_once_a_row(
    client: Client, admin: User, clone: Clone, django_assert_max_num_queries
):
    for number in range(12):
        person = User.objects.create_user(email=f"p{number}@example.com")
        spend(user=person, clone=clone, cost="0.1")
    client.force_login(admin)
    for url in (
        reverse(RECORDS),
        reverse(REPORT) + "?group_by=user&first_day=2026-03-01&last_day=2026-03-31",
    ):
        with django_assert_max_num_queries(14):
            assert client.get(url).status_code == 200


def price_form(**fields: str) -> dict[str, str]:
    return {
        "model": "m-one",
        "valid_from": "2026-03-02",
        "input_usd_per_million": "30",
        "cached_input_usd_per_million": "1",
        "output_usd_per_million": "2",
        "source": "test",
        **fields,
    }


@pytest.mark.parametrize(("price", "is_warned"), [("30", True), ("3", False)])
def test_suspicious_price_change_is_warned_about(client: Client, admin: User, price: str, is_warned: bool):
    ModelPrice.objects.create(
        model="m-one",
        valid_from=date(2026, 3, 1),
        input_usd_per_million=Decimal("2"),
        cached_input_usd_per_million=Decimal("1"),
        output_usd_per_million=Decimal("2"),
    )
    client.force_login(admin)
    form = price_form(input_usd_per_million=price)
    response = client.post(reverse("admin:billing_modelprice_add"), form, follow=True)
    assert ModelPrice.objects.filter(model="m-one").count() == 2
    assert ("more than 10-fold" in response.content.decode()) is is_warned


@pytest.mark.parametrize(("price", "is_warned"), [("30", True), ("3", False)])
def test_suspicious_correction_of_a_price_is_warned_about_too(
    client: Client, admin: User, price: str, is_warned: bool
):
    only = ModelPrice.objects.create(
        model="m-one",
        valid_from=date(2026, 3, 2),
        input_usd_per_million=Decimal("2"),
        cached_input_usd_per_million=Decimal("1"),
        output_usd_per_million=Decimal("2"),
    )
    client.force_login(admin)
    url = reverse("admin:billing_modelprice_change", args=[only.pk])
    response = client.post(url, price_form(input_usd_per_million=price), follow=True)
    only.refresh_from_db()
    assert only.input_usd_per_million == Decimal(price)
    assert ("more than 10-fold against what stood here before" in response.content.decode()) is is_warned


def test_cached_input_dearer_than_input_is_refused(client: Client, admin: User):
    client.force_login(admin)
    response = client.post(
        reverse("admin:billing_modelprice_add"), price_form(cached_input_usd_per_million="31")
    )
    assert "Cached input cannot cost more than input." in response.content.decode()


PERIOD = {"first_day": "2026-03-01", "last_day": "2026-03-31"}
PERFORMANCE = "admin:billing_performance"


@pytest.mark.parametrize("group_by", ["day", "user", "model", "clone", "purpose"])
def test_expert_is_led_to_the_single_calls_of_own_clones(
    client: Client, expert: User, member: User, other_clone: Clone, records: list[CostRecord], group_by: str
):
    spend(user=expert, clone=other_clone, cost="8")  # their own call, at somebody else's clone
    client.force_login(expert)
    rows = client.get(reverse(REPORT), {**PERIOD, "group_by": group_by}).context["rows"]
    assert sum(row.cost_usd for row, _ in rows) == Decimal("0.75")
    for row, url in rows:
        found = client.get(url).context["cl"].result_list
        assert sum(record.cost_usd for record in found) == row.cost_usd


def test_expert_is_led_to_a_members_calls_by_pseudonym_alone(
    client: Client, expert: User, member: User, stranger: User, clone: Clone, records: list[CostRecord]
):
    spend(user=stranger, clone=clone, cost="0.25")
    spend(user=expert, clone=clone, cost="0.50")
    client.force_login(expert)
    rows = client.get(reverse(REPORT), {**PERIOD, "group_by": "user"}).context["rows"]
    assert {row.label for row, _ in rows} == {expert.email, member.pseudonym, stranger.pseudonym}
    for row, url in rows:
        response = client.get(url)
        assert sum(record.cost_usd for record in response.context["cl"].result_list) == row.cost_usd
        assert row.label in response.content.decode()
        assert f"={member.pk}&" not in f"{url}&"
        assert f"={stranger.pk}&" not in f"{url}&"


def test_expert_cannot_look_up_which_pseudonym_belongs_to_a_number(
    client: Client, expert: User, reviewer: User, member: User, records: list[CostRecord]
):
    for person, status in ((expert, 400), (reviewer, 200)):
        client.force_login(person)
        for lookup in ("user", "user__exact", "user__id__exact", "user__in", "user__id__lt"):
            assert client.get(reverse(RECORDS), {lookup: member.pk}).status_code == status, lookup
    client.force_login(expert)
    found = client.get(reverse(RECORDS), {"person": "Member 000000"}).context["cl"].result_list
    assert not found


def test_calls_of_somebody_who_is_gone_can_be_looked_at(
    client: Client, reviewer: User, member: User, records: list[CostRecord]
):
    member.delete()
    client.force_login(reviewer)
    [(row, url)] = client.get(reverse(REPORT), {**PERIOD, "group_by": "user"}).context["rows"]
    assert row.label == "Nobody, or deleted"
    assert len(client.get(url).context["cl"].result_list) == 3


def test_report_compares_with_the_period_before(client: Client, reviewer: User, member: User, clone: Clone):
    spend(user=member, clone=clone, cost="2", day=date(2026, 3, 8))
    spend(user=member, clone=clone, cost="3", day=date(2026, 3, 11))
    spend(user=member, clone=clone, cost="1", day=date(2026, 3, 12), model="m-new")
    client.force_login(reviewer)
    query = {"first_day": "2026-03-10", "last_day": "2026-03-12", "group_by": "model"}
    response = client.get(reverse(REPORT), query)
    trends = {row.label: (row.previous_cost_usd, row.trend_percent) for row, _ in response.context["rows"]}
    assert trends == {"m-one": (Decimal(2), Decimal(50)), "m-new": (Decimal(0), None)}
    assert response.context["report"].total.trend_percent == 100
    content = response.content.decode()
    assert "+50%" in content
    assert "new" in content


@pytest.mark.parametrize(("group_by", "bars"), [("day", 2), ("model", 2), ("clone", 2), ("user", 1)])
def test_report_draws_a_chart_without_script(
    client: Client, reviewer: User, records: list[CostRecord], group_by: str, bars: int
):
    client.force_login(reviewer)
    content = client.get(reverse(REPORT), {**PERIOD, "group_by": group_by}).content.decode()
    figure = content[content.index("<figure") : content.index("</figure>")]
    assert figure.count("<rect") == bars
    assert 'role="img"' in figure
    assert "style=" not in figure
    assert "<script" not in figure


def test_names_in_charts_are_escaped(client: Client, reviewer: User, member: User, clone: Clone):
    clone.name = "<script>alert(1)</script>"
    clone.save()
    spend(user=member, clone=clone, cost="2")
    client.force_login(reviewer)
    content = client.get(reverse(REPORT), {**PERIOD, "group_by": "clone"}).content.decode()
    assert "<script>alert" not in content
    assert "&lt;script&gt;alert" in content


def test_report_is_a_csv_file_too(client: Client, reviewer: User, clone: Clone, records: list[CostRecord]):
    clone.name = '=HYPERLINK("http://evil.example")'
    clone.save()
    client.force_login(reviewer)
    response = client.get(reverse(REPORT), {**PERIOD, "group_by": "clone", "format": "csv"})
    assert response["Content-Type"].startswith("text/csv")
    assert response["Content-Disposition"] == (
        'attachment; filename="costs-by-clone-2026-03-01-2026-03-31.csv"'
    )
    rows = list(csv.reader(response.content.decode("utf-8-sig").splitlines()))
    assert rows[0][:2] == ["Clone", "Calls"]
    assert [(row[0], Decimal(row[5])) for row in rows[1:]] == [
        ("Bo Holm", Decimal(4)),
        ('\'=HYPERLINK("http://evil.example")', Decimal("0.75")),
        ("Total", Decimal("4.75")),
    ]


def test_experts_file_has_no_foreign_clone_and_no_address(
    client: Client, expert: User, member: User, records: list[CostRecord]
):
    client.force_login(expert)
    for group_by in ("clone", "user"):
        content = client.get(
            reverse(REPORT), {**PERIOD, "group_by": group_by, "format": "csv"}
        ).content.decode()
        assert "Bo Holm" not in content
        assert member.email not in content


def test_performance_page_shows_the_guides_report(
    client: Client, reviewer: User, member: User, clone: Clone, records: list[CostRecord]
):
    failed = spend(user=member, clone=clone, cost="0.25", day=date(2026, 3, 12))
    CostRecord.objects.filter(pk=failed.pk).update(outcome="failed", error_type="timeout", retries=3)
    client.force_login(reviewer)
    response = client.get(reverse(PERFORMANCE), PERIOD)
    report = response.context["report"]
    assert (report.total_requests, report.failed_requests, report.retries) == (4, 1, 3)
    assert (report.success_rate, report.total_cost_usd) == (Decimal("75.00"), Decimal(5))
    assert report.cost_per_token_usd == Decimal("0.0833333333")
    content = response.content.decode()
    assert content.count("<figure") == 2
    for words in ("Success rate", "75.00%", "Cost per token", "p99", "first token", "timeout"):
        assert words in content
    for _, count, url in response.context["errors"]:
        assert len(client.get(url).context["cl"].result_list) == count
    for row, url in response.context["models"]:
        assert len(client.get(url).context["cl"].result_list) == row.requests


def test_performance_page_keeps_experts_to_own_clones(
    client: Client, expert: User, records: list[CostRecord]
):
    client.force_login(expert)
    assert client.get(reverse(PERFORMANCE), PERIOD).context["report"].total_requests == 2
    rows = (
        client.get(reverse(PERFORMANCE), {**PERIOD, "format": "csv"}).content.decode("utf-8-sig").splitlines()
    )
    assert rows[0].startswith("Model,Requests")
    assert len(rows) == 3


def test_empty_performance_page_says_so(client: Client, reviewer: User):
    client.force_login(reviewer)
    assert "No call was made" in client.get(reverse(PERFORMANCE)).content.decode()


def test_performance_page_is_for_staff(client: Client, member: User):
    client.force_login(member)
    assert client.get(reverse(PERFORMANCE), follow=True).status_code == 403


def test_experts_see_their_own_calls_under_their_own_address(
    client: Client, expert: User, member: User, clone: Clone
):
    spend(user=expert, clone=clone, cost="0.25")
    spend(user=member, clone=clone, cost="0.25")
    client.force_login(expert)
    page = client.get(reverse(RECORDS)).content.decode()
    table = page.split('id="result_list"')[1]
    assert expert.email in table
    assert expert.pseudonym not in table
    assert member.pseudonym in table


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ({"group_by": "moon"}, "“moon” for group_by"),
        ({"format": "xml"}, "“xml” for format"),
        ({"from": "2026-01-01"}, "“from”"),
        ({"first_day": "yesterday"}, "The days could not be used"),
    ],
)
def test_report_says_what_of_its_address_was_ignored(
    client: Client, reviewer: User, query: dict[str, str], told: str
):
    client.force_login(reviewer)
    assert told in client.get(reverse(REPORT), query).content.decode()
    if "group_by" not in query:
        assert told in client.get(reverse(PERFORMANCE), query).content.decode()
    plain = client.get(reverse(REPORT), {"group_by": "user", "first_day": "2026-01-01"}).content.decode()
    assert "Ignored" not in plain
    assert "could not be used" not in plain


@pytest.mark.parametrize(
    ("limit", "kept"), [("-1", None), ("NaN", None), ("0", Decimal(0)), ("2.5", Decimal("2.5"))]
)
def test_limit_of_a_person_is_set_in_the_admin_and_never_negative(
    client: Client, admin: User, member: User, limit: str, kept: Decimal | None
):
    client.force_login(admin)
    form = {"email": member.email, "name": member.name, "is_active": "on", "daily_cost_limit_usd": limit}
    response = client.post(reverse("admin:accounts_user_change", args=[member.pk]), form)
    assert response.status_code == (200 if kept is None else 302)
    member.refresh_from_db()
    assert member.daily_cost_limit_usd == kept
