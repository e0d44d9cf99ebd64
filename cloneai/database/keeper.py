"""Stops the embedded server when nobody uses it any more. Standard library only: it starts in milliseconds.

Run as a detached process by `cloneai.database.embedded`, which hands over the keeper's lock, already held:
    python keeper.py LOCK_FD USERS_LOCK DATA_DIR PG_CTL
Every process that uses the server holds a shared lock on USERS_LOCK, which the kernel drops however it
ends. So an exclusive lock means: no user left, and none can come while it is held.
"""

import fcntl
import os
import socket
import subprocess
import sys
from pathlib import Path


def is_alive(*, data_dir: Path) -> bool:
    """Whether a server listens on the socket that its pid file names; the pid may be a zombie's."""
    try:
        lines = (data_dir / "postmaster.pid").read_text().splitlines()
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            probe.connect(f"{lines[4]}/.s.PGSQL.{lines[3]}")
    except (OSError, IndexError):
        return False
    return True


def stop_server(*, data_dir: Path, pg_ctl: Path) -> None:
    """Stops the server of this data folder; its owner is the user that may."""
    if not is_alive(data_dir=data_dir):
        return
    owner = data_dir.stat()
    as_owner = {"user": owner.st_uid, "group": owner.st_gid, "extra_groups": []} if os.geteuid() == 0 else {}
    for mode in ("fast", "immediate"):
        command = [str(pg_ctl), "-D", str(data_dir), "-m", mode, "-w", "-t", "60", "stop"]
        stopped = subprocess.run(  # type: ignore[call-overload]  # noqa: S603  (both paths are our own)
            command, check=False, stdin=subprocess.DEVNULL, capture_output=True, cwd="/", **as_owner
        )
        if stopped.returncode == 0:
            return


def main() -> None:
    lock_fd, users_lock, data_dir, pg_ctl = (
        int(sys.argv[1]),
        sys.argv[2],
        Path(sys.argv[3]),
        Path(sys.argv[4]),
    )
    users = os.open(users_lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.flock(users, fcntl.LOCK_EX)
    try:
        stop_server(data_dir=data_dir, pg_ctl=pg_ctl)
    finally:
        # In this order: whoever waits for the users' lock must find that there is no keeper.
        os.close(lock_fd)
        os.close(users)


if __name__ == "__main__":
    main()
