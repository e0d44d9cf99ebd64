"""Turns an uploaded file into pages of text; enter at `extract_document`.

The parsers run in a child process (`knowledge.extraction_child`) with limits on time, memory and output, so
that a hostile file can end the child and nothing else. Sizes are bytes, times are seconds.
"""

import contextlib
import dataclasses
import json
import os
import re
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

from knowledge.extraction_kind import detect_kind
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

_PROJECT_ROOT = Path(__file__).resolve().parent.parent
_READ_BYTES = MEBIBYTE
_STDERR_TAIL_BYTES = 4096
_EXIT_GRACE_SECONDS = 5.0
_MEMORY_POLL_SECONDS = 0.05
_PEAK_MEMORY = re.compile(r"^VmHWM:\s*(\d+) kB$", re.MULTILINE)
_PASSED_ON_VARIABLES = ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH", "SYSTEMROOT", "TMPDIR")


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
    settings = json.dumps(dataclasses.asdict(limits))
    command = [sys.executable, "-m", "knowledge.extraction_child", kind, settings]
    with path.open("rb") as source:
        return run_child(command=command, source=source, kind=kind, limits=limits)


class _Result:
    """Collects the child's JSON lines: pages, then either the end or an error."""

    def __init__(self, *, limits: ExtractionLimits) -> None:
        self.pages: list[ExtractedPage] = []
        self.end: dict[str, Any] | None = None
        self.stderr_tail = b""
        self.peak_memory_bytes = 0
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


def run_child(
    *, command: Sequence[str], source: IO[bytes], kind: str, limits: ExtractionLimits
) -> ExtractedDocument:
    """Run a parser command with `source` as its standard input and read its JSON lines."""
    deadline = time.monotonic() + limits.wall_seconds
    # No secrets of the worker reach the parser.
    environment = {key: os.environ[key] for key in _PASSED_ON_VARIABLES if key in os.environ}
    process = subprocess.Popen(  # noqa: S603 - a fixed command of ours, the file's name is not part of it
        command,
        stdin=source,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=_PROJECT_ROOT,
        env={**environment, "PYTHONUTF8": "1", "PYTHONDONTWRITEBYTECODE": "1"},
        start_new_session=True,
    )
    result = _Result(limits=limits)
    try:
        _read_until_end(process=process, result=result, deadline=deadline)
        if result.end is None:
            raise _death_reason(process=process, deadline=deadline, result=result, limits=limits)
        return ExtractedDocument(
            kind=kind,
            title=str(result.end["title"]),
            pages=tuple(result.pages),
            warnings=tuple(result.end["warnings"]),
        )
    except (ValueError, KeyError, TypeError) as problem:
        raise ExtractionError(code="parser_crashed", message=_CRASHED) from problem
    finally:
        _end_group(process=process)


def _read_until_end(*, process: "subprocess.Popen[bytes]", result: _Result, deadline: float) -> None:
    """Feed the child's output into `result` until its end record or until it closes its pipes."""
    assert process.stdout is not None
    assert process.stderr is not None
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        selector.register(process.stderr, selectors.EVENT_READ)
        while result.end is None and process.stdout in {key.fileobj for key in selector.get_map().values()}:
            remaining_seconds = deadline - time.monotonic()
            if remaining_seconds <= 0:
                raise _timeout_error()
            events = selector.select(timeout=min(remaining_seconds, _MEMORY_POLL_SECONDS))
            result.peak_memory_bytes = max(result.peak_memory_bytes, _read_peak_memory(pid=process.pid))
            for key, _events in events:
                data = os.read(key.fd, _READ_BYTES)
                if not data:
                    selector.unregister(key.fileobj)
                elif key.fileobj is process.stdout:
                    result.feed(data)
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
    *, process: "subprocess.Popen[bytes]", deadline: float, result: _Result, limits: ExtractionLimits
) -> ExtractionError:
    """Tell why a child ended without an end record, by its exit status and its largest resident size."""
    grace_end = min(deadline, time.monotonic() + _EXIT_GRACE_SECONDS)
    exit_code = _wait_for_exit(process=process, deadline=grace_end)
    if exit_code is None or exit_code == -signal.SIGXCPU:
        return _timeout_error()
    # PDFium ends itself when an allocation fails, so a death near the limit is a matter of memory. Address space
    # runs ahead of resident size, hence the wide margin.
    starved = result.peak_memory_bytes > 0.6 * limits.memory_bytes
    if starved or exit_code == -signal.SIGKILL or b"MemoryError" in result.stderr_tail:
        return out_of_memory_error()
    return ExtractionError(code="parser_crashed", message=_CRASHED)


def _read_peak_memory(*, pid: int) -> int:
    """The largest resident size in bytes that a running process had since it began its program; 0 when it ended.

    The `ru_maxrss` that a dead child leaves behind would not do: it counts the moment before exec, when the child
    still was a copy of this process.
    """
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    found = _PEAK_MEMORY.search(status)
    return int(found[1]) * 1024 if found else 0


def _wait_for_exit(*, process: "subprocess.Popen[bytes]", deadline: float) -> int | None:
    """The child's exit code, or None when it still runs at the deadline."""
    try:
        return process.wait(timeout=max(0.0, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        return None


def _end_group(*, process: "subprocess.Popen[bytes]") -> None:
    """Kill whatever is left of the child's process group and reap the child."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    for pipe in (process.stdout, process.stderr):
        if pipe is not None:
            pipe.close()
    process.wait()
