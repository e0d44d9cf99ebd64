"""The official client against both edges: in process, and over HTTP as `manage.py local_ai` serves it."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx2
import pytest
from openai import AsyncOpenAI

from cloneai.local_ai.testing import FakeProvider
from cloneai.local_ai.transport import BASE_URL, LocalTransport

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="session")
def served_url() -> Iterator[str]:
    """The base URL of a provider that a process of its own serves."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "manage.py", "local_ai", "--port", str(port)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL) as process:
        try:
            _wait_until_open(port=port, process=process)
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            process.kill()


@pytest.fixture(params=["in process", "over HTTP"])
async def client(request: pytest.FixtureRequest) -> AsyncIterator[AsyncOpenAI]:
    """A client without retries, once for each edge."""
    if request.param == "in process":
        http = httpx2.AsyncClient(transport=LocalTransport())
        url = BASE_URL
    else:
        http = httpx2.AsyncClient()
        url = request.getfixturevalue("served_url")
    async with AsyncOpenAI(api_key="local", base_url=url, http_client=http, max_retries=0) as made:
        yield made


@pytest.fixture
async def local_client() -> AsyncIterator[AsyncOpenAI]:
    """A client of the in-process edge only, for what does not depend on the edge."""
    http = httpx2.AsyncClient(transport=LocalTransport())
    async with AsyncOpenAI(api_key="local", base_url=BASE_URL, http_client=http, max_retries=0) as made:
        yield made


@pytest.fixture
def provider() -> Iterator[FakeProvider]:
    with FakeProvider() as running:
        yield running


@pytest.fixture
async def provider_client(provider: FakeProvider) -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(api_key="test", base_url=provider.base_url, max_retries=0, timeout=5) as made:
        yield made


def _wait_until_open(*, port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        assert process.poll() is None, "the provider's process ended"
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise AssertionError("the provider did not open its port in a minute")
