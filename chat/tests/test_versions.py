"""Earlier versions of answers, the page to edit a question, and the budget's notice: all without scripts."""

import re
from decimal import Decimal
from typing import Any

import pytest
from django.test import AsyncClient, Client
from django.urls import reverse

from billing.models import Scope, SpendAccount, utc_today
from chat.models import ChatSession, Message, Role
from chat.transcripts import load_transcript
from chat.turns import wait_for_answer
from chat.versions import find_versions
from cloneai.accounts.models import User
from cloneai.local_ai.testing import FakeProvider
from cloneai.threads import run_in_thread
from clones.models import Clone
from knowledge.models import Document

pytestmark = pytest.mark.django_db(transaction=True)  # pages are read in threads


@pytest.fixture
def browser(client: Client, member: User) -> Client:
    client.force_login(member)
    return client


def say(session: ChatSession, question: str, *answers: str, is_current: bool = True) -> list[Message]:
    """A question and its answers; of these the last is current if the question is."""
    asked = session.messages.create(role=Role.USER, content=question, is_current=is_current)
    return [
        session.messages.create(
            role=Role.ASSISTANT,
            content=text,
            reply_to=asked,
            is_current=is_current and number == len(answers),
        )
        for number, text in enumerate(answers, start=1)
    ]


def shown(page: str) -> list[str]:
    texts = re.findall(r'<div class="message-text[^>]*data-text>(.*?)</div>', page, re.DOTALL)
    return [re.sub(r"<[^>]+>|\s+$", "", text) for text in texts if text.strip()]


def test_versions_go_on_over_regenerations_and_edits(session: ChatSession) -> None:
    say(session, "zero", "only one")
    old = say(session, "one", "first", "second", is_current=False)
    new = say(session, "one again", "third")
    versions = find_versions(session_id=session.pk)
    assert set(versions) == {answer.pk for answer in (*old, *new)}
    assert [(versions[answer.pk].number, versions[answer.pk].count) for answer in (*old, *new)] == [
        (1, 3),
        (2, 3),
        (3, 3),
    ]
    assert versions[old[1].pk].earlier == old[0].pk
    assert versions[old[1].pk].later == new[0].pk
    assert versions[old[0].pk].current == new[0].pk


def test_an_earlier_version_is_shown_with_its_own_question(browser: Client, session: ChatSession) -> None:
    old = say(session, "one", "first", is_current=False)
    new = say(session, "one again", "second", "third")
    say(session, "two", "last")
    url = session.get_absolute_url()
    page = browser.get(url).text
    assert shown(page) == ["one again", "third", "two", "last"]
    assert f'href="{url}?version={new[0].pk}#m-{new[0].pk}"' in page
    assert 'aria-label="Version 3 of 3"' in page
    page = browser.get(url, {"version": str(old[0].pk)}).text
    assert shown(page) == ["one", "first", "two", "last"]
    assert 'aria-label="Version 1 of 3"' in page
    assert reverse("chat:regenerate", args=[old[0].pk]) not in page


@pytest.mark.parametrize("version", ["", "nonsense", "00000000-0000-4000-8000-000000000000"])
def test_unknown_versions_change_nothing(version: str, browser: Client, session: ChatSession) -> None:
    say(session, "one", "first", "second")
    assert shown(browser.get(session.get_absolute_url(), {"version": version}).text) == ["one", "second"]


def test_versions_of_another_conversation_stay_there(
    browser: Client, session: ChatSession, stranger: User
) -> None:
    foreign = ChatSession.objects.create(clone=session.clone, user=stranger)
    secret = say(foreign, "private", "secret", "secret too")
    say(session, "one", "first", "second")
    page = browser.get(session.get_absolute_url(), {"version": str(secret[0].pk)}).text
    assert "secret" not in page


def test_conversation_needs_the_same_queries_however_long_it_is(
    session: ChatSession, django_assert_num_queries: Any
) -> None:
    for number in range(20):
        say(session, f"question {number}", "earlier", "now")
    with django_assert_num_queries(4):
        transcript = load_transcript(session=session)
        assert [message.citations.all()[:1] for message in transcript.messages] == [[]] * 40


async def test_question_is_edited_on_a_page_of_its_own(
    material: Document, session: ChatSession, member: User, async_client: AsyncClient
) -> None:
    await run_in_thread(async_client.force_login, member)
    (answer,) = await run_in_thread(say, session, "How long does the soup simmer?", "Long.")
    url = reverse("chat:edit", args=[answer.reply_to_id])
    assert url in (await async_client.get(session.get_absolute_url())).text
    assert "How long does the soup simmer?</textarea>" in (await async_client.get(url)).text
    empty = await async_client.post(url, {"content": "  "})
    assert (empty.status_code, "Write a message first." in empty.text) == (422, True)
    response = await async_client.post(url, {"content": "When should I give feedback?"})
    question = await session.messages.aget(role=Role.USER, is_current=True)
    assert response["Location"] == f"{session.get_absolute_url()}#m-{question.pk}"
    new = await session.messages.aget(role=Role.ASSISTANT, is_current=True)
    assert "forty-eight" in (await wait_for_answer(answer_id=new.pk, timeout_seconds=20)).content
    again = await async_client.post(url, {"content": "And now?"})
    assert (again.status_code, "Only your last message can be edited." in again.text) == (422, True)


async def test_only_ones_own_questions_can_be_edited(
    session: ChatSession, stranger: User, async_client: AsyncClient
) -> None:
    (answer,) = await run_in_thread(say, session, "mine", "yours")
    for message_id in (answer.pk, answer.reply_to_id):
        await run_in_thread(async_client.force_login, stranger)
        url = reverse("chat:edit", args=[message_id])
        assert (await async_client.get(url)).status_code == 404
        assert (await async_client.post(url, {"content": "x"})).status_code == 404


@pytest.mark.parametrize(
    ("limit", "spent", "words"),
    [
        ("1", "0", None),
        ("1", "1", "Your budget for today is used up."),
        ("1", "0.995", "Your budget for today is nearly used up"),
        ("0", "0", "Your budget for today is used up."),
    ],
)
def test_budget_notice_comes_before_a_message_is_refused(
    limit: str, spent: str, words: str | None, provider: FakeProvider, browser: Client, session: ChatSession
) -> None:
    User.objects.filter(pk=session.user_id).update(daily_cost_limit_usd=Decimal(limit))
    SpendAccount.objects.create(
        scope=Scope.USER, owner_id=session.user_id, day=utc_today(), settled_usd=Decimal(spent)
    )
    notice = re.search(r"data-budget[^>]*>(.*?)</p>", browser.get(session.get_absolute_url()).text, re.DOTALL)
    assert notice is not None
    if words is None:
        assert not notice[1].strip()
    else:
        assert words in notice[1]
        assert re.search(r"\d+ (?:h \d+ )?min</time>, at midnight UTC", notice[1])


def test_budget_of_the_clone_is_named(provider: FakeProvider, browser: Client, session: ChatSession) -> None:
    Clone.objects.filter(pk=session.clone_id).update(daily_cost_limit_usd=Decimal("0.001"))
    assert (
        "The budget of Ada Berg for today is nearly used up" in browser.get(session.get_absolute_url()).text
    )


def test_offline_answers_are_free_and_need_no_budget(browser: Client, session: ChatSession) -> None:
    User.objects.filter(pk=session.user_id).update(daily_cost_limit_usd=Decimal(0))
    assert "used up" not in browser.get(session.get_absolute_url()).text
