"""Turns an uploaded file into pages of text; enter at `extract_document`.

A document's parser runs in a process of its own (`knowledge.extraction_child`) with limits on time, memory and
output, so that a hostile file can end that process and nothing else. Sizes are bytes, times are seconds.
"""

import json
import os
import selectors
import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from knowledge.extraction_kind import detect_kind
from knowledge.extraction_process import ParserProcess, ParserServer, ServerDied, borrow_server
from knowledge.extraction_types import (
    DEFAULT_LIMITS,
    MEBIBYTE,
    ExtractedDocument,
    ExtractedPage,
    ExtractionError,
    ExtractionLimits,
    out_of_memory_error,
    too_much_text_error,
)

__all__ = [
    "DEFAULT_LIMITS",
    "ExtractedDocument",
    "ExtractedPage",
    "ExtractionError",
    "ExtractionLimits",
    "detect_kind",
    "extract_document",
]

_READ_BYTES = MEBIBYTE
_STDERR_TAIL_BYTES = 4096
_EXIT_GRACE_SECONDS = 5.0
_TRIES = 2  # the second one when the server of the parsers was killed


def extract_document(
    *, path: Path, name: str, limits: ExtractionLimits = DEFAULT_LIMITS
) -> ExtractedDocument:
    """Read the file at `path`, uploaded as `name`, in a child process. Blocks up to `limits.wall_seconds`.

    Raises ExtractionError for whatever stands in the way, the parser's death included.
    """
    kind = detect_kind(path=path, name=name)
    size_bytes = path.stat().st_size
    if size_bytes > limits.file_bytes:
        raise ExtractionError(
            code="too_large",
            message=f"The file is {size_bytes / MEBIBYTE:.1f} MB, more than the "
            f"{limits.file_bytes // MEBIBYTE} MB that one document may have. Split it into several files "
            "and upload each.",
        )
    for _try in range(_TRIES):
        with suppress(ServerDied), path.open("rb") as source, borrow_server() as server:
            return run_parser(server=server, source=source, kind=kind, limits=limits)
    raise ExtractionError(code="parser_crashed", message=_CRASHED)


class _Result:
    """Collects the child's JSON lines: pages, then either the end or an error."""

    def __init__(self, *, limits: ExtractionLimits) -> None:
        self.pages: list[ExtractedPage] = []
        self.end: dict[str, Any] | None = None
        self.stderr_tail = b""
        self._unfinished_line: list[bytes] = []
        self._received_bytes = 0
        self._limits = limits

    def feed(self, data: bytes) -> None:
        self._received_bytes += len(data)
        # The child counts too and fails first; this holds even when a parser has taken the child over.
        if self._received_bytes > 2 * self._limits.output_bytes + MEBIBYTE:
            raise too_much_text_error(limits=self._limits)
        *lines, unfinished = data.split(b"\n")
        for line in lines:
            self._unfinished_line.append(line)
            self._take_line(b"".join(self._unfinished_line))
            self._unfinished_line.clear()
        self._unfinished_line.append(unfinished)

    def _take_line(self, line: bytes) -> None:
        record = json.loads(line)
        if "error" in record:
            raise ExtractionError(code=str(record["error"]), message=str(record["message"]))
        if "page" in record:
            self.pages.append(ExtractedPage(number=int(record["page"]), text=str(record["text"])))
        else:
            self.end = record


def run_parser(
    *, server: ParserServer, source: IO[bytes], kind: str, limits: ExtractionLimits
) -> ExtractedDocument:
    """Have the server fork a parser for `source` and read its records. Raises ExtractionError, ServerDied."""
    deadline = time.monotonic() + limits.wall_seconds
    result = _Result(limits=limits)
    with server.fork_parser(kind=kind, limits=limits, source=source) as parser:
        try:
            _read_until_end(parser=parser, result=result, deadline=deadline)
            if result.end is None:
                raise _death_reason(parser=parser, deadline=deadline, result=result, limits=limits)
            return ExtractedDocument(
                kind=kind,
                title=str(result.end["title"]),
                pages=tuple(result.pages),
                warnings=tuple(result.end["warnings"]),
            )
        except (ValueError, KeyError, TypeError) as problem:
            raise ExtractionError(code="parser_crashed", message=_CRASHED) from problem


def _read_until_end(*, parser: ParserProcess, result: _Result, deadline: float) -> None:
    """Feed the parser's output into `result` until its end record or until it closes its output."""
    with selectors.DefaultSelector() as selector:
        selector.register(parser.stdout, selectors.EVENT_READ)
        selector.register(parser.stderr, selectors.EVENT_READ)
        is_open = True
        while result.end is None and is_open:
            remaining_seconds = deadline - time.monotonic()
            if remaining_seconds <= 0:
                raise _timeout_error()
            for key, _events in selector.select(timeout=remaining_seconds):
                data = os.read(key.fd, _READ_BYTES)
                if not data:
                    selector.unregister(key.fd)
                if key.fd == parser.stdout:
                    result.feed(data)
                    is_open = bool(data)
                else:
                    result.stderr_tail = (result.stderr_tail + data)[-_STDERR_TAIL_BYTES:]


_CRASHED = (
    "The file made its reader crash, so it is damaged or built to do harm. Open it in the program that made "
    "it, save it again (or print it to a new PDF) and upload that."
)


def _timeout_error() -> ExtractionError:
    return ExtractionError(
        code="parser_timeout",
        message="Reading the file took too long. Split it into smaller files, or print it to a new PDF and "
        "upload that.",
    )


def _death_reason(
    *, parser: ParserProcess, deadline: float, result: _Result, limits: ExtractionLimits
) -> ExtractionError:
    """Tell why a parser ended without an end record, by its exit code and its largest resident size."""
    ending = parser.wait(seconds=min(deadline - time.monotonic(), _EXIT_GRACE_SECONDS))
    if ending is None or ending.exit_code == -signal.SIGXCPU:
        return _timeout_error()
    # PDFium ends itself when an allocation fails, so a death near the limit is a matter of memory. Address space
    # runs ahead of resident size, hence the wide margin.
    starved = ending.peak_memory_bytes > 0.6 * limits.memory_bytes
    if starved or ending.exit_code == -signal.SIGKILL or b"MemoryError" in result.stderr_tail:
        return out_of_memory_error()
    return ExtractionError(code="parser_crashed", message=_CRASHED)
