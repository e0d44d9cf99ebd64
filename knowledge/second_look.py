"""A second look for a question that the first search answered poorly; enter at `is_poor` and `look_again`.

The cheap model gives other phrasings of the question, and what they find is added to what was found.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

import numpy as np
import numpy.typing as npt

from billing.metering import MeteredCallError, Payer, embed_texts
from billing.models import Purpose
from cloneai.threads import run_in_thread
from clones.models import Clone
from knowledge.candidates import Candidate, find_candidates
from knowledge.embedding import EmbeddingModel
from knowledge.expansion import Expansion, phrase_differently
from knowledge.relevance import Calibration, fuse_candidates, relevance_of
from knowledge.word_search import search_words

logger = logging.getLogger(__name__)

# A first search is poor when no passage holds half of the question's words and none is relevant beyond doubt.
ENOUGH_WORDS = 0.5
PHRASINGS_WEIGHT = 0.7  # of all phrasings together, the question itself counts 1
ONLY_BY_PHRASING = 0.8  # what only another phrasing found is a little less relevant than its figures say


@dataclass(frozen=True, slots=True)
class SecondLook:
    """Candidates of the first search and what the phrasings found besides; `scores` for the order, by chunk id."""

    candidates: tuple[Candidate, ...]
    scores: Mapping[int, float]
    phrasings: tuple[str, ...] = ()
    cost_usd: Decimal = Decimal(0)
    latency_ms: int = 0


def is_poor(*, candidates: Sequence[Candidate], calibration: Calibration) -> bool:
    """Whether a search found something, but nothing that surely answers. Without vectors the words are all there is."""
    if not any(one.similarity is not None for one in candidates):
        return False
    words = max(one.word_share for one in candidates)
    best = max(relevance_of(similarity=one.similarity, word_share=one.word_share) for one in candidates)
    return words < ENOUGH_WORDS and best < calibration.sure


async def look_again(
    *,
    clone: Clone,
    query: str,
    first: Sequence[Candidate],
    model: EmbeddingModel,
    calibration: Calibration,
    payer: Payer,
    depth: int,
) -> SecondLook | None:
    """Two metered calls, for phrasings and their vectors, and two SQL statements a phrasing. None: nothing new came."""
    expansion = await phrase_differently(query=query, payer=payer)
    if not expansion.queries:
        return None
    try:
        embedded = await embed_texts(
            payer=payer,
            purpose=Purpose.EXPANSION,
            texts=expansion.queries,
            model=model.name,
            dimensions=model.dimensions,
        )
    except MeteredCallError as error:
        logger.warning("Keeping the first search: the phrasings could not be embedded (%s)", error.error_type)
        return None
    return await run_in_thread(
        _combine,
        clone=clone,
        first=first,
        vectors=embedded.vectors,
        expansion=replace(
            expansion,
            cost_usd=expansion.cost_usd + embedded.cost_usd,
            latency_ms=expansion.latency_ms + embedded.latency_ms,
        ),
        model=model,
        calibration=calibration,
        depth=depth,
    )


def _combine(
    *,
    clone: Clone,
    first: Sequence[Candidate],
    vectors: npt.NDArray[np.float32],
    expansion: Expansion,
    model: EmbeddingModel,
    calibration: Calibration,
    depth: int,
) -> SecondLook:
    """`vectors[n]` is that of the phrasing `expansion.queries[n]`."""
    known = {one.chunk_id: one for one in first}
    scores = fuse_candidates(candidates=first, word_weight=calibration.word_weight)
    share = PHRASINGS_WEIGHT / len(expansion.queries)
    for phrasing, vector in zip(expansion.queries, vectors, strict=True):
        found = find_candidates(
            clone_id=clone.pk,
            words=search_words(clone_id=clone.pk, language=clone.language, query=phrasing, depth=depth),
            vector=vector,
            model=model,
            depth=depth,
        )
        for one in found:
            known.setdefault(one.chunk_id, _discounted(one))
        fused = fuse_candidates(candidates=found, word_weight=calibration.phrasing_word_weight)
        for chunk_id, score in fused.items():
            scores[chunk_id] = scores.get(chunk_id, 0.0) + share * score
    return SecondLook(
        candidates=tuple(known.values()),
        scores=scores,
        phrasings=expansion.queries,
        cost_usd=expansion.cost_usd,
        latency_ms=expansion.latency_ms,
    )


def _discounted(one: Candidate) -> Candidate:
    return replace(
        one,
        similarity=None if one.similarity is None else one.similarity * ONLY_BY_PHRASING,
        word_share=one.word_share * ONLY_BY_PHRASING,
    )
