"""Runs a few child processes as one: prefixed logs, one end. Enter at `Supervisor.run`.

A child that ends by itself ends the run with its exit code; SIGINT, SIGTERM and SIGHUP end it with 0.
"""

import ctypes
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from types import FrameType
from typing import IO, BinaryIO

GRACE_SECONDS = 8.0
POLL_SECONDS = 0.1
PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None) if sys.platform == "linux" else None


@dataclass(frozen=True, kw_only=True)
class Program:
    """A command, the short name that its log lines carry, and which lines are not worth one."""

    name: str
    command: list[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    hidden: re.Pattern[bytes] | None = None


class Supervisor:
    """Starts the programs, passes their lines on, and ends them together."""

    def __init__(self, *, programs: list[Program], output: BinaryIO | None = None) -> None:
        self._programs = programs
        self._output = output or sys.stdout.buffer
        self._output_lock = threading.Lock()
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._readers: list[threading.Thread] = []
        self._stop = threading.Event()
        self._width = max(len(program.name) for program in programs)

    def run(self, *, when_started: Callable[[threading.Event], None]) -> int:
        """Blocks until the end and returns the exit code.

        `when_started` runs in a thread of its own; the event that it is given is set when the end begins.
        """
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._on_signal)
        sys.stdout.flush()  # what commands have printed before comes first
        ended: str | None = None
        try:
            for program in self._programs:
                self._start(program)
            self._read_all()  # only now: a child that is forked beside running threads may hang
            threading.Thread(target=when_started, args=(self._stop,), daemon=True).start()
            while not self._stop.wait(POLL_SECONDS) and ended is None:
                ended = next(
                    (name for name, child in self._children.items() if child.poll() is not None), None
                )
        finally:
            self._stop.set()
            self._end_all()
        if ended is None:
            return 0
        code = self._children[ended].returncode
        code = 128 - code if code < 0 else code
        self.say(f"{ended} ended by itself with exit code {code}; everything else has been stopped.")
        return code or 1

    def say(self, text: str) -> None:
        """A line of our own."""
        self._write("run", text.encode())

    def _start(self, program: Program) -> None:
        child = subprocess.Popen(  # noqa: S603  (our own commands)
            program.command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONUNBUFFERED": "1", **program.environment},
            start_new_session=True,  # Ctrl-C reaches us only, and we can end its children with it
            preexec_fn=_end_with_parent if sys.platform == "linux" else None,
        )
        self._children[program.name] = child

    def _read_all(self) -> None:
        for program in self._programs:
            lines = self._children[program.name].stdout
            assert lines
            reader = threading.Thread(target=self._pass_lines_on, args=(program, lines), daemon=True)
            reader.start()
            self._readers.append(reader)

    def _pass_lines_on(self, program: Program, lines: IO[bytes]) -> None:
        with lines:
            for line in lines:
                if not (program.hidden and program.hidden.search(line)):
                    self._write(program.name, line.rstrip(b"\r\n"))

    def _write(self, name: str, line: bytes) -> None:
        with self._output_lock:
            try:
                self._output.write(name.ljust(self._width).encode() + b" | " + line + b"\n")
                self._output.flush()
            except OSError:  # the terminal or pipe is gone
                self._stop.set()

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self._stop.set()

    def _end_all(self) -> None:
        """SIGTERM to all, then SIGKILL to each group of processes that is still there."""
        for child in self._children.values():
            if child.poll() is None:
                child.terminate()
        give_up_at = time.monotonic() + GRACE_SECONDS
        for child in self._children.values():
            with suppress(subprocess.TimeoutExpired):
                child.wait(max(0.0, give_up_at - time.monotonic()))
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(child.pid, signal.SIGKILL)
            child.wait()
        for reader in self._readers:
            reader.join(1)


def _end_with_parent() -> None:
    """In the child: the kernel sends SIGTERM when the supervisor is killed, so none is left behind."""
    assert _libc is not None
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
