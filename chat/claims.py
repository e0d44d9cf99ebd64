"""Whether the cited sentences of an answer are borne out by the passages that they name; enter at `check_claims`.

The rule, for each statement in front of a marker and the passage that the marker names:
1. every number of the statement must stand in the passage, else it is unsupported;
2. at least `SAME_WORDS` of its words (rare ones counting more) stand in one run of the passage's sentences, or do so
   for each of its sentences by itself (an answer skips what stands between them): supported;
3. else its vector must come within the embedding model's `same_sense` of that run's, and at least `SOME_WORDS` of its
   words stand there: supported in other words;
4. else it is unsupported.
Without vectors the words decide alone. Small statements ("Yes [1]") carry nothing to check and are left out.
"""

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from billing.metering import MeteredCallError, Payer, embed_texts
from billing.models import Purpose
from chat.citations import MARKER
from chat.models import Citation
from chat.support import MAX_SENTENCES, Place, find_nearest, find_statements, split_sentences
from clones.models import Clone
from knowledge.embedding import EmbeddingModel
from knowledge.relevance import calibration_for
from knowledge.retrieval import Passage

logger = logging.getLogger(__name__)

SAME_WORDS = 0.6
SOME_WORDS = 0.15
LEAST_WORDS = 3
MAX_CLAIMS = 40

_NUMBER = re.compile(r"\d+(?:[.,:]\d+)*")
_WORD = re.compile(r"[^\W\d_]{2,}")
# What answers say around their claims ("Here is what my material says about this:") ends in a colon and claims nothing.
_LEAD_IN = re.compile(r"^[^\n]{0,120}:\s*\n+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A statement that cites the source `number`. `share` and `cosine` are its overlap with the passage.

    `cosine` is None where the words decided.
    """

    statement: str
    number: int
    is_supported: bool
    share: float
    cosine: float | None = None

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


async def check_claims(
    *, text: str, passages: Sequence[Passage], numbers: Mapping[int, int], clone: Clone, payer: Payer
) -> tuple[Claim, ...]:
    """The answer's cited statements, in order of their sources. `numbers` maps prompt numbers to the reader's.

    One metered call, only when words alone do not decide; a failed one leaves the words to decide. Raises nothing.
    """
    found = [
        (statement, shown, passages[number - 1].content)
        for number, shown in sorted(numbers.items(), key=lambda pair: pair[1])
        for statement in _find_claims(text=text, number=shown)
    ][:MAX_CLAIMS]
    places = [find_nearest(statement=statement, content=content) for statement, _shown, content in found]
    judged = [
        _judge_by_words(statement=statement, content=content, place=place)
        for (statement, _shown, content), place in zip(found, places, strict=True)
    ]
    open_ones = [index for index, verdict in enumerate(judged) if verdict is None]
    cosines = await _compare(
        pairs=[(found[index][0], _shown_text(found[index][2], places[index])) for index in open_ones],
        model=EmbeddingModel(name=clone.embedding_model, dimensions=clone.embedding_dimensions),
        payer=payer,
    )
    by_index = dict(zip(open_ones, cosines, strict=True))
    same_sense = calibration_for(model=clone.embedding_model).same_sense
    return tuple(
        Claim(
            statement=statement,
            number=shown,
            is_supported=bool(verdict) if verdict is not None else by_index[index] >= same_sense,
            share=round(place.share if place else 0.0, 3),
            cosine=round(by_index[index], 3) if index in by_index else None,
        )
        for index, ((statement, shown, _content), place, verdict) in enumerate(
            zip(found, places, judged, strict=True)
        )
    )


def unsupported_numbers(claims: Sequence[Claim]) -> frozenset[int]:
    """The sources under which the answer says something that they do not bear out."""
    return frozenset(claim.number for claim in claims if not claim.is_supported)


def mark_support(*, citations: Sequence[Citation], claims: Sequence[Claim]) -> None:
    """Notes on each citation whether all that the answer says under its number is borne out; empty: nothing checked."""
    failed, checked = unsupported_numbers(claims), {claim.number for claim in claims}
    for citation in citations:
        citation.is_supported = citation.number not in failed if citation.number in checked else None


def unsupported_rate(claims: Sequence[Claim]) -> float:
    """The share of cited statements that failed the check, 0 to 1; 0 without any."""
    return sum(not claim.is_supported for claim in claims) / len(claims) if claims else 0.0


def _find_claims(*, text: str, number: int) -> list[str]:
    statements = (_LEAD_IN.sub("", said) for said in find_statements(answer=text, number=number))
    plain = (MARKER.sub("", said).strip(" >*_-\n") for said in statements)
    return [said for said in plain if len(_WORD.findall(said)) >= LEAST_WORDS]


def _judge_by_words(*, statement: str, content: str, place: Place | None) -> bool | None:
    """True or False where words and numbers decide, None where the sense must."""
    if not set(_NUMBER.findall(statement)) <= set(_NUMBER.findall(content)):
        return False
    if place is None:  # no word to compare: another script than the passage's
        return None
    if place.share >= SAME_WORDS or _is_said_in_parts(statement=statement, content=content):
        return True
    return None if place.share >= SOME_WORDS else False


def _is_said_in_parts(*, statement: str, content: str) -> bool:
    """Whether each of several sentences would be borne out by its words if it were cited alone."""
    parts = [part for part in split_sentences(statement) if len(_WORD.findall(part)) >= LEAST_WORDS]
    if not 1 < len(parts) <= MAX_SENTENCES:
        return False
    places = (find_nearest(statement=part, content=content) for part in parts)
    return all(place is not None and place.share >= SAME_WORDS for place in places)


def _shown_text(content: str, place: Place | None) -> str:
    return content[place.start : place.end] if place else content


async def _compare(*, pairs: Sequence[tuple[str, str]], model: EmbeddingModel, payer: Payer) -> list[float]:
    """The cosine of each pair; 0 where no vector is to be had."""
    if not pairs or not model.name:
        return [0.0] * len(pairs)
    try:
        embedded = await embed_texts(
            payer=payer,
            purpose=Purpose.CHECK,
            texts=[text for pair in pairs for text in pair],
            model=model.name,
            dimensions=model.dimensions,
        )
    except MeteredCallError as error:
        logger.warning("Claims are checked by their words only (%s)", error.error_type)
        return [0.0] * len(pairs)
    rows = np.asarray(embedded.vectors, dtype=np.float64)
    rows /= np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9)
    return [float(one @ other) for one, other in zip(rows[::2], rows[1::2], strict=True)]
