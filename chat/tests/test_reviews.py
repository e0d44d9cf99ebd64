"""The review queue's flags, filters and history, help at once, and the expert's insights."""

import asyncio
from datetime import timedelta
from decimal import Decimal

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from billing.models import utc_today
from chat.models import (
    ChatSession,
    Citation,
    GapQuestion,
    KnowledgeGap,
    Message,
    ReviewState,
    Role,
    SessionSummary,
    SummaryStatus,
)
from chat.session_reports import report_sessions
from chat.turns import start_turn, wait_for_answer
from cloneai.accounts.models import AuditEntry, User
from clones.models import Clone

pytestmark = pytest.mark.django_db(transaction=True)

QUEUE = "admin:chat_sessionsummary_changelist"
INSIGHTS = "admin:chat_insights"


def summarise(session: ChatSession, **fields: object) -> SessionSummary:
    return SessionSummary.objects.create(session=session, status=SummaryStatus.READY, **fields)


def exchange(session: ChatSession, question: str = "How?", answer: str = "So.", **fields: object) -> Message:
    asked = Message.objects.create(session=session, role=Role.USER, content=question)
    return Message.objects.create(
        session=session, role=Role.ASSISTANT, content=answer, reply_to=asked, **fields
    )


@pytest.fixture
def queue(clone: Clone, member: User) -> dict[str, SessionSummary]:
    """One summary for each flag, and one without."""
    found = {}
    for name in ("plain", "distress", "disliked", "unsupported", "no_context"):
        session = ChatSession.objects.create(clone=clone, user=member, title=name)
        answer = exchange(session, retrieval_quality={"status": "good"})
        found[name] = summarise(session)
        if name == "distress":
            Message.objects.create(session=session, role=Role.USER, content="I want to die", is_distress=True)
        if name == "disliked":
            Message.objects.filter(pk=answer.pk).update(rating=-1)
        if name == "unsupported":
            Citation.objects.create(
                message=answer, number=1, title="T", page=1, quote="q", start_char=0, end_char=1,
                similarity_score=0.5, is_supported=False,
            )  # fmt: skip
        if name == "no_context":
            gap = KnowledgeGap.objects.create(clone=clone)
            GapQuestion.objects.create(gap=gap, message=answer, asked_by=member, question="How?")
            Message.objects.filter(pk=answer.pk).update(retrieval_quality={"status": "no_context"})
    return found


def listed(client: Client, **query: str) -> set[str]:
    response = client.get(reverse(QUEUE), query)
    assert response.status_code == 200
    return {summary.session.title for summary in response.context["cl"].result_list}


def test_flags_and_filters_find_what_they_say(
    client: Client, reviewer: User, queue: dict[str, SessionSummary]
) -> None:
    client.force_login(reviewer)
    flagged = {"distress", "disliked", "unsupported", "no_context"}
    for name in flagged:
        assert listed(client, flag=name) == {name}
    assert listed(client, flag="any") == flagged
    assert listed(client, quality="poor") == {"no_context"}
    assert listed(client, quality="good") == {*flagged, "plain"} - {"no_context"}
    assert listed(client, feedback="bad") == {"disliked"}
    assert listed(client, feedback="none") == {*flagged, "plain"} - {"disliked"}
    assert listed(client, cost="1") == set()
    assert listed(client, flag="nonsense") == {*flagged, "plain"}
    page = client.get(reverse(QUEUE))
    assert page.context["numbers"] == {
        "new": 5, "in_review": 0, "done": 0, "failed": 0, "mine": 0, "flagged": 4,
    }  # fmt: skip
    assert "Unsupported claim" in page.content.decode()


def test_reviewer_takes_notes_and_finishes_beside_the_transcript(
    client: Client, reviewer: User, member: User, queue: dict[str, SessionSummary]
) -> None:
    summary = queue["distress"]
    client.force_login(reviewer)
    client.post(reverse(QUEUE), {"action": "assign_to_me", "_selected_action": [summary.pk]})
    assert listed(client, assigned="me") == {"distress"}
    url = reverse("admin:chat_sessionsummary_change", args=[summary.pk])
    form = {"review_state": "done", "assignee": reviewer.pk, "review_note": "Called the team lead."}
    assert client.post(url, form).status_code == 302
    assert client.post(url, {**form, "assignee": member.pk}).status_code == 200  # no reviewer, no choice
    summary.refresh_from_db()
    assert (summary.review_state, summary.assignee) == (ReviewState.DONE, reviewer)
    page = client.get(url).content.decode()
    for text in ("I want to die", "Distress", "History", "assigned", "changed the note"):
        assert text in page
    assert AuditEntry.objects.filter(
        action="transcript.view", target=f"chatsession:{summary.session_id}"
    ).exists()


def test_expert_reads_neither_transcript_nor_who_reviewed(
    client: Client, expert: User, reviewer: User, queue: dict[str, SessionSummary]
) -> None:
    client.force_login(reviewer)
    client.post(reverse(QUEUE), {"action": "mark_done", "_selected_action": [queue["distress"].pk]})
    client.force_login(expert)
    page = client.get(
        reverse("admin:chat_sessionsummary_change", args=[queue["distress"].pk])
    ).content.decode()
    assert "I want to die" not in page
    assert reviewer.email not in page
    assert not AuditEntry.objects.filter(action="transcript.view").exists()


def test_experts_see_themselves_in_their_own_conversations(
    client: Client, expert: User, clone: Clone
) -> None:
    summarise(ChatSession.objects.create(clone=clone, user=expert, title="Mine"))
    client.force_login(expert)
    page = client.get(reverse(QUEUE)).content.decode()
    assert expert.email in page
    assert expert.pseudonym not in page


def test_action_items_of_a_detailed_summary_stand_there_once(
    client: Client, reviewer: User, session: ChatSession
) -> None:
    text = "## Main topics\n\n- Sleep\n\n## Action items\n\n- Walk after lunch\n\n## Next steps\n\n- Rest"
    item = {"description": "Walk after lunch", "priority": "high", "estimated_effort": "small"}
    summary = summarise(session, summary_text=text, structured_data={"action_items": [item]})
    client.force_login(reviewer)
    page = client.get(reverse("admin:chat_sessionsummary_change", args=[summary.pk])).content.decode()
    assert page.count("Walk after lunch") == 1
    assert "Next steps" in page


def test_help_is_shown_at_once_and_stays(client: Client, member: User, session: ChatSession) -> None:
    async def say() -> None:
        started = await start_turn(session=session, content="Some nights I want to die.")
        await wait_for_answer(answer_id=started.answer_id, timeout_seconds=30)

    asyncio.run(say())
    assert Message.objects.get(role=Role.USER).is_distress
    assert not KnowledgeGap.objects.exists()  # it would quote them to the expert
    client.force_login(member)
    assert "findahelpline.com" in client.get(f"/chat/{session.pk}/").content.decode()


def test_insights_count_what_happened_with_own_clones(
    client: Client, expert: User, other_clone: Clone, clone: Clone, member: User, stranger: User
) -> None:
    for user, days_ago in ((member, 0), (member, 3), (stranger, 0), (stranger, 40)):
        at = timezone.now() - timedelta(days=days_ago)
        session = ChatSession.objects.create(clone=clone, user=user, created_at=at)
        answer = exchange(session, question="How do I  delegate?" if days_ago else "How do I delegate?")
        Message.objects.filter(session=session).update(created_at=at)
        Message.objects.filter(pk=answer.pk).update(rating=1 if user == member else -1)
        summarise(session, structured_data={"main_topics": ["Delegation", "sleep"]}, created_at=at)
    exchange(ChatSession.objects.create(clone=other_clone, user=member), question="Secret")
    today = utc_today()
    report = report_sessions(viewer=expert, first_day=today - timedelta(days=29), last_day=today)
    assert (report.sessions, report.members, report.returning, report.previous_sessions) == (3, 2, 1, 1)
    assert (report.liked, report.disliked, report.answers) == (2, 1, 3)
    assert report.satisfaction == pytest.approx(2 / 3)
    assert report.cost_per_session_usd == Decimal(0)
    assert report.trend_percent == pytest.approx(200)
    assert report.topics == [("Delegation", 3), ("Sleep", 3)]
    assert report.questions == [("How do I delegate?", 2)]
    client.force_login(expert)
    page = client.get(reverse(INSIGHTS))
    assert page.status_code == 200
    assert "Secret" not in page.content.decode()
    assert (
        client.get(reverse(INSIGHTS), {"clone": other_clone.pk}).context["report"].sessions == 3
    )  # not theirs
    for query in ({"clone": "x"}, {"first_day": "never"}):
        assert client.get(reverse(INSIGHTS), query).status_code == 200


def test_insights_are_closed_to_members_and_empty_without_conversations(
    client: Client, member: User, expert: User, clone: Clone
) -> None:
    client.force_login(member)
    assert client.get(reverse(INSIGHTS)).status_code == 302
    client.force_login(expert)
    assert "no conversation in this period" in client.get(reverse(INSIGHTS)).content.decode()
