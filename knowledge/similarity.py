"""Which documents say nearly the same: sketches of their runs of five words, compared at `find_similar`.

A sketch is the 256 smallest hashes of a text's runs (a bottom-k MinHash); the share of equal ones among the smallest
of both estimates the share of runs that two texts have in common, to about 3 points.
"""

import heapq
import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b

from knowledge.models import Document

RUN_WORDS = 5
SKETCH_SIZE = 256
LEAST_RUNS = 20  # a shorter text has too few to compare
LEAST_SHARE = 0.7

_WORDS = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class Similar:
    """Another document of the clone, and the estimated share of runs that both have, 0 to 1."""

    document: Document
    share: float


def make_sketch(*, text: str) -> list[int]:
    """The sketch of a text, ascending; empty for one of few words."""
    words = [zlib.crc32(word.encode()) for word in _WORDS.findall(text.lower())]
    runs = {
        int.from_bytes(blake2b(repr(words[start : start + RUN_WORDS]).encode(), digest_size=7).digest())
        for start in range(len(words) - RUN_WORDS + 1)
    }
    return heapq.nsmallest(SKETCH_SIZE, runs) if len(runs) >= LEAST_RUNS else []


def share_of(first: Sequence[int], second: Sequence[int]) -> float:
    """The estimated share of the runs of either text that both have."""
    smallest = heapq.nsmallest(SKETCH_SIZE, {*first, *second})
    both = {*first} & {*second}
    return sum(run in both for run in smallest) / len(smallest) if smallest else 0.0


def find_similar(*, document: Document, sketch: Sequence[int]) -> Similar | None:
    """The clone's other document that is most alike, if one has `LEAST_SHARE` in common. One query."""
    if not sketch:
        return None
    others = Document.objects.filter(clone=document.clone_id, sketch__overlap=list(sketch)).exclude(
        pk=document.pk
    )
    found = [
        Similar(document=other, share=share_of(sketch, other.sketch))
        for other in others.only("pk", "title", "sketch")
    ]
    best = max(found, key=lambda similar: similar.share, default=None)
    return best if best is not None and best.share >= LEAST_SHARE else None
