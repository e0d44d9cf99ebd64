"""Passages as a search hands them out: `Passage`, made of candidates; page numbers of shortened ones set right."""

import uuid
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from knowledge.candidates import Candidate
from knowledge.models import DocumentPage


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


def with_true_pages(*, found: Sequence[Candidate], before: Sequence[Candidate]) -> list[Candidate]:
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


def as_passages(
    candidates: Sequence[Candidate], *, first_rank: int, relevance: Mapping[int, float]
) -> tuple[Passage, ...]:
    """Numbered from `first_rank`; `relevance` by chunk id."""
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
            relevance=round(relevance[one.chunk_id], 4),
        )
        for rank, one in enumerate(candidates, start=first_rank)
    )
