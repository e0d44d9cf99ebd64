"""The admin's frame: who gets in, what roles see, and what superusers may do with people."""

import pytest
from django.contrib import admin as django_admin
from django.test import Client
from django.urls import reverse

from cloneai.accounts.admin_access import RoleAdmin, name_for_staff
from cloneai.accounts.models import EXPERTS, REVIEWERS, ApiKey, AuditEntry, User
from clones.models import Clone

SUPERUSER_LISTS = [
    "accounts_user",
    "accounts_apikey",
    "accounts_auditentry",
    "account_emailaddress",
    "billing_modelprice",
    "django_q_ormq",
    "django_q_success",
    "django_q_failure",
    "django_q_schedule",
]


def test_every_model_admin_derives_its_permissions_from_roles():
    assert [
        model for model, page in django_admin.site._registry.items() if not isinstance(page, RoleAdmin)
    ] == []


def test_admin_login_goes_through_the_one_login_page(client: Client, db: None):
    response = client.get(reverse("admin:index"), follow=True)
    assert response.redirect_chain[-1][0].startswith(reverse("account_login"))


def test_admin_sends_people_to_the_one_page_for_a_new_password(client: Client, expert: User):
    """Django's own would let somebody at an open screen guess the old password without end."""
    client.force_login(expert)
    for response in (client.get("/admin/password_change/"), client.post("/admin/password_change/", {})):
        assert response.headers["Location"] == reverse("account_change_password")


@pytest.mark.parametrize("query", ["created_at__year=99999999", "created_at__year=0", "created_at__day=99"])
def test_filters_beyond_all_dates_show_the_whole_list(client: Client, expert: User, clone: Clone, query: str):
    client.force_login(expert)
    for name in ("clones_clone", "knowledge_document", "chat_knowledgegap"):
        url = reverse(f"admin:{name}_changelist")
        assert client.get(f"{url}?{query}", follow=True).status_code == 200


def test_lists_take_no_regular_expressions(client: Client, expert: User, clone: Clone):
    client.force_login(expert)
    for query in ("name__regex=(a%2B)%2B%24", "name__iregex=("):
        assert client.get(f"{reverse('admin:clones_clone_changelist')}?{query}").status_code == 400


def test_member_cannot_enter_the_admin(client: Client, member: User):
    client.force_login(member)
    for name in ("index", "clones_clone_changelist"):
        assert client.get(reverse(f"admin:{name}"), follow=True).status_code == 403


@pytest.mark.parametrize("name", SUPERUSER_LISTS)
def test_superuser_pages_are_closed_to_experts_and_reviewers(
    client: Client, expert: User, reviewer: User, admin: User, name: str
):
    url = reverse(f"admin:{name}_changelist")
    for person, status in ((expert, 403), (reviewer, 403), (admin, 200)):
        client.force_login(person)
        assert client.get(url).status_code == status, person


def test_sidebar_links_open_for_the_role_that_sees_them(
    client: Client, expert: User, reviewer: User, admin: User
):
    for person in (expert, reviewer, admin):
        client.force_login(person)
        groups = client.get(reverse("admin:index")).context["sidebar_navigation"]
        links = [item["link"] for group in groups for item in group["items"]]
        assert len(links) > 3
        assert {link: client.get(link).status_code for link in links} == dict.fromkeys(links, 200)


def test_view_on_site_shortcut_does_not_open_foreign_rows(client: Client, expert: User, other_clone: Clone):
    from django.contrib.contenttypes.models import ContentType

    client.force_login(expert)
    kind = ContentType.objects.get_for_model(Clone)
    assert client.get(reverse("admin:view_on_site", args=[kind.pk, other_clone.pk])).status_code == 404


def test_offline_mode_is_said_on_the_first_page(client: Client, expert: User, settings):
    client.force_login(expert)
    settings.AI_OFFLINE = True
    assert "Offline mode" in client.get(reverse("admin:index")).content.decode()
    settings.AI_OFFLINE = False
    assert "Offline mode" not in client.get(reverse("admin:index")).content.decode()


def test_ticking_a_role_makes_staff_and_unticking_takes_it_away(client: Client, admin: User, member: User):
    client.force_login(admin)
    url = reverse("admin:accounts_user_change", args=[member.pk])
    form = {
        "email": member.email,
        "name": "M",
        "is_active": "on",
        "daily_cost_limit_usd": "",
        "roles": [EXPERTS, REVIEWERS],
    }
    assert client.post(url, form).status_code == 302
    found = User.objects.get(pk=member.pk)
    assert (found.is_staff, found.is_expert, found.is_reviewer, found.is_superuser) == (
        True,
        True,
        True,
        False,
    )

    assert client.post(url, {**form, "roles": []}).status_code == 302
    found = User.objects.get(pk=member.pk)
    assert (found.is_staff, found.is_expert, found.is_reviewer) == (False, False, False)


def test_superuser_creates_an_expert_who_can_log_in(client: Client, admin: User):
    client.force_login(admin)
    form = {
        "email": "New@Example.com", "name": "New", "roles": [EXPERTS], "usable_password": "true",
        "password1": "a-long-unusual-phrase", "password2": "a-long-unusual-phrase",
    }  # fmt: skip
    response = client.post(reverse("admin:accounts_user_add"), form)
    assert response.status_code == 302, response.context["adminform"].form.errors
    found = User.objects.get(email="new@example.com")
    assert found.is_expert
    assert found.check_password("a-long-unusual-phrase")


def test_superuser_cannot_lock_themselves_out(client: Client, admin: User):
    client.force_login(admin)
    form = {"email": admin.email, "name": "A", "is_active": "on", "daily_cost_limit_usd": "", "roles": []}
    response = client.post(reverse("admin:accounts_user_change", args=[admin.pk]), form)
    assert "your own access" in response.content.decode()
    assert User.objects.get(pk=admin.pk).is_superuser


def test_superuser_sets_a_password_for_somebody(client: Client, admin: User, member: User):
    client.force_login(admin)
    url = reverse("admin:auth_user_password_change", args=[member.pk])
    form = {
        "password1": "another-long-phrase-7",
        "password2": "another-long-phrase-7",
        "usable_password": "true",
    }
    assert client.get(url).status_code == 200
    assert client.post(url, form).status_code == 302
    assert User.objects.get(pk=member.pk).check_password("another-long-phrase-7")
    entry = AuditEntry.objects.get(action="person.password")
    assert (entry.actor, entry.target, entry.detail) == (admin, f"user:{member.pk}", {})


def test_logins_of_before_a_deactivation_do_not_come_back_with_the_account(admin: User, member: User):
    superuser, browser = Client(), Client()
    superuser.force_login(admin)
    browser.force_login(member)
    url = reverse("admin:accounts_user_change", args=[member.pk])
    form = {"email": member.email, "name": "M", "daily_cost_limit_usd": ""}
    assert superuser.post(url, form).status_code == 302
    assert superuser.post(url, {**form, "is_active": "on"}).status_code == 302
    assert User.objects.get(pk=member.pk).is_active
    assert browser.get(reverse("chat:sessions")).status_code == 302


def test_revoked_key_opens_nothing_and_the_revocation_is_logged(client: Client, admin: User, member: User):
    key, token = ApiKey.issue(user=member, name="laptop")
    client.force_login(admin)
    form = {"action": "revoke", "_selected_action": [key.pk]}
    assert client.post(reverse("admin:accounts_apikey_changelist"), form).status_code == 302
    assert ApiKey.objects.find(token) is None
    assert AuditEntry.objects.filter(action="api_key.revoke", actor=admin, target=f"apikey:{key.pk}").exists()


def test_nobody_changes_the_audit_log(client: Client, admin: User):
    entry = AuditEntry.objects.create(actor=admin, action="test", target="x:1")
    client.force_login(admin)
    url = reverse("admin:accounts_auditentry_change", args=[entry.pk])
    assert client.get(url).status_code == 200
    assert client.post(url, {"action": "other"}).status_code == 403
    assert (
        client.post(reverse("admin:accounts_auditentry_delete", args=[entry.pk]), {"post": "yes"}).status_code
        == 403
    )


def test_lists_do_not_query_once_a_row(client: Client, admin: User, django_assert_max_num_queries):
    for number in range(15):
        person = User.objects.create_user(email=f"p{number}@example.com")
        ApiKey.issue(user=person, name="key")
        AuditEntry.objects.create(actor=person, action="test", target="x:1")
    client.force_login(admin)
    for name in ("accounts_user", "accounts_apikey", "accounts_auditentry"):
        with django_assert_max_num_queries(12):
            assert client.get(reverse(f"admin:{name}_changelist")).status_code == 200


def test_nobody_is_a_pseudonym_to_themselves(expert: User, member: User, reviewer: User):
    assert name_for_staff(person=expert, viewer=expert) == expert.email
    assert name_for_staff(person=member, viewer=expert) == member.pseudonym
    assert name_for_staff(person=member, viewer=reviewer) == member.email
    assert name_for_staff(person=None, viewer=expert) == "Erased"
