"""Which documents say nearly the same: sketches of their runs of five words, compared at `find_similar`.

A sketch is the 256 smallest hashes of a text's runs (a bottom-k MinHash); the share of equal ones among the smallest
of both estimates the share of runs that two texts have in common, to about 3 points.
"""

import heapq
import re
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from uuid import UUID

import numpy as np
import numpy.typing as npt
from django.db import connection

from knowledge.models import Document

RUN_WORDS = 5
SKETCH_SIZE = 256
LEAST_RUNS = 20  # a shorter text has too few to compare
LEAST_SHARE = 0.7
PROBED_RUNS = 16
BLOCK_CHARS = 300_000  # hashed at once, so that a book takes no more memory than a chapter

_WORDS = re.compile(r"\w+")
_GAP = re.compile(r"\W")
# The two multipliers of SplitMix64's finaliser, which spreads near numbers over all 64 bits.
_FACTORS = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))
_PLACE = np.uint64(0x9E3779B97F4A7C15)  # odd: a word counts differently at each place of its run

Hashes = npt.NDArray[np.uint64]

# Texts that share 70% have one of their 16 smallest runs in common but for once in a million, and PostgreSQL compares
# all with all.
LIKELY = """
    SELECT id, sketch FROM knowledge_document
    WHERE clone_id = %(clone)s AND id <> %(document)s AND sketch[1:%(probed)s] && %(runs)s::bigint[]
"""


@dataclass(frozen=True, slots=True)
class Similar:
    """Another document of the clone, and the estimated share of runs that both have, 0 to 1."""

    document_id: UUID
    share: float


def make_sketch(*, text: str) -> list[int]:
    """The sketch of a text, ascending; empty for one of few words."""
    smallest = np.empty(0, dtype=np.uint64)
    for words in _word_blocks(text):
        smallest = _find_smallest(np.concatenate((smallest, _hash_runs(words))))
    return [int(run) for run in smallest] if len(smallest) >= LEAST_RUNS else []


def _find_smallest(runs: Hashes) -> Hashes:
    """The `SKETCH_SIZE` smallest different ones; all are sorted only when many of the smallest are equal."""
    some = 8 * SKETCH_SIZE
    if len(runs) > some:
        found = np.unique(np.partition(runs, some)[:some])
        if len(found) >= SKETCH_SIZE:
            return found[:SKETCH_SIZE]
    return np.unique(runs)[:SKETCH_SIZE]


def _word_blocks(text: str) -> Iterator[Hashes]:
    """Checksums of the words, some `BLOCK_CHARS` at a time; each block begins with the end of the one before."""
    block, start = np.empty(0, dtype=np.uint64), 0
    while start < len(text):
        gap = _GAP.search(text, start + BLOCK_CHARS)
        end = gap.start() if gap else len(text)
        words = _WORDS.findall(text, start, end)
        # Chained maps, which run without a step of the interpreter's for each word.
        checksums = map(zlib.crc32, map(str.encode, map(str.lower, words)))
        block = np.concatenate((block[-(RUN_WORDS - 1) :], np.fromiter(checksums, np.uint64, len(words))))
        yield block
        start = end


def _hash_runs(words: Hashes) -> Hashes:
    """A hash of 63 bits, as a bigint holds them, for each run of `RUN_WORDS` words."""
    count = max(0, len(words) - RUN_WORDS + 1)
    runs = np.zeros(count, dtype=np.uint64)
    for place in range(RUN_WORDS):
        runs = _spread((runs + words[place : place + count]) * _PLACE)
    return runs >> np.uint64(1)


def _spread(values: Hashes) -> Hashes:
    for shift, factor in zip((30, 27), _FACTORS, strict=True):
        values = (values ^ (values >> np.uint64(shift))) * factor
    return values ^ (values >> np.uint64(31))


def share_of(first: Sequence[int], second: Sequence[int]) -> float:
    """The estimated share of the runs of either text that both have."""
    smallest = heapq.nsmallest(SKETCH_SIZE, {*first, *second})
    both = {*first} & {*second}
    return sum(run in both for run in smallest) / len(smallest) if smallest else 0.0


def find_similar(*, document: Document, sketch: Sequence[int]) -> Similar | None:
    """The clone's other document that is most alike, if one has `LEAST_SHARE` in common. One query."""
    if not sketch:
        return None
    with connection.cursor() as cursor:
        cursor.execute(
            LIKELY,
            {
                "clone": document.clone_id,
                "document": document.pk,
                "probed": PROBED_RUNS,
                "runs": list(sketch[:PROBED_RUNS]),
            },
        )
        found = [Similar(document_id=key, share=share_of(sketch, other)) for key, other in cursor.fetchall()]
    best = max(found, key=lambda similar: similar.share, default=None)
    return best if best is not None and best.share >= LEAST_SHARE else None
