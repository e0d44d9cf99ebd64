"""Closing a gap: the expert's answer becomes a document like any upload, then the questions are asked again.

Enter at `answer_gap` or, after an upload, at `request_replay`; `replay_gap` is the job. Replays go through
`chat.completions`, so that they search, prompt and check markers as a conversation would; the expert pays.
"""

import asyncio
import logging
import time
from contextlib import aclosing
from dataclasses import dataclass
from datetime import timedelta

from django.core.files.base import ContentFile
from django.db import transaction
from django.utils import timezone
from django_q.tasks import async_task

from billing.metering import MeteredCallError, TextDelta
from chat.completions import CompletionEnd, CompletionOrder, ContextTooLong, stream_completion
from chat.gap_models import GapQuestion, GapReason, KnowledgeGap
from chat.memory_rules import normalise
from chat.models import Citation
from cloneai.accounts.models import User
from clones.models import Clone
from knowledge.models import Document, Status
from knowledge.uploads import create_document, replace_document

logger = logging.getLogger(__name__)

REPLAY_JOB = "chat.tasks.replay_gap"
LEAST_ANSWER_CHARS = 20
MAX_ANSWER_CHARS = 20_000
MAX_REPLAYED = 20
# How long the job waits for the document before it leaves the gap to the minute's sweep, and between two looks.
WAIT_SECONDS = 20.0
LOOK_SECONDS = 0.5
CLAIMED_FOR = timedelta(minutes=5)


class GapRefused(Exception):  # noqa: N818  (what happened, as the field says it)
    """An answer that cannot be taken. `message` says why, to the expert."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


@dataclass(frozen=True, slots=True)
class Replay:
    """What the clone says now; the citations are unsaved."""

    text: str
    citations: tuple[Citation, ...]
    gap: GapReason | None


def answer_gap(*, gap: KnowledgeGap, text: str, answered_by: User) -> Document:
    """Stores the answer as a document under the question, or as a new version of the one there is, and asks again.

    Raises GapRefused for an answer that is too short or too long, and UploadRefused as an upload does.
    """
    text = text.replace("\x00", "").replace("\r\n", "\n").strip()
    if len(text) < LEAST_ANSWER_CHARS:
        raise GapRefused("Write at least a sentence: people get this answer.")
    if len(text) > MAX_ANSWER_CHARS:
        raise GapRefused(f"An answer has at most {MAX_ANSWER_CHARS:,} characters. Upload a document instead.")
    question = " ".join(str(gap).split())
    file_name = f"answer-{gap.pk}.md"
    file = ContentFile(f"# {question}\n\n{text}\n".encode(), name=file_name)
    with transaction.atomic():
        if gap.document is None:
            document = create_document(
                clone=gap.clone,
                file=file,
                file_name=file_name,
                title=f"Answer: {question}"[:200],
                uploaded_by=answered_by,
            )
        else:
            document = replace_document(
                document=gap.document, file=file, file_name=file_name, uploaded_by=answered_by
            )
        KnowledgeGap.objects.filter(pk=gap.pk).update(
            answer=text, document=document, answered_by=answered_by, answered_at=timezone.now()
        )
        request_replay(gap=gap)
    gap.refresh_from_db()
    return document


def request_replay(*, gap: KnowledgeGap) -> None:
    """Queues the questions to be asked again."""
    with transaction.atomic():
        KnowledgeGap.objects.filter(pk=gap.pk).update(replay_wanted_at=timezone.now(), replay_error="")
        async_task(REPLAY_JOB, gap.pk)


def replay_waiting_gaps() -> int:
    """Every minute: gaps whose job found the document unready, or died; returns how many were asked again."""
    waiting = KnowledgeGap.objects.filter(
        replay_wanted_at__lt=timezone.now() - timedelta(seconds=WAIT_SECONDS)
    )
    return sum(replay_gap(gap_id=key, wait_seconds=0) for key in waiting.values_list("pk", flat=True))


def replay_gap(*, gap_id: int, wait_seconds: float = WAIT_SECONDS) -> bool:
    """The job: waits a little for the document, asks each question once, keeps what came; False when it has to wait.

    A gap in which a question is answered now is closed. What went wrong stands in `replay_error`.
    """
    gap = (
        KnowledgeGap.objects.select_related("clone__owner", "answered_by", "document")
        .filter(pk=gap_id)
        .first()
    )
    if gap is None or gap.replay_wanted_at is None:
        return False
    if not _is_document_final(gap, wait_seconds=wait_seconds):
        return False
    if gap.document is not None and gap.document.status == Status.FAILED:
        return _end(gap, error=f"The answer could not be read as a document: {gap.document.error_message}")
    claim_until = timezone.now() + CLAIMED_FOR
    if not KnowledgeGap.objects.filter(pk=gap.pk, replay_wanted_at=gap.replay_wanted_at).update(
        replay_wanted_at=claim_until
    ):
        return False  # another worker was faster
    try:
        answered = _replay_all(gap)
    except (MeteredCallError, ContextTooLong) as error:
        reason = error.user_message if isinstance(error, MeteredCallError) else "A question is too long."
        return _end(gap, error=f"The questions could not be asked again. {reason}")
    return _end(gap, is_answered=answered > 0)


def _is_document_final(gap: KnowledgeGap, *, wait_seconds: float) -> bool:
    until = time.monotonic() + wait_seconds
    while gap.document is not None and not gap.document.is_final:
        if time.monotonic() >= until:
            return False
        time.sleep(LOOK_SECONDS)
        gap.document.refresh_from_db(fields=["status", "error_message"])
    return True


def _replay_all(gap: KnowledgeGap) -> int:
    """Asks each wording once; returns how many questions are answered now."""
    clone = Clone.objects.get(pk=gap.clone_id)  # publishing may have changed its embedding model
    user = gap.answered_by or clone.owner
    replays: dict[str, Replay] = {}
    answered = 0
    for asked in gap.questions.order_by("-created_at"):
        wording = normalise(asked.search_text)
        if wording not in replays:
            if len(replays) == MAX_REPLAYED:
                break
            replays[wording] = asyncio.run(_ask(clone=clone, user=user, question=asked.search_text))
        answered += _keep(asked, gap=gap, replay=replays[wording])
    return answered


async def _ask(*, clone: Clone, user: User, question: str) -> Replay:
    text = ""
    citations: tuple[Citation, ...] = ()
    gap: GapReason | None = None
    events = stream_completion(clone=clone, user=user, order=CompletionOrder(question=question))
    async with aclosing(events):
        async for event in events:
            if isinstance(event, TextDelta):
                text += event.text
            elif isinstance(event, CompletionEnd):
                citations, gap = event.citations, event.gap
    return Replay(text, citations, gap)


def _keep(asked: GapQuestion, *, gap: KnowledgeGap, replay: Replay) -> bool:
    """Answered is what cites the new document, or, where none is linked, any that is not only the nearest."""
    cited = [citation for citation in replay.citations if citation.is_cited]
    if gap.document_id is None:
        is_answered = bool(cited) and replay.gap is None
    else:
        is_answered = any(citation.document_id == gap.document_id for citation in cited)
    GapQuestion.objects.filter(pk=asked.pk).update(
        replay_answer=replay.text,
        replay_sources=[
            {
                "number": citation.number,
                "title": citation.title,
                "page": citation.page,
                "document_id": str(citation.document_id or ""),
            }
            for citation in cited
        ],
        is_answered_now=is_answered,
        replayed_at=timezone.now(),
    )
    return is_answered


def _end(gap: KnowledgeGap, *, error: str = "", is_answered: bool = False) -> bool:
    closed = {"closed_at": timezone.now()} if is_answered else {}
    KnowledgeGap.objects.filter(pk=gap.pk).update(replay_wanted_at=None, replay_error=error, **closed)
    return True
