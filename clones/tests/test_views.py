"""Gallery, profile and accent as visitors and members see them."""

import html
import re
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.test import Client
from django.urls import reverse

from cloneai.accounts.models import User
from clones.models import Clone, Visibility
from conftest import PASSWORD

GALLERY = reverse("clones:gallery")


def names(page: str) -> list[str]:
    return re.findall(r'<h2><a href="/c/[^"]+">([^<]+)</a>', page)


def test_visitor_sees_public_clones_only(client: Client, clone: Clone, other_clone: Clone) -> None:
    Clone.objects.create(owner=clone.owner, name="Quiet", slug="quiet", visibility=Visibility.UNLISTED)
    assert names(client.get(GALLERY).text) == ["Ada Berg"]


def test_member_also_sees_private_clones_with_an_invitation(
    client: Client, member: User, clone: Clone, other_clone: Clone
) -> None:
    client.force_login(member)
    assert names(client.get(GALLERY).text) == ["Ada Berg"]
    other_clone.invited_users.add(member)
    assert names(client.get(GALLERY).text) == ["Ada Berg", "Bo Holm"]


def test_search_finds_by_topic_and_keeps_the_words(client: Client, clone: Clone) -> None:
    Clone.objects.create(owner=clone.owner, name="Cy", slug="cy", visibility=Visibility.PUBLIC)
    page = client.get(GALLERY, {"q": "feedback"}).text
    assert names(page) == ["Ada Berg"]
    assert 'value="feedback"' in page


def test_search_without_a_match_says_so_and_offers_all(client: Client, clone: Clone) -> None:
    page = client.get(GALLERY, {"q": "volcano"}).text
    assert "No match for “volcano”" in page
    assert "Show all clones" in page


def test_empty_gallery_tells_staff_how_to_begin(client: Client, expert: User) -> None:
    assert "Nobody is here yet" in client.get(GALLERY).text
    client.force_login(expert)
    assert "Create the first clone" in client.get(GALLERY).text


def test_gallery_needs_no_more_queries_for_more_clones(
    client: Client, clone: Clone, django_assert_num_queries: Any
) -> None:
    for number in range(30):
        Clone.objects.create(
            owner=clone.owner, name=f"Clone {number}", slug=f"c-{number}", visibility=Visibility.PUBLIC
        )
    with django_assert_num_queries(2):
        page = client.get(GALLERY).text
    assert len(names(page)) == 24
    assert "Page 1 of 2" in page


def test_profile_says_that_it_is_an_ai_and_shows_who(client: Client, clone: Clone) -> None:
    page = client.get(clone.get_absolute_url()).text
    assert "You talk with an AI, not with Ada Berg in person" in page
    assert "Ada Berg has led teams for twenty years." in page
    assert "leadership" in page


def test_member_starts_with_a_starter_question(client: Client, member: User, clone: Clone) -> None:
    clone.starter_questions = ["What do I do on day one?"]
    clone.save()
    client.force_login(member)
    page = client.get(clone.get_absolute_url()).text
    assert '<button class="starter" type="submit" name="question" value="What do I do on day one?">' in page
    assert page.count('action="/c/ada/chat/"') == 2


def test_visitor_is_sent_to_sign_up_and_back(client: Client, clone: Clone) -> None:
    page = client.get(clone.get_absolute_url()).text
    assert 'href="/accounts/signup/?next=/c/ada/"' in page
    assert 'action="/c/ada/chat/"' not in page


@pytest.mark.parametrize("name", ["profile", "accent"])
def test_foreign_private_clone_looks_like_a_missing_one(
    client: Client, stranger: User, other_clone: Clone, name: str
) -> None:
    client.force_login(stranger)
    assert client.get(reverse(f"clones:{name}", args=[other_clone.slug])).status_code == 404
    assert client.get(reverse(f"clones:{name}", args=["missing"])).status_code == 404


def test_markup_in_a_clone_stays_text(client: Client, clone: Clone) -> None:
    attack = "<script>alert(1)</script>"
    clone.name = clone.headline = clone.bio = attack
    clone.starter_questions = clone.expertise_areas = [f'"><img src=x onerror=alert(1)>{attack}'[:60]]
    clone.save()
    for url in (GALLERY, clone.get_absolute_url()):
        page = client.get(url).text
        assert "<script>alert" not in page
        assert "<img" not in page


def test_accent_is_a_stylesheet_for_both_themes_that_browsers_keep(client: Client, clone: Clone) -> None:
    clone.accent_color = "#b4552d"
    clone.save()
    response = client.get(reverse("clones:accent", args=[clone.slug]))
    assert response["Content-Type"] == "text/css; charset=utf-8"
    assert response.text.count("--accent-text:") == 2
    assert "--accent: #b4552d" in response.text
    assert "prefers-color-scheme: dark" in response.text
    assert "private" in response["Cache-Control"]
    assert "max-age" in response["Cache-Control"]


def test_pages_carry_no_inline_script_or_style(client: Client, member: User, clone: Clone) -> None:
    client.force_login(member)
    urls = [GALLERY, clone.get_absolute_url(), reverse("chat:sessions"), "/accounts/email/", "/nothing-here/"]
    for url in [*urls, reverse("account_logout")]:
        page = client.get(url).text
        assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?![^>]*\ssrc=)", page), url


def test_a_question_chosen_before_signing_in_is_ready_afterwards(client: Client, clone: Clone, member: User):
    question = "How do I say “no” & mean it? 1/2"
    Clone.objects.filter(pk=clone.pk).update(starter_questions=[question])
    page = client.get("/c/ada/").content.decode()
    link = html.unescape(re.search(r'<a class="starter" href="([^"]+)"', page)[1])
    going_to = parse_qs(urlsplit(link).query)["next"][0]
    assert parse_qs(urlsplit(going_to).query) == {"q": [question]}
    signed_in = client.post(link, {"login": member.email, "password": PASSWORD, "next": going_to})
    assert signed_in["Location"] == going_to
    ready = client.get(going_to)
    assert ready.context["question"] == question
    assert f'name="question" value="{html.escape(question)}"' in ready.content.decode()
    assert 'aria-label="Your question"' in ready.content.decode()
    assert 'aria-label="Your question"' not in client.get("/c/ada/").content.decode()


@pytest.mark.parametrize(
    ("address", "query"),
    [
        ("/", ""),
        ("/c/ada/?q=Why%3F", "?next=/c/ada/%3Fq%3DWhy%253F"),
        ("/accounts/login/?next=/c/ada/", "?next=/c/ada/"),
        ("/accounts/login/", ""),
    ],
)
def test_the_header_leads_back_to_where_somebody_was_going(
    client: Client, clone: Clone, address: str, query: str
):
    page = client.get(address).content.decode()
    assert f'href="/accounts/signup/{query}">Sign up</a>' in page
