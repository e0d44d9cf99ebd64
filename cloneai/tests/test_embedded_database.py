"""The embedded server with real processes that come, go and are killed."""

import fcntl
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cloneai.database.embedded import EmbeddedServer

CHECKOUT = Path(__file__).resolve().parents[2]
PATIENCE_SECONDS = 60
STARTED_AT = "SELECT pg_postmaster_start_time()"
PROGRAM = """
import os, sys
from pathlib import Path
import psycopg
from cloneai.database import embedded
var_dir = Path(sys.argv[1])
def connect():
    server = embedded.attach(var_dir=var_dir)
    return psycopg.connect(host=str(server.socket_dir), user="postgres", dbname="cloneai", autocommit=True)
try:
    connection = connect()
except embedded.DatabaseUnavailableError as error:
    print("refused:", error, flush=True)
    sys.exit(1)
print("ready", flush=True)
for line in sys.stdin:
    if line.startswith("RECONNECT"):
        embedded.wait_until_ready(var_dir=var_dir)
        connection = connect()
        print("ready", flush=True)
    elif line.startswith("FORK"):
        if os.fork():
            os._exit(0)
        print(os.getpid(), flush=True)
    else:
        cursor = connection.execute(line)
        print(cursor.fetchone()[0] if cursor.description else "done", flush=True)
"""


class Process:
    """A process that uses the server and answers SQL line by line until its input ends or it is killed."""

    def __init__(self, var_dir: Path) -> None:
        # `make test` lets its database forget what a killed server had not written; these servers must not.
        environment = {**os.environ, "PYTHONPATH": str(CHECKOUT), "FORGETFUL_DATABASE": "false"}
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(var_dir)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )

    def ask(self, line: str) -> str:
        assert self.process.stdin
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return self.answer()

    def answer(self) -> str:
        assert self.process.stdout
        return self.process.stdout.readline().strip()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def close(self) -> None:
        for stream in (self.process.stdin, self.process.stdout):
            assert stream
            stream.close()
        self.process.wait()


@pytest.fixture
def server() -> Iterator[EmbeddedServer]:
    """Not in tmp_path: another pytest on the machine closes that to the server's own user."""
    with tempfile.TemporaryDirectory(prefix="cloneai-") as folder:
        yield EmbeddedServer(var_dir=Path(folder) / "var")


@pytest.fixture
def start(server: EmbeddedServer) -> Iterator[Callable[[], Process]]:
    """Starts a process that uses the server; all end with the test, and the server with them."""
    started: list[Process] = []

    def start_one() -> Process:
        started.append(Process(server.var_dir))
        return started[-1]

    yield start_one
    for process in started:
        process.kill()
        process.close()
    wait_until(lambda: not has_keeper(server))


def has_keeper(server: EmbeddedServer) -> bool:
    """Whether some process holds the keeper's lock."""
    if not server.lock_path("keeper").exists():
        return False
    with server.lock_path("keeper").open("r+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def wait_until(condition: Callable[[], bool]) -> None:
    give_up_at = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < give_up_at, "it did not happen"
        time.sleep(0.02)


def read_postmaster_pid(server: EmbeddedServer) -> int:
    return int((server.data_dir / "postmaster.pid").read_text().split("\n")[0])


def find_keeper(server: EmbeddedServer) -> int:
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        arguments = path.read_bytes().split(b"\0")
        if str(server.data_dir).encode() in arguments and any(
            part.endswith(b"keeper.py") for part in arguments
        ):
            return int(path.parent.name)
    raise LookupError("no keeper")


def test_processes_share_one_server_and_its_data(start: Callable[[], Process]) -> None:
    first = start()
    assert first.answer() == "ready"
    first.ask("CREATE TABLE notes AS SELECT 'kept' AS note")
    second = start()
    assert second.answer() == "ready"
    assert second.ask("SELECT note FROM notes") == "kept"
    assert second.ask(STARTED_AT) == first.ask(STARTED_AT)


def test_five_processes_that_start_at_once_get_one_server(start: Callable[[], Process]) -> None:
    processes = [start() for _ in range(5)]
    assert [process.answer() for process in processes] == ["ready"] * 5
    assert len({process.ask(STARTED_AT) for process in processes}) == 1


def test_path_too_long_for_a_socket_works(server: EmbeddedServer) -> None:
    deep = EmbeddedServer(var_dir=server.var_dir / ("deep" * 30))
    process = Process(deep.var_dir)
    assert process.answer() == "ready"
    assert process.ask("SELECT 1") == "1"
    process.close()
    wait_until(lambda: not has_keeper(deep))
    deep.socket_dir.rmdir()


def test_killing_one_process_leaves_the_server_to_the_others(
    start: Callable[[], Process], server: EmbeddedServer
) -> None:
    victim, survivor = start(), start()
    assert [victim.answer(), survivor.answer()] == ["ready", "ready"]
    started_at = survivor.ask(STARTED_AT)
    victim.kill()
    newcomer = start()
    assert newcomer.answer() == "ready"
    assert newcomer.ask(STARTED_AT) == survivor.ask(STARTED_AT) == started_at
    assert has_keeper(server)


def test_server_stops_when_all_are_killed_and_keeps_the_data(
    start: Callable[[], Process], server: EmbeddedServer
) -> None:
    processes = [start(), start()]
    assert [process.answer() for process in processes] == ["ready", "ready"]
    processes[0].ask("CREATE TABLE notes AS SELECT 'kept' AS note")
    for process in processes:
        process.kill()
    wait_until(lambda: not server.is_accepting() and not has_keeper(server))
    assert not (server.data_dir / "postmaster.pid").exists()
    later = start()
    assert later.answer() == "ready"
    assert later.ask("SELECT note FROM notes") == "kept"


def test_forked_child_keeps_the_server_after_its_parent_ended(
    start: Callable[[], Process], server: EmbeddedServer
) -> None:
    process = start()
    assert process.answer() == "ready"
    child = int(process.ask("FORK"))
    process.process.wait()
    assert has_keeper(server)
    assert server.is_accepting()
    os.kill(child, signal.SIGKILL)
    wait_until(lambda: not server.is_accepting())


def test_killed_server_is_started_again_for_its_users(
    start: Callable[[], Process], server: EmbeddedServer
) -> None:
    process = start()
    assert process.answer() == "ready"
    process.ask("CREATE TABLE notes AS SELECT 'kept' AS note")
    os.kill(read_postmaster_pid(server), signal.SIGKILL)
    assert process.ask("RECONNECT") == "ready"
    assert process.ask("SELECT note FROM notes") == "kept"


def test_process_number_of_a_crashed_server_may_belong_to_another_program(
    start: Callable[[], Process], server: EmbeddedServer
) -> None:
    first = start()
    assert first.answer() == "ready"
    first.kill()
    wait_until(lambda: not has_keeper(server))
    bystander = subprocess.Popen(["sleep", "600"], user=server.data_dir.stat().st_uid)
    try:
        (server.data_dir / "postmaster.pid").write_text(
            f"{bystander.pid}\n{server.data_dir}\n1700000000\n5432\n{server.socket_dir}\n\n  1  1\nready\n"
        )
        assert start().answer() == "ready"
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


def test_next_process_replaces_a_killed_keeper(start: Callable[[], Process], server: EmbeddedServer) -> None:
    first = start()
    assert first.answer() == "ready"
    os.kill(find_keeper(server), signal.SIGKILL)
    wait_until(lambda: not has_keeper(server))
    second = start()
    assert second.answer() == "ready"
    assert has_keeper(server)
    for process in (first, second):
        process.kill()
    wait_until(lambda: not server.is_accepting())


def test_killed_first_start_leaves_nothing_that_looks_complete(
    start: Callable[[], Process], server: EmbeddedServer
) -> None:
    half_made = server.var_dir / "postgres.new"
    half_made.mkdir(parents=True)
    (half_made / "PG_VERSION").write_text("18\n")
    assert start().answer() == "ready"
    assert not half_made.exists()


def test_unusable_folder_is_told_in_a_sentence(start: Callable[[], Process], server: EmbeddedServer) -> None:
    server.var_dir.write_text("a file where the folder should be")
    answer = start().answer()
    assert answer.startswith("refused: The embedded PostgreSQL cannot use")
    assert "point VAR_DIR to a folder that is" in answer


def test_foreign_files_are_not_overwritten(start: Callable[[], Process], server: EmbeddedServer) -> None:
    server.data_dir.mkdir(parents=True)
    (server.data_dir / "precious.txt").write_text("mine")
    assert "is not empty, but holds no PostgreSQL data" in start().answer()
    assert (server.data_dir / "precious.txt").read_text() == "mine"


def test_data_of_another_version_is_left_alone(start: Callable[[], Process], server: EmbeddedServer) -> None:
    server.data_dir.mkdir(parents=True)
    (server.data_dir / "PG_VERSION").write_text("16\n")
    assert "was made by PostgreSQL 16" in start().answer()
