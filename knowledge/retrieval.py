"""The one door of every search, for the chat, the expert's retrieval check and the API: `search_passages`.

Dense and lexical candidates are fused; a poor first search gets a second look (`knowledge.second_look`); repeated
text is removed, and what does not reach the floor of relevance is set aside. The figures are explained in
`knowledge.relevance`.
"""

import asyncio
import logging
from dataclasses import dataclass
from decimal import Decimal

from django.conf import settings

from billing.metering import MeteredCallError, Payer, embed_then
from billing.models import Purpose
from cloneai.threads import run_in_thread
from clones.models import Clone
from knowledge.candidates import Candidate, QuestionVector, find_candidates
from knowledge.cleaning import clean_characters
from knowledge.close_reading import Reading, read_closely
from knowledge.embedding import EmbeddingModel
from knowledge.overlaps import select_distinct
from knowledge.passages import Passage, as_passages, with_true_pages
from knowledge.relevance import (
    KEPT_BELOW_FLOOR,
    MOST_RELEVANT,
    Calibration,
    RetrievalQuality,
    calibration_for,
    evidence_of,
    fuse_candidates,
    judge_quality,
    relevance_of,
)
from knowledge.second_look import SecondLook, is_poor, look_again
from knowledge.word_search import WordHits, search_words

__all__ = ["Passage", "RetrievalQuality", "SearchResult", "search_passages"]

logger = logging.getLogger(__name__)

MAX_LIMIT = 50
CANDIDATES = 50
MAX_QUERY_CHARS = 6000  # about 1,500 tokens; one input of the provider may have 8,192


@dataclass(frozen=True, slots=True)
class SearchResult:
    """`passages` are fit to answer from; `dropped` came next in order but lie below the floor.

    `phrasings` are the other wordings that were searched for too, when the first search was poor;
    `expansion_cost_usd` and `expansion_ms` are what that took at the provider.
    """

    passages: tuple[Passage, ...]
    quality: RetrievalQuality
    query_used: str
    is_lexical_only: bool
    dropped: tuple[Passage, ...] = ()
    floor: float = 0.0
    phrasings: tuple[str, ...] = ()
    expansion_cost_usd: Decimal = Decimal(0)
    expansion_ms: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Question:
    clone: Clone
    text: str
    model: EmbeddingModel
    calibration: Calibration
    limit: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _First:
    """What the first search found; `result` is None when something follows that may change it."""

    vector: QuestionVector | None
    look: SecondLook
    result: SearchResult | None


async def search_passages(*, clone: Clone, query: str, payer: Payer, limit: int = 10) -> SearchResult:
    """The clone's passages that fit the question best, at most `limit`, best first.

    The caller got `clone` through `visible_to` or `editable_by`. One metered embedding call, a SQL statement beside it
    and one after it (another where a passage that spans pages was shortened); a poor first search is followed by two
    more metered calls and two statements a phrasing. When the provider fails, the words alone are searched, or the
    first search stands; raises MeteredCallError when the budget is reached before it.
    """
    text = " ".join(clean_characters(text=query).split())[:MAX_QUERY_CHARS]
    if not clone.embedding_model:  # perhaps loaded before its first document became ready
        await run_in_thread(clone.refresh_from_db, fields=["embedding_model", "embedding_dimensions"])
    model = EmbeddingModel(name=clone.embedding_model, dimensions=clone.embedding_dimensions)
    question = _Question(
        clone=clone,
        text=text,
        model=model,
        calibration=calibration_for(model=model.name),
        limit=max(1, min(limit, MAX_LIMIT)),
    )
    first = await _search_first(question=question, payer=payer)
    if first.result is not None:
        return first.result
    look = first.look
    if first.vector is not None and is_poor(candidates=look.candidates, calibration=question.calibration):
        second = await look_again(
            clone=clone,
            query=text,
            first=look.candidates,
            model=model,
            calibration=question.calibration,
            payer=payer,
            depth=CANDIDATES,
        )
        look = second or look
    reading = await _read(question=question, vector=first.vector, look=look, payer=payer)
    return await run_in_thread(
        _select, question=question, look=look, reading=reading, is_lexical_only=first.vector is None
    )


async def _search_first(*, question: _Question, payer: Payer) -> _First:
    """By words while the question is being embedded, and by vector while that is being paid for."""
    words = asyncio.ensure_future(
        run_in_thread(
            search_words,
            clone_id=question.clone.pk,
            language=question.clone.language,
            query=question.text,
            depth=CANDIDATES,
        )
    )

    async def lay_together(vector: QuestionVector | None) -> _First:
        return await run_in_thread(_lay_together, question=question, words=await words, vector=vector)

    try:
        if not question.text or not question.model.name or not _is_reachable(model=question.model):
            return await lay_together(None)
        return await embed_then(
            payer=payer,
            purpose=Purpose.QUERY_EMBEDDING,
            text=question.text,
            model=question.model.name,
            dimensions=question.model.dimensions,
            use=lay_together,
        )
    except MeteredCallError as error:
        if error.error_type == "budget_exceeded":
            raise
        logger.warning("Searching by words only: the question could not be embedded (%s)", error.error_type)
        return await lay_together(None)
    finally:
        words.cancel()


def _lay_together(*, question: _Question, words: WordHits, vector: QuestionVector | None) -> _First:
    candidates = find_candidates(
        clone_id=question.clone.pk, words=words, vector=vector, model=question.model, depth=CANDIDATES
    )
    calibration = question.calibration
    look = SecondLook(
        candidates=tuple(candidates),
        scores=fuse_candidates(candidates=candidates, word_weight=calibration.word_weight),
    )
    is_final = vector is None or (
        calibration.reading is None and not is_poor(candidates=candidates, calibration=calibration)
    )
    result = (
        _select(question=question, look=look, reading=None, is_lexical_only=vector is None)
        if is_final
        else None
    )
    return _First(vector=vector, look=look, result=result)


async def _read(
    *, question: _Question, vector: QuestionVector | None, look: SecondLook, payer: Payer
) -> Reading | None:
    """The best passages sentence by sentence, for models that need it; None where that is not so or failed."""
    weights = question.calibration.reading
    if vector is None or weights is None or not look.candidates:
        return None
    try:
        return await read_closely(
            query=question.text,
            vector=vector,
            candidates=look.candidates,
            scores=look.scores,
            phrasings=look.phrasings,
            weights=weights,
            language=question.clone.language,
            model=question.model,
            payer=payer,
        )
    except MeteredCallError as error:
        logger.warning("Passages were not read closely (%s)", error.error_type)
        return None


def _is_reachable(*, model: EmbeddingModel) -> bool:
    """The local provider knows only its own model, and no other provider knows that one."""
    local = settings.LOCAL_EMBEDDING_MODEL
    return (model.name == local) == (local == settings.EMBEDDING_MODEL)


def _select(
    *, question: _Question, look: SecondLook, reading: Reading | None, is_lexical_only: bool
) -> SearchResult:
    """Order, floor, repeated text: what is kept and what is dropped."""
    floor, least = question.calibration.floor, KEPT_BELOW_FLOOR * question.calibration.floor
    if question.clone.similarity_threshold is not None:  # the expert's word: nothing below it is used
        floor = least = question.clone.similarity_threshold
    scores = reading.scores if reading else look.scores
    ordered = sorted(look.candidates, key=lambda one: (-scores.get(one.chunk_id, 0.0), one.chunk_id))
    relevance = {one.chunk_id: _relevance(one, reading) for one in ordered}
    best = max(relevance.values(), default=0.0)
    is_usable = {chunk_id: best >= floor and value >= least for chunk_id, value in relevance.items()}
    kept = select_distinct(
        candidates=[one for one in ordered if is_usable[one.chunk_id]], limit=question.limit
    )
    dropped = [one for one in ordered if not is_usable[one.chunk_id]][: question.limit - len(kept)]
    passages = as_passages(with_true_pages(found=kept, before=ordered), first_rank=1, relevance=relevance)
    quality = judge_quality(
        best_relevance=best,
        floor=floor,
        chunk_count=len(passages),
        diversity=len({passage.document_id for passage in passages}),
    )
    return SearchResult(
        passages=passages,
        quality=quality,
        query_used=question.text,
        is_lexical_only=is_lexical_only,
        dropped=as_passages(dropped, first_rank=len(passages) + 1, relevance=relevance),
        floor=floor,
        phrasings=look.phrasings,
        expansion_cost_usd=look.cost_usd,
        expansion_ms=look.latency_ms,
    )


def _relevance(one: Candidate, reading: Reading | None) -> float:
    relevance = relevance_of(similarity=one.similarity, word_share=one.word_share)
    if reading is None or one.chunk_id not in reading.closeness:
        evidence = 0.0
    else:
        evidence = evidence_of(closeness=reading.closeness[one.chunk_id])
    return min(max(relevance + evidence, 0.0), MOST_RELEVANT)
