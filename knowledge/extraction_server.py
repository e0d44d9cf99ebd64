"""Forks a parser for each document: `python -m knowledge.extraction_server SOCKET_FD`, run by `extraction_process`.

Python and the parsers' libraries are loaded once, so that a document costs a fork. This process reads no document
itself. It has one thread, no network, no secrets in its environment, and it ends when its worker does.
"""

import ctypes
import gc
import json
import os
import select
import signal
import socket
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import NoReturn

from knowledge.extraction_child import parse_to_output
from knowledge.extraction_types import ExtractionLimits

REQUEST_BYTES = 4096
# The parser's standard input, output and error, and a pipe whose other end the worker closes to end the parser.
FILES_PASSED = 4
_OPEN_FILES_LIMIT = 1024
_PR_SET_DUMPABLE = 4
_PR_SET_NO_NEW_PRIVS = 38
_CLONE_NEWUSER = 0x10000000
_CLONE_NEWNET = 0x40000000

Work = Callable[[str, ExtractionLimits], None]


@dataclass(frozen=True, slots=True)
class _Request:
    kind: str
    limits: ExtractionLimits
    files: list[int]

    @property
    def lifeline(self) -> int:
        return self.files[-1]


def main(arguments: list[str], *, work: Work = parse_to_output) -> None:
    """Serve the socket whose number is the only argument until its other end is closed."""
    (number,) = arguments
    with socket.socket(fileno=int(number)) as worker:
        isolate_process()
        deaths = _watch_deaths()
        gc.collect()
        gc.freeze()  # what a parser collects later must not touch, and so copy, these pages
        while (request := _receive(worker)) is not None:
            pid = os.fork()
            if pid == 0:
                _become_parser(request=request, work=work)
            with suppress(OSError):  # the parser does the same; whoever comes first
                os.setpgid(pid, pid)
            for file in request.files[:-1]:  # or the worker would never see the output's end
                os.close(file)
            report = _wait(pid=pid, lifeline=request.lifeline, deaths=deaths)
            os.close(request.lifeline)
            with suppress(OSError):  # the worker is gone: the next receive ends the loop
                worker.sendall(json.dumps(report).encode() + b"\n")


def isolate_process() -> None:
    """Leave the network and give up new privileges; parsers inherit both."""
    library = ctypes.CDLL(None)
    if not hasattr(library, "prctl"):
        return  # not Linux: the limits of each parser still hold
    library.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    # Root may leave the network at once, others by a user namespace where the kernel allows it.
    if library.unshare(_CLONE_NEWNET) != 0:
        library.unshare(_CLONE_NEWUSER | _CLONE_NEWNET)
    library.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)  # a parser that was taken over must not trace this process


def _watch_deaths() -> int:
    """A descriptor that becomes readable when a child has ended."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    return reader


def _receive(worker: socket.socket) -> _Request | None:
    try:
        data, files, _flags, _address = socket.recv_fds(worker, REQUEST_BYTES, FILES_PASSED)
    except ConnectionError:  # the worker ended without reading the last report
        return None
    if not data:
        return None
    settings = json.loads(data)
    return _Request(kind=settings["kind"], limits=ExtractionLimits(**settings["limits"]), files=files)


def _become_parser(*, request: _Request, work: Work) -> NoReturn:
    exit_code = 1
    try:
        os.setpgid(0, 0)
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for number, file in enumerate(request.files[:-1]):
            os.dup2(file, number)
        os.closerange(FILES_PASSED - 1, _OPEN_FILES_LIMIT)
        work(request.kind, request.limits)
        exit_code = 0
    except BaseException:  # noqa: BLE001 - the outermost boundary of a process
        traceback.print_exc()
    finally:
        # Tearing down a large parsed tree takes time that nobody waits for.
        os._exit(exit_code)


def _wait(*, pid: int, lifeline: int, deaths: int) -> dict[str, int]:
    """Wait for the parser's end, or end it when the lifeline is cut. Reap it and what it started."""
    while os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        ready = select.select([lifeline, deaths], [], [])[0]
        if lifeline in ready:
            break
        os.read(deaths, REQUEST_BYTES)
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)  # not reaped yet, so the number is still its own
    _pid, status, usage = os.wait4(pid, 0)
    # Counts from the fork on, and in kilobytes on Linux.
    return {"exit_code": os.waitstatus_to_exitcode(status), "peak_memory_bytes": usage.ru_maxrss * 1024}


if __name__ == "__main__":
    main(sys.argv[1:])
