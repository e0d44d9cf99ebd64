"""The web process as production runs it, in front of the test database, for clients that need a real address."""

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import pytest
from django.conf import settings
from django.db import connection

from cloneai.tests.log_watch import find_forbidden

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 120


@contextmanager
def run_web(*, log_path: Path, **variables: str) -> Iterator[str]:
    """Starts the web process with `variables` in its environment; gives its address, and stops it in the end.

    Afterwards neither its log nor its metrics may hold what they must not.
    """
    port = find_free_port()
    address, metrics = f"http://127.0.0.1:{port}", ""
    process = start_web(port=port, log_path=log_path, variables=variables)
    try:
        yield address
        with urllib.request.urlopen(f"{address}/metrics", timeout=20) as answer:  # noqa: S310  (our own address)
            metrics = answer.read().decode()
    finally:
        stop(process)
    assert find_forbidden(log_path.read_text(errors="replace")) == []
    assert find_forbidden(metrics) == []


def start_web(*, port: int, log_path: Path, variables: Mapping[str, str]) -> "subprocess.Popen[bytes]":
    """A web process on this port, once it answers; for tests that end it themselves."""
    process = start_python(
        "-m",
        "cloneai.web",
        *("-v", "0", "-b", "127.0.0.1", "-p", str(port)),
        log_path=log_path,
        variables={"DRAIN_SECONDS": "0", **variables},
    )
    _wait_until_up(url=f"http://127.0.0.1:{port}/healthz", process=process, log_path=log_path)
    return process


def start_python(*arguments: str, log_path: Path, variables: Mapping[str, str]) -> "subprocess.Popen[bytes]":
    """Another process of the product, with the database and files of this test run."""
    environment = {
        **os.environ,
        "DATABASE_URL": database_url_of_tests(),
        "VAR_DIR": str(settings.VAR_DIR),
        "DJANGO_SETTINGS_MODULE": "cloneai.settings",
        **variables,
    }
    with log_path.open("ab") as log:
        return subprocess.Popen(
            [sys.executable, *arguments], cwd=ROOT, env=environment, stdout=log, stderr=subprocess.STDOUT
        )


def stop(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(timeout=30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def find_free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def database_url_of_tests() -> str:
    """Where another process finds the database of this test run."""
    place = connection.get_connection_params()
    password = f":{quote(place['password'], safe='')}" if place.get("password") else ""
    host, port = quote(str(place["host"]), safe=""), place.get("port") or 5432
    return f"postgresql://{quote(place['user'], safe='')}{password}@{host}:{port}/{place['dbname']}"


def _wait_until_up(*, url: str, process: "subprocess.Popen[bytes]", log_path: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=2):  # noqa: S310  (our own address)
                return
        except OSError:
            time.sleep(0.1)
    stop(process)
    pytest.fail(f"The web process did not start:\n{log_path.read_text(errors='replace')[-3000:]}")
