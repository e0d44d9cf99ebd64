"""The supervisor and `manage.py serve` as processes of their own."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from cloneai.management.commands.serve import UNREMARKABLE

CHECKOUT = Path(__file__).resolve().parents[2]
PROGRAM = """
import sys
from cloneai.supervisor import Program, Supervisor
supervisor = Supervisor(programs=[
    Program(name="web", command=["sh", "-c", "echo web is here; exec sleep 600"]),
    Program(name="jobs", command=["sh", "-c", sys.argv[1]]),
])
sys.exit(supervisor.run(when_started=lambda stopping: supervisor.say("started")))
"""


def start(script: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, script],
        stdout=subprocess.PIPE,
        text=True,
        cwd=CHECKOUT,
        env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
    )


def read_until(process: subprocess.Popen[str], words: str) -> str:
    assert process.stdout
    for line in process.stdout:
        if words in line:
            return line.strip()
    raise AssertionError(f"{words!r} was not printed")


@pytest.mark.parametrize(("script", "code"), [("exit 7", 7), ("kill -KILL $$", 137), ("exit 0", 1)])
def test_child_that_ends_by_itself_ends_the_run_with_its_code(script: str, code: int) -> None:
    with start(script) as process:
        assert "jobs ended by itself" in read_until(process, "ended by itself")
    assert process.returncode == code


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_signal_ends_everything(number: signal.Signals) -> None:
    with start("trap 'echo tidied up; exit 0' TERM; echo $$; while :; do sleep 0.05; done") as process:
        child = int(read_until(process, "jobs |").split("|")[1])
        process.send_signal(number)
        assert read_until(process, "tidied up") == "jobs | tidied up"
    assert process.returncode == 0
    with pytest.raises(ProcessLookupError):
        os.kill(child, 0)


def test_lines_carry_the_name_of_their_program() -> None:
    with start("sleep 600") as process:
        assert read_until(process, "web is here") == "web  | web is here"
        process.terminate()


@pytest.mark.parametrize(
    ("line", "is_hidden"),
    [
        (b'127.0.0.1:1 - - [22/Nov/2026:12:07:12] "GET /static/css/base.css" 304 -', True),
        (b'127.0.0.1:1 - - [22/Nov/2026:12:07:12] "GET /readyz" 200 102', True),
        (b'127.0.0.1:1 - - [22/Nov/2026:12:07:12] "GET /static/no-such.css" 404 9', False),
        (b'127.0.0.1:1 - - [22/Nov/2026:12:07:12] "GET /chat/" 200 4000', False),
        (b"WARNING knowledge: a document failed", False),
    ],
)
def test_only_unremarkable_requests_are_hidden(line: bytes, is_hidden: bool) -> None:
    assert bool(UNREMARKABLE.search(line)) is is_hidden


@pytest.mark.skipif(sys.platform != "linux", reason="needs Linux's parent-death signal")
def test_killed_supervisor_leaves_no_child_behind() -> None:
    with start("trap 'exit 0' TERM; echo $$; while :; do sleep 0.05; done") as process:
        read_until(process, "jobs |")
        process.kill()
        assert process.stdout
        process.stdout.read()  # ends only when every child that holds the pipe has ended


def test_occupied_port_is_told_with_the_cure_before_anything_starts() -> None:
    with socket.socket() as occupied:
        occupied.bind(("127.0.0.1", 0))
        occupied.listen()
        port = occupied.getsockname()[1]
        done = subprocess.run(
            [sys.executable, "manage.py", "serve", "--prepare"],
            check=False,
            capture_output=True,
            text=True,
            cwd=CHECKOUT,
            env={**os.environ, "PORT": str(port)},
        )
    assert done.returncode == 2
    assert f"Port {port} is in use" in done.stderr
    assert "make run" in done.stderr
    assert done.stdout == ""
