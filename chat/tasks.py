"""What django-q2 calls, by dotted path and with ids only."""

from uuid import UUID

from asgiref.sync import async_to_sync

from chat import summaries
from chat.frames import final_frame
from chat.streaming import send_to_session
from chat.turn_records import interrupt_stale_answers


def write_summary(summary_id: str) -> None:
    summaries.write_summary(summary_id=UUID(summary_id))


def interrupt_stale() -> None:
    """Every half minute: ends answers and summaries whose writer died and tells whoever is listening."""
    summaries.fail_stale_summaries()
    for answer in interrupt_stale_answers():
        async_to_sync(send_to_session)(session_id=answer.session_id, frame=final_frame(answer))
