"""The one function through which every search goes: chat, the expert's retrieval check, API;
`search_passages`.

Dense and lexical candidates are fused, repeated text is removed, and what does not reach the floor of
relevance is set aside. The figures are explained in `knowledge.relevance`.
"""

import logging
import uuid
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace

from django.conf import settings

from billing.metering import MeteredCallError, Payer, embed_texts
from billing.models import Purpose
from cloneai.threads import run_in_thread
from clones.models import Clone
from knowledge.candidates import Candidate, find_candidates
from knowledge.cleaning import clean_characters
from knowledge.embedding import EmbeddingModel
from knowledge.models import DocumentPage
from knowledge.overlaps import select_distinct
from knowledge.relevance import (
    KEPT_BELOW_FLOOR,
    RetrievalQuality,
    calibration_for,
    fuse_scores,
    judge_quality,
    relevance_of,
)

__all__ = ["Passage", "RetrievalQuality", "SearchResult", "search_passages"]

logger = logging.getLogger(__name__)

MAX_LIMIT = 50
CANDIDATES = 50
MAX_QUERY_CHARS = 6000  # about 1,500 tokens; one input of the provider may have 8,192


@dataclass(frozen=True, slots=True)
class Passage:
    """A passage found. `content` is the document's text from `start_char` to `end_char`.

    `similarity_score` is the cosine (0 without a vector), `lexical_rank` the share of the question's words
    held (0 to 1), `relevance` what the floor is compared with; `rank` counts from 1.
    """

    chunk_id: int
    document_id: uuid.UUID
    document_version: int
    document_title: str
    page: int
    page_end: int
    start_char: int
    end_char: int
    content: str
    headings: tuple[str, ...]
    similarity_score: float
    lexical_rank: float
    rank: int
    relevance: float = 0.0


@dataclass(frozen=True, slots=True)
class SearchResult:
    """`passages` are fit to answer from; `dropped` came next in order but lie below the floor."""

    passages: tuple[Passage, ...]
    quality: RetrievalQuality
    query_used: str
    is_lexical_only: bool
    dropped: tuple[Passage, ...] = ()
    floor: float = 0.0


async def search_passages(*, clone: Clone, query: str, payer: Payer, limit: int = 10) -> SearchResult:
    """The clone's passages that fit the question best, at most `limit`, best first.

    The caller got `clone` through `visible_to` or `editable_by`. One metered embedding call and one thread
    hop of one SQL statement (a second one where a passage that spans pages was shortened). When the
    provider fails, the words alone are searched; raises MeteredCallError when the budget is reached.
    """
    query = " ".join(clean_characters(text=query).split())[:MAX_QUERY_CHARS]
    if not clone.embedding_model:  # perhaps loaded before its first document became ready
        await run_in_thread(clone.refresh_from_db, fields=["embedding_model", "embedding_dimensions"])
    model = EmbeddingModel(name=clone.embedding_model, dimensions=clone.embedding_dimensions)
    vector = await _embed_query(query=query, model=model, payer=payer)
    return await run_in_thread(
        _search,
        clone=clone,
        query=query,
        vector=vector,
        model=model,
        limit=max(1, min(limit, MAX_LIMIT)),
    )


async def _embed_query(*, query: str, model: EmbeddingModel, payer: Payer) -> Sequence[float] | None:
    """The question's vector by the clone's live model; None when there is none to be had."""
    if not query or not model.name or not _is_reachable(model=model):
        return None
    try:
        result = await embed_texts(
            payer=payer,
            purpose=Purpose.QUERY_EMBEDDING,
            texts=[query],
            model=model.name,
            dimensions=model.dimensions,
        )
    except MeteredCallError as error:
        if error.error_type == "budget_exceeded":
            raise
        logger.warning("Searching by words only: the question could not be embedded (%s)", error.error_type)
        return None
    return [float(value) for value in result.vectors[0]]


def _is_reachable(*, model: EmbeddingModel) -> bool:
    """The local provider knows only its own model, and no other provider knows that one."""
    local = settings.LOCAL_EMBEDDING_MODEL
    return (model.name == local) == (local == settings.EMBEDDING_MODEL)


def _search(
    *, clone: Clone, query: str, vector: Sequence[float] | None, model: EmbeddingModel, limit: int
) -> SearchResult:
    candidates = find_candidates(
        clone_id=clone.pk, language=clone.language, query=query, vector=vector, model=model, depth=CANDIDATES
    )
    calibration = calibration_for(model=model.name)
    floor, least = calibration.floor, KEPT_BELOW_FLOOR * calibration.floor
    if clone.similarity_threshold is not None:  # the expert's word: nothing below it is used
        floor = least = clone.similarity_threshold
    ordered = _order(candidates=candidates, word_weight=calibration.word_weight)
    best = max((_relevance(one) for one in candidates), default=0.0)
    usable = [one for one in ordered if best >= floor and _relevance(one) >= least]
    kept = select_distinct(candidates=usable, limit=limit)
    dropped = [one for one in ordered if one not in usable][: limit - len(kept)]
    passages = _as_passages(_with_true_pages(found=kept, before=candidates), first_rank=1)
    quality = judge_quality(
        best_relevance=best,
        floor=floor,
        chunk_count=len(passages),
        diversity=len({passage.document_id for passage in passages}),
    )
    return SearchResult(
        passages=passages,
        quality=quality,
        query_used=query,
        is_lexical_only=vector is None,
        dropped=_as_passages(dropped, first_rank=len(passages) + 1),
        floor=floor,
    )


def _order(*, candidates: Sequence[Candidate], word_weight: float) -> list[Candidate]:
    scores = fuse_scores(
        similarities=[one.similarity for one in candidates],
        word_ranks=[one.word_rank for one in candidates],
        word_weight=word_weight,
    )
    pairs = sorted(zip(scores, candidates, strict=True), key=lambda pair: (-pair[0], pair[1].chunk_id))
    return [candidate for _score, candidate in pairs]


def _relevance(candidate: Candidate) -> float:
    return relevance_of(similarity=candidate.similarity, word_share=candidate.word_share)


def _with_true_pages(*, found: Sequence[Candidate], before: Sequence[Candidate]) -> list[Candidate]:
    """Page numbers of passages that were shortened; one query, and only when one of them spans pages."""
    spans = {one.chunk_id: (one.start_char, one.end_char) for one in before}
    changed = [
        one
        for one in found
        if spans[one.chunk_id] != (one.start_char, one.end_char) and one.page_start != one.page_end
    ]
    if not changed:
        return list(found)
    rows = DocumentPage.objects.filter(document__in={one.document_id for one in changed}).exclude(text="")
    starts: dict[tuple[uuid.UUID, int], list[tuple[int, int]]] = {}
    for document_id, version, start, number in rows.order_by("start_char").values_list(
        "document_id", "version", "start_char", "number"
    ):
        starts.setdefault((document_id, version), []).append((start, number))
    repaired = {
        one.chunk_id: _on_pages(one, starts[(one.document_id, one.document_version)]) for one in changed
    }
    return [repaired.get(one.chunk_id, one) for one in found]


def _on_pages(one: Candidate, starts: Sequence[tuple[int, int]]) -> Candidate:
    def page_at(position: int) -> int:
        return starts[max(bisect_right(starts, position, key=lambda start: start[0]) - 1, 0)][1]

    return replace(one, page_start=page_at(one.start_char), page_end=page_at(one.end_char - 1))


def _as_passages(candidates: Sequence[Candidate], *, first_rank: int) -> tuple[Passage, ...]:
    return tuple(
        Passage(
            chunk_id=one.chunk_id,
            document_id=one.document_id,
            document_version=one.document_version,
            document_title=one.document_title,
            page=one.page_start,
            page_end=one.page_end,
            start_char=one.start_char,
            end_char=one.end_char,
            content=one.content,
            headings=one.headings,
            similarity_score=round(one.similarity or 0.0, 4),
            lexical_rank=round(one.word_share, 4),
            rank=rank,
            relevance=round(_relevance(one), 4),
        )
        for rank, one in enumerate(candidates, start=first_rank)
    )
