"""An answer while it is written: what is known of it, and how it is saved in the end. Enter at `save_draft`."""

import asyncio
import logging
import time
from dataclasses import dataclass, field

from django.db import OperationalError

from billing.metering import ChatMessage, MeteredCallError, Payer
from chat.citations import MarkerFilter
from chat.claims import Claim
from chat.context import AnswerContext
from chat.memories import Recalled
from chat.models import AnswerReceipt, Message, MessageStatus
from chat.receipts import build_receipt
from chat.streaming import AnswerWriter
from chat.turn_ending import AnswerFigures, save_answer, save_only_text
from chat.turn_records import ConversationGone
from cloneai.threads import run_in_thread
from clones.models import Clone
from knowledge.retrieval import Passage, SearchResult

logger = logging.getLogger(__name__)

# A restarted server is back in less than a minute; what was streamed is only in this process until then.
SAVE_PAUSES_SECONDS = (0.5, 2.0, *[5.0] * 12)


@dataclass(slots=True, kw_only=True)
class Draft:
    """An answer while it is written. Moments are those of `time.monotonic`."""

    answer: Message
    history: list[ChatMessage]
    writer: AnswerWriter
    started_at: float = field(default_factory=time.monotonic)
    search: SearchResult | None = None
    memories: tuple[Recalled, ...] = ()
    context: AnswerContext | None = None
    markers: MarkerFilter = field(default_factory=lambda: MarkerFilter(passage_count=0))
    model: str = ""
    first_text_at: float | None = None
    found_at: float | None = None
    claims: tuple[Claim, ...] = ()

    @property
    def clone(self) -> Clone:
        return self.answer.session.clone

    @property
    def question(self) -> str:
        assert self.answer.reply_to is not None
        return self.answer.reply_to.content

    @property
    def payer(self) -> Payer:
        session = self.answer.session
        return Payer(
            user_id=session.user_id,
            clone_id=session.clone_id,
            session_id=session.pk,
            message_id=self.answer.pk,
        )

    @property
    def passages(self) -> tuple[Passage, ...]:
        """Those that the model was given."""
        return self.context.passages if self.context else ()

    async def show(self, text: str) -> None:
        if text:
            self.first_text_at = self.first_text_at or time.monotonic()
            await self.writer.write(text)


async def save_draft(draft: Draft, failure: MeteredCallError | None) -> Message:
    """Ends the answer in the database, which may be away for a moment. What cannot be saved whole is saved as text.

    `failure` is what ended the writing before its time. Raises ConversationGone.
    """
    for pause_seconds in SAVE_PAUSES_SECONDS:
        try:
            return await run_in_thread(_finish, draft, failure)
        except OperationalError:
            logger.warning("Answer %s is saved later: the database is away", draft.answer.pk)
            await asyncio.sleep(pause_seconds)
        except ConversationGone:
            raise
        except Exception:
            logger.exception("Answer %s is saved without its sources", draft.answer.pk)
            break
    writer = draft.writer
    return await run_in_thread(
        save_only_text, answer=draft.answer, text=writer.text, chunk_ends=writer.chunk_ends
    )


def _finish(draft: Draft, failure: MeteredCallError | None) -> Message:
    """Saves the finished answer with its citations, in one transaction."""
    writer = draft.writer
    return save_answer(
        answer=draft.answer,
        text=writer.text,
        chunk_ends=writer.chunk_ends,
        status=_final_status(writer=writer, failure=failure),
        passages=draft.passages,
        numbers=draft.markers.numbers,
        search=draft.search,
        claims=draft.claims,
        memory_ids=[memory.id for memory in draft.memories] if draft.context else [],
        receipt=_build_receipt(draft),
        failure=failure,
        figures=AnswerFigures(
            model=draft.model,
            processing_time_ms=_milliseconds(draft.started_at, time.monotonic()),
            time_to_first_token_ms=_milliseconds(draft.started_at, draft.first_text_at)
            if draft.first_text_at
            else None,
        ),
    )


def _build_receipt(draft: Draft) -> AnswerReceipt:
    moments = {"search": draft.found_at, "first_text": draft.first_text_at, "total": time.monotonic()}
    return build_receipt(
        message=draft.answer,
        question=draft.question,
        search=draft.search,
        given=draft.passages,
        prompt=draft.context.messages if draft.context else (),
        claims=draft.claims,
        memories=[
            {"id": str(memory.id), "kind": memory.kind, "text": memory.text}
            for memory in (draft.memories if draft.context else ())
        ],
        timings_ms={
            name: _milliseconds(draft.started_at, moment) if moment else None
            for name, moment in moments.items()
        },
    )


def _final_status(*, writer: AnswerWriter, failure: MeteredCallError | None) -> MessageStatus:
    if failure is not None:
        return MessageStatus.INTERRUPTED if writer.text else MessageStatus.FAILED
    return MessageStatus.STOPPED if writer.was_stopped else MessageStatus.COMPLETE


def _milliseconds(start: float, end: float) -> int:
    return round((end - start) * 1000)
