"""Forks a parser for each document: `python -m knowledge.extraction_server SOCKET_FD`, run by `extraction_process`.

Python and the parsers' libraries are loaded once, so that a document costs a fork, and most of that is paid while the
one before it is read: the next parser stands ready. This process reads no document itself. It has one thread, no
network, no secrets in its environment, and it ends when its worker does.
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

from knowledge.extraction_child import parse_to_output, warm_up
from knowledge.extraction_types import MEBIBYTE, ExtractionLimits

REQUEST_BYTES = 4096
# The parser's standard input, output and error, and a pipe whose other end the worker closes to end the parser.
FILES_PASSED = 4
_OPEN_FILES_LIMIT = 1024
_PR_SET_DUMPABLE = 4
_PR_SET_NO_NEW_PRIVS = 38
_CLONE_NEWUSER = 0x10000000
_CLONE_NEWNET = 0x40000000
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3

Work = Callable[[str, ExtractionLimits], None]


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A parser without a document, and the socket by which it gets one."""

    pid: int
    socket: socket.socket


def main(arguments: list[str], *, work: Work = parse_to_output) -> None:
    """Serve the socket whose number is the only argument until its other end is closed."""
    (number,) = arguments
    with socket.socket(fileno=int(number)) as worker:
        isolate_process()
        keep_freed_memory()
        deaths = _watch_deaths()
        gc.collect()
        gc.freeze()  # what a parser collects later must not touch, and so copy, these pages
        waiting = _fork_parser(worker=worker, work=work)
        while (received := _receive(worker)) is not None:
            request, files = received
            *given, lifeline = files
            try:
                socket.send_fds(waiting.socket, [request], given)
            except OSError:  # somebody ended it while it waited
                waiting.socket.close()
                _wait(pid=waiting.pid, lifeline=lifeline, deaths=deaths)
                waiting = _fork_parser(worker=worker, work=work)
                socket.send_fds(waiting.socket, [request], given)
            reading = waiting
            reading.socket.close()
            for file in given:  # or the worker would never see the output's end
                os.close(file)
            waiting = _fork_parser(worker=worker, work=work)
            report = _wait(pid=reading.pid, lifeline=lifeline, deaths=deaths)
            os.close(lifeline)
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


def keep_freed_memory() -> None:
    """Let malloc keep up to 16 MB of what is freed; parsers inherit it.

    PDFium frees half a megabyte with every page of a document. Given back to the kernel, it would come again for the
    next one as a hundred page faults.
    """
    library = ctypes.CDLL(None)
    if hasattr(library, "mallopt"):  # GNU's
        library.mallopt(_M_TRIM_THRESHOLD, 16 * MEBIBYTE)
        library.mallopt(_M_MMAP_THRESHOLD, MEBIBYTE)


def _watch_deaths() -> int:
    """A descriptor that becomes readable when a child has ended."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    return reader


def _receive(sender: socket.socket) -> tuple[bytes, list[int]] | None:
    """A request and its files, or None when the sender is gone."""
    try:
        request, files, _flags, _address = socket.recv_fds(sender, REQUEST_BYTES, FILES_PASSED)
    except ConnectionError:  # the worker ended without reading the last report
        return None
    return (request, files) if request else None


def _fork_parser(*, worker: socket.socket, work: Work) -> _Waiting:
    ours, theirs = socket.socketpair()
    pid = os.fork()
    if pid == 0:
        worker.close()
        ours.close()
        _become_parser(server=theirs, work=work)
    theirs.close()
    with suppress(OSError):  # the parser does the same; whoever comes first
        os.setpgid(pid, pid)
    return _Waiting(pid=pid, socket=ours)


def _become_parser(*, server: socket.socket, work: Work) -> NoReturn:
    exit_code = 1
    try:
        os.setpgid(0, 0)
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        warm_up()
        received = _receive(server)
        if received is not None:  # else the server ended
            request, files = received
            for number, file in enumerate(files):
                os.dup2(file, number)
            os.closerange(FILES_PASSED - 1, _OPEN_FILES_LIMIT)
            settings = json.loads(request)
            work(settings["kind"], ExtractionLimits(**settings["limits"]))
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
