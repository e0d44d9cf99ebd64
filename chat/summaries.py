"""Summaries of conversations: requested in a transaction with their job, written by a background worker."""

import asyncio
import logging
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Q
from django.utils import timezone
from django_q.tasks import async_task

from billing.errors import AnswerRefused, AnswerUnusable
from billing.metering import MeteredCallError
from chat.context import is_small_talk
from chat.models import ChatSession, GapReason, Message, Role, SessionSummary, SummaryStatus
from chat.summary_schemas import SCHEMA_VERSION
from chat.summary_writing import ForeignAnswer, write_structured_summary
from cloneai.threads import run_in_thread

logger = logging.getLogger(__name__)

STALE_AFTER = timedelta(minutes=8)  # longer than one call may take; each finished part starts it anew
LOST_AFTER = timedelta(hours=1)
NOTHING_SAID = "Nothing was said in this conversation that could be summarised."
REFUSED = "The model declined to summarise this conversation. You can try again."
FOREIGN = "The summary came in a language that was not spoken here, also when asked for again. Try again."
UNUSABLE = "The summary that came was cut off or incomplete, so it is not shown. Try again."


def request_summary(*, session: ChatSession, summary_type: str) -> SessionSummary:
    """Creates the summary and its job in one transaction; an unfinished one of the same type is returned as it is."""
    with transaction.atomic():
        ChatSession.objects.select_for_update(of=("self",)).get(pk=session.pk)
        unfinished = session.summaries.filter(
            summary_type=summary_type, status__in=[SummaryStatus.QUEUED, SummaryStatus.RUNNING]
        ).first()
        if unfinished is not None:
            return unfinished
        summary = SessionSummary.objects.create(
            session=session, summary_type=summary_type, schema_version=SCHEMA_VERSION
        )
        async_task("chat.tasks.write_summary", str(summary.pk))
        return summary


def write_summary(*, summary_id: UUID) -> None:
    """The job: asks the model and saves what came. Ends `ready` or `failed`; a second run does nothing."""
    claimed = SessionSummary.objects.filter(pk=summary_id, status=SummaryStatus.QUEUED).update(
        status=SummaryStatus.RUNNING, started_at=timezone.now()
    )
    if not claimed:
        return
    summary = SessionSummary.objects.select_related("session__clone").get(pk=summary_id)
    messages = load_substance(session=summary.session)
    if not messages:
        _finish(summary, status=SummaryStatus.FAILED, error_message=NOTHING_SAID)
        return
    on_part = partial(run_in_thread, _show_life, summary)
    try:
        data = asyncio.run(write_structured_summary(summary=summary, messages=messages, on_part=on_part))
    except MeteredCallError as error:
        _finish(summary, status=SummaryStatus.FAILED, error_message=explain_failure(error))
        return
    except Exception:
        logger.exception("Summary %s failed", summary_id)
        _finish(summary, status=SummaryStatus.FAILED, error_message="Something went wrong. Please try again.")
        return
    _finish(
        summary,
        status=SummaryStatus.READY,
        structured_data=data,
        summary_text=describe_summary(summary.summary_type, data),
    )


def explain_failure(error: MeteredCallError) -> str:
    """What the member reads: a refusal and a cut-off answer are named as what they are."""
    if isinstance(error, AnswerRefused):
        return REFUSED
    if isinstance(error, ForeignAnswer):
        return FOREIGN
    return UNUSABLE if isinstance(error, AnswerUnusable) else error.user_message


def fail_stale_summaries() -> int:
    """Ends summaries whose worker died, or whose job was lost; each can be asked for again."""
    now = timezone.now()
    died = Q(status=SummaryStatus.RUNNING, started_at__lt=now - STALE_AFTER)
    lost = Q(status=SummaryStatus.QUEUED, created_at__lt=now - LOST_AFTER)
    return SessionSummary.objects.filter(died | lost).update(
        status=SummaryStatus.FAILED,
        finished_at=now,
        error_message="Writing the summary was interrupted. Please try again.",
    )


def load_substance(*, session: ChatSession) -> list[Message]:
    """What was said, without answers that only say that the material holds none: nothing is to be done about them.

    Empty when the member said nothing but hello and thank you.
    """
    said = session.messages.filter(is_current=True).exclude(content="").order_by("created_at")
    messages = list(said.exclude(gap_question__reason=GapReason.UNANSWERED))
    own = [message.content for message in messages if message.role == Role.USER]
    return [] if own and all(map(is_small_talk, own)) else messages


def describe_summary(summary_type: str, data: dict[str, Any]) -> str:
    """The structured summary as Markdown."""
    if summary_type == "brief":
        return str(data["summary"])
    parts = []
    for key, title in (
        ("main_topics", "Main topics"),
        ("key_insights", "Key insights"),
        ("action_items", "Action items"),
        ("progress_made", "Progress"),
        ("next_steps", "Next steps"),
    ):
        if lines := [item["description"] if isinstance(item, dict) else item for item in data.get(key, [])]:
            parts.append(f"## {title}\n\n" + "\n".join(f"- {' '.join(line.split())}" for line in lines))
    if assessment := data.get("overall_assessment"):
        parts.append(f"## Overall\n\n{assessment}")
    return "\n\n".join(parts) or "No action items came up in this conversation."


def _show_life(summary: SessionSummary) -> None:
    SessionSummary.objects.filter(pk=summary.pk).update(started_at=timezone.now())


def _finish(summary: SessionSummary, **changes: Any) -> None:
    SessionSummary.objects.filter(pk=summary.pk).update(finished_at=timezone.now(), **changes)
