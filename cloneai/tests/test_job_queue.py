"""A job cluster whose waiting workers are killed goes on working."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from django.conf import settings
from django_q.models import Success
from django_q.tasks import async_task

from chat.tests.live import ROOT, database_url_of_tests

pytestmark = pytest.mark.django_db(transaction=True)


def wait_for(condition: Callable[[], object], *, seconds: float = 40) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.2)
    return False


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[psutil.Process]:
    """`manage.py qcluster` on the test database."""
    environment = {**os.environ, "DATABASE_URL": database_url_of_tests(), "VAR_DIR": str(settings.VAR_DIR)}
    with (tmp_path / "jobs.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "manage.py", "qcluster"], cwd=ROOT, env=environment, stdout=log, stderr=log
        )
    try:
        yield psutil.Process(process.pid)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=30)


def test_jobs_run_after_every_waiting_worker_was_killed(cluster: psutil.Process) -> None:
    async_task("operator.add", 1, 1, task_name="before")
    assert wait_for(lambda: Success.objects.filter(name="before").exists())
    (sentinel,) = cluster.children()
    for child in sentinel.children():
        child.kill()
    async_task("operator.add", 1, 2, task_name="after")
    assert wait_for(lambda: Success.objects.filter(name="after").exists())
