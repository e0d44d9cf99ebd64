"""The list of conversations, feedback, summaries and sources as their member sees them."""

import re
import uuid
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from chat.models import (
    ChatSession,
    Citation,
    Message,
    Role,
    SessionSummary,
    SummaryStatus,
)
from cloneai.accounts.models import User
from clones.models import Clone
from knowledge.models import Document

pytestmark = pytest.mark.django_db

SCRIPT = {"HTTP_X_REQUESTED_WITH": "fetch"}
DETAILED = {
    "main_topics": ["Delegation"],
    "key_insights": ["Hand over the result, not the steps"],
    "action_items": [
        {
            "description": "Write the list",
            "priority": "high",
            "estimated_effort": "small",
            "message_id": "6f1e9c1e-0000-4000-8000-000000000000",
        }
    ],
    "progress_made": ["Named the fear"],
    "next_steps": ["Talk to Kim"],
    "overall_assessment": "A good start.",
}


@pytest.fixture
def browser(client: Client, member: User) -> Client:
    client.force_login(member)
    return client


@pytest.fixture
def answer(session: ChatSession) -> Message:
    question = session.messages.create(role=Role.USER, content="How long?")
    return session.messages.create(role=Role.ASSISTANT, content="Half an hour. [1]", reply_to=question)


@pytest.fixture
def citation(answer: Message) -> Citation:
    """A source whose document is gone: the snapshot remains."""
    return Citation.objects.create(
        message=answer,
        number=1,
        title="Notes",
        page=3,
        quote="It simmers for half an hour.",
        start_char=0,
        end_char=28,
        similarity_score=0.6,
    )


def titles(page: str) -> list[str]:
    return re.findall(r'<h2><a href="/chat/[^"]+">([^<]+)</a>', page)


def test_list_shows_own_conversations_last_active_first(
    browser: Client, clone: Clone, member: User, stranger: User
) -> None:
    for title in ("older", "newer"):
        ChatSession.objects.create(clone=clone, user=member, title=title)
    ChatSession.objects.create(clone=clone, user=stranger, title="not mine")
    assert titles(browser.get(reverse("chat:sessions")).text) == ["newer", "older"]


def test_list_is_searched_by_title_and_clone(browser: Client, clone: Clone, member: User) -> None:
    ChatSession.objects.create(clone=clone, user=member, title="About soup")
    ChatSession.objects.create(clone=clone, user=member, title="About teams")
    url = reverse("chat:sessions")
    assert titles(browser.get(url, {"q": "soup"}).text) == ["About soup"]
    assert len(titles(browser.get(url, {"q": "berg"}).text)) == 2
    assert "No conversation matches “volcano”" in browser.get(url, {"q": "volcano"}).text


def test_list_needs_no_more_queries_for_more_conversations(
    browser: Client, clone: Clone, member: User, django_assert_max_num_queries: Any
) -> None:
    for number in range(30):
        session = ChatSession.objects.create(clone=clone, user=member, title=f"t{number}")
        session.messages.create(role=Role.USER, content="hello")
    with django_assert_max_num_queries(5):  # login, person, count, page, questions answered since
        assert len(titles(browser.get(reverse("chat:sessions")).text)) == 30


def test_list_without_conversations_leads_to_the_gallery(browser: Client) -> None:
    assert "Browse clones" in browser.get(reverse("chat:sessions")).text


def test_a_conversation_is_found_by_what_was_said_in_it(
    browser: Client, answer: Message, session: ChatSession, clone: Clone, stranger: User
) -> None:
    foreign = ChatSession.objects.create(clone=clone, user=stranger, title="foreign")
    foreign.messages.create(role=Role.USER, content="Half an hour?")
    session.messages.create(role=Role.ASSISTANT, content="A fortnight.", is_current=False)
    ChatSession.objects.filter(pk=session.pk).update(title="Of time")
    url = reverse("chat:sessions")
    assert titles(browser.get(url, {"q": "HOUR"}).text) == ["Of time"]
    assert titles(browser.get(url, {"q": "hou long time"}).text) == ["Of time"]
    assert titles(browser.get(url, {"q": "hour elephants"}).text) == []
    assert titles(browser.get(url, {"q": "fortnight"}).text) == []
    assert titles(browser.get(url, {"q": "':*&!| \\"}).text) == []


@pytest.fixture
def closed(clone: Clone, answer: Message, session: ChatSession) -> ChatSession:
    """A conversation whose clone was renamed and lets in nobody without an invitation since."""
    ChatSession.objects.filter(pk=session.pk).update(title="Of time")
    Clone.objects.filter(pk=clone.pk).update(visibility="private", name="Renamed", slug="renamed")
    session.refresh_from_db()
    return session


def test_conversation_with_a_clone_that_turned_private_stays_listed_without_its_words(
    browser: Client, closed: ChatSession
) -> None:
    url = reverse("chat:sessions")
    page = browser.get(url).text
    assert titles(page) == ["Of time"]
    assert "no longer open to you" in page
    for hidden in ("Renamed", "renamed", "Half an hour"):
        assert hidden not in page
    assert titles(browser.get(url, {"q": "time"}).text) == ["Of time"]
    assert titles(browser.get(url, {"q": "hour"}).text) == []
    assert titles(browser.get(url, {"q": "Renamed"}).text) == []
    ChatSession.objects.filter(pk=closed.pk).update(title="")
    assert "Renamed" not in browser.get(url).text


def test_conversation_that_was_closed_can_be_deleted_and_nothing_else(
    browser: Client, closed: ChatSession, stranger: User
) -> None:
    other = Client()
    other.force_login(stranger)
    assert other.post(reverse("chat:delete", args=[closed.pk])).status_code == 404
    for name, data in (("rename", {"title": "x"}), ("end", {}), ("remember", {"memory": "off"})):
        assert browser.post(reverse(f"chat:{name}", args=[closed.pk]), data).status_code == 404, name
    assert browser.post(reverse("chat:delete", args=[closed.pk])).status_code == 302
    assert not ChatSession.objects.filter(pk=closed.pk).exists()


def test_conversation_can_be_renamed_but_not_to_nothing(browser: Client, session: ChatSession) -> None:
    url = reverse("chat:rename", args=[session.pk])
    browser.post(url, {"title": "Soup"})
    browser.post(url, {"title": "  "})
    session.refresh_from_db()
    assert session.title == "Soup"


def test_deleted_conversation_takes_its_messages_along(
    browser: Client, session: ChatSession, answer: Message
) -> None:
    response = browser.post(reverse("chat:delete", args=[session.pk]), follow=True)
    assert "The conversation is deleted." in response.text
    assert not Message.objects.filter(pk=answer.pk).exists()


def test_rating_by_form_comes_back_to_the_answer(
    browser: Client, session: ChatSession, answer: Message
) -> None:
    response = browser.post(reverse("chat:feedback", args=[answer.pk]), {"rating": "1"})
    assert response["Location"] == f"{session.get_absolute_url()}#m-{answer.pk}"
    answer.refresh_from_db()
    assert answer.rating == 1


def test_comment_by_script_keeps_the_rating_and_answers_json(browser: Client, answer: Message) -> None:
    url = reverse("chat:feedback", args=[answer.pk])
    assert browser.post(url, {"rating": "-1"}, **SCRIPT).json() == {"rating": -1, "comment": ""}
    assert browser.post(url, {"comment": "No source"}, **SCRIPT).json() == {
        "rating": -1,
        "comment": "No source",
    }
    assert browser.post(url, {"rating": "0"}, **SCRIPT).json() == {"rating": None, "comment": "No source"}


@pytest.mark.parametrize("data", [{}, {"rating": "5"}, {"comment": "x" * 2001}])
def test_bad_feedback_is_refused_and_changes_nothing(
    browser: Client, answer: Message, data: dict[str, str]
) -> None:
    response = browser.post(reverse("chat:feedback", args=[answer.pk]), data, **SCRIPT)
    assert response.status_code == 422
    assert response.json()["error_type"] == "invalid_request"
    answer.refresh_from_db()
    assert (answer.rating, answer.rating_comment) == (None, "")


def test_own_question_cannot_be_rated(browser: Client, answer: Message) -> None:
    assert answer.reply_to is not None
    url = reverse("chat:feedback", args=[answer.reply_to.pk])
    assert browser.post(url, {"rating": "1"}).status_code == 404


def test_end_leads_to_the_summary_that_is_on_its_way(
    browser: Client, session: ChatSession, answer: Message
) -> None:
    response = browser.post(reverse("chat:end", args=[session.pk]), follow=True)
    assert response.redirect_chain[-1][0] == reverse("chat:summary", args=[session.pk])
    assert "data-pending" in response.text
    assert '<noscript><meta http-equiv="refresh"' in response.text


def test_ready_summary_shows_every_part_and_where_it_came_up(browser: Client, session: ChatSession) -> None:
    SessionSummary.objects.create(session=session, status=SummaryStatus.READY, structured_data=DETAILED)
    page = browser.get(reverse("chat:summary", args=[session.pk])).text
    for text in ("Delegation", "Hand over the result", "Write the list", "Named the fear", "Talk to Kim"):
        assert text in page
    assert "High priority" in page
    assert "Small effort" in page
    assert f'href="{session.get_absolute_url()}#m-6f1e9c1e-0000-4000-8000-000000000000"' in page
    assert "A good start." in page
    assert "http-equiv" not in page


def test_failed_summary_says_so(browser: Client, session: ChatSession) -> None:
    SessionSummary.objects.create(
        session=session, status=SummaryStatus.FAILED, error_message="The daily limit is reached."
    )
    page = browser.get(reverse("chat:summary", args=[session.pk])).text
    assert "could not be written" in page
    assert "The daily limit is reached." in page


def test_script_gets_the_summary_alone(browser: Client, session: ChatSession) -> None:
    SessionSummary.objects.create(session=session, status=SummaryStatus.RUNNING)
    response = browser.get(reverse("chat:summary", args=[session.pk]), **SCRIPT)
    assert response.text.startswith('<div class="summary" data-state="running" data-pending>')
    assert "X-Requested-With" in response["Vary"]


@pytest.mark.django_db(transaction=True)  # ingestion works in threads
def test_source_page_marks_the_passage_in_its_page(
    material: Document, browser: Client, answer: Message
) -> None:
    chunk = material.chunks.get(content__contains="twenty-five minutes")
    citation = Citation.objects.create(
        message=answer,
        number=1,
        chunk=chunk,
        document=material,
        document_version=material.live_version,
        title="Notes",
        page=1,
        quote=chunk.content,
        start_char=chunk.start_char,
        end_char=chunk.end_char,
        similarity_score=0.6,
    )
    page = browser.get(citation.get_absolute_url()).text
    marked = re.search(r"<mark[^>]*>(.*?)</mark>", page, re.DOTALL)
    assert marked is not None
    assert marked[1].replace("<br>", "") == chunk.content
    assert f'href="{answer.session.get_absolute_url()}#m-{answer.pk}"' in page


def test_source_outlives_its_document(browser: Client, citation: Citation) -> None:
    page = browser.get(citation.get_absolute_url()).text
    assert "It simmers for half an hour." in page
    assert "changed or removed since this answer" in page


def test_script_gets_the_source_alone(browser: Client, citation: Citation) -> None:
    response = browser.get(citation.get_absolute_url(), **SCRIPT)
    assert response.text.lstrip().startswith('<article class="source">')
    assert "X-Requested-With" in response["Vary"]


def test_reviewer_opens_a_source_without_a_way_into_the_conversation(
    client: Client, reviewer: User, citation: Citation
) -> None:
    client.force_login(reviewer)
    page = client.get(citation.get_absolute_url()).text
    assert "It simmers for half an hour." in page
    assert citation.message.session.get_absolute_url() not in page


def test_foreign_pages_look_missing(client: Client, stranger: User, citation: Citation) -> None:
    client.force_login(stranger)
    session, answer = citation.message.session, citation.message
    for ids in ((session.pk, answer.pk, citation.pk), (uuid.uuid4(), uuid.uuid4(), uuid.uuid4())):
        session_id, answer_id, citation_id = ids
        gets = [reverse("chat:summary", args=[session_id]), reverse("chat:source", args=[citation_id])]
        posts = [reverse(f"chat:{name}", args=[session_id]) for name in ("end", "rename", "delete")]
        posts.append(reverse("chat:feedback", args=[answer_id]))
        statuses = [client.get(url).status_code for url in gets]
        statuses += [client.post(url, {"rating": "1", "title": "x"}).status_code for url in posts]
        assert statuses == [404] * 6
    assert ChatSession.objects.filter(pk=session.pk, ended_at=None).exists()


def test_changes_need_a_post_and_a_login(client: Client, browser: Client, citation: Citation) -> None:
    session, answer = citation.message.session, citation.message
    urls = [reverse(f"chat:{name}", args=[session.pk]) for name in ("end", "rename", "delete")]
    urls += [reverse(f"chat:{name}", args=[answer.pk]) for name in ("stop", "regenerate", "feedback")]
    assert [browser.get(url).status_code for url in urls] == [405] * 6
    visitor = Client()
    assert {visitor.post(url)["Location"].split("?")[0] for url in urls} == {"/accounts/login/"}
