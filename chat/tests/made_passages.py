"""Passages of a document that is stored nowhere."""

import uuid

from knowledge.retrieval import Passage


def make_passage(content: str, *, number: int = 1, title: str = "Notes") -> Passage:
    return Passage(
        chunk_id=number,
        document_id=uuid.UUID(int=1),
        document_version=1,
        document_title=title,
        page=1,
        page_end=1,
        start_char=0,
        end_char=len(content),
        content=content,
        headings=(),
        similarity_score=0.7,
        lexical_rank=0.5,
        rank=number,
    )
