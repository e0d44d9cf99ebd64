"""Who changed what stands in the audit log, however they did it."""

import re
from decimal import Decimal
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from django.core.management import call_command
from django.test import Client
from django.urls import reverse

from billing.models import ModelPrice
from cloneai.accounts.models import ApiKey, AuditEntry, User
from clones.models import Clone


def bearer(user: User) -> Client:
    return Client(headers={"Authorization": f"Bearer {ApiKey.issue(user=user, name='test')[1]}"})


def last_entry(action: str) -> AuditEntry:
    return AuditEntry.objects.filter(action=action).latest("at")


def form_of(client: Client, url: str) -> dict[str, Any]:
    """What a browser would send from this admin form, unchanged."""
    form = client.get(url).context["adminform"].form
    initial = {name: form[name].value() for name in form.fields}
    return {name: value for name, value in initial.items() if value not in (None, False)}


def test_clone_made_changed_and_deleted_over_the_api(expert: User):
    client, json = bearer(expert), "application/json"
    assert client.post("/api/clones", {"name": "New", "slug": "new"}, content_type=json).status_code == 201
    clone = Clone.objects.get(slug="new")
    entry = last_entry("clone.create")
    assert (entry.actor, entry.target, entry.detail["way"]) == (expert, f"clone:{clone.pk}", "api")
    client.patch("/api/clones/new", {"visibility": "public", "bio": "Secret life"}, content_type=json)
    detail = last_entry("clone.change").detail
    assert detail == {"way": "api", "fields": ["bio", "visibility"], "values": {"visibility": "public"}}
    assert client.delete("/api/clones/new").status_code == 204
    assert last_entry("clone.delete").target == f"clone:{clone.pk}"


def test_a_refused_change_leaves_no_entry(expert: User, other_clone: Clone):
    response = bearer(expert).patch("/api/clones/bo", {"bio": "x"}, content_type="application/json")
    assert response.status_code == 404
    assert not AuditEntry.objects.exists()


def test_limit_of_a_clone_changed_in_the_admin(client: Client, expert: User, clone: Clone):
    client.force_login(expert)
    url = reverse("admin:clones_clone_change", args=[clone.pk])
    data = form_of(client, url) | {"daily_cost_limit_usd": "2.50"}
    response = client.post(url, data)
    assert response.status_code == 302, response.context["adminform"].form.errors
    entry = last_entry("clone.change")
    assert (entry.actor, Decimal(entry.detail["values"]["daily_cost_limit_usd"])) == (expert, Decimal("2.5"))


def test_limit_of_a_person_and_price_of_a_model(client: Client, admin: User, member: User):
    client.force_login(admin)
    url = reverse("admin:accounts_user_change", args=[member.pk])
    form = {
        "email": member.email,
        "name": "Member",
        "is_active": "on",
        "daily_cost_limit_usd": "7",
        "roles": [],
    }
    assert client.post(url, form).status_code == 302
    assert last_entry("person.save").detail["values"] == {"daily_cost_limit_usd": "7"}
    price = ModelPrice.objects.create(model="m", input_usd_per_million=1, cached_input_usd_per_million=1)
    url = reverse("admin:billing_modelprice_change", args=[price.pk])
    form = {
        "model": "m", "valid_from": str(price.valid_from), "input_usd_per_million": "3",
        "cached_input_usd_per_million": "1", "output_usd_per_million": "0", "source": "",
    }  # fmt: skip
    assert client.post(url, form).status_code == 302
    assert Decimal(last_entry("price.save").detail["values"]["input_usd_per_million"]) == 3
    client.post(reverse("admin:billing_modelprice_delete", args=[price.pk]), {"post": "yes"})
    assert last_entry("modelprice.delete").actor == admin


def test_keys_made_and_revoked_by_their_owner(client: Client, member: User):
    client.force_login(member)
    page = client.post("/account/api-keys/", {"name": "Notebook", "scopes": ["chat"]}).content.decode()
    entry = last_entry("api_key.create")
    key = member.api_keys.get()
    assert (entry.actor, entry.target, entry.detail) == (member, f"apikey:{key.pk}", {"scopes": ["chat"]})
    token = re.search(r"cak_[\w-]{20,}", page)[0]
    assert token not in str(list(AuditEntry.objects.values()))
    client.post(reverse("accounts:revoke-api-key", args=[key.pk]))
    assert last_entry("api_key.revoke").actor == member


def test_keys_made_by_command_have_no_actor(member: User, capsys: pytest.CaptureFixture[str]):
    call_command("create_api_key", member.email)
    assert (last_entry("api_key.create").actor, last_entry("api_key.create").detail["owner"]) == (
        None,
        member.pk,
    )


def test_removed_second_factor(client: Client, admin: User, expert: User):
    factor = Authenticator.objects.create(user=expert, type="totp", data={"secret": "JBSWY3DP"})
    client.force_login(admin)
    url = reverse("admin:mfa_authenticator_change", args=[factor.pk])
    assert "JBSWY3DP" not in client.get(url).content.decode()
    client.post(reverse("admin:mfa_authenticator_delete", args=[factor.pk]), {"post": "yes"})
    assert last_entry("authenticator.delete").actor == admin
    assert not Authenticator.objects.exists()


def test_the_log_is_shown_in_the_admin(client: Client, admin: User):
    AuditEntry.objects.create(
        actor=admin, action="clone.change", target="clone:1", detail={"fields": ["bio"]}
    )
    client.force_login(admin)
    assert "clone.change" in client.get(reverse("admin:accounts_auditentry_changelist")).content.decode()


def test_the_log_can_be_narrowed_and_read(client: Client, admin: User, expert: User, clone: Clone):
    """By action, by kind of thing and by person; words from outside stay words."""
    AuditEntry.objects.create(
        actor=expert, action="clone.change", target=f"clone:{clone.pk}",
        detail={"fields": ["bio", "visibility"], "values": {"visibility": "public", "slug": "<script>x</script>"}},
    )  # fmt: skip
    AuditEntry.objects.create(actor=None, action="clone.delete", target="clone:99", detail={"slug": None})
    AuditEntry.objects.create(actor=admin, action="transcript.view", target="chatsession:abc", detail={})
    client.force_login(admin)
    page = reverse("admin:accounts_auditentry_changelist")
    for query, actions in (
        ({}, {"clone.change", "clone.delete", "transcript.view"}),
        ({"action": "clone.change"}, {"clone.change"}),
        ({"kind": "clone"}, {"clone.change", "clone.delete"}),
        ({"kind": "chatsession"}, {"transcript.view"}),
        ({"actor__id__exact": expert.pk}, {"clone.change"}),
        ({"q": "clone:99"}, {"clone.delete"}),
        ({"q": expert.email}, {"clone.change"}),
        ({"kind": "' OR 1=1 --"}, set()),
    ):
        response = client.get(page, query)
        assert {entry.action for entry in response.context["cl"].result_list} == actions, query
    shown = client.get(page).content.decode()
    assert "<script>x" not in shown
    assert "fields: bio, visibility; values: " in shown
    assert f'<a href="/admin/clones/clone/{clone.pk}/change/">clone:{clone.pk}</a>' in shown
    assert "/admin/clones/clone/99/change/" not in shown
    entry = AuditEntry.objects.get(action="clone.change")
    detail = client.get(reverse("admin:accounts_auditentry_change", args=[entry.pk])).content.decode()
    assert "visibility = public" in detail
    assert "<script>x" not in detail
