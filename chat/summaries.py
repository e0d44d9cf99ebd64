"""Summaries of conversations: requested in a transaction with their job, written by a background worker."""

import asyncio
import logging
from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils import timezone
from django_q.tasks import async_task
from pydantic import BaseModel

from billing.metering import MeteredCallError, Payer, complete_structured
from billing.model_choice import Complexity, Task, choose_model
from billing.models import Purpose
from chat.models import ChatSession, Message, Role, SessionSummary, SummaryStatus
from chat.prompts import build_summary_messages
from chat.summary_schemas import SCHEMA_VERSION, SCHEMAS

logger = logging.getLogger(__name__)

MAX_SUMMARY_TOKENS = 1500
STALE_AFTER = timedelta(minutes=8)
TEMPERATURE = 0.3


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
    try:
        data = asyncio.run(_ask_model(summary=summary, messages=messages))
    except MeteredCallError as error:
        _finish(summary, status=SummaryStatus.FAILED, error_message=error.user_message)
        return
    except Exception:
        logger.exception("Summary %s failed", summary_id)
        _finish(summary, status=SummaryStatus.FAILED, error_message="Something went wrong. Please try again.")
        return
    structured = _link_messages(data.model_dump(mode="json"), messages)
    _finish(
        summary,
        status=SummaryStatus.READY,
        structured_data=structured,
        summary_text=describe_summary(summary.summary_type, structured),
    )


def fail_stale_summaries() -> int:
    """Ends summaries whose worker died: they have been running for longer than any call may take."""
    return SessionSummary.objects.filter(
        status=SummaryStatus.RUNNING, started_at__lt=timezone.now() - STALE_AFTER
    ).update(
        status=SummaryStatus.FAILED,
        finished_at=timezone.now(),
        error_message="Writing the summary was interrupted. Please try again.",
    )


def load_substance(*, session: ChatSession) -> list[Message]:
    """What was said, without answers that only say that the material holds none: nothing is to be done about them."""
    return list(session.messages.filter(is_current=True, knowledge_gap=None).exclude(content=""))


async def _ask_model(*, summary: SessionSummary, messages: Sequence[Message]) -> BaseModel:
    session = summary.session
    complexity = Complexity.COMPLEX if summary.summary_type == "detailed" else Complexity.MEDIUM
    result = await complete_structured(
        payer=Payer(user_id=session.user_id, clone_id=session.clone_id, session_id=session.pk),
        purpose=Purpose.SUMMARY,
        model=choose_model(task=Task.SUMMARIZATION, complexity=complexity),
        messages=build_summary_messages(
            expert=session.clone.name,
            summary_type=summary.summary_type,
            transcript=build_transcript(messages),
        ),
        schema=SCHEMAS[summary.summary_type],
        max_output_tokens=MAX_SUMMARY_TOKENS,
        temperature=TEMPERATURE,
    )
    return result.value


def build_transcript(messages: Sequence[Message]) -> str:
    """Lines `[m1] MEMBER: …`, numbered from 1."""
    speakers = {Role.USER: "MEMBER", Role.ASSISTANT: "EXPERT"}
    return "\n".join(
        f"[m{number}] {speakers[Role(message.role)]}: {message.content}"
        for number, message in enumerate(messages, start=1)
    )


def _link_messages(data: dict[str, Any], messages: Sequence[Message]) -> dict[str, Any]:
    """Replaces message numbers by ids; an action item whose message does not exist is dropped."""
    if "action_items" in data:
        data["action_items"] = [
            {**item, "message_id": str(messages[item["message_number"] - 1].pk)}
            for item in data["action_items"]
            if 1 <= item["message_number"] <= len(messages)
        ]
    return data


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


def _finish(summary: SessionSummary, **changes: Any) -> None:
    SessionSummary.objects.filter(pk=summary.pk).update(finished_at=timezone.now(), **changes)
