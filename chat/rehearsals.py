"""Answers that nobody asked for in a conversation: a receipt's replay, an evaluation's runs. Enter at `rehearse`.

Search, decision, prompt, markers and checks are those of a conversation (`chat.grounding`, `chat.claims`); nothing is
saved but the ledger's records, whose purpose is EVALUATION for the answer itself.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from billing.metering import ChatMessage, Payer, complete_chat
from billing.models import Purpose
from chat.citations import MarkerFilter
from chat.claims import Claim, check_claims
from chat.context import max_answer_tokens
from chat.grounding import find_material, found_nothing, write_prompt
from cloneai.threads import run_in_thread
from clones.models import Clone
from knowledge.retrieval import Passage, SearchResult


@dataclass(frozen=True, slots=True, kw_only=True)
class Rehearsal:
    """An answer and how it came about. `numbers` maps the prompt's numbers of `given` to those in `text`.

    `cost_usd` is that of the answer and of other phrasings; `search_ms` and `total_ms` count from the question.
    """

    text: str
    search: SearchResult | None
    given: tuple[Passage, ...]
    numbers: dict[int, int]
    claims: tuple[Claim, ...]
    found_nothing: bool
    model: str = ""
    cost_usd: Decimal = Decimal(0)
    search_ms: int = 0
    total_ms: int = 0
    prompt: tuple[ChatMessage, ...] = field(default=())


async def rehearse(
    *, clone: Clone, question: str, payer: Payer, history: Sequence[ChatMessage] = ()
) -> Rehearsal:
    """Answers as the clone would now, after `history` (oldest first). Raises MeteredCallError."""
    started = time.monotonic()
    search = await find_material(clone=clone, question=question, history=history, payer=payer)
    searched = time.monotonic()
    prompt = await run_in_thread(write_prompt, clone=clone, question=question, history=history, search=search)
    expansion_usd = search.expansion_cost_usd if search else Decimal(0)
    if prompt is None:
        return Rehearsal(
            text=clone.no_answer_text,
            search=search,
            given=(),
            numbers={},
            claims=(),
            found_nothing=True,
            cost_usd=expansion_usd,
            search_ms=_milliseconds(started, searched),
            total_ms=_milliseconds(started, time.monotonic()),
        )
    result = await complete_chat(
        payer=payer,
        purpose=Purpose.EVALUATION,
        model=prompt.model,
        messages=prompt.context.messages,
        max_output_tokens=max_answer_tokens(clone=clone),
        temperature=float(clone.temperature),
    )
    markers = MarkerFilter(passage_count=len(prompt.context.passages))
    text = markers.push(result.text) + markers.flush()
    given = prompt.context.passages
    claims = await check_claims(text=text, passages=given, numbers=markers.numbers, clone=clone, payer=payer)
    return Rehearsal(
        text=text,
        search=search,
        given=given,
        numbers=markers.numbers,
        claims=claims,
        found_nothing=found_nothing(
            clone=clone, question=question, text=text, passages=given, numbers=markers.numbers
        ),
        model=prompt.model,
        cost_usd=result.cost_usd + expansion_usd,
        search_ms=_milliseconds(started, searched),
        total_ms=_milliseconds(started, time.monotonic()),
        prompt=prompt.context.messages,
    )


def _milliseconds(start: float, end: float) -> int:
    return round((end - start) * 1000)
