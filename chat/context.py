"""What the model is sent for one question, within MAX_CONTEXT_LENGTH tokens.

The budget is spent in this order: persona and rules, the question, passages (at most `PASSAGE_SHARE` of what is
left, best first), history (newest first, whole messages) with all that remains.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from django.conf import settings

from billing.metering import ChatMessage
from billing.tokens import count_chat_tokens, count_tokens
from chat.memories import asks_about_member
from chat.prompts import (
    PromptPassage,
    build_general_prompt,
    build_grounded_prompt,
    build_persona,
    build_small_talk_prompt,
)
from clones.models import Clone
from knowledge.retrieval import Passage

MAX_PASSAGES = 5
PASSAGE_SHARE = 0.75
RESERVED_FOR_RULES_TOKENS = 400
PASSAGE_FRAME_TOKENS = 40  # number, title and page
MESSAGE_FRAME_TOKENS = 4
MAX_COUNTED_CHARS = 32_000

SMALL_TALK = re.compile(
    r"""^\W*(?:
        (?:hi|hello|hey|hallo|hej|hola|salut|ciao|good\s(?:morning|afternoon|evening|day))(?:\s+(?:there|again|\w+))?
        | (?:many\s+)?thank(?:s|\syou)(?:\s(?:a\slot|so\smuch|very\smuch|again))? | danke | merci | gracias | cheers
        | (?:good)?\s?bye(?:\sbye)? | see\syou(?:\s\w+)? | good\snight
        | how\sare\syou(?:\s(?:today|doing))? | nice\sto\smeet\syou | ok(?:ay)? | great | cool | got\sit
        | (?:and\s)?who\s(?:are|r)\s(?:you|u) | what\sare\syou | are\syou\s(?:an?\s)?(?:bot|robot|human|real|ai|person)
        | are\syou\sa\sreal\sperson
        | what\s(?:can|do)\syou\s(?:do|help(?:\sme)?\swith) | how\scan\syou\shelp(?:\sme)? | what\sis\syour\sname
        | (?:please\s)?introduce\syourself | tell\sme\sabout\syourself
    )\W*$""",
    re.IGNORECASE | re.VERBOSE,
)


@dataclass(frozen=True, slots=True)
class AnswerContext:
    """Messages for the model and the passages that it was given, in the order of their numbers."""

    messages: tuple[ChatMessage, ...]
    passages: tuple[Passage, ...]
    input_tokens: int


def is_small_talk(text: str) -> bool:
    """Greetings, thanks, goodbyes and "who are you": they need no passage, also from a strict clone."""
    return bool(SMALL_TALK.match(text.strip()))


def estimate_tokens(text: str, *, model: str) -> int:
    """Tokens of what somebody sent: counted, or guessed high when it is so long that counting takes seconds."""
    return len(text) // 2 if len(text) > MAX_COUNTED_CHARS else count_tokens(text, model=model)


def max_question_tokens(*, clone: Clone, model: str) -> int:
    """The longest message that leaves room for the persona, the rules and at least one short passage."""
    persona_tokens = count_tokens(build_persona(clone=clone), model=model)
    return settings.MAX_CONTEXT_LENGTH - persona_tokens - 2 * RESERVED_FOR_RULES_TOKENS


def max_answer_tokens(*, clone: Clone) -> int:
    """The longest answer: the clone's setting, within the platform's MAX_TOKENS_PER_REQUEST."""
    return min(clone.max_output_tokens, settings.MAX_TOKENS_PER_REQUEST)


def build_context(
    *,
    clone: Clone,
    model: str,
    question: str,
    history: Sequence[ChatMessage],
    passages: Sequence[Passage],
    wishes: str = "",
    memory_block: str = "",
) -> AnswerContext:
    """Chooses what fits. `history` is oldest first and does not hold the question; `wishes`: see `build_persona`.

    `memory_block` (see `chat.memory_prompts`) stands behind everything else in the system message.
    """
    persona = build_persona(clone=clone, wishes=wishes) + memory_block
    persona_tokens = count_tokens(persona, model=model) + RESERVED_FOR_RULES_TOKENS
    left = settings.MAX_CONTEXT_LENGTH - persona_tokens - count_tokens(question, model=model)
    chosen = _choose_passages(passages=passages, budget_tokens=int(left * PASSAGE_SHARE), model=model)
    if chosen:
        system = build_grounded_prompt(
            clone=clone,
            passages=[
                PromptPassage(
                    number=number, title=passage.document_title, page=passage.page, text=passage.content
                )
                for number, passage in enumerate(chosen, start=1)
            ],
            wishes=wishes,
        )
    elif is_small_talk(question) or (memory_block and asks_about_member(question)):
        system = build_small_talk_prompt(clone=clone, wishes=wishes)
    else:
        system = build_general_prompt(clone=clone, wishes=wishes)
    if memory_block:
        system = f"{system}\n\n{memory_block}"
    fixed = [ChatMessage("system", system), ChatMessage("user", question)]
    left = settings.MAX_CONTEXT_LENGTH - count_chat_tokens(fixed, model=model)
    messages = (fixed[0], *_choose_history(history=history, budget_tokens=left, model=model), fixed[1])
    return AnswerContext(
        messages=messages, passages=tuple(chosen), input_tokens=count_chat_tokens(messages, model=model)
    )


def _choose_passages(*, passages: Sequence[Passage], budget_tokens: int, model: str) -> list[Passage]:
    """The best passages that fit; one that is too long is passed over for the next."""
    chosen: list[Passage] = []
    for passage in passages:
        tokens = count_tokens(passage.content, model=model) + PASSAGE_FRAME_TOKENS
        if len(chosen) < MAX_PASSAGES and tokens <= budget_tokens:
            chosen.append(passage)
            budget_tokens -= tokens
    return chosen


def _choose_history(*, history: Sequence[ChatMessage], budget_tokens: int, model: str) -> list[ChatMessage]:
    """The newest messages that fit, without a gap, beginning with one of the member."""
    chosen: list[ChatMessage] = []
    for message in reversed(history):
        tokens = estimate_tokens(message.content, model=model) + MESSAGE_FRAME_TOKENS
        if tokens > budget_tokens:
            break
        chosen.insert(0, message)
        budget_tokens -= tokens
    while chosen and chosen[0].role != "user":
        chosen.pop(0)
    return chosen
