"""Starting, showing and stopping turns by plain forms, as a browser without scripts does."""

import re
import uuid
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.test import AsyncClient
from django.urls import reverse
from django.utils import timezone

from chat.models import ChatSession, Message, MessageStatus, Role
from chat.turns import wait_for_answer
from cloneai.accounts.models import User
from cloneai.local_ai.faults import Fault
from cloneai.threads import run_in_thread
from clones.models import Clone
from knowledge.models import Document

pytestmark = pytest.mark.django_db(transaction=True)

QUESTION = "How long does the pepper soup simmer?"


@pytest.fixture
async def browser(async_client: AsyncClient, member: User) -> AsyncClient:
    await run_in_thread(async_client.force_login, member)
    return async_client


async def last_answer(session: ChatSession) -> Message:
    answer = await session.messages.filter(role=Role.ASSISTANT).alatest("created_at")
    return await wait_for_answer(answer_id=answer.pk, timeout_seconds=20)


async def test_posted_message_is_answered_with_its_source_on_the_page(
    material: Document, session: ChatSession, browser: AsyncClient
) -> None:
    response = await browser.post(session.get_absolute_url(), {"content": QUESTION})
    assert response.status_code == 302
    assert urlsplit(response["Location"]).path == session.get_absolute_url()
    answer = await last_answer(session)
    page = (await browser.get(session.get_absolute_url())).text
    assert QUESTION in page
    assert "twenty-five minutes" in page
    citation = await answer.citations.afirst()
    assert f'class="source-chip" href="{citation.get_absolute_url()}#passage"' in page
    assert "http-equiv" not in page


async def test_start_with_a_question_begins_its_answer(
    material: Document, clone: Clone, member: User, browser: AsyncClient
) -> None:
    response = await browser.post(reverse("chat:start", args=[clone.slug]), {"question": QUESTION})
    session = await ChatSession.objects.aget(user=member)
    assert response["Location"] == session.get_absolute_url()
    answer = await last_answer(session)
    assert "twenty-five" in answer.content


async def test_start_without_a_question_opens_an_empty_conversation(
    clone: Clone, member: User, browser: AsyncClient
) -> None:
    clone.starter_questions = ["What do I do on day one?"]
    await clone.asave()
    response = await browser.post(reverse("chat:start", args=[clone.slug]), follow=True)
    session = await ChatSession.objects.aget(user=member)
    assert await session.messages.acount() == 0
    assert "Hello, what is on your mind?" in response.text
    assert (
        '<button class="starter" type="submit" name="content" value="What do I do on day one?">'
        in response.text
    )


async def test_empty_message_is_refused_with_a_sentence(session: ChatSession, browser: AsyncClient) -> None:
    response = await browser.post(session.get_absolute_url(), {"content": "  \n "})
    assert response.status_code == 422
    assert "Write a message first." in response.text
    assert await session.messages.acount() == 0


async def test_too_long_message_is_refused_and_not_lost(session: ChatSession, browser: AsyncClient) -> None:
    response = await browser.post(session.get_absolute_url(), {"content": "endless words " * 3000})
    assert response.status_code == 422
    assert "too long" in response.text
    assert "endless words endless words" in response.text


async def test_second_message_waits_its_turn_and_keeps_its_text(
    session: ChatSession, browser: AsyncClient
) -> None:
    await start_running(session)
    response = await browser.post(session.get_absolute_url(), {"content": "and one more thing"})
    assert response.status_code == 409
    assert "and one more thing</textarea>" in response.text
    assert "still being written" in response.text


async def test_page_of_a_running_answer_shows_its_text_and_refreshes_without_scripts(
    session: ChatSession, browser: AsyncClient
) -> None:
    answer = await start_running(session, content="Simmer it ", chunk_ends=[7, 10])
    page = (await browser.get(session.get_absolute_url())).text
    assert '<noscript><meta http-equiv="refresh" content="2;url=?r=' in page
    article = page[page.index(f'id="m-{answer.pk}"') :]
    assert 'data-status="streaming"' in article
    assert 'data-last-seq="1"' in article
    assert 'aria-busy="true"' in article
    assert ">Simmer it </div>" in article
    assert f'action="{reverse("chat:stop", args=[answer.pk])}"' in article


async def test_page_of_a_running_answer_shows_its_finished_blocks_as_html(
    session: ChatSession, browser: AsyncClient
) -> None:
    text = "Some **bold** 🙂 words.\n\n\n- one\n- two"
    await start_running(session, content=text, chunk_ends=[len(text)])
    page = (await browser.get(session.get_absolute_url())).text
    assert (
        f'data-text data-end="{len(text) + 1}"><p>Some <strong>bold</strong> 🙂 words.</p>\n'
        '<div class="message-rest" data-rest>- one\n- two</div></div>' in page
    )


async def test_stop_form_ends_the_answer(
    provider: Any, material: Document, session: ChatSession, browser: AsyncClient
) -> None:
    provider.always(Fault(path="/chat/completions", chunk_delay_seconds=0.2))
    await browser.post(session.get_absolute_url(), {"content": QUESTION})
    answer = await session.messages.aget(role=Role.ASSISTANT)
    response = await browser.post(reverse("chat:stop", args=[answer.pk]))
    assert response["Location"] == f"{session.get_absolute_url()}#m-{answer.pk}"
    assert (await last_answer(session)).status == MessageStatus.STOPPED


async def test_regenerate_form_writes_the_last_answer_anew(
    material: Document, session: ChatSession, browser: AsyncClient
) -> None:
    await browser.post(session.get_absolute_url(), {"content": QUESTION})
    first = await last_answer(session)
    await browser.post(reverse("chat:regenerate", args=[first.pk]))
    second = await last_answer(session)
    assert second.pk != first.pk
    page = (await browser.get(session.get_absolute_url())).text
    assert f'id="m-{second.pk}"' in page
    assert f'id="m-{first.pk}"' not in page


async def test_refused_regeneration_says_why(session: ChatSession, browser: AsyncClient) -> None:
    question = await session.messages.acreate(role=Role.USER, content="one")
    old = await session.messages.acreate(role=Role.ASSISTANT, content="first", reply_to=question)
    await session.messages.acreate(role=Role.ASSISTANT, content="second", reply_to=question)
    response = await browser.post(reverse("chat:regenerate", args=[old.pk]), follow=True)
    assert "Only the last answer can be written anew." in response.text


async def test_what_people_and_models_write_stays_text(session: ChatSession, browser: AsyncClient) -> None:
    attack = "<script>alert(1)</script> [x](javascript:alert(1)) <img src=x onerror=alert(1)>"
    question = await session.messages.acreate(role=Role.USER, content=attack)
    await session.messages.acreate(role=Role.ASSISTANT, content=attack, reply_to=question)
    session.title = attack
    await session.asave()
    page = (await browser.get(session.get_absolute_url())).text
    assert "<script>alert" not in page
    assert "<img" not in page
    assert 'href="javascript' not in page


async def test_ended_conversation_shows_the_summary_instead_of_the_composer(
    session: ChatSession, browser: AsyncClient
) -> None:
    assert "data-composer" in (await browser.get(session.get_absolute_url())).text
    await browser.post(reverse("chat:end", args=[session.pk]))
    page = (await browser.get(session.get_absolute_url())).text
    assert "data-composer" not in page
    assert reverse("chat:summary", args=[session.pk]) in page


async def test_foreign_turns_look_missing(
    session: ChatSession, stranger: User, other_clone: Clone, async_client: AsyncClient
) -> None:
    answer = await session.messages.acreate(role=Role.ASSISTANT, content="private")
    await run_in_thread(async_client.force_login, stranger)
    posts = [
        session.get_absolute_url(),
        reverse("chat:start", args=[other_clone.slug]),
        *(reverse(f"chat:{name}", args=[answer.pk]) for name in ("stop", "regenerate")),
        reverse("chat:conversation", args=[uuid.uuid4()]),
    ]
    assert [(await async_client.post(url, {"content": "hi"})).status_code for url in posts] == [404] * len(
        posts
    )
    assert (await async_client.get(session.get_absolute_url())).status_code == 404


async def test_link_of_a_conversation_that_was_closed_says_so_to_its_member_alone(
    session: ChatSession, clone: Clone, stranger: User, browser: AsyncClient
) -> None:
    await session.messages.acreate(role=Role.ASSISTANT, content="Half an hour.")
    await Clone.objects.filter(pk=clone.pk).aupdate(visibility="private", name="Renamed", slug="renamed")
    url = session.get_absolute_url()
    for response in (await browser.get(url), await browser.post(url, {"content": "Why?"})):
        assert response.status_code == 404
        assert "no longer open to you" in response.text
        assert reverse("privacy:data") in response.text
        for hidden in ("Renamed", "renamed", "Half an hour"):
            assert hidden not in response.text
    assert await session.messages.acount() == 1
    other = AsyncClient()
    await run_in_thread(other.force_login, stranger)
    foreign = await other.get(url)
    assert foreign.status_code == 404
    assert "no longer open" not in foreign.text


async def test_visitor_is_asked_to_sign_in(session: ChatSession, async_client: AsyncClient) -> None:
    response = await async_client.get(session.get_absolute_url())
    assert response["Location"] == f"/accounts/login/?next={session.get_absolute_url()}"


async def start_running(session: ChatSession, **fields: Any) -> Message:
    """An answer that another process is writing just now."""
    question = await session.messages.acreate(role=Role.USER, content="first")
    return await session.messages.acreate(
        role=Role.ASSISTANT,
        status=MessageStatus.STREAMING,
        reply_to=question,
        heartbeat_at=timezone.now(),
        **fields,
    )


async def test_a_form_posted_twice_is_one_message_and_other_text_another(
    material: Document, session: ChatSession, browser: AsyncClient
) -> None:
    page = (await browser.get(session.get_absolute_url())).text
    page_id = re.search(r'name="page_id" value="([0-9a-f-]{36})"', page)[1]
    for content in (QUESTION, QUESTION, "And the onion?"):
        response = await browser.post(session.get_absolute_url(), {"content": content, "page_id": page_id})
        assert response.status_code == 302
        await last_answer(session)
    asked = [message.content async for message in session.messages.filter(role="user")]
    assert asked == [QUESTION, "And the onion?"]
