"""Summaries: in parts when the conversation is long, linked to their messages, failed states that say why."""

import re
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from django_q.models import OrmQ

from billing.models import CostRecord, Purpose
from chat.languages import guess_language
from chat.models import ChatSession, Message, Role, SessionSummary, SummaryStatus, SummaryType
from chat.open_items import find_open_items
from chat.settling import settle_idle_sessions
from chat.summaries import REFUSED, UNUSABLE, fail_stale_summaries, request_summary, write_summary
from chat.summary_parts import merge
from chat.summary_writing import link_messages
from cloneai.accounts.models import User
from cloneai.local_ai.faults import Fault
from cloneai.local_ai.testing import FakeProvider
from clones.models import Clone

pytestmark = pytest.mark.django_db(transaction=True)

FIRST = "I am worried about my garden in Sweden. How should I plant the apple trees?"
LAST = "One more thing: how do I prepare for the violin concert in December?"
FILLER = (
    "My team of nine grows and I lose sight of what everybody does. We meet each week and talk about numbers, but "
    "nobody says what is hard. I want to change that without adding more meetings to the calendar of anyone. "
)


def talk(session: ChatSession, *pairs: tuple[str, str]) -> list[Message]:
    """Questions and answers, a minute apart."""
    said = []
    at = timezone.now() - timedelta(hours=2)
    for question, answer in pairs:
        for role, content in ((Role.USER, question), (Role.ASSISTANT, answer)):
            at += timedelta(minutes=1)
            said.append(Message.objects.create(session=session, role=role, content=content, created_at=at))
    return said


def talk_long(session: ChatSession, *, chars: int = 38_000) -> list[Message]:
    """A conversation of so many characters that begins and ends with a subject of its own."""
    pairs = [(FIRST, "Plant the apple trees in April. You should water the apple trees weekly.")]
    while sum(len(question) + len(answer) for question, answer in pairs) < chars - 500:
        turn = len(pairs)
        pairs.append(
            (f"Week {turn}: {FILLER}", f"In week {turn} you should ask each person one question. {FILLER}")
        )
    pairs.append((LAST, "For the violin concert you should practise the violin each morning."))
    return talk(session, *pairs)


def write(session: ChatSession, summary_type: str) -> SessionSummary:
    summary = request_summary(session=session, summary_type=summary_type)
    write_summary(summary_id=summary.pk)
    summary.refresh_from_db()
    return summary


@pytest.mark.parametrize("summary_type", SummaryType.values)
def test_a_long_conversation_is_summarised_in_parts_within_the_context(
    summary_type: str, session: ChatSession, provider: FakeProvider, settings: Any
) -> None:
    messages = talk_long(session)
    summary = write(session, summary_type)
    assert summary.status == SummaryStatus.READY, summary.error_message
    sent = [request.json for request in provider.requests_to("/chat/completions")]
    assert len(sent) > 1
    from billing.tokens import count_tokens

    for request in sent:
        tokens = sum(count_tokens(part["content"], model="gpt-4.1") for part in request["messages"])
        assert tokens + request.get("max_tokens", 0) <= settings.MAX_CONTEXT_LENGTH
    assert CostRecord.objects.filter(purpose=Purpose.SUMMARY, session=session).count() == len(sent)
    known = {str(message.pk) for message in messages}
    for item in summary.structured_data.get("action_items", []):
        assert item["message_id"] in known
    if summary_type == SummaryType.DETAILED:
        topics = " ".join(summary.structured_data["main_topics"]).lower()
        assert "apple" in topics
        assert "violin" in topics


def test_one_message_longer_than_the_context_is_cut_into_lines_of_its_number(
    session: ChatSession, provider: FakeProvider
) -> None:
    talk(session, (FILLER * 130, "You should begin with one question a week."))
    summary = write(session, "action_items")
    assert summary.status == SummaryStatus.READY, summary.error_message
    transcripts = [
        request.json["messages"][1]["content"] for request in provider.requests_to("/chat/completions")
    ]
    assert len(transcripts) > 1
    assert all("[m1] MEMBER:" in text for text in transcripts[:-1])
    items = summary.structured_data["action_items"]
    assert {item["message_number"] for item in items} <= {1, 2}


def test_parts_are_merged_without_losing_either_end() -> None:
    parts = [[f"topic {part}-{index}" for index in range(5)] for part in range(6)]
    merged = merge(parts, most=8)
    assert len(merged) == 8
    assert merged[0] == "topic 0-0"
    assert merged[-1] == "topic 5-4"
    assert merged == sorted(merged)
    assert merge([["Sleep", "Work"], ["sleep.", "Work!"]], most=8) == ["Sleep", "Work!"]
    assert merge([[], []], most=8) == []


def test_action_items_keep_or_find_their_message_or_go(session: ChatSession) -> None:
    messages = talk(session, ("How do I sleep better?", "You should switch the phone off at nine."))
    items = [
        {"description": "Switch the phone off at nine", "message_number": 2},
        {"description": "Switch the phone off at nine", "message_number": 99},
        {"description": "Buy a helicopter", "message_number": 0},
        {"description": "Rester au lit plus longtemps", "message_number": 1},
    ]
    linked = link_messages({"action_items": items}, messages)["action_items"]
    assert [item["message_number"] for item in linked] == [2, 2, 1]
    assert {item["message_id"] for item in linked} <= {str(message.pk) for message in messages}


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (Fault(path="/chat/completions", refusal="I cannot."), REFUSED),
        (Fault(path="/chat/completions", finish_reason="length"), UNUSABLE),
        (Fault(path="/chat/completions", json_answer={"main_topics": "none"}), UNUSABLE),
        (Fault(path="/chat/completions", status=401), "configuration|operator|administrator|unavailable"),
    ],
)
def test_failures_are_visible_with_their_reason_and_can_be_tried_again(
    fault: Fault, message: str, session: ChatSession, member: User, client: Client, provider: FakeProvider
) -> None:
    talk(session, (FIRST, "You should plant them in April."))
    provider.always(fault)
    summary = write(session, "detailed")
    assert summary.status == SummaryStatus.FAILED
    assert summary.error_message == message or re.search(message, summary.error_message)
    client.force_login(member)
    url = f"/chat/{session.pk}/summary/"
    page = client.get(url).content.decode()
    assert summary.error_message in page
    assert "Try again" in page
    client.post(url, {"type": "detailed"})
    assert session.summaries.filter(status=SummaryStatus.QUEUED).count() == 1


def test_nothing_said_ends_in_a_reason_without_a_call(session: ChatSession, provider: FakeProvider) -> None:
    assert write(session, "brief").status == SummaryStatus.FAILED
    assert not provider.requests


def test_lost_jobs_and_dead_workers_are_ended(session: ChatSession) -> None:
    long_ago = timezone.now() - timedelta(hours=2)
    SessionSummary.objects.create(session=session, created_at=long_ago)
    SessionSummary.objects.create(session=session, status=SummaryStatus.RUNNING, started_at=long_ago)
    alive = SessionSummary.objects.create(session=session)
    assert fail_stale_summaries() == 2
    assert session.summaries.exclude(status=SummaryStatus.FAILED).get() == alive


@pytest.mark.parametrize(
    ("text", "language"),
    [
        (FIRST, "English"),
        ("Ich weiß nicht, wie ich das mit meinem Team machen kann, und es ist mir wichtig.", "German"),
        ("Je ne sais pas comment je peux parler avec mon équipe, et c'est difficile pour moi.", "French"),
        ("No sé cómo hablar con mi equipo, pero es muy importante para mí y para los demás.", "Spanish"),
        ("Я не знаю, как говорить со своей командой.", "Russian"),
        ("チームと話す方法がわかりません。", "Japanese"),
        ("ok", ""),
    ],
)
def test_language_is_named_where_it_is_known(text: str, language: str) -> None:
    assert guess_language(text) == language


def test_the_members_language_is_asked_for(session: ChatSession, provider: FakeProvider) -> None:
    talk(session, ("Wie kann ich mit meinem Team über das reden, was nicht gut ist?", "You should ask."))
    write(session, "brief")
    assert "Write in German." in provider.requests_to("/chat/completions")[-1].json["messages"][0]["content"]


def queued_jobs() -> list[str]:
    return sorted(job.task["func"] for job in OrmQ.objects.all())


def test_idle_conversations_leave_summary_and_memories_once(
    session: ChatSession, clone: Clone, member: User
) -> None:
    talk(session, (FIRST, "In April."))
    fresh = ChatSession.objects.create(clone=clone, user=member)
    talk(fresh, (FIRST, "In April."))
    empty = ChatSession.objects.create(clone=clone, user=member)
    old = timezone.now() - timedelta(minutes=31)
    ChatSession.objects.filter(pk__in=[session.pk, empty.pk]).update(last_activity_at=old)
    assert settle_idle_sessions() == 1
    assert settle_idle_sessions() == 0
    assert queued_jobs() == ["chat.tasks.extract_memories", "chat.tasks.write_summary"]
    assert SessionSummary.objects.get().session == session
    OrmQ.objects.all().delete()
    SessionSummary.objects.update(status=SummaryStatus.READY)
    # It goes on after the pause, and is idle again.
    later = timezone.now() + timedelta(minutes=45)
    ChatSession.objects.filter(pk=session.pk).update(last_activity_at=timezone.now())
    assert settle_idle_sessions(now=later) >= 1
    assert session.summaries.count() == 2


def test_ending_right_after_it_was_settled_asks_for_nothing_twice(session: ChatSession, member: User) -> None:
    from chat.sessions import end_session

    talk(session, (FIRST, "In April."))
    ChatSession.objects.filter(pk=session.pk).update(last_activity_at=timezone.now() - timedelta(hours=1))
    settle_idle_sessions()
    end_session(session=session)
    assert session.is_ended
    assert session.summaries.count() == 1


def test_unremembered_conversations_are_summarised_but_not_learned_from(session: ChatSession) -> None:
    from chat.sessions import end_session

    talk(session, (FIRST, "In April."))
    ChatSession.objects.filter(pk=session.pk).update(is_remembered=False)
    end_session(session=session)
    assert queued_jobs() == ["chat.tasks.write_summary"]


def test_member_ticks_items_and_open_ones_begin_the_next_conversation(
    session: ChatSession, clone: Clone, member: User, client: Client
) -> None:
    said = talk(session, (FIRST, "You should plant them in April. You should water them weekly."))
    items = [
        {
            "description": text,
            "priority": "high",
            "estimated_effort": "small",
            "message_id": str(said[1].pk),
        }
        for text in ("Plant the trees", "Water the trees")
    ]
    summary = SessionSummary.objects.create(
        session=session,
        status=SummaryStatus.READY,
        summary_text="## Action items\n\n- Plant the trees",
        structured_data={"action_items": items},
    )
    client.force_login(member)
    response = client.post(f"/chat/summaries/{summary.pk}/items/0/", {"done": "1"})
    assert response.headers["Location"].endswith(f"/chat/{session.pk}/summary/#item-0")
    assert client.post(f"/chat/summaries/{summary.pk}/items/7/", {"done": "1"}).status_code == 404
    page = client.get(f"/chat/{session.pk}/summary/").content.decode()
    assert page.count('aria-pressed="true"') == 1
    assert f"#m-{said[1].pk}" in page
    following = ChatSession.objects.create(clone=clone, user=member)
    assert [item.description for item in find_open_items(session=following)] == ["Water the trees"]
    opened = client.get(f"/chat/{following.pk}/").content.decode()
    assert "Last time you set out to" in opened
    assert "Water the trees" in opened
    assert "Plant the trees" not in opened


def test_summary_is_downloaded_as_markdown(session: ChatSession, member: User, client: Client) -> None:
    talk(session, (FIRST, "You should plant them in April."))
    write(session, "brief")
    client.force_login(member)
    assert client.get(f"/chat/{session.pk}/summary/download/").status_code == 404  # no detailed one
    response = client.get(f"/chat/{session.pk}/summary/download/?type=brief")
    assert response.headers["Content-Type"].startswith("text/markdown")
    assert ".md" in response.headers["Content-Disposition"]
    assert session.clone.name in response.content.decode()
