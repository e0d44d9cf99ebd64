"""Writes the text of a document's version: its pages, then its passages. Both replace what an attempt before left.

Pages are written by COPY in pieces, because the only page of a text file may be as large as the file.
"""

import struct
from collections.abc import Iterator, Sequence
from itertools import islice

from django.db import connection, transaction

from knowledge.chunking import DocumentText, TextChunk
from knowledge.extraction import ExtractedPage
from knowledge.leases import Lease, lock_document, update_document
from knowledge.models import Chunk, Document, DocumentPage
from knowledge.similarity import find_similar, make_sketch

INSERT_ROWS = 500
PIECE_CHARS = 2**19
_PAGE_COLUMNS = "document_id, version, number, start_char, text"
_FIELD_COUNT = 5


def write_pages(
    *, lease: Lease, document: Document, pages: Sequence[ExtractedPage], text: DocumentText
) -> None:
    """A row for each page; one without text gets the place where its text would be. Raises LeaseLost."""
    with transaction.atomic():
        lock_document(lease=lease)
        DocumentPage.objects.filter(document=document, version=lease.version).delete()
        with (
            connection.cursor() as cursor,
            cursor.copy(f"COPY knowledge_documentpage ({_PAGE_COLUMNS}) FROM STDIN (FORMAT BINARY)") as copy,
        ):
            for piece in _page_rows(document=document, version=lease.version, pages=pages, text=text):
                copy.write(piece)


def write_passages(
    *, lease: Lease, document: Document, text: DocumentText, chunks: Sequence[TextChunk]
) -> None:
    """All passages or none, and which other document says nearly the same. Raises LeaseLost."""
    sketch = make_sketch(text=text.text)
    similar = find_similar(document=document, sketch=sketch)
    with transaction.atomic():
        lock_document(lease=lease)
        update_document(
            lease=lease,
            sketch=sketch,
            similar_document=similar.document if similar else None,
            similar_share=similar.share if similar else 0.0,
        )
        rows = (_passage_row(document=document, version=lease.version, chunk=chunk) for chunk in chunks)
        while batch := list(islice(rows, INSERT_ROWS)):
            Chunk.objects.bulk_create(batch)


def _page_rows(
    *, document: Document, version: int, pages: Sequence[ExtractedPage], text: DocumentText
) -> Iterator[bytes]:
    """PostgreSQL's binary COPY format: a signature, for each row its fields with their lengths, an end mark."""
    starts = {number: start for start, number in text.page_starts}
    place = 0
    yield b"PGCOPY\n\xff\r\n\0" + bytes(8)
    for page in pages:
        place = starts.get(page.number, place)
        content = page.text if page.number in starts else ""
        size_bytes = sum(len(piece) for piece in _encode(content))
        numbers = struct.pack(">iiiiii", 4, version, 4, page.number, 4, place)
        key = struct.pack(">i16s", 16, document.pk.bytes)
        yield struct.pack(">h", _FIELD_COUNT) + key + numbers + struct.pack(">i", size_bytes)
        yield from _encode(content)
        place += len(content)
    yield b"\xff\xff"


def _encode(content: str) -> Iterator[bytes]:
    return (content[start : start + PIECE_CHARS].encode() for start in range(0, len(content), PIECE_CHARS))


def _passage_row(*, document: Document, version: int, chunk: TextChunk) -> Chunk:
    return Chunk(
        document=document,
        clone_id=document.clone_id,
        version=version,
        index=chunk.index,
        content=chunk.content,
        headings=list(chunk.headings),
        start_char=chunk.start_char,
        end_char=chunk.end_char,
        page_start=chunk.page_start,
        page_end=chunk.page_end,
        token_count=chunk.token_count,
        language=document.clone.language,
    )
