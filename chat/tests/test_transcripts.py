"""What a conversation page shows of a session, and what that costs."""

from datetime import timedelta
from typing import Any

import pytest
from django.template.loader import render_to_string
from django.utils import timezone

from chat.models import ChatSession, Citation, Message, MessageStatus, Role
from chat.transcripts import MESSAGES_SHOWN, load_transcript

pytestmark = pytest.mark.django_db


def fill(session: ChatSession, *, turns: int) -> None:
    """Turns a second apart, each answer with two sources."""
    start = timezone.now() - timedelta(hours=1)
    for number in range(turns):
        at = start + timedelta(seconds=number)
        Message.objects.create(session=session, role=Role.USER, content=f"question {number}", created_at=at)
        answer = Message.objects.create(
            session=session,
            role=Role.ASSISTANT,
            content=f"answer {number} [1]",
            created_at=at + timedelta(milliseconds=500),
        )
        for source in (1, 2):
            Citation.objects.create(
                message=answer,
                number=source,
                title="Notes",
                page=source,
                quote="q",
                start_char=0,
                end_char=1,
                similarity_score=0.5,
            )


def test_last_hundred_messages_come_oldest_first(session: ChatSession) -> None:
    fill(session, turns=60)
    transcript = load_transcript(session=session)
    assert len(transcript.messages) == MESSAGES_SHOWN
    assert transcript.messages[0].content == "question 10"
    assert transcript.messages[-1].content == "answer 59 [1]"
    assert transcript.earlier_shown == 2 * MESSAGES_SHOWN
    assert load_transcript(session=session, shown=transcript.earlier_shown).earlier_shown == 0


def test_replaced_messages_are_left_out(session: ChatSession) -> None:
    fill(session, turns=1)
    session.messages.filter(role=Role.ASSISTANT).update(is_current=False)
    assert [message.role for message in load_transcript(session=session).messages] == ["user"]


def test_running_answer_is_known(session: ChatSession) -> None:
    fill(session, turns=1)
    assert load_transcript(session=session).running is None
    answer = Message.objects.create(session=session, role=Role.ASSISTANT, status=MessageStatus.STREAMING)
    assert load_transcript(session=session).running == answer


@pytest.mark.parametrize("turns", [1, 40])
def test_messages_with_sources_and_versions_take_four_queries_however_many(
    session: ChatSession, django_assert_num_queries: Any, turns: int
) -> None:
    fill(session, turns=turns)
    clone = session.clone
    with django_assert_num_queries(4):
        transcript = load_transcript(session=session)
        page = render_to_string(
            "chat/_messages.html", {"transcript": transcript, "session": session, "clone": clone}
        )
    assert page.count('class="source-chip"') == 2 * turns
