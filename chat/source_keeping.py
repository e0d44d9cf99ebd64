"""Saves the sources of an answer: each when a finished block first names it, all of them again with the answer.

So the links in a running answer open, and an answer whose writer dies keeps its sources.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from django.db import DatabaseError

from chat.citations import build_citations, find_citation_id
from chat.claims import Claim, mark_support
from chat.models import Citation, Message
from cloneai.threads import run_in_thread
from knowledge.models import Chunk, Document
from knowledge.retrieval import Passage

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class SourceKeeper:
    """The sources of one running answer. `numbers` is the marker filter's, and grows while it works."""

    answer: Message
    passages: Sequence[Passage]
    numbers: dict[int, int]
    _urls: dict[int, str] = field(default_factory=dict)

    async def save_new(self) -> Mapping[int, str]:
        """Addresses by the reader's number; sources not seen before are saved first."""
        fresh = {prompt: shown for prompt, shown in self.numbers.items() if shown not in self._urls}
        if fresh:
            try:
                await run_in_thread(
                    save_citations, message=self.answer, passages=self.passages, numbers=fresh
                )
            except DatabaseError as error:  # deleted meanwhile, most likely; the end of the answer tells
                logger.info("Sources of answer %s wait for its end: %s", self.answer.pk, error)
            for number in fresh.values():
                citation = Citation(pk=find_citation_id(answer_id=self.answer.pk, number=number))
                self._urls[number] = citation.get_absolute_url()
        return self._urls


def save_citations(
    *,
    message: Message,
    passages: Sequence[Passage],
    numbers: dict[int, int],
    claims: Sequence[Claim] = (),
) -> None:
    """Saves what `build_citations` makes, over rows that were saved before. Documents may have gone meanwhile."""
    citations = build_citations(message=message, passages=passages, numbers=numbers)
    mark_support(citations=citations, claims=claims)
    chunks = Chunk.objects.filter(pk__in=[citation.chunk_id for citation in citations]).order_by()
    documents_of_chunks = dict(chunks.values_list("pk", "document_id"))
    chunkless = [citation for citation in citations if citation.chunk_id not in documents_of_chunks]
    documents = Document.objects.filter(pk__in=[citation.document_id for citation in chunkless]).order_by()
    document_ids = set(documents.values_list("pk", flat=True))  # no query where all have one
    for citation in chunkless:
        citation.chunk = None
        if citation.document_id not in document_ids:
            citation.document = None
    Citation.objects.bulk_create(
        citations,
        update_conflicts=True,
        unique_fields=["id"],
        update_fields=["page", "focus_start", "focus_end", "is_supported"],
    )
