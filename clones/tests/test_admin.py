"""Clones in the admin: own ones only, comfortable lists, invitations, deletion."""

import pytest
from django.test import Client
from django.urls import reverse

from cloneai.accounts.models import AuditEntry, User
from clones.models import Clone

LIST = "admin:clones_clone_changelist"


def change_url(clone: Clone) -> str:
    return reverse("admin:clones_clone_change", args=[clone.pk])


def filled_form(**fields: object) -> dict[str, object]:
    return {
        "name": "Ada Berg",
        "slug": "ada",
        "communication_style": "Warm",
        "no_answer_text": "I do not know.",
        "visibility": "private",
        "is_strict": "on",
        "temperature": "0.7",
        "max_output_tokens": "1000",
        "chunk_tokens": "1000",
        "chunk_overlap_tokens": "200",
        "language": "english",
        "accent_color": "#2f6f5e",
        **fields,
    }


def post(client: Client, url: str, **fields: object) -> dict[str, list[str]]:
    """Posts the form and returns its errors; none when it was saved."""
    response = client.post(url, filled_form(**fields))
    return {} if response.status_code == 302 else dict(response.context["adminform"].form.errors)


def test_expert_sees_only_own_clones(client: Client, expert: User, clone: Clone, other_clone: Clone):
    client.force_login(expert)
    page = client.get(reverse(LIST)).content.decode()
    assert clone.name in page
    assert other_clone.name not in page


def test_foreign_clone_is_missing_on_every_page(client: Client, expert: User, other_clone: Clone):
    client.force_login(expert)
    for view in ("change", "delete", "history"):
        url = reverse(f"admin:clones_clone_{view}", args=[other_clone.pk])
        missing = reverse(f"admin:clones_clone_{view}", args=[999_999_999])
        assert client.get(url).status_code == client.get(missing).status_code == 404, view
        assert client.post(url, {"post": "yes"}).status_code == 404 or view == "history"
    assert Clone.objects.filter(pk=other_clone.pk).exists()


def test_foreign_clone_is_out_of_reach_of_bulk_deletion(
    client: Client, expert: User, clone: Clone, other_clone: Clone
):
    client.force_login(expert)
    form = {"action": "delete_selected", "_selected_action": [other_clone.pk], "post": "yes"}
    client.post(reverse(LIST), form)
    assert Clone.objects.filter(pk=other_clone.pk).exists()


def test_superuser_sees_every_clone_and_reviewer_none(
    client: Client, admin: User, reviewer: User, clone: Clone, other_clone: Clone
):
    client.force_login(admin)
    page = client.get(reverse(LIST)).content.decode()
    assert clone.name in page
    assert other_clone.name in page
    client.force_login(reviewer)
    assert client.get(reverse(LIST)).status_code == 403
    assert client.get(change_url(clone)).status_code == 403


def test_new_clone_belongs_to_the_expert_whatever_is_posted(client: Client, expert: User, other_expert: User):
    client.force_login(expert)
    assert post(client, reverse("admin:clones_clone_add"), owner=other_expert.pk, slug="") == {}
    assert Clone.objects.get().owner == expert


def test_owner_cannot_be_given_away_by_an_expert(
    client: Client, expert: User, other_expert: User, clone: Clone
):
    client.force_login(expert)
    assert post(client, change_url(clone), owner=other_expert.pk) == {}
    clone.refresh_from_db()
    assert clone.owner == expert


def test_empty_slug_is_made_from_the_name_and_stays_unique(client: Client, expert: User, clone: Clone):
    client.force_login(expert)
    assert post(client, reverse("admin:clones_clone_add"), name="Ada", slug="") == {}
    assert Clone.objects.exclude(pk=clone.pk).get().slug == "ada-2"


def test_lists_are_edited_as_text(client: Client, expert: User, clone: Clone):
    client.force_login(expert)
    fields = {
        "expertise_areas": "sleep,  stress , ,sleep",
        "starter_questions": "How do I start?\r\n\r\nWhat is stress, really?\r\n",
        "hard_rules": "Never diagnose\nNever mention prices",
        "link_hosts": "https://Mara.example/start, mara.example, shop.example:8080",
    }
    assert post(client, change_url(clone), **fields) == {}
    clone.refresh_from_db()
    assert clone.expertise_areas == ["sleep", "stress"]
    assert clone.starter_questions == ["How do I start?", "What is stress, really?"]
    assert clone.hard_rules == ["Never diagnose", "Never mention prices"]
    assert clone.link_hosts == ["mara.example", "shop.example"]
    page = client.get(change_url(clone)).content.decode()
    assert "sleep, stress" in page
    assert "Never diagnose\nNever mention prices" in page


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("hard_rules", "a\nb\nc\nd", "At most 3 rules; you gave 4."),
        ("starter_questions", "\n".join("abcdefg"), "At most 6 questions; you gave 7."),
        ("starter_questions", "x" * 161, "too long: 161 characters, at most 160"),
        ("expertise_areas", "y" * 61, "too long: 61 characters, at most 60"),
        ("chunk_overlap_tokens", "1000", "The overlap must be smaller than the passage."),
        ("link_hosts", "mara.example, two words", "Give sites by their names, for example mara.example."),
        ("invited_emails", "not-an-address", "Not an e-mail address: not-an-address."),
        ("invited_emails", "nobody@example.com", "Nobody can be invited as nobody@example.com."),
    ],
)
def test_refused_value_says_what_is_wrong(
    client: Client, expert: User, clone: Clone, field: str, value: str, said: str
):
    client.force_login(expert)
    errors = post(client, change_url(clone), **{field: value})
    assert list(errors) == [field]
    assert said in errors[field][0]


def test_people_are_invited_by_address_and_uninvited_by_leaving_it_out(
    client: Client, expert: User, member: User, clone: Clone
):
    client.force_login(expert)
    assert post(client, change_url(clone), invited_emails=f" {member.email.upper()} ,") == {}
    assert list(clone.invited_users.all()) == [member]
    assert member.email in client.get(change_url(clone)).content.decode()
    assert post(client, change_url(clone), invited_emails="") == {}
    assert not clone.invited_users.exists()


def test_form_lists_no_other_people(
    client: Client, expert: User, stranger: User, reviewer: User, clone: Clone
):
    client.force_login(expert)
    page = client.get(change_url(clone)).content.decode()
    assert stranger.email not in page
    assert reviewer.email not in page


def test_inactive_account_cannot_be_invited(client: Client, expert: User, member: User, clone: Clone):
    member.is_active = False
    member.save()
    client.force_login(expert)
    assert "invited_emails" in post(client, change_url(clone), invited_emails=member.email)


def test_deletion_says_what_goes_along_and_is_logged(
    client: Client, expert: User, clone: Clone, django_capture_on_commit_callbacks
):
    client.force_login(expert)
    url = reverse("admin:clones_clone_delete", args=[clone.pk])
    page = client.get(url).content.decode()
    assert clone.name in page
    with django_capture_on_commit_callbacks(execute=True):
        assert client.post(url, {"post": "yes"}).status_code == 302
    assert not Clone.objects.filter(pk=clone.pk).exists()
    assert AuditEntry.objects.get(action="clone.delete").detail == {"slug": "ada"}


def test_list_does_not_query_once_a_clone(
    client: Client, admin: User, expert: User, django_assert_max_num_queries
):
    Clone.objects.bulk_create(
        Clone(owner=expert, name=f"C{number}", slug=f"c{number}") for number in range(20)
    )
    client.force_login(admin)
    with django_assert_max_num_queries(12):
        assert client.get(reverse(LIST)).status_code == 200


def test_owners_to_choose_from_are_experts(
    client: Client, admin: User, expert: User, other_expert: User, reviewer: User, member: User, clone: Clone
):
    other_expert.groups.clear()
    client.force_login(admin)
    page = client.get(reverse("admin:clones_clone_change", args=[clone.pk]))
    choices = page.context["adminform"].form.fields["owner"].queryset
    assert set(choices) == {admin, expert}
    clone.owner = other_expert
    clone.save()
    assert set(choices.all()) == {admin, other_expert, expert}
