"""The text of a document's version: made as a `Draft`, written by `write_draft` with its pages and passages.

All is written by COPY: pages in pieces, because the only page of a text file may be as large as the file.
"""

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connection, transaction

from knowledge.chunking import DocumentText, TextChunk
from knowledge.extraction import ExtractedPage
from knowledge.leases import Lease, update_document
from knowledge.models import Document, Status
from knowledge.similarity import find_similar, make_sketch

PIECE_CHARS = 2**19
_PAGE_COLUMNS = "document_id, version, number, start_char, text"
_FIELD_COUNT = 5
_PASSAGE_COLUMNS = (
    "id, document_id, clone_id, version, index, content, headings, start_char, end_char, page_start, page_end, "
    "token_count, is_live, language"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """What was read of a file and is not written yet."""

    kind: str
    warnings: Sequence[str]
    pages: Sequence[ExtractedPage]
    text: DocumentText
    passages: Sequence[TextChunk]


def keep_draft(*, lease: Lease, document: Document, draft: Draft) -> None:
    """Write the draft where nobody finds it yet, for this attempt or the next one to go on from. Raises LeaseLost."""
    with transaction.atomic():
        found = describe_draft(document=document, draft=draft)
        total = len(draft.passages)
        update_document(lease=lease, status=Status.EMBEDDING, stage_done=0, stage_total=total, **found)
        write_draft(document=document, draft=draft, is_live=False)


def describe_draft(*, document: Document, draft: Draft) -> dict[str, Any]:
    """The document's fields that tell of the draft. Keeps a document that says nearly the same from being deleted
    until the transaction ends.
    """
    sketch = make_sketch(text=draft.text.text)
    similar = find_similar(document=document, sketch=sketch)
    if similar:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT FROM knowledge_document WHERE id = %s FOR KEY SHARE", [similar.document_id]
            )
            similar = similar if cursor.rowcount else None
    return {
        "kind": draft.kind,
        "warnings": list(draft.warnings),
        "sketch": sketch,
        "similar_document": similar.document_id if similar else None,
        "similar_share": similar.share if similar else 0.0,
    }


def write_draft(*, document: Document, draft: Draft, is_live: bool) -> list[int]:
    """Write pages and passages of the document's version, in the transaction that has locked its row.

    Returns the passages' keys, in their order.
    """
    with connection.cursor() as cursor:
        # Of attempts that were cut off when pages and passages were not written together yet.
        cursor.execute(
            "DELETE FROM knowledge_documentpage WHERE document_id = %s AND version = %s",
            [document.pk, document.version],
        )
        with cursor.copy(f"COPY knowledge_documentpage ({_PAGE_COLUMNS}) FROM STDIN (FORMAT BINARY)") as copy:
            for piece in _page_rows(document=document, pages=draft.pages, text=draft.text):
                copy.write(piece)
    return _write_passages(document=document, passages=draft.passages, is_live=is_live)


def _page_rows(*, document: Document, pages: Sequence[ExtractedPage], text: DocumentText) -> Iterator[bytes]:
    """PostgreSQL's binary COPY format: a signature, for each row its fields with their lengths, an end mark.

    A page without text gets the place where its text would be.
    """
    starts = {number: start for start, number in text.page_starts}
    place = 0
    yield b"PGCOPY\n\xff\r\n\0" + bytes(8)
    for page in pages:
        place = starts.get(page.number, place)
        content = page.text if page.number in starts else ""
        size_bytes = sum(len(piece) for piece in _encode(content))
        numbers = struct.pack(">iiiiii", 4, document.version, 4, page.number, 4, place)
        key = struct.pack(">i16s", 16, document.pk.bytes)
        yield struct.pack(">h", _FIELD_COUNT) + key + numbers + struct.pack(">i", size_bytes)
        yield from _encode(content)
        place += len(content)
    yield b"\xff\xff"


def _encode(content: str) -> Iterator[bytes]:
    return (content[start : start + PIECE_CHARS].encode() for start in range(0, len(content), PIECE_CHARS))


def _write_passages(*, document: Document, passages: Sequence[TextChunk], is_live: bool) -> list[int]:
    """COPY returns no keys, so they are drawn beforehand."""
    of_document = (document.pk, document.clone_id, document.version)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT nextval(pg_get_serial_sequence('knowledge_chunk', 'id')) FROM generate_series(1, %s)",
            [len(passages)],
        )
        keys = [key for (key,) in cursor.fetchall()]
        with cursor.copy(f"COPY knowledge_chunk ({_PASSAGE_COLUMNS}) FROM STDIN") as copy:
            for key, one in zip(keys, passages, strict=True):
                place = (one.start_char, one.end_char, one.page_start, one.page_end)
                text = (one.index, one.content, list(one.headings))
                copy.write_row(
                    (key, *of_document, *text, *place, one.token_count, is_live, document.clone.language)
                )
    return keys
