"""Alternative phrasings of a question, for a search that found little; enter at `phrase_differently`.

One metered call of the cheap model. Money is US dollars, times are milliseconds.
"""

import logging
from dataclasses import dataclass
from decimal import Decimal

import pydantic

from billing.metering import MeteredCallError, Payer, complete_structured
from billing.model_choice import Complexity, Task, choose_model
from billing.models import Purpose
from knowledge.prompts import build_expansion_messages

logger = logging.getLogger(__name__)

MAX_PHRASINGS = 3
MAX_PHRASING_CHARS = 600
MAX_QUERY_CHARS = 1000  # who writes more has used many words already
MAX_OUTPUT_TOKENS = 400


class Phrasings(pydantic.BaseModel):
    """What the model is asked for."""

    queries: list[str]


@dataclass(frozen=True, slots=True)
class Expansion:
    """Other phrasings of a question, none of them the question itself, and what they cost."""

    queries: tuple[str, ...] = ()
    cost_usd: Decimal = Decimal(0)
    latency_ms: int = 0


async def phrase_differently(*, query: str, payer: Payer) -> Expansion:
    """At most three phrasings. Whatever goes wrong (also a budget that is used up) leaves none, and raises nothing."""
    if len(query) > MAX_QUERY_CHARS:
        return Expansion()
    try:
        result = await complete_structured(
            payer=payer,
            purpose=Purpose.EXPANSION,
            model=choose_model(task=Task.CHAT, complexity=Complexity.SIMPLE),
            messages=build_expansion_messages(query=query),
            schema=Phrasings,
            max_output_tokens=MAX_OUTPUT_TOKENS,
            temperature=0.0,
        )
    except MeteredCallError as error:
        logger.warning("No other phrasings of the question (%s)", error.error_type)
        return Expansion()
    return Expansion(
        queries=_usable(phrasings=result.value.queries, query=query),
        cost_usd=result.cost_usd,
        latency_ms=result.latency_ms,
    )


def _usable(*, phrasings: list[str], query: str) -> tuple[str, ...]:
    tidy = (" ".join(text.replace("\x00", "").split())[:MAX_PHRASING_CHARS] for text in phrasings)
    others = {text.casefold(): text for text in tidy if text and text.casefold() != query.casefold()}
    return tuple(others.values())[:MAX_PHRASINGS]
