"""A second look for a question that the first search answered poorly; enter at `is_poor` and `look_again`.

Two more kinds of evidence: what other phrasings of the question find, and, for embedding models whose vectors blur
long passages, how close the best three sentences in a row of a passage are to the question. Vectors are unit
rows, float32.
"""

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from itertools import groupby

import numpy as np
import numpy.typing as npt

from billing.metering import MeteredCallError, Payer, embed_texts
from billing.models import Purpose
from cloneai.threads import run_in_thread
from clones.models import Clone
from knowledge.candidates import Candidate, find_candidates
from knowledge.embedding import EmbeddingModel
from knowledge.expansion import Expansion, phrase_differently
from knowledge.relevance import Calibration, fuse_scores, relevance_of

logger = logging.getLogger(__name__)

Vectors = npt.NDArray[np.float32]

# A first search is poor when no passage holds half of the question's words and none is relevant beyond doubt.
ENOUGH_WORDS = 0.5
PHRASINGS_WEIGHT = 0.7  # of all phrasings together, the question itself counts 1
ONLY_BY_PHRASING = 0.8  # what only another phrasing found is a little less relevant than its figures say
READ_CLOSELY = 20
WINDOW_SENTENCES = 3
MAX_SENTENCES = 1900  # with the phrasings below the 2,048 inputs of one request
# The best window of a passage on something else comes about this close, so it says nothing for or against.
CLOSENESS_BY_CHANCE = 0.29

_SENTENCE_END = re.compile(r"(?<=[.!?])\s+|\n+")


@dataclass(frozen=True, slots=True)
class SecondLook:
    """What the second look adds, by chunk id: `scores` for the order, `evidence` to add to the relevance.

    `candidates` are those of the first search and what the phrasings found besides.
    """

    candidates: tuple[Candidate, ...]
    scores: Mapping[int, float]
    evidence: Mapping[int, float] = field(default_factory=dict)
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
    vector: Sequence[float],
    first: Sequence[Candidate],
    model: EmbeddingModel,
    calibration: Calibration,
    payer: Payer,
    depth: int,
) -> SecondLook | None:
    """One metered call for phrasings, one for vectors, one SQL statement a phrasing. None when nothing new came."""
    expansion = await phrase_differently(query=query, payer=payer)
    read = _closest(candidates=first, calibration=calibration)
    sentences = [(one.chunk_id, text) for one in read for text in split_sentences(text=one.content)]
    distinct = list(dict.fromkeys(text for _id, text in sentences))[:MAX_SENTENCES]
    texts = [*expansion.queries, *distinct]
    if not texts:
        return None
    try:
        embedded = await embed_texts(
            payer=payer,
            purpose=Purpose.EXPANSION,
            texts=texts,
            model=model.name,
            dimensions=model.dimensions,
        )
    except MeteredCallError as error:
        logger.warning("Keeping the first search: the second could not be embedded (%s)", error.error_type)
        return None
    count = len(expansion.queries)
    rows = {text: row for row, text in enumerate(distinct, start=count)}
    known = [(chunk_id, rows[text]) for chunk_id, text in sentences if text in rows]
    return await run_in_thread(
        _combine,
        clone=clone,
        first=first,
        asked=np.array([vector, *embedded.vectors[:count]], dtype=np.float32),
        windows=_Windows(
            owners=[chunk_id for chunk_id, _row in known],
            sentences=embedded.vectors[[row for _id, row in known]],
        ),
        expansion=replace(
            expansion,
            cost_usd=expansion.cost_usd + embedded.cost_usd,
            latency_ms=expansion.latency_ms + embedded.latency_ms,
        ),
        model=model,
        calibration=calibration,
        depth=depth,
    )


def split_sentences(*, text: str) -> list[str]:
    """The sentences and lines of a text that have more than two characters."""
    return [part.strip() for part in _SENTENCE_END.split(text) if len(part.strip()) > 2]


class _Windows:
    """Runs of three sentences, of one passage each. `owners[i]` is the chunk id of `sentences[i]`."""

    def __init__(self, *, owners: Sequence[int], sentences: Vectors) -> None:
        self.owners: list[int] = []
        rows: list[Vectors] = []
        for chunk_id, group in groupby(range(len(owners)), key=lambda index: owners[index]):
            own = sentences[list(group)]
            starts = range(max(1, len(own) - WINDOW_SENTENCES + 1))
            rows += [own[start : start + WINDOW_SENTENCES].sum(axis=0) for start in starts]
            self.owners += [chunk_id] * len(starts)
        self._vectors = np.array(rows, dtype=np.float32)
        if rows:
            self._vectors /= np.maximum(np.linalg.norm(self._vectors, axis=1, keepdims=True), 1e-6)

    def closeness(self, *, vector: Vectors) -> dict[int, float]:
        """The cosine of each passage's best window."""
        best: dict[int, float] = {}
        if self.owners:
            for chunk_id, cosine in zip(self.owners, (self._vectors @ vector).tolist(), strict=True):
                best[chunk_id] = max(cosine, best.get(chunk_id, -1.0))
        return best


def _closest(*, candidates: Sequence[Candidate], calibration: Calibration) -> list[Candidate]:
    """The passages to read sentence by sentence: none for models that do without."""
    if not calibration.window_weight:
        return []
    scores = _fused(candidates=candidates, word_weight=calibration.word_weight)
    return sorted(candidates, key=lambda one: -scores[one.chunk_id])[:READ_CLOSELY]


def _combine(
    *,
    clone: Clone,
    first: Sequence[Candidate],
    asked: Vectors,
    windows: _Windows,
    expansion: Expansion,
    model: EmbeddingModel,
    calibration: Calibration,
    depth: int,
) -> SecondLook:
    """`asked` are the vectors of the question and of each phrasing."""
    known = {one.chunk_id: one for one in first}
    closeness = windows.closeness(vector=asked[0])
    scores = _fused(candidates=first, word_weight=calibration.word_weight)
    _add(scores, _relative(closeness), weight=calibration.window_weight)
    for phrasing, vector in zip(expansion.queries, asked[1:], strict=True):
        found = find_candidates(
            clone_id=clone.pk,
            language=clone.language,
            query=phrasing,
            vector=vector.tolist(),
            model=model,
            depth=depth,
        )
        for one in found:
            known.setdefault(one.chunk_id, _discounted(one))
        share = PHRASINGS_WEIGHT / len(expansion.queries)
        _add(scores, _fused(candidates=found, word_weight=calibration.phrasing_word_weight), weight=share)
        by_window = _relative(windows.closeness(vector=vector))
        _add(scores, by_window, weight=share * calibration.window_weight)
    return SecondLook(
        candidates=tuple(known.values()),
        scores=scores,
        evidence={chunk_id: value - CLOSENESS_BY_CHANCE for chunk_id, value in closeness.items()},
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


def _fused(*, candidates: Sequence[Candidate], word_weight: float) -> dict[int, float]:
    scores = fuse_scores(
        similarities=[one.similarity for one in candidates],
        word_ranks=[one.word_rank for one in candidates],
        word_weight=word_weight,
    )
    return {one.chunk_id: score for one, score in zip(candidates, scores, strict=True)}


def _relative(values: Mapping[int, float]) -> dict[int, float]:
    best = max(values.values(), default=0.0)
    return {key: value / best for key, value in values.items()} if best > 0 else {}


def _add(scores: dict[int, float], more: Mapping[int, float], *, weight: float) -> None:
    for key, value in more.items():
        scores[key] = scores.get(key, 0.0) + weight * value
