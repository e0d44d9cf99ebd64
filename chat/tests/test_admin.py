"""Conversations in the admin: transcripts for reviewers, summaries and gaps for experts, by pseudonym."""

from decimal import Decimal

import pytest
from django.test import Client
from django.urls import reverse

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
from cloneai.accounts.models import AuditEntry, User
from clones.models import Clone

SESSIONS = "admin:chat_chatsession_changelist"
SUMMARIES = "admin:chat_sessionsummary_changelist"
GAPS = "admin:chat_knowledgegap_changelist"


@pytest.fixture
def session(clone: Clone, member: User) -> ChatSession:
    session = ChatSession.objects.create(clone=clone, user=member, title="Feeling tired")
    question = Message.objects.create(session=session, role=Role.USER, content="<b>Why</b> am I tired?")
    answer = Message.objects.create(
        session=session,
        role=Role.ASSISTANT,
        reply_to=question,
        content="**Sleep** matters [1]. <script>alert(1)</script>",
        model="gpt-4o-mini",
        input_tokens=321,
        output_tokens=45,
        cost_usd=Decimal("0.000123"),
        processing_time_ms=987,
    )
    Citation.objects.create(
        message=answer,
        number=1,
        title="Sleep guide",
        page=4,
        quote="q",
        start_char=0,
        end_char=1,
        similarity_score=0.5,
    )
    return session


@pytest.fixture
def summary(session: ChatSession) -> SessionSummary:
    return SessionSummary.objects.create(
        session=session,
        status=SummaryStatus.READY,
        summary_text="## Main topics\n\n- Sleep <img src=x>",
        structured_data={
            "action_items": [
                {"description": "Go to bed at ten", "priority": "high", "estimated_effort": "small"}
            ]
        },
    )


def make_gap(session: ChatSession) -> KnowledgeGap:
    gap = KnowledgeGap.objects.create(clone=session.clone)
    answer = Message.objects.create(session=session, role=Role.ASSISTANT, content="Not in my material.")
    GapQuestion.objects.create(gap=gap, message=answer, asked_by=session.user, question="Why am I tired?")
    return gap


def transcript_url(session: ChatSession) -> str:
    return reverse("admin:chat_chatsession_change", args=[session.pk])


def summary_url(summary: SessionSummary) -> str:
    return reverse("admin:chat_sessionsummary_change", args=[summary.pk])


def test_reviewer_reads_the_transcript_with_sources_and_figures(
    client: Client, reviewer: User, session: ChatSession
):
    client.force_login(reviewer)
    page = client.get(transcript_url(session)).content.decode()
    assert "<strong>Sleep</strong>" in page
    assert "[1] Sleep guide, page 4" in page
    for figure in ("gpt-4o-mini", "321, 45", "$0.000123", "987 ms"):
        assert figure in page


def test_transcript_shows_markup_of_people_and_models_as_text(
    client: Client, reviewer: User, session: ChatSession
):
    client.force_login(reviewer)
    page = client.get(transcript_url(session)).content.decode()
    assert "&lt;b&gt;Why&lt;/b&gt;" in page
    assert "<script>alert" not in page


def test_opening_a_transcript_is_logged_once_a_view(client: Client, reviewer: User, session: ChatSession):
    client.force_login(reviewer)
    client.get(reverse(SESSIONS))
    assert not AuditEntry.objects.exists()
    client.get(transcript_url(session))
    entry = AuditEntry.objects.get()
    assert (entry.action, entry.actor, entry.target) == (
        "transcript.view",
        reviewer,
        f"chatsession:{session.pk}",
    )


def test_transcript_is_closed_to_the_expert_of_the_clone(client: Client, expert: User, session: ChatSession):
    client.force_login(expert)
    assert client.get(reverse(SESSIONS)).status_code == 403
    response = client.get(transcript_url(session))
    assert response.status_code in (403, 404)
    assert not AuditEntry.objects.exists()


def test_nobody_writes_in_a_transcript(client: Client, admin: User, session: ChatSession):
    client.force_login(admin)
    client.post(transcript_url(session), {"title": "other"})
    client.post(reverse("admin:chat_chatsession_delete", args=[session.pk]), {"post": "yes"})
    session.refresh_from_db()
    assert session.title == "Feeling tired"


def test_replaced_messages_are_shown_on_request_only(client: Client, reviewer: User, session: ChatSession):
    Message.objects.create(session=session, role=Role.ASSISTANT, content="The first try", is_current=False)
    client.force_login(reviewer)
    assert "The first try" not in client.get(transcript_url(session)).content.decode()
    assert "The first try" in client.get(transcript_url(session) + "?replaced").content.decode()


@pytest.mark.parametrize("word", ["tired", "MEMBER@example.com", "Ada", "Sleep matters"])
def test_reviewer_finds_a_session_by_title_member_clone_and_words(
    client: Client, reviewer: User, session: ChatSession, stranger: User, other_clone: Clone, word: str
):
    other = ChatSession.objects.create(clone=other_clone, user=stranger, title="Something else")
    client.force_login(reviewer)
    found = client.get(reverse(SESSIONS), {"q": word}).context["cl"].result_list
    assert list(found) == [session]
    assert other not in found


def test_sessions_are_filtered_by_clone_and_state(
    client: Client, reviewer: User, session: ChatSession, stranger: User, other_clone: Clone
):
    from django.utils import timezone

    ended = ChatSession.objects.create(clone=other_clone, user=stranger, ended_at=timezone.now())
    client.force_login(reviewer)
    for query, expected in (
        ({"clone": session.clone_id}, [session]),
        ({"ended": "1"}, [ended]),
        ({"ended": "0"}, [session]),
        ({"clone": "no number"}, []),
    ):
        assert list(client.get(reverse(SESSIONS), query).context["cl"].result_list) == expected, query


def test_summary_is_rendered_safely_with_its_action_items(
    client: Client, reviewer: User, summary: SessionSummary
):
    client.force_login(reviewer)
    page = client.get(summary_url(summary)).content.decode()
    assert "<h2>Main topics</h2>" in page
    assert "<img" not in page
    assert "Go to bed at ten" in page


def test_reviewer_sets_state_and_note(client: Client, reviewer: User, summary: SessionSummary):
    client.force_login(reviewer)
    form = {"review_state": "in_review", "review_note": "Look at the tone", "summary_text": "forged"}
    assert client.post(summary_url(summary), form).status_code == 302
    summary.refresh_from_db()
    assert (summary.review_state, summary.review_note) == (ReviewState.IN_REVIEW, "Look at the tone")
    assert "forged" not in summary.summary_text
    assert AuditEntry.objects.filter(action="summary.review", actor=reviewer).exists()


def test_reviewer_marks_many_summaries_as_done(client: Client, reviewer: User, summary: SessionSummary):
    client.force_login(reviewer)
    client.post(reverse(SUMMARIES), {"action": "mark_done", "_selected_action": [summary.pk]})
    summary.refresh_from_db()
    assert summary.review_state == ReviewState.DONE


def test_expert_sees_own_summaries_by_pseudonym_only(
    client: Client, expert: User, member: User, summary: SessionSummary
):
    client.force_login(expert)
    for url in (reverse(SUMMARIES), summary_url(summary)):
        page = client.get(url).content.decode()
        assert member.pseudonym in page
        assert member.email not in page
        assert transcript_url(summary.session) not in page


def test_expert_cannot_find_a_member_by_searching_or_filtering(
    client: Client, expert: User, member: User, summary: SessionSummary
):
    client.force_login(expert)
    url = reverse(SUMMARIES)
    assert list(client.get(url, {"q": "tired"}).context["cl"].result_list) == [summary]
    assert list(client.get(url, {"q": member.email}).context["cl"].result_list) == []
    response = client.get(url, {"session__user__email__startswith": "member"})
    assert response.status_code == 400


def test_expert_does_not_review(client: Client, expert: User, summary: SessionSummary):
    client.force_login(expert)
    assert client.post(summary_url(summary), {"review_state": "done"}).status_code == 403
    client.post(reverse(SUMMARIES), {"action": "mark_done", "_selected_action": [summary.pk]})
    summary.refresh_from_db()
    assert summary.review_state == ReviewState.NEW


def test_foreign_expert_sees_neither_summary_nor_gap(
    client: Client, other_expert: User, summary: SessionSummary, session: ChatSession
):
    gap = make_gap(session)
    client.force_login(other_expert)
    assert list(client.get(reverse(SUMMARIES)).context["cl"].result_list) == []
    assert client.get(summary_url(summary)).status_code == 404
    assert list(client.get(reverse(GAPS)).context["cl"].result_list) == []
    assert client.get(reverse("admin:chat_knowledgegap_change", args=[gap.pk])).status_code == 404
    client.post(reverse(GAPS), {"action": "close", "_selected_action": [gap.pk]})
    gap.refresh_from_db()
    assert gap.closed_at is None
    assert session.clone.name not in client.get(reverse(SUMMARIES)).content.decode()


def test_expert_closes_and_reopens_a_gap(client: Client, expert: User, member: User, session: ChatSession):
    gap = make_gap(session)
    client.force_login(expert)
    page = client.get(reverse("admin:chat_knowledgegap_change", args=[gap.pk])).content.decode()
    assert member.pseudonym in page
    assert member.email not in page
    client.post(reverse(GAPS), {"action": "close", "_selected_action": [gap.pk]})
    gap.refresh_from_db()
    assert gap.closed_at is not None
    client.post(reverse(GAPS), {"action": "reopen", "_selected_action": [gap.pk]})
    gap.refresh_from_db()
    assert gap.closed_at is None


def test_lists_and_transcript_do_not_query_once_a_row(
    client: Client, admin: User, session: ChatSession, summary: SessionSummary, django_assert_max_num_queries
):
    for number in range(12):
        person = User.objects.create_user(email=f"p{number}@example.com")
        other = ChatSession.objects.create(clone=session.clone, user=person)
        SessionSummary.objects.create(session=other)
        make_gap(session)
        Message.objects.create(session=session, role=Role.ASSISTANT, content="more")
    client.force_login(admin)
    for url in (reverse(SESSIONS), reverse(SUMMARIES), reverse(GAPS), transcript_url(session)):
        with django_assert_max_num_queries(14):
            assert client.get(url).status_code == 200


def test_action_items_are_shown_once(client: Client, reviewer: User, summary: SessionSummary):
    items = [{"description": "Walk after lunch", "priority": "high", "estimated_effort": "low"}]
    SessionSummary.objects.filter(pk=summary.pk).update(
        summary_type="action_items",
        summary_text="## Action items\n\n- Walk after lunch",
        structured_data={"action_items": items},
    )
    client.force_login(reviewer)
    assert client.get(summary_url(summary)).content.decode().count("Walk after lunch") == 1
