"""The receipt of an answer, for staff: how it came about, kept when it was written. Enter at `build_receipt`.

`chat.rehearsals` answers the same question again with today's settings, to be laid beside it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from decimal import Decimal
from typing import Any

from billing.metering import ChatMessage
from chat.claims import Claim
from chat.models import AnswerReceipt, Message
from knowledge.retrieval import Passage, SearchResult

EXCERPT_CHARS = 300


def build_receipt(
    *,
    message: Message,
    question: str,
    search: SearchResult | None,
    given: Sequence[Passage],
    prompt: Sequence[ChatMessage],
    claims: Sequence[Claim],
    timings_ms: Mapping[str, int | None],
    memories: Sequence[Mapping[str, Any]] = (),
) -> AnswerReceipt:
    """Unsaved. `given` are the passages that the prompt held, in the order of their numbers there."""
    return AnswerReceipt(
        message=message,
        question=question,
        query=search.query_used if search else "",
        phrasings=list(search.phrasings) if search else [],
        floor=search.floor if search else 0.0,
        is_lexical_only=search.is_lexical_only if search else False,
        expansion_cost_usd=search.expansion_cost_usd if search else Decimal(0),
        passages=list_passages(search=search, given=given),
        memories=[dict(memory) for memory in memories],
        prompt=[asdict(part) for part in prompt],
        claims=[claim.as_dict() for claim in claims],
        timings_ms={name: value for name, value in timings_ms.items() if value is not None},
    )


def list_passages(*, search: SearchResult | None, given: Sequence[Passage]) -> list[dict[str, Any]]:
    """What a search found, kept passages before dropped ones, each with its number in the prompt, if it had one."""
    if search is None:
        return []
    numbers = {passage.chunk_id: number for number, passage in enumerate(given, start=1)}
    return [
        {**_describe_passage(passage), "is_kept": is_kept, "number": numbers.get(passage.chunk_id)}
        for is_kept, passages in ((True, search.passages), (False, search.dropped))
        for passage in passages
    ]


def _describe_passage(passage: Passage) -> dict[str, Any]:
    """What a receipt keeps of a passage: where it stands, its figures, and how it begins."""
    return {
        "rank": passage.rank,
        "chunk_id": passage.chunk_id,
        "document_id": str(passage.document_id),
        "title": passage.document_title,
        "page": passage.page,
        "start_char": passage.start_char,
        "end_char": passage.end_char,
        "similarity": passage.similarity_score,
        "words": passage.lexical_rank,
        "relevance": passage.relevance,
        "excerpt": passage.content[:EXCERPT_CHARS],
    }
