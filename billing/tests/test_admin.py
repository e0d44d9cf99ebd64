"""Money in the admin: the ledger and the report by role, prices for superusers."""

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


def test_cached_input_dearer_than_input_is_refused(client: Client, admin: User):
    client.force_login(admin)
    response = client.post(
        reverse("admin:billing_modelprice_add"), price_form(cached_input_usd_per_million="31")
    )
    assert "Cached input cannot cost more than input." in response.content.decode()
