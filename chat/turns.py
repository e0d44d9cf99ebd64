"""One turn: save the question, then search, prompt, stream and save the answer, whether a socket listens or not.

Enter at `start_turn`, `regenerate_answer` or `edit_message`: they save what was asked in one transaction and leave
`write_answer` running in the background. Everything that the reader sees comes through `chat.streaming`.
"""

import asyncio
import logging
import time
from contextlib import aclosing
from uuid import UUID

from django.db import OperationalError

from billing.metering import MeteredCallError, TextDelta, stream_chat
from billing.models import Purpose
from chat.citations import MarkerFilter
from chat.claims import check_claims
from chat.context import max_answer_tokens
from chat.drafts import Draft, save_draft
from chat.frames import error_frame, final_frame, start_frame, user_message_frame
from chat.grounding import find_material, write_prompt
from chat.memories import recall
from chat.models import ChatSession, Message
from chat.source_keeping import SourceKeeper
from chat.streaming import AnswerWriter, send_to_session, send_to_writer, spawn
from chat.titles import begin_title
from chat.turn_beginning import StartedTurn, WritingTask, save_edit, save_question, save_regeneration
from chat.turn_records import ConversationGone, TurnRefused, load_turn, request_stop
from cloneai.logs import begin_turn
from cloneai.threads import run_in_thread

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
DATABASE_AWAY = MeteredCallError("the database is away", error_type="connection")
SHUT_DOWN = MeteredCallError("the web process was told to stop")


async def start_turn(
    *, session: ChatSession, content: str, client_message_id: UUID | None = None
) -> StartedTurn:
    """Saves the question and begins to answer it. The same client message id again changes nothing.

    Raises TurnRefused: empty or too long, session ended, or an answer is being written already.
    """
    started = await run_in_thread(
        save_question, session=session, content=content, client_message_id=client_message_id
    )
    return _begin(started)


async def regenerate_answer(*, session: ChatSession, answer_id: UUID) -> StartedTurn:
    """Writes the last answer anew; the old one is kept as an earlier version."""
    return _begin(await run_in_thread(save_regeneration, session_id=session.pk, answer_id=answer_id))


async def edit_message(*, session: ChatSession, message_id: UUID, content: str) -> StartedTurn:
    """Replaces the last question and answers the new one; the old pair is kept as an earlier version."""
    started = await run_in_thread(save_edit, session=session, message_id=message_id, content=content)
    return _begin(started)


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


def _begin(started: StartedTurn) -> StartedTurn:
    if started.task is not None:
        spawn(write_answer(started.task))
    return started


async def write_answer(task: WritingTask) -> None:
    """Writes one answer from search to the last frame. Ends it in the database whatever happens on the way.

    When the conversation is deleted meanwhile, nothing is saved and nobody is told.
    """
    begin_turn(task.answer.pk)
    try:
        await _write_answer(task)
    except ConversationGone:
        logger.info("Answer %s was deleted while it was written", task.answer.pk)
    # The outermost boundary: nobody awaits this task, and readers must not wait for ever.
    except Exception as error:  # noqa: BLE001  (logged there)
        failure = _log_failure("Answer %s was not shown to its end", task.answer.pk, error)
        await send_to_session(
            session_id=task.answer.session_id, frame=_describe_failure(failure, task.answer.pk)
        )


async def _write_answer(task: WritingTask) -> None:
    answer = task.answer
    answer_id, session_id = answer.pk, answer.session_id
    link_hosts = answer.session.clone.link_hosts
    async with AnswerWriter(answer_id=answer_id, session_id=session_id, link_hosts=link_hosts) as writer:
        draft = Draft(answer=answer, history=task.history, writer=writer)
        if task.new_question is not None:
            await send_to_session(session_id=session_id, frame=user_message_frame(task.new_question))
        await send_to_session(
            session_id=session_id, frame=start_frame(answer_id=answer_id, reply_to=answer.reply_to_id)
        )
        failure = await _compose_until_stopped(draft)
        await draft.show(draft.markers.flush())
        await writer.flush()
        await _check(draft)
        finished = await save_draft(draft, failure)
    if failure is not None:
        await send_to_session(session_id=session_id, frame=_describe_failure(failure, answer_id))
    await send_to_session(session_id=session_id, frame=await run_in_thread(final_frame, finished))
    begin_title(answer=finished)


async def _compose_until_stopped(draft: Draft) -> MeteredCallError | None:
    """Composes the answer until it is complete or stopped; returns what made it fail, if something did."""
    try:
        await draft.writer.run_until_stopped(_compose(draft))
    except MeteredCallError as error:
        return error
    except Exception as error:  # noqa: BLE001  (logged there)
        return _log_failure("Answer %s broke off", draft.answer.pk, error)
    return SHUT_DOWN if draft.writer.was_shut_down else None


async def _compose(draft: Draft) -> None:
    """Search, decide, prompt, stream."""
    clone, question, history = draft.clone, draft.question, draft.history
    draft.search, draft.memories = await asyncio.gather(
        find_material(clone=clone, question=question, history=history, payer=draft.payer),
        recall(session=draft.answer.session, question=question, payer=draft.payer),
    )
    draft.found_at = time.monotonic()
    prompt = await run_in_thread(
        write_prompt,
        clone=clone,
        question=question,
        history=history,
        search=draft.search,
        memories=draft.memories,
    )
    if prompt is None:
        await draft.show(clone.no_answer_text)
        return
    draft.model, draft.context = prompt.model, prompt.context
    draft.markers = MarkerFilter(passage_count=len(prompt.context.passages))
    draft.writer.sources = SourceKeeper(draft.answer, prompt.context.passages, draft.markers.numbers)
    events = stream_chat(
        payer=draft.payer,
        purpose=Purpose.CHAT,
        model=prompt.model,
        messages=prompt.context.messages,
        max_output_tokens=max_answer_tokens(clone=clone),
        temperature=float(clone.temperature),
    )
    async with aclosing(events):  # so that a stopped answer is charged before it is saved
        async for event in events:
            if isinstance(event, TextDelta):
                await draft.show(draft.markers.push(event.text))


async def _check(draft: Draft) -> None:
    """Compares what the answer cites with its passages. Nothing that goes wrong here may cost the answer."""
    try:
        draft.claims = await check_claims(
            text=draft.writer.text,
            passages=draft.passages,
            numbers=draft.markers.numbers,
            clone=draft.clone,
            payer=draft.payer,
        )
    except Exception:
        logger.exception("The claims of answer %s were not checked", draft.answer.pk)


def _log_failure(what: str, answer_id: UUID, error: Exception) -> MeteredCallError:
    """Returns what a reader is told of an error that nobody raised on purpose."""
    if isinstance(error, OperationalError):
        logger.warning("%s: %s", what % answer_id, error)
        return DATABASE_AWAY
    logger.error(what, answer_id, exc_info=error)
    return UNEXPECTED


def _describe_failure(failure: MeteredCallError, answer_id: UUID) -> dict[str, object]:
    return error_frame(
        error_type=failure.error_type,
        message=failure.user_message,
        retry_after=failure.retry_after,
        message_id=answer_id,
    )
