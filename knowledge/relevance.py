"""How relevant a passage is to a question, in numbers, and what counts as having found something.

Three figures per passage:
- similarity: cosine of question and passage, -1 to 1; None where the passage has no vector of the live model;
- word share: 0 to 1, how much of the question's words the passage holds, each weighed by how rare it is among
  the clone's passages (the idf of BM25) and by how often it stands there;
- word rank: word share over the passage's length to the power of 0.33; for the order only.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from knowledge.candidates import Candidate

# Words tell answerable questions from others about as well as static vectors do, and the sum does it better
# than
# either (see DECISIONS and `benchmarks/`): relevance = similarity + half the word share.
WORDS_IN_RELEVANCE = 0.5
KEPT_BELOW_FLOOR = 0.5
# The word list's share grows from its own to the highest while the best passage's word share grows from few to most.
FEW_WORDS, MOST_WORDS, SURE_WORD_WEIGHT = 0.3, 0.6, 0.75
MOST_RELEVANT = 0.99  # nothing is certain: an expert's threshold of 1 uses nothing
# The best three sentences of a passage on something else come about this close.
CLOSENESS_BY_CHANCE = 0.29
LEAST_EVIDENCE = (
    -0.05
)  # sentences in other words speak hardly against a passage that has the question's words
QUALITY_STEPS = ((0.45, "excellent"), (0.20, "good"), (0.08, "fair"))


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadingWeights:
    """What each figure of a closely read passage counts for in the order; see `knowledge.close_reading`."""

    similarity: float
    words: float
    closeness: float
    fit: float
    phrasings: float


@dataclass(frozen=True, slots=True)
class Calibration:
    """Per embedding model: the floor of relevance, and the word list's share of the order (0 to 1).

    The floor decides whether anything was found: the best passage must reach it. The ones after it are used down
    to `KEPT_BELOW_FLOOR` of it, since the passage that holds the answer is not always the one that scores best.

    `sure`: below this relevance a search whose words do not fit either gets a second look (`knowledge.second_look`);
    there `phrasing_word_weight` is the word list's share for other phrasings. With `reading` the best passages are
    read sentence by sentence (`knowledge.close_reading`); without, a hosted model's vectors are trusted and its price
    is saved. `same_sense` is the cosine from which two sentences say the same in other words (`chat.claims`).
    """

    floor: float
    word_weight: float
    sure: float
    phrasing_word_weight: float = 0.45
    same_sense: float = 0.55
    reading: ReadingWeights | None = None


# local: measured on the demo clone and three public corpora at 1,000 and 400 tokens a passage. Its floor trades: to
# refuse an everyday question is worse than to show a weak passage (see DECISIONS). The others follow the published
# range of their similarities (0.3 to 0.6 for relevant passages) and are not measured here.
CALIBRATIONS = {
    "local-wordllama-256": Calibration(
        floor=0.18,
        word_weight=0.55,
        sure=0.60,
        phrasing_word_weight=0.8,
        same_sense=0.6,
        reading=ReadingWeights(similarity=0.30, words=0.20, closeness=0.25, fit=0.25, phrasings=0.10),
    ),
    "text-embedding-3-large": Calibration(floor=0.35, word_weight=0.30, sure=0.50),
    "text-embedding-3-small": Calibration(floor=0.35, word_weight=0.30, sure=0.50),
}
DEFAULT_CALIBRATION = Calibration(floor=0.35, word_weight=0.30, sure=0.50)


@dataclass(frozen=True, slots=True)
class RetrievalQuality:
    """What a search found. `score` is the best relevance, cut to 0..1; `diversity` counts documents.

    Status: no_context when nothing reaches the floor; else by how far the best one stands above it, as a
    share of the way from the floor to 1: poor, fair from 0.08, good from 0.20, excellent from 0.45.
    """

    score: float
    status: str
    chunk_count: int
    diversity: int

    def as_dict(self) -> dict[str, float | int | str]:
        return asdict(self)


def calibration_for(*, model: str) -> Calibration:
    return CALIBRATIONS.get(model, DEFAULT_CALIBRATION)


def relevance_of(*, similarity: float | None, word_share: float) -> float:
    """Compared with the floor. Without a vector the words stand in for the similarity."""
    if similarity is None:
        return word_share * (1 + WORDS_IN_RELEVANCE)
    return similarity + WORDS_IN_RELEVANCE * word_share


def evidence_of(*, closeness: float) -> float:
    """What close reading adds to a passage's relevance; about 0 for a passage on something else."""
    return max(closeness - CLOSENESS_BY_CHANCE, LEAST_EVIDENCE)


def fuse_scores(
    *, similarities: Sequence[float | None], word_ranks: Sequence[float], word_weight: float
) -> list[float]:
    """One score each: where a passage stands between the worst and the best similarity, and its words relative to the
    best, weighted.

    Scores are only comparable within one search. A passage without a vector counts by its words alone.
    """
    known = [value for value in similarities if value is not None]
    worst, best_similarity = min(known, default=0.0), max(known, default=0.0)
    best_rank = max(word_ranks, default=0.0)
    fused = []
    for similarity, rank in zip(similarities, word_ranks, strict=True):
        words = rank / best_rank if best_rank > 0 else 0.0
        if similarity is None:
            fused.append(words)
            continue
        dense = (similarity - worst) / (best_similarity - worst) if best_similarity > worst else 1.0
        fused.append((1 - word_weight) * dense + word_weight * words)
    return fused


def fuse_candidates(*, candidates: Sequence[Candidate], word_weight: float) -> dict[int, float]:
    """`fuse_scores` by chunk id. Where some passage holds most of the question's words, the words count for more."""
    told = max((one.word_share for one in candidates), default=0.0)
    certainty = min(max((told - FEW_WORDS) / (MOST_WORDS - FEW_WORDS), 0.0), 1.0)
    scores = fuse_scores(
        similarities=[one.similarity for one in candidates],
        word_ranks=[one.word_rank for one in candidates],
        word_weight=word_weight + certainty * max(SURE_WORD_WEIGHT - word_weight, 0.0),
    )
    return {one.chunk_id: score for one, score in zip(candidates, scores, strict=True)}


def judge_quality(
    *, best_relevance: float, floor: float, chunk_count: int, diversity: int
) -> RetrievalQuality:
    """The quality of a search whose `chunk_count` passages reach the floor."""
    score = round(min(max(best_relevance, 0.0), 1.0), 4)
    if not chunk_count:
        return RetrievalQuality(score=score, status="no_context", chunk_count=0, diversity=0)
    headroom = (best_relevance - floor) / (1 - floor) if floor < 1 else 1.0
    status = next((name for step, name in QUALITY_STEPS if headroom >= step), "poor")
    return RetrievalQuality(score=score, status=status, chunk_count=chunk_count, diversity=diversity)
