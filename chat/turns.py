"""One turn: save the question, then search, prompt, stream and save the answer, whether a socket listens or not.

Enter at `start_turn`, `regenerate_answer` or `edit_message`: they save what was asked in one transaction and leave
`write_answer` running in the background. Everything that the reader sees comes through `chat.streaming`.
"""

import asyncio
import logging
import time
from contextlib import aclosing
from dataclasses import dataclass, field
from uuid import UUID

from billing.metering import ChatMessage, MeteredCallError, Payer, TextDelta, stream_chat
from billing.models import Purpose
from chat.citations import MarkerFilter
from chat.context import AnswerContext, max_answer_tokens
from chat.frames import error_frame, final_frame, start_frame, user_message_frame
from chat.grounding import find_material, write_prompt
from chat.models import ChatSession, Message, MessageStatus
from chat.source_keeping import SourceKeeper
from chat.streaming import AnswerWriter, send_to_session, send_to_writer, spawn
from chat.titles import begin_title
from chat.turn_records import (
    AnswerFigures,
    ConversationGone,
    StartedTurn,
    TurnRefused,
    check_question,
    load_history,
    load_turn,
    request_stop,
    save_answer,
    save_edit,
    save_question,
    save_regeneration,
)
from cloneai.logs import begin_turn
from cloneai.threads import run_in_thread
from clones.models import Clone
from knowledge.retrieval import SearchResult

__all__ = [
    "StartedTurn",
    "TurnRefused",
    "edit_message",
    "regenerate_answer",
    "start_turn",
    "stop_answer",
    "wait_for_answer",
    "write_answer",
]

logger = logging.getLogger(__name__)

POLL_SECONDS = 0.2
UNEXPECTED = MeteredCallError("unexpected")


@dataclass(slots=True)
class Draft:
    """What is known of an answer while it is being written."""

    answer: Message
    question: str
    clone: Clone
    payer: Payer
    search: SearchResult | None = None
    context: AnswerContext | None = None
    markers: MarkerFilter = field(default_factory=lambda: MarkerFilter(passage_count=0))
    model: str = ""
    first_text_at: float | None = None


async def start_turn(
    *, session: ChatSession, content: str, client_message_id: UUID | None = None
) -> StartedTurn:
    """Saves the question and begins to answer it. The same client message id again changes nothing.

    Raises TurnRefused: empty or too long, session ended, or an answer is being written already.
    """
    question = await run_in_thread(check_question, clone=session.clone, content=content)
    started = await run_in_thread(
        save_question, session_id=session.pk, content=question, client_message_id=client_message_id
    )
    return await _begin(session=session, started=started)


async def regenerate_answer(*, session: ChatSession, answer_id: UUID) -> StartedTurn:
    """Writes the last answer anew; the old one is kept as an earlier version."""
    return await _begin(
        session=session,
        started=await run_in_thread(save_regeneration, session_id=session.pk, answer_id=answer_id),
    )


async def edit_message(*, session: ChatSession, message_id: UUID, content: str) -> StartedTurn:
    """Replaces the last question and answers the new one; the old pair is kept as an earlier version."""
    question = await run_in_thread(check_question, clone=session.clone, content=content)
    return await _begin(
        session=session,
        started=await run_in_thread(
            save_edit, session_id=session.pk, message_id=message_id, content=question
        ),
    )


async def stop_answer(*, session: ChatSession, answer_id: UUID) -> None:
    """Ends a running answer where it is, in whichever process it is written."""
    if await run_in_thread(request_stop, session_id=session.pk, answer_id=answer_id):
        await send_to_writer(answer_id=answer_id, order={"type": "answer.stop"})


async def wait_for_answer(*, answer_id: UUID, timeout_seconds: float) -> Message:
    """The answer once it is finished. Raises TimeoutError; the answer goes on being written all the same."""
    async with asyncio.timeout(timeout_seconds):
        # Polled, because the writer may be in another process, or dead.
        while (answer := await run_in_thread(load_turn, answer_id=answer_id)).is_running:  # noqa: ASYNC110
            await asyncio.sleep(POLL_SECONDS)
    return answer


async def _begin(*, session: ChatSession, started: StartedTurn) -> StartedTurn:
    if started.is_new:
        if started.question is not None:
            await send_to_session(session_id=session.pk, frame=user_message_frame(started.question))
        spawn(write_answer(answer_id=started.answer_id))
    return started


async def write_answer(*, answer_id: UUID) -> None:
    """Writes one answer from search to the last frame. Ends it in the database whatever happens on the way.

    When the conversation is deleted meanwhile, nothing is saved and nobody is told.
    """
    begin_turn(answer_id)
    try:
        await _write_answer(answer_id=answer_id)
    except ConversationGone:
        logger.info("Answer %s was deleted while it was written", answer_id)


async def _write_answer(*, answer_id: UUID) -> None:
    started_at = time.monotonic()
    answer = await run_in_thread(load_turn, answer_id=answer_id)
    session, question = answer.session, answer.reply_to
    assert question is not None
    draft = Draft(
        answer=answer,
        question=question.content,
        clone=session.clone,
        payer=Payer(
            user_id=session.user_id, clone_id=session.clone_id, session_id=session.pk, message_id=answer_id
        ),
    )
    failure: MeteredCallError | None = None
    async with AnswerWriter(answer_id=answer_id, session_id=session.pk) as writer:
        await send_to_session(
            session_id=session.pk, frame=start_frame(answer_id=answer_id, reply_to=question.pk)
        )
        try:
            await writer.run_until_stopped(_compose(draft=draft, writer=writer))
        except MeteredCallError as error:
            failure = error
        except Exception:
            logger.exception("Answer %s broke off", answer_id)
            failure = UNEXPECTED
        await _show(draft=draft, writer=writer, text=draft.markers.flush())
        await writer.flush()
        status = _final_status(writer=writer, failure=failure)
        finished = await run_in_thread(_finish, draft, writer, status, failure, started_at)
    if failure is not None:
        await send_to_session(session_id=session.pk, frame=_describe_failure(failure, answer_id))
    await send_to_session(session_id=session.pk, frame=await run_in_thread(final_frame, finished))
    begin_title(answer=finished)


async def _compose(*, draft: Draft, writer: AnswerWriter) -> None:
    """Search, decide, prompt, stream."""
    clone, question = draft.clone, draft.question
    history = await run_in_thread(load_history, answer=draft.answer)
    draft.search = await find_material(clone=clone, question=question, history=history, payer=draft.payer)
    prompt = await run_in_thread(
        write_prompt, clone=clone, question=question, history=history, search=draft.search
    )
    if prompt is None:
        await _show(draft=draft, writer=writer, text=clone.no_answer_text)
        return
    draft.model, draft.context = prompt.model, prompt.context
    draft.markers = MarkerFilter(passage_count=len(prompt.context.passages))
    writer.sources = SourceKeeper(draft.answer, prompt.context.passages, draft.markers.numbers)
    await _stream(draft=draft, writer=writer, messages=prompt.context.messages)


async def _stream(*, draft: Draft, writer: AnswerWriter, messages: tuple[ChatMessage, ...]) -> None:
    """Shows the model's text as it comes, its markers checked on the way."""
    events = stream_chat(
        payer=draft.payer,
        purpose=Purpose.CHAT,
        model=draft.model,
        messages=messages,
        max_output_tokens=max_answer_tokens(clone=draft.clone),
        temperature=float(draft.clone.temperature),
    )
    async with aclosing(events):  # so that a stopped answer is charged before it is saved
        async for event in events:
            if isinstance(event, TextDelta):
                await _show(draft=draft, writer=writer, text=draft.markers.push(event.text))


async def _show(*, draft: Draft, writer: AnswerWriter, text: str) -> None:
    if text:
        draft.first_text_at = draft.first_text_at or time.monotonic()
        await writer.write(text)


def _final_status(*, writer: AnswerWriter, failure: MeteredCallError | None) -> MessageStatus:
    if failure is not None:
        return MessageStatus.INTERRUPTED if writer.text else MessageStatus.FAILED
    return MessageStatus.STOPPED if writer.was_stopped else MessageStatus.COMPLETE


def _finish(
    draft: Draft,
    writer: AnswerWriter,
    status: MessageStatus,
    failure: MeteredCallError | None,
    started_at: float,
) -> Message:
    """Saves the finished answer with its citations, in one transaction."""
    return save_answer(
        answer=draft.answer,
        text=writer.text,
        chunk_ends=writer.chunk_ends,
        status=status,
        passages=draft.context.passages if draft.context else (),
        numbers=draft.markers.numbers,
        search=draft.search,
        failure=failure,
        figures=AnswerFigures(
            model=draft.model,
            processing_time_ms=_milliseconds(started_at, time.monotonic()),
            time_to_first_token_ms=_milliseconds(started_at, draft.first_text_at)
            if draft.first_text_at
            else None,
        ),
    )


def _milliseconds(start: float, end: float) -> int:
    return round((end - start) * 1000)


def _describe_failure(failure: MeteredCallError, answer_id: UUID) -> dict[str, object]:
    return error_frame(
        error_type=failure.error_type,
        message=failure.user_message,
        retry_after=failure.retry_after,
        message_id=answer_id,
    )
