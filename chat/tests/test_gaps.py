"""Knowledge gaps: noted, joined, answered, asked again; and what experts and askers see of it."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from datetime import timedelta
from threading import Event
from typing import Any

import pytest
from django.db import connection, transaction
from django.test import AsyncClient, Client
from django.urls import reverse
from django.utils import timezone
from django_q.models import OrmQ

from chat.gap_closing import replay_gap, replay_waiting_gaps
from chat.gaps import drop_empty_gaps, join_gaps, record_api_gap, sort_new_questions
from chat.models import ChatSession, GapQuestion, GapReason, KnowledgeGap, Message
from chat.turns import start_turn, wait_for_answer
from cloneai.accounts.models import ApiKey, User
from cloneai.local_ai.faults import Fault
from cloneai.local_ai.testing import FakeProvider
from cloneai.threads import run_in_thread
from clones.models import Clone
from knowledge.ingestion import ingest_document
from knowledge.models import Document

pytestmark = pytest.mark.django_db(transaction=True)

QUESTION = "How many moons does Jupiter have?"
ANSWER = "Jupiter has ninety-five moons that are named or numbered. The four largest were found by Galileo in 1610."
INBOX = "admin:chat_knowledgegap_changelist"


@pytest.fixture(autouse=True)
def folder(settings: Any, tmp_path: Any) -> None:
    settings.MEDIA_ROOT = tmp_path


def ask(session: ChatSession, question: str = QUESTION) -> Message:
    async def run() -> Message:
        started = await start_turn(session=session, content=question)
        return await wait_for_answer(answer_id=started.answer_id, timeout_seconds=30)

    return asyncio.run(run())


def test_a_question_that_comes_while_its_gap_is_joined_to_another_is_not_lost(
    member: User, session: ChatSession
) -> None:
    """Answers are saved beside the job that joins gaps; a gap that went away at that moment failed the answer."""
    other_words = "Jupiter has how many moons?"
    record_api_gap(clone=session.clone, user=member, question=QUESTION, query="")
    record_api_gap(clone=session.clone, user=member, question=other_words, query="")
    gaps = list(KnowledgeGap.objects.order_by("pk"))
    is_noted, may_commit = Event(), Event()

    def ask_the_younger() -> None:
        with closing(connection), transaction.atomic():
            record_api_gap(clone=session.clone, user=member, question=other_words, query="")
            is_noted.set()
            assert may_commit.wait(10)

    def join() -> None:
        with closing(connection):
            join_gaps(gaps=gaps)

    with ThreadPoolExecutor(2) as pool:
        asking = pool.submit(ask_the_younger)
        assert is_noted.wait(10)
        joining = pool.submit(join)
        with suppress(TimeoutError):
            joining.result(timeout=0.5)
        may_commit.set()
        asking.result(timeout=10)
        joining.result(timeout=10)
    assert KnowledgeGap.objects.get() == gaps[0]
    assert GapQuestion.objects.filter(gap=gaps[0]).count() == 3


def page_of(gap: KnowledgeGap, name: str = "change") -> str:
    return reverse(f"admin:chat_knowledgegap_{name}", args=[gap.pk])


def test_unanswered_then_answered_by_the_expert_then_cited(
    client: Client, expert: User, member: User, session: ChatSession, material: Document
) -> None:
    assert not ask(session).citations.exists()
    gap = KnowledgeGap.objects.get()
    client.force_login(expert)
    client.post(page_of(gap, "answer"), {"answer": ANSWER})
    gap.refresh_from_db()
    assert gap.document is not None
    assert gap.is_being_replayed
    assert 'http-equiv="refresh"' in client.get(page_of(gap)).content.decode()
    ingest_document(document_id=gap.document.pk)
    assert replay_gap(gap_id=gap.pk)
    gap.refresh_from_db()
    asked = gap.questions.get()
    assert gap.closed_at is not None
    assert asked.is_answered_now
    assert "ninety-five moons" in asked.replay_answer
    assert asked.replay_sources[0]["document_id"] == str(gap.document.pk)
    page = client.get(page_of(gap)).content.decode()
    for text in ("Answered now", "ninety-five moons", session.clone.no_answer_text[:30], member.pseudonym):
        assert text in page
    assert member.email not in page
    client.force_login(member)
    sessions = client.get("/chat/").content.decode()
    assert "Answered now" in sessions
    assert QUESTION in sessions
    again = ask(ChatSession.objects.create(user=member, clone=session.clone))
    assert again.citations.get(number=1).document == gap.document


def test_an_answer_that_does_not_help_leaves_the_gap_open_and_says_so(
    client: Client, expert: User, session: ChatSession, material: Document
) -> None:
    ask(session)
    gap = KnowledgeGap.objects.get()
    client.force_login(expert)
    client.post(
        page_of(gap, "answer"), {"answer": "Bread needs flour, water, salt and a warm place to rise."}
    )
    gap.refresh_from_db()
    Document.objects.filter(pk=gap.document_id).update(title="Bread")
    ingest_document(document_id=gap.document.pk)
    # The heading holds the question's words, so what it says is found; only the document's text is changed here.
    from knowledge.models import Chunk

    Chunk.objects.filter(document=gap.document_id).delete()
    replay_gap(gap_id=gap.pk)
    gap.refresh_from_db()
    assert gap.closed_at is None
    assert "Still not answered" in client.get(page_of(gap)).content.decode()


def test_an_answer_can_be_improved_as_a_new_version(
    client: Client, expert: User, session: ChatSession, material: Document
) -> None:
    ask(session)
    gap = KnowledgeGap.objects.get()
    client.force_login(expert)
    for text in (ANSWER, f"{ANSWER} Ganymede is larger than Mercury."):
        client.post(page_of(gap, "answer"), {"answer": text})
        gap.refresh_from_db()
        ingest_document(document_id=gap.document.pk)
    assert Document.objects.filter(clone=gap.clone).count() == 2
    gap.document.refresh_from_db()
    assert gap.document.live_version == 2


@pytest.mark.parametrize(("text", "reason"), [("", "required"), ("Too short", "at least a sentence")])
def test_bad_answers_get_a_clear_sentence(
    text: str, reason: str, client: Client, expert: User, session: ChatSession, material: Document
) -> None:
    ask(session)
    gap = KnowledgeGap.objects.get()
    client.force_login(expert)
    response = client.post(page_of(gap, "answer"), {"answer": text})
    assert response.status_code == 422
    assert reason in response.content.decode()
    assert Document.objects.count() == 1


def test_replay_waits_for_the_document_and_the_sweep_finishes_it(
    client: Client, expert: User, session: ChatSession, material: Document
) -> None:
    ask(session)
    gap = KnowledgeGap.objects.get()
    client.force_login(expert)
    client.post(page_of(gap, "answer"), {"answer": ANSWER})
    assert {job.task["func"] for job in OrmQ.objects.all()} >= {"chat.tasks.replay_gap"}
    assert not replay_gap(gap_id=gap.pk, wait_seconds=0)
    gap.refresh_from_db()
    ingest_document(document_id=gap.document.pk)
    KnowledgeGap.objects.update(replay_wanted_at=timezone.now() - timedelta(minutes=2))
    assert replay_waiting_gaps() == 1
    assert GapQuestion.objects.get().is_answered_now


def test_a_failing_provider_is_shown_on_the_gap(
    client: Client, expert: User, session: ChatSession, provider: FakeProvider, material: Document
) -> None:
    Clone.objects.filter(pk=session.clone_id).update(similarity_threshold=0.99)
    session.clone.refresh_from_db()
    ask(session)
    gap = KnowledgeGap.objects.get()
    client.force_login(expert)
    Clone.objects.filter(pk=session.clone_id).update(similarity_threshold=0.0)
    client.post(page_of(gap, "replay"))
    provider.always(Fault(path="/chat/completions", status=401))
    replay_gap(gap_id=gap.pk)
    assert "could not be asked again" in client.get(page_of(gap)).content.decode()


def test_questions_that_mean_the_same_are_one_gap_ranked_by_people(
    clone: Clone, member: User, stranger: User, expert: User, client: Client
) -> None:
    for user in (member, stranger):
        for question in ("How do I bake sourdough bread?", "how do i bake SOURDOUGH bread"):
            ask(ChatSession.objects.create(user=user, clone=clone), question)
    ask(ChatSession.objects.create(user=member, clone=clone), "How can I bake a sourdough bread at home?")
    for _time in range(3):
        ask(ChatSession.objects.create(user=member, clone=clone), "What is the tax rate in Norway?")
    assert KnowledgeGap.objects.count() == 3  # the same words are joined at once
    assert sort_new_questions() == 8
    assert sort_new_questions() == 0
    client.force_login(expert)
    listed = list(client.get(reverse(INBOX)).context["cl"].result_list)
    assert [(str(gap), gap.people, gap.times) for gap in listed] == [
        ("How do I bake sourdough bread?", 2, 5),
        ("What is the tax rate in Norway?", 1, 3),
    ]


@pytest.mark.parametrize(
    ("first", "second", "gaps"),
    [
        ("How do I give negative feedback?", "How do I receive negative feedback?", 2),
        ("Can I cancel my subscription?", "Can I change my subscription?", 2),
        ("What is the price of a coaching session?", "How much does coaching cost?", 1),
        ("How do I run a remote team meeting?", "How should I run meetings with a remote team?", 1),
    ],
)
def test_like_questions_for_different_things_stay_apart(
    first: str, second: str, gaps: int, clone: Clone, member: User
) -> None:
    for question in (first, second):
        record_api_gap(clone=clone, user=member, question=question, query="")
        sort_new_questions()
    assert KnowledgeGap.objects.count() == gaps


def test_gaps_are_joined_by_hand_within_one_clone(client: Client, expert: User, session: ChatSession) -> None:
    for question in ("How high is the tower of Pisa?", "Who painted the Mona Lisa?"):
        ask(session, question)
    client.force_login(expert)
    keys = list(KnowledgeGap.objects.values_list("pk", flat=True))
    client.post(reverse(INBOX), {"action": "join", "_selected_action": keys})
    assert KnowledgeGap.objects.get().questions.count() == 2


def test_disliked_answers_are_gaps_until_the_rating_is_taken_back(
    client: Client, member: User, session: ChatSession, material: Document
) -> None:
    answer = ask(session, "How long does the pepper soup simmer?")
    assert answer.citations.exists()
    client.force_login(member)
    url = f"/chat/messages/{answer.pk}/feedback/"
    client.post(url, {"rating": "-1"})
    client.post(url, {"comment": "Too short."})
    asked = GapQuestion.objects.get()
    assert (asked.reason, asked.asked_by) == (GapReason.DISLIKED, member)
    client.post(url, {"rating": "1"})
    assert not KnowledgeGap.objects.exists()


HEDGED = "I have nothing that answers this exactly. The nearest I have written is this:\n\nSimmer it. [1]"
SIMMER = "How long does the pepper soup simmer?"


@pytest.mark.parametrize("text", [HEDGED, "{no_answer} The nearest is this: simmer it. [1]"])
def test_questions_answered_with_the_nearest_passages_are_gaps_and_shown_as_such(
    text: str,
    client: Client,
    expert: User,
    member: User,
    session: ChatSession,
    provider: FakeProvider,
    material: Document,
) -> None:
    said = text.replace("{no_answer}", session.clone.no_answer_text)
    provider.always(Fault(path="/chat/completions", answer=said))
    for _time in range(2):
        assert ask(session, SIMMER).citations.filter(is_cited=True).exists()
    gap = KnowledgeGap.objects.get()
    assert {one.reason for one in gap.questions.all()} == {GapReason.NEAREST}
    client.force_login(expert)
    for page in (client.get(reverse(INBOX)).text, client.get(page_of(gap)).text):
        assert "Answered with the nearest passages" in page
        assert member.email not in page
    page = client.get(page_of(gap)).text
    assert "nothing answers this exactly" in page
    assert "Simmer it." not in page  # what was said is not the expert's to read


def test_gaps_that_were_closed_do_not_come_back_by_the_nearest_passages(
    clone: Clone, member: User, provider: FakeProvider, material: Document
) -> None:
    def ask_anew(said: str) -> None:
        provider.always(Fault(path="/chat/completions", answer=said))
        ask(ChatSession.objects.create(user=member, clone=clone), SIMMER)

    ask_anew(HEDGED)
    KnowledgeGap.objects.update(closed_at=timezone.now())
    ask_anew(HEDGED)
    assert GapQuestion.objects.count() == 1
    ask_anew(clone.no_answer_text)
    assert [one.reason for one in GapQuestion.objects.order_by("created_at")] == ["nearest", "unanswered"]


def test_a_replay_that_finds_the_nearest_again_leaves_the_gap_open(
    client: Client, expert: User, session: ChatSession, provider: FakeProvider, material: Document
) -> None:
    provider.always(Fault(path="/chat/completions", answer=HEDGED))
    ask(session, SIMMER)
    gap = KnowledgeGap.objects.get()
    client.force_login(expert)
    for answer, is_closed in ((HEDGED, False), ("Simmer it. [1]", True)):
        provider.always(Fault(path="/chat/completions", answer=answer))
        client.post(page_of(gap, "replay"))
        replay_gap(gap_id=gap.pk)
        gap.refresh_from_db()
        assert (gap.closed_at is not None) is is_closed


def test_words_of_distress_are_no_gap_by_the_nearest_passages_either(
    session: ChatSession, provider: FakeProvider, material: Document
) -> None:
    provider.always(Fault(path="/chat/completions", answer=HEDGED))
    ask(session, f"I want to kill myself. {SIMMER}")
    assert not KnowledgeGap.objects.exists()


async def test_nearest_passages_over_the_openai_api_are_gaps_too(
    member: User, clone: Clone, provider: FakeProvider, material: Document
) -> None:
    _key, token = await run_in_thread(ApiKey.issue, user=member, name="k")
    provider.always(Fault(path="/chat/completions", answer=HEDGED))
    response = await AsyncClient().post(
        "/v1/chat/completions",
        {"model": clone.slug, "messages": [{"role": "user", "content": SIMMER}]},
        content_type="application/json",
        headers={"Authorization": f"Bearer {token}"},
    )
    assert response.json()["citations"]
    asked = await GapQuestion.objects.aget()
    assert (asked.reason, asked.message_id, asked.question) == (GapReason.NEAREST, None, SIMMER)


async def test_questions_over_the_openai_api_are_gaps_too(
    member: User, clone: Clone, material: Document
) -> None:
    _key, token = await run_in_thread(ApiKey.issue, user=member, name="k")
    for is_streamed in (False, True):
        response = await AsyncClient().post(
            "/v1/chat/completions",
            {"model": clone.slug, "messages": [{"role": "user", "content": QUESTION}], "stream": is_streamed},
            content_type="application/json",
            headers={"Authorization": f"Bearer {token}"},
        )
        if is_streamed:
            assert b"[DONE]" in b"".join([piece async for piece in response.streaming_content])
    asked = [one async for one in GapQuestion.objects.select_related("asked_by")]
    assert [(one.message_id, one.asked_by, one.question) for one in asked] == [(None, member, QUESTION)] * 2
    assert await KnowledgeGap.objects.acount() == 1


def test_gaps_without_questions_are_not_listed_and_dropped(
    client: Client, expert: User, member: User, session: ChatSession
) -> None:
    ask(session)
    session.delete()
    client.force_login(expert)
    assert not list(client.get(reverse(INBOX)).context["cl"].result_list)
    assert drop_empty_gaps() == 1


def test_the_experts_own_question_is_shown_as_their_own(client: Client, expert: User, clone: Clone) -> None:
    ask(ChatSession.objects.create(user=expert, clone=clone))
    client.force_login(expert)
    assert expert.email in client.get(page_of(KnowledgeGap.objects.get())).content.decode()
