"""The web process as production runs it, in front of the test database, for clients that need a real address."""

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import pytest
from django.conf import settings
from django.db import connection

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 120


@contextmanager
def run_web(*, log_path: Path, **variables: str) -> Iterator[str]:
    """Starts Daphne with `variables` in its environment; gives its address, and stops it in the end."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {
        **os.environ,
        **variables,
        "DATABASE_URL": database_url_of_tests(),
        "VAR_DIR": str(settings.VAR_DIR),
        "DJANGO_SETTINGS_MODULE": "cloneai.settings",
    }
    options = ["-v", "0", "-b", "127.0.0.1", "-p", str(port)]
    command = [sys.executable, "-m", "daphne", *options, "cloneai.asgi:application"]
    with log_path.open("wb") as log:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=subprocess.STDOUT)
    try:
        _wait_until_up(url=f"http://127.0.0.1:{port}/healthz", process=process, log_path=log_path)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def database_url_of_tests() -> str:
    """Where another process finds the database of this test run."""
    place = connection.get_connection_params()
    password = f":{quote(place['password'], safe='')}" if place.get("password") else ""
    host, port = quote(str(place["host"]), safe=""), place.get("port") or 5432
    return f"postgresql://{quote(place['user'], safe='')}{password}@{host}:{port}/{place['dbname']}"


def _wait_until_up(*, url: str, process: subprocess.Popen[bytes], log_path: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=2):  # noqa: S310  (our own address)
                return
        except OSError:
            time.sleep(0.1)
    pytest.fail(f"The web process did not start:\n{log_path.read_text(errors='replace')[-3000:]}")
