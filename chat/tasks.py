"""What django-q2 calls, by dotted path and with ids only."""

import logging
from datetime import datetime, timedelta
from uuid import UUID

from asgiref.sync import async_to_sync
from django.utils import timezone
from django_q.models import Schedule
from django_q.tasks import schedule

from billing.metering import MeteredCallError
from chat import evaluation, gap_closing, gaps, memory_extraction, settling, summaries
from chat.frames import final_frame
from chat.streaming import send_to_session
from chat.turn_records import interrupt_stale_answers

logger = logging.getLogger(__name__)

MEMORY_ATTEMPTS = 3
MEMORY_PAUSE = timedelta(minutes=10)


def write_summary(summary_id: str) -> None:
    summaries.write_summary(summary_id=UUID(summary_id))


def interrupt_stale() -> None:
    """Every half minute: ends answers and summaries whose writer died and tells whoever is listening."""
    summaries.fail_stale_summaries()
    for answer in interrupt_stale_answers():
        async_to_sync(send_to_session)(session_id=answer.session_id, frame=final_frame(answer))


def settle_idle_sessions() -> int:
    """Every minute: conversations that nobody goes on with get their summary and memories."""
    return settling.settle_idle_sessions()


def extract_memories(session_id: str, since: str = "", attempt: int = 1) -> None:
    """When the provider cannot be asked, again ten minutes later, three times in all."""
    began = datetime.fromisoformat(since) if since else None
    try:
        memory_extraction.extract_memories(session_id=UUID(session_id), since=began)
    except MeteredCallError as error:
        logger.warning("No memories of conversation %s: %s", session_id, error.error_type)
        if attempt < MEMORY_ATTEMPTS:
            schedule(
                settling.MEMORY_JOB,
                session_id,
                since,
                attempt + 1,
                schedule_type=Schedule.ONCE,
                next_run=timezone.now() + MEMORY_PAUSE * attempt,
            )


def sort_gaps() -> None:
    """Every minute: new questions join those that mean the same; answers that were not ready are tried."""
    gaps.sort_new_questions()
    gap_closing.replay_waiting_gaps()


def replay_gap(gap_id: int) -> None:
    gap_closing.replay_gap(gap_id=gap_id)


def run_evaluation(run_id: str) -> None:
    evaluation.run_evaluation(run_id=UUID(run_id))


def embed_memories(user_id: int, clone_id: int) -> None:
    """After a member has changed a memory's words."""
    memory_extraction.embed_stale_memories(user_id=user_id, clone_id=clone_id)
