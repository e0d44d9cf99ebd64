"""Questions that lean on the conversation ("and the second one?"), rewritten so that a search can find their answer.

Enter at `question_to_search`. The rewriting is for retrieval only: the model that answers gets the member's own words
and the conversation. Rules in code decide when a question leans and whether a rewriting is kept.
"""

import logging
import re
from collections.abc import Sequence

import pydantic

from billing.metering import ChatMessage, MeteredCallError, Payer, complete_structured
from billing.model_choice import Complexity, Task, choose_model
from billing.models import Purpose
from chat.prompts import build_rewrite_messages

logger = logging.getLogger(__name__)

# A longer question says itself what it is about.
MAX_LEANING_WORDS = 14
MAX_SUBJECTLESS_WORDS = 2
HISTORY_MESSAGES = 6
MAX_OUTPUT_TOKENS = 200
# A rewriting may add a sentence's worth to the question, and no more.
MAX_ADDED_CHARS = 160

_OPENING = re.compile(
    r"^\W*(?:and|but|so|or|then|also|otherwise|why(?:\s+(?:so|not|is\s+that))?\W*$|how\s+(?:so|come)\b"
    r"|(?:what|how)\s+about\b|what\s+(?:else|if)\b|which\s+(?:one|ones)\b|for\s+(?:example|instance)\b"
    r"|und|aber|warum\W*$|et|mais|pourquoi\W*$)\b",
    re.IGNORECASE,
)
_POINTER = re.compile(
    r"\b(?:it|its|they|them|their|theirs|this|that|these|those|he|him|his|she|her|hers|one|ones|there|then|same"
    r"|other|others|another|else|more|further|instead|former|latter|above|previous|earlier"
    r"|(?:the\s+)(?:first|second|third|fourth|fifth|next|last)(?=\W*$|\s+one))\b",
    re.IGNORECASE,
)
_WORD = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")
_NAME = re.compile(r"(?<=[\w,;] )[A-ZÄÖÜ][\w'’-]+")
_NUMBER = re.compile(r"\d+(?:[.,:/]\d+)*")
_EMPTY_WORDS_TEXT = """
a about again all am an and any are as ask at be because best better but by can come could did do does doing don't
exactly for from further get give go good had has have how i i'm if in into is just know like long make many may me
mean means might more much must my need no not of often on or our please question questions really say should so
some such tell than that the then there to too us use want was we were what when where which who whom whose why
will with work works would yes you your example explain elaborate continue
"""
_EMPTY_WORDS = frozenset(_EMPTY_WORDS_TEXT.split())


class Rewriting(pydantic.BaseModel):
    """What the model is asked for."""

    standalone_question: str


async def question_to_search(*, question: str, history: Sequence[ChatMessage], payer: Payer) -> str:
    """The question, or what it means in this conversation. Metered; a failure leaves the question, raising nothing."""
    if not leans(question=question, history=history):
        return question
    try:
        result = await complete_structured(
            payer=payer,
            purpose=Purpose.REWRITE,
            model=choose_model(task=Task.CHAT, complexity=Complexity.SIMPLE),
            messages=build_rewrite_messages(question=question, history=history[-HISTORY_MESSAGES:]),
            schema=Rewriting,
            max_output_tokens=MAX_OUTPUT_TOKENS,
            temperature=0.0,
        )
    except MeteredCallError as error:
        logger.warning("A follow-up is searched for as it stands (%s)", error.error_type)
        return question
    rewriting = " ".join(result.value.standalone_question.replace("\x00", "").split())
    if not is_faithful(rewriting=rewriting, question=question):
        logger.info("A rewriting lost something of the question and is not used")
        return question
    return rewriting


def leans(*, question: str, history: Sequence[ChatMessage]) -> bool:
    """Whether the question needs what was said before: something was, the question has at most 14 words, and it
    opens like a continuation, points at something that it does not name itself, or names hardly anything.

    A pointer ("it", "the second one") counts when at most one word that says something stands before it: in "hand over
    work without losing track of it" the question names itself what "it" is.
    """
    if not any(message.role == "user" for message in history):
        return False
    words = _WORD.findall(question)
    if not words or len(words) > MAX_LEANING_WORDS:
        return False
    if _OPENING.search(question) or len(_telling(question)) < MAX_SUBJECTLESS_WORDS:
        return True
    pointer = _POINTER.search(question)
    return pointer is not None and len(_telling(question[: pointer.start()])) < MAX_SUBJECTLESS_WORDS


def is_faithful(*, rewriting: str, question: str) -> bool:
    """Whether a rewriting keeps the question's names and numbers and is at most 160 characters longer."""
    if not rewriting or len(rewriting) > len(question) + MAX_ADDED_CHARS:
        return False
    kept = rewriting.casefold()
    names = _NAME.findall(question)
    numbers = _NUMBER.findall(question)
    return all(name.casefold() in kept for name in names) and set(numbers) <= set(_NUMBER.findall(rewriting))


def _telling(text: str) -> list[str]:
    words = [word.lower() for word in _WORD.findall(text)]
    return [word for word in words if word not in _EMPTY_WORDS and not _POINTER.fullmatch(word)]
