"""The title of a conversation: its first question, until the cheap model has found a better one.

Enter at `begin_title` after an answer. It works in the background: no answer waits for it, and when it fails, or its
process dies, the first question stays. A title that the member gave is never touched.
"""

import logging
import re
from dataclasses import dataclass
from uuid import UUID

from django.conf import settings

from billing.metering import MeteredCallError, Payer, complete_chat
from billing.model_choice import Complexity, Task, choose_model
from billing.models import Purpose
from chat.context import is_small_talk
from chat.frames import title_frame
from chat.models import ChatSession, Message, MessageStatus, Role
from chat.prompts import build_title_messages
from chat.streaming import send_to_session, spawn
from cloneai.threads import run_in_thread

logger = logging.getLogger(__name__)

MAX_TITLE_CHARS = 60
MAX_TITLE_TOKENS = 40
TEMPERATURE = 0.3
MAX_QUOTED_CHARS = 2000  # of the question, and of the answer; a title needs no more
EARLIER_LOOKED_AT = 20
DECORATION = " \t\"'“”‘’«»„*_#`"


@dataclass(frozen=True, slots=True, kw_only=True)
class TitleOrder:
    """What a title is to be made of. `replaces` is the title that it may replace, and no other."""

    payer: Payer
    question: str
    answer: str
    replaces: str


def begin_title(*, answer: Message) -> None:
    """Names the conversation in the background when `answer` is its first complete one.

    Not in offline mode: the first question is a better title than keywords picked from it.
    """
    if answer.status == MessageStatus.COMPLETE and not settings.AI_OFFLINE:
        spawn(name_session(answer=answer)).set_name(f"title {answer.session_id}")


async def name_session(*, answer: Message) -> None:
    """Asks the cheap model for a title, saves it and tells the open sockets."""
    try:
        order = await run_in_thread(_find_order, answer=answer)
        if order is None:
            return
        title = await _ask_model(order)
        session_id = order.payer.session_id
        if not title or session_id is None:
            return
        is_saved = await run_in_thread(_save, session_id=session_id, replaces=order.replaces, title=title)
        if is_saved:
            await send_to_session(
                session_id=session_id, frame=title_frame(session_id=session_id, title=title)
            )
    except MeteredCallError as error:
        logger.info("No title for the conversation of answer %s: %s", answer.pk, error.error_type)
    except Exception:
        logger.exception("No title for the conversation of answer %s", answer.pk)


def first_title(question: str) -> str:
    """The beginning of the question, cut at a word."""
    return _shorten(" ".join(question.split()))


def clean_title(text: str) -> str:
    """What the model wrote, as one plain line without quotation marks and a full stop; empty when nothing is left."""
    line = next((line for line in text.splitlines() if line.strip(DECORATION)), "")
    line = re.sub(r"^\W*title\W*:\s*", "", line, flags=re.IGNORECASE)
    line = re.sub(r"\s*\[\d+\]|[\x00-\x1f\x7f]", "", line)
    return _shorten(" ".join(line.strip(DECORATION).rstrip(".").strip(DECORATION).split()))


def _shorten(line: str) -> str:
    return line if len(line) <= MAX_TITLE_CHARS else line[:MAX_TITLE_CHARS].rsplit(" ", 1)[0] + "…"


def _find_order(*, answer: Message) -> TitleOrder | None:
    """None unless this is the first complete answer beyond small talk and the title is still the first question.

    The title is judged as it was when the turn began; one that the member gives meanwhile is not replaced (`_save`).
    """
    session = answer.session
    if answer.reply_to is None or is_small_talk(answer.reply_to.content):
        return None
    said = session.messages.filter(created_at__lte=answer.created_at).order_by("created_at")
    questions = said.filter(role=Role.USER).values_list("content", "replies", "replies__status")
    looked_at = list(questions[:EARLIER_LOOKED_AT])
    if session.title not in ("", first_title(looked_at[0][0])):
        return None
    if any(
        status == MessageStatus.COMPLETE and reply != answer.pk and not is_small_talk(question)
        for question, reply, status in looked_at
    ):
        return None
    return TitleOrder(
        payer=Payer(user_id=session.user_id, clone_id=session.clone_id, session_id=session.pk),
        question=answer.reply_to.content[:MAX_QUOTED_CHARS],
        answer=answer.content[:MAX_QUOTED_CHARS],
        replaces=session.title,
    )


async def _ask_model(order: TitleOrder) -> str:
    result = await complete_chat(
        payer=order.payer,
        purpose=Purpose.TITLE,
        model=choose_model(task=Task.SUMMARIZATION, complexity=Complexity.SIMPLE),
        messages=build_title_messages(question=order.question, answer=order.answer),
        max_output_tokens=MAX_TITLE_TOKENS,
        temperature=TEMPERATURE,
    )
    return clean_title(result.text)


def _save(*, session_id: UUID, replaces: str, title: str) -> bool:
    """False when the member has renamed the conversation meanwhile."""
    return bool(ChatSession.objects.filter(pk=session_id, title=replaces).update(title=title))
