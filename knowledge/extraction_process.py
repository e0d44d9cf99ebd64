"""The worker's end of the parser processes: borrow a server by `borrow_server`, have it fork a parser.

A server (`extraction_server`) is kept for the next document, one for each thread that reads at the same time. One
that was killed is replaced.
"""

import atexit
import contextlib
import dataclasses
import json
import os
import select
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from knowledge.extraction_types import ExtractionLimits

_PROJECT_ROOT = Path(__file__).resolve().parent.parent
SERVER = (sys.executable, "-m", "knowledge.extraction_server")
_REPORT_BYTES = 4096
_END_SECONDS = 5.0
# No secrets of the worker reach the parsers.
_PASSED_ON_VARIABLES = ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH", "SYSTEMROOT", "TMPDIR")


class ServerDied(Exception):  # noqa: N818 - says what happened, not what the file did
    """The server is gone, and its parser with it, through no fault of the document: try again with a new one."""


@dataclass(frozen=True, slots=True)
class Ending:
    """How a parser ended: as `subprocess` counts exit codes, and its largest resident size since the fork."""

    exit_code: int
    peak_memory_bytes: int


class ParserServer:
    """A running server. It serves one document at a time."""

    def __init__(self, *, command: Sequence[str]) -> None:
        self._socket, theirs = socket.socketpair()
        environment = {key: os.environ[key] for key in _PASSED_ON_VARIABLES if key in os.environ}
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603 - a fixed command of ours
                [*command, str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                cwd=_PROJECT_ROOT,
                env={**environment, "PYTHONUTF8": "1", "PYTHONDONTWRITEBYTECODE": "1"},
                pass_fds=(theirs.fileno(),),
                start_new_session=True,
            )
        self._last: ParserProcess | None = None
        self.is_alive = True

    @property
    def pid(self) -> int:
        return self._process.pid

    @contextlib.contextmanager
    def fork_parser(
        self, *, kind: str, limits: ExtractionLimits, source: IO[bytes]
    ) -> Iterator["ParserProcess"]:
        """A parser that reads `source`, and is ended with the block. Raises ServerDied.

        Nobody waits for the end: the next one is forked when the server has reaped this one.
        """
        if self._last is not None and self._last.wait(seconds=_END_SECONDS) is None:
            raise ServerDied
        request = json.dumps({"kind": kind, "limits": dataclasses.asdict(limits)}).encode()
        with _Pipe() as lifeline, _Pipe() as output, _Pipe() as errors:
            files = [source.fileno(), output.writer, errors.writer, lifeline.reader]
            try:
                socket.send_fds(self._socket, [request], files)
            except OSError as problem:
                raise ServerDied from problem
            for pipe in (output, errors):
                pipe.close_writer()
            self._last = ParserProcess(stdout=output.reader, stderr=errors.reader, server=self._socket)
            yield self._last

    def close(self) -> None:
        """End the server; one that does not go is killed."""
        self._socket.close()
        try:
            self._process.wait(timeout=_END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def abandon(self) -> None:
        """Let go of a server that belongs to the process that this one was forked from."""
        self._socket.close()
        self._process.returncode = 0


@dataclass(slots=True)
class ParserProcess:
    """A running parser and the reading ends of its two pipes."""

    stdout: int
    stderr: int
    server: socket.socket
    _ending: Ending | None = None

    def wait(self, *, seconds: float) -> Ending | None:
        """How the parser ended, or None when it still runs after `seconds`. Raises ServerDied."""
        if self._ending is None and select.select([self.server], [], [], max(0.0, seconds))[0]:
            try:
                report = self.server.recv(_REPORT_BYTES)
            except OSError as problem:
                raise ServerDied from problem
            if not report:
                raise ServerDied
            self._ending = Ending(**json.loads(report))
        return self._ending


class _Pipe:
    """A pipe whose ends are closed when the block ends, unless they are already."""

    def __enter__(self) -> "_Pipe":
        self.reader, self.writer = os.pipe()
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self.reader)
        self.close_writer()

    def close_writer(self) -> None:
        if self.writer >= 0:
            os.close(self.writer)
        self.writer = -1


_idle: list[ParserServer] = []


@contextlib.contextmanager
def borrow_server() -> Iterator[ParserServer]:
    """An idle server of this process, or a new one."""
    try:
        server = _idle.pop()
    except IndexError:
        server = ParserServer(command=SERVER)
    try:
        yield server
    except ServerDied:
        server.is_alive = False
        raise
    finally:
        if server.is_alive:
            _idle.append(server)
        else:
            server.close()


def close_servers() -> None:
    """End the idle servers of this process."""
    while _idle:
        _idle.pop().close()


def _forget_servers() -> None:
    while _idle:
        _idle.pop().abandon()


atexit.register(close_servers)
os.register_at_fork(after_in_child=_forget_servers)
