"""A Redis of a test's own, which can be stopped, started again at the same address, and made silent."""

import shutil
import signal
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest
import redis

from chat.tests.live import find_free_port


class RedisServer:
    """Use as `with`. It keeps nothing: after `start` it is empty."""

    def __init__(self, folder: Path) -> None:
        program = shutil.which("redis-server")
        if program is None:
            pytest.skip("redis-server is not installed; `make test` installs it as root")
        self._port = find_free_port()
        self._command = [
            program,
            "--port",
            str(self._port),
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--dir",
            str(folder),
        ]
        self.url = f"redis://127.0.0.1:{self._port}/0"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL)
        with redis.Redis.from_url(
            self.url, retry=redis.retry.Retry(redis.backoff.ConstantBackoff(0.05), 200)
        ) as client:
            client.ping()

    def stop(self) -> None:
        self._process.send_signal(signal.SIGCONT)
        self._process.terminate()
        self._process.wait(timeout=20)

    def fall_silent(self) -> None:
        """It keeps its connections and answers nothing."""
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    def count_listeners(self) -> int:
        """Subscriptions of all processes, except to their own addresses."""
        with redis.Redis.from_url(self.url) as client:
            groups = client.pubsub_channels("*.group.*")
            return sum(count for _, count in client.pubsub_numsub(*groups)) if groups else 0
