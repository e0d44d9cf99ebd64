"""One stateless answer of a clone, from a history that the caller gives: what `/v1/chat/completions` does.

Enter at `stream_completion`. Search, refusal, prompt and markers are those of a conversation (`chat.grounding`);
nothing but the ledger's records is saved. A system message of the caller is a wish of the member: it stands fenced
in the prompt, above the clone's hard rules and the rules for passages, and overrides none of them.
"""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from django.conf import settings

from billing.metering import ChatMessage, ChatResult, Payer, TextDelta, Usage, stream_chat
from billing.model_choice import Task, choose_model
from billing.models import Purpose
from chat.citations import MarkerFilter, build_citations
from chat.claims import check_claims, mark_support
from chat.context import estimate_tokens, max_answer_tokens, max_question_tokens
from chat.gap_models import GapReason
from chat.grounding import find_gap, find_material, write_prompt
from chat.models import Citation, Message, Role
from cloneai.accounts.models import User
from cloneai.threads import run_in_thread
from clones.models import Clone
from knowledge.retrieval import Passage

MAX_HISTORY_MESSAGES = 40
NO_USAGE = Usage(input_tokens=0, cached_input_tokens=0, output_tokens=0)


class ContextTooLong(Exception):  # noqa: N818  (what happened)
    """Question and wishes do not fit. Both figures count tokens."""

    def __init__(self, *, tokens: int, limit_tokens: int) -> None:
        super().__init__(f"{tokens} tokens, and {limit_tokens} fit.")
        self.tokens = tokens
        self.limit_tokens = limit_tokens


@dataclass(frozen=True, slots=True, kw_only=True)
class CompletionOrder:
    """What is asked for. `history` is oldest first, without the question; None leaves a figure to the clone."""

    question: str
    history: tuple[ChatMessage, ...] = ()
    wishes: str = ""
    max_output_tokens: int | None = None
    temperature: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CompletionEnd:
    """How the answer ended. The citations are unsaved and carry the numbers that the text shows.

    `gap` is what the material lacks; None when it held an answer, and when none was searched for. `query_used` is what
    was searched for.
    """

    finish_reason: str
    usage: Usage
    citations: tuple[Citation, ...]
    gap: GapReason | None = None
    query_used: str = ""


async def stream_completion(
    *, clone: Clone, user: User, order: CompletionOrder
) -> AsyncGenerator[TextDelta | CompletionEnd, None]:
    """The answer's text as it comes, then exactly one CompletionEnd. `aclose()` stops the provider.

    The caller got `clone` through `visible_to`. Raises ContextTooLong, and MeteredCallError from every provider call.
    """
    payer = Payer(user_id=user.pk, clone_id=clone.pk)
    await run_in_thread(check_length, clone=clone, order=order)
    history = order.history[-MAX_HISTORY_MESSAGES:]
    search = await find_material(clone=clone, question=order.question, history=history, payer=payer)
    prompt = await run_in_thread(
        write_prompt,
        clone=clone,
        question=order.question,
        history=history,
        search=search,
        wishes=order.wishes,
    )
    if prompt is None:
        yield TextDelta(clone.no_answer_text)
        yield CompletionEnd(
            finish_reason="stop",
            usage=NO_USAGE,
            citations=(),
            gap=GapReason.UNANSWERED if search else None,
            query_used=search.query_used if search else "",
        )
        return
    markers = MarkerFilter(passage_count=len(prompt.context.passages))
    longest = max_answer_tokens(clone=clone)
    shown: list[str] = []
    result: ChatResult | None = None
    events = stream_chat(
        payer=payer,
        purpose=Purpose.CHAT,
        model=prompt.model,
        messages=prompt.context.messages,
        max_output_tokens=min(order.max_output_tokens or longest, longest),
        temperature=_temperature(clone=clone, order=order),
    )
    async with aclosing(events):
        async for event in events:
            if isinstance(event, ChatResult):
                result = event
            text = markers.flush() if isinstance(event, ChatResult) else markers.push(event.text)
            if text:
                shown.append(text)
                yield TextDelta(text)
    assert result is not None, "a stream that raises nothing ends with its result"
    text, passages, numbers = "".join(shown), prompt.context.passages, markers.numbers
    gap = find_gap(clone=clone, question=order.question, text=text, passages=passages, numbers=numbers)
    citations: list[Citation] = []
    if gap != GapReason.UNANSWERED:
        citations = await _cite(text=text, passages=passages, numbers=numbers, clone=clone, payer=payer)
    yield CompletionEnd(
        finish_reason=result.finish_reason or "stop",
        usage=result.usage,
        citations=tuple(citations),
        gap=gap if search else None,
        query_used=search.query_used if search else "",
    )


async def _cite(
    *, text: str, passages: Sequence[Passage], numbers: dict[int, int], clone: Clone, payer: Payer
) -> list[Citation]:
    """The sources of a whole answer, as a conversation would save them, checked against what it says."""
    claims = await check_claims(text=text, passages=passages, numbers=numbers, clone=clone, payer=payer)
    answer = Message(role=Role.ASSISTANT, content=text)
    citations = await run_in_thread(build_citations, message=answer, passages=passages, numbers=numbers)
    mark_support(citations=citations, claims=claims)
    return citations


def check_length(*, clone: Clone, order: CompletionOrder) -> None:
    """Raises ContextTooLong unless question and wishes leave room for material. History is cut to fit instead."""
    model = choose_model(task=Task.CHAT, override=clone.chat_model)
    limit_tokens = max_question_tokens(clone=clone, model=model)
    tokens = sum(estimate_tokens(text, model=model) for text in (order.question, order.wishes))
    if tokens > limit_tokens:
        raise ContextTooLong(
            tokens=tokens + settings.MAX_CONTEXT_LENGTH - limit_tokens,
            limit_tokens=settings.MAX_CONTEXT_LENGTH,
        )


def _temperature(*, clone: Clone, order: CompletionOrder) -> float:
    """The caller may ask for less than the expert chose, not for more."""
    most = float(clone.temperature)
    return most if order.temperature is None else min(order.temperature, most)
