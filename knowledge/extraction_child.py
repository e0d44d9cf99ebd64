"""One parser process, forked by `extraction_server`: reads its standard input, writes JSON lines.

One {"page", "text"} per page, then {"title", "warnings"}; or {"error", "message"}. It limits itself before it
reads the first byte.
"""

import ctypes
import json
import mmap
import os
import resource
import signal
from collections.abc import Callable, Iterable, Mapping

from knowledge.extraction_docx import read_docx
from knowledge.extraction_html import read_html
from knowledge.extraction_pdf import read_pdf
from knowledge.extraction_text import read_markdown, read_plain_text
from knowledge.extraction_types import (
    DEFAULT_LIMITS,
    MEBIBYTE,
    ExtractedDocument,
    ExtractionError,
    ExtractionLimits,
    out_of_memory_error,
    too_much_text_error,
)

_MEMORY_RESERVE_BYTES = 64 * MEBIBYTE
_OPEN_FILES = 64
_PR_SET_PDEATHSIG = 1
_LIBRARY = ctypes.CDLL(None)  # opened by the server, once

_SMALL_PDF = (
    b"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj\n"
    b"3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 99 99]/Resources<</Font<</F 4 0 R>>>>/Contents 5 0 R>>endobj\n"
    b"4 0 obj<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>endobj\n5 0 obj<</Length 31>>stream\n"
    b"BT /F 9 Tf 9 9 Td (Some) Tj ET\nendstream endobj\ntrailer<</Root 1 0 R>>\n"
)

Parser = Callable[[bytes | mmap.mmap, ExtractionLimits], ExtractedDocument]


_PARSERS: Mapping[str, Parser] = {
    "pdf": read_pdf,
    "docx": read_docx,
    "html": read_html,
    "md": read_markdown,
    "txt": read_plain_text,
}


def warm_up() -> None:
    """Read a page of nothing much, so that what a parser touches first is its own before a document comes."""
    read_pdf(_SMALL_PDF, DEFAULT_LIMITS)


def parse_to_output(kind: str, limits: ExtractionLimits) -> None:
    """Parse standard input as a file of `kind` and write the records to standard output."""
    output = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a parser prints must not mix with the result
    restrict_process(limits=limits)
    try:
        document = parse(kind=kind, limits=limits)
        for line in _document_records(document=document, limits=limits):
            output.write(line)
    except ExtractionError as error:
        output.write(_error_line(error))
    except (MemoryError, RecursionError) as problem:
        resource.setrlimit(resource.RLIMIT_AS, (limits.memory_bytes + _MEMORY_RESERVE_BYTES,) * 2)
        output.write(_error_line(_exhaustion_error(problem)))
    output.flush()


def restrict_process(*, limits: ExtractionLimits) -> None:
    """Take away memory, time and files; network and privileges are gone already (`extraction_server`)."""
    hard_memory_bytes = limits.memory_bytes + _MEMORY_RESERVE_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (limits.memory_bytes, hard_memory_bytes))
    resource.setrlimit(resource.RLIMIT_CPU, (limits.cpu_seconds, limits.cpu_seconds + 2))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (_OPEN_FILES, _OPEN_FILES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if hasattr(_LIBRARY, "prctl"):
        _LIBRARY.prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)


def parse(*, kind: str, limits: ExtractionLimits) -> ExtractedDocument:
    """Read standard input by the parser of `kind`. Raises ExtractionError, MemoryError, RecursionError."""
    with mmap.mmap(0, 0, access=mmap.ACCESS_READ) as data:
        return _PARSERS[kind](data, limits)


def _document_records(*, document: ExtractedDocument, limits: ExtractionLimits) -> Iterable[bytes]:
    written_bytes = 0
    for page in document.pages:
        line = _json_line({"page": page.number, "text": page.text})
        written_bytes += len(line)
        if written_bytes > limits.output_bytes:
            raise too_much_text_error(limits=limits)
        yield line
    yield _json_line({"title": document.title, "warnings": document.warnings})


def _exhaustion_error(problem: MemoryError | RecursionError) -> ExtractionError:
    if isinstance(problem, MemoryError):
        return out_of_memory_error()
    return ExtractionError(
        code="too_complex",
        message="The file is nested deeper than any ordinary document. Open it in the program that made it, "
        "save it as a new file and upload that.",
    )


def _error_line(error: ExtractionError) -> bytes:
    return _json_line({"error": error.code, "message": error.message})


def _json_line(record: Mapping[str, object]) -> bytes:
    return json.dumps(record, ensure_ascii=False).encode("utf-8", "replace") + b"\n"
