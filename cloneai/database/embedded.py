"""The embedded PostgreSQL: `attach()` makes sure that it runs and keeps it running while this process lives.

Three lock files beside the data folder say who is there; the kernel releases them however a process ends:
`postgres.users.lock` is shared by every process that uses the server; `postgres.start.lock` is held while one
looks and starts; `postgres.keeper.lock` is held by the process that stops the server after its last user.
Whoever holds the start lock also holds the users' lock, so nothing stops the server meanwhile.
"""

import fcntl
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import psycopg

from cloneai.database import cluster, keeper
from cloneai.database.cluster import SOCKET_NUMBER
from cloneai.database.errors import DatabaseUnavailableError
from cloneai.environment import make_private_dir

LONGEST_SOCKET_PATH_BYTES = 100  # the kernel's limit is 107 on Linux and 103 on macOS
RECHECK_SECONDS = 1.0
RECOVERY_SECONDS = 30.0


@dataclass(frozen=True, kw_only=True)
class EmbeddedServer:
    """Where everything of one embedded server lies."""

    var_dir: Path

    @property
    def data_dir(self) -> Path:
        return self.var_dir / "postgres"

    @property
    def socket_dir(self) -> Path:
        """The data folder, or a private one with a short name when the kernel allows no path that long."""
        if len(os.fsencode(self.data_dir / f".s.PGSQL.{SOCKET_NUMBER}")) <= LONGEST_SOCKET_PATH_BYTES:
            return self.data_dir
        digest = sha256(os.fsencode(self.data_dir)).hexdigest()[:16]
        return Path("/tmp") / f"cloneai-{digest}"  # noqa: S108  (made private, and its owner is checked, before use)

    def lock_path(self, name: str) -> Path:
        return self.var_dir / f"postgres.{name}.lock"

    def is_accepting(self) -> bool:
        """True when a server listens; a pid would not tell a zombie or a stranger from it."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            probe.settimeout(5)
            try:
                probe.connect(str(self.socket_dir / f".s.PGSQL.{SOCKET_NUMBER}"))
            except OSError:
                return False
        return True


_guard = threading.Lock()
# Locks kept until the process ends; forked children share them on purpose.
_users_fds: dict[Path, int] = {}
_checked_at: dict[Path, float] = {}


def attach(*, var_dir: Path) -> EmbeddedServer:
    """The running server, started if need be. Cheap to call again: it looks once a second at most.

    Raises DatabaseUnavailableError when the server cannot be started.
    """
    server = EmbeddedServer(var_dir=var_dir)
    checked_at = _checked_at.get(var_dir)
    if checked_at is not None and time.monotonic() - checked_at < RECHECK_SECONDS:
        return server
    with _guard:
        try:
            if var_dir not in _users_fds:
                make_private_dir(var_dir)
                _users_fds[var_dir] = _lock(server.lock_path("users"), fcntl.LOCK_SH)
            _ensure_running(server)
        except OSError as error:
            raise DatabaseUnavailableError(
                f"The embedded PostgreSQL cannot use {error.filename or var_dir} ({error.strerror}). "
                "Make the checkout writable for this user, point VAR_DIR to a folder that is, or set "
                "DATABASE_URL."
            ) from error
        _checked_at[var_dir] = time.monotonic()
    return server


def wait_until_ready(*, var_dir: Path) -> None:
    """After a failed connection: starts a dead server again, and waits while a crashed one recovers."""
    give_up_at = time.monotonic() + RECOVERY_SECONDS
    while True:
        _checked_at.pop(var_dir, None)
        place = {"host": str(attach(var_dir=var_dir).socket_dir), "port": SOCKET_NUMBER, "user": "postgres"}
        try:
            psycopg.connect(**place, dbname="postgres").close()  # type: ignore[arg-type]
            return
        except psycopg.OperationalError as error:
            if time.monotonic() > give_up_at:
                raise DatabaseUnavailableError(
                    f"The embedded PostgreSQL does not answer ({error}). See {var_dir / 'postgres' / 'log'}, "
                    "or set DATABASE_URL to use another server."
                ) from error
            time.sleep(0.1)


def _ensure_running(server: EmbeddedServer) -> None:
    with _locked(server.lock_path("start")):
        _ensure_keeper(server)  # first, so that a server is never up without one
        if not server.is_accepting():
            cluster.start(server)


def _ensure_keeper(server: EmbeddedServer) -> None:
    """Starts a keeper unless one lives; it is given its lock, so no moment passes in which none holds it."""
    try:
        lock_fd = _lock(server.lock_path("keeper"), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return
    try:
        arguments = [lock_fd, server.lock_path("users"), server.data_dir, cluster.find_program("pg_ctl")]
        subprocess.Popen(  # noqa: S603  (our own script)
            [sys.executable, "-I", "-S", keeper.__file__, *map(str, arguments)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=(lock_fd,),
            start_new_session=True,  # Ctrl-C in the terminal is not for it
            cwd="/",
        ).returncode = 0  # it outlives us on purpose: no ResourceWarning about a running child
    finally:
        os.close(lock_fd)


def _lock(path: Path, operation: int) -> int:
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, operation)
    except BaseException:
        os.close(fd)
        raise
    return fd


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    fd = _lock(path, fcntl.LOCK_EX)
    try:
        yield
    finally:
        os.close(fd)
