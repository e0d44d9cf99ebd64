"""A web process that is told to end first finishes what it is writing."""

import json
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect
from websockets.typing import Origin

from chat.models import ChatSession, Message
from chat.tests.live import find_free_port, start_web, stop
from cloneai.accounts.models import ApiKey, User
from cloneai.local_ai.faults import Fault
from cloneai.local_ai.testing import FakeProvider
from conftest import PROVIDER_KEY
from knowledge.models import Document

pytestmark = pytest.mark.django_db(transaction=True)


def wait_for(condition: Callable[[], Any], seconds: float = 60) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := condition()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return found


def accepts(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def is_streaming() -> bool:
    return Message.objects.filter(status="streaming", chunk_ends__len__gt=0).exists()


@pytest.fixture
def start(
    provider: FakeProvider, tmp_path: Path
) -> Iterator[Callable[[str], tuple[subprocess.Popen[bytes], int]]]:
    """`start(drain_seconds)` gives a web process and its port; its answers take longer than that when it is 0."""
    started = []

    def start_one(drain_seconds: str) -> tuple[subprocess.Popen[bytes], int]:
        port = find_free_port()
        pause_seconds = 0.1 if int(drain_seconds) else 1.0
        provider.always(
            Fault(path="/chat/completions", chunk_delay_seconds=pause_seconds, answer="word " * 300)
        )
        variables = {
            "DRAIN_SECONDS": drain_seconds,
            "OPENAI_API_KEY": PROVIDER_KEY,
            "OPENAI_BASE_URL": provider.base_url,
            "GPT_4_MODEL": "gpt-4.1",
        }
        started.append(start_web(port=port, log_path=tmp_path / "web.log", variables=variables))
        return started[-1], port

    yield start_one
    for process in started:
        stop(process)


def ask(*, port: int, session: ChatSession, token: str) -> dict[str, Any]:
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/api/chat/message",
        data=json.dumps({"session_id": str(session.pk), "message": "How do I give feedback?"}).encode(),
        headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=60) as response:  # noqa: S310  (our own address)
        answer: dict[str, Any] = json.load(response)
        return answer


def test_answer_that_is_being_written_is_finished_and_delivered(
    start: Callable[[str], tuple[subprocess.Popen[bytes], int]],
    material: Document,
    session: ChatSession,
    member: User,
) -> None:
    process, port = start("30")
    token = ApiKey.issue(user=member, name="laptop")[1]
    with ThreadPoolExecutor() as pool:
        asked = pool.submit(ask, port=port, session=session, token=token)
        assert wait_for(is_streaming)
        process.send_signal(signal.SIGTERM)
        assert wait_for(lambda: not accepts(port), 5), "a process that ends takes no more connections"
        answer = asked.result(timeout=30)
    assert answer["status"] == "complete"
    assert answer["response"] == Message.objects.get(pk=answer["message_id"]).content
    assert process.wait(timeout=10) == 0


def test_process_that_may_not_wait_ends_at_once_and_keeps_the_text(
    start: Callable[[str], tuple[subprocess.Popen[bytes], int]],
    material: Document,
    session: ChatSession,
    member: User,
) -> None:
    process, port = start("0")
    token = ApiKey.issue(user=member, name="laptop")[1]
    with ThreadPoolExecutor() as pool:
        asked = pool.submit(ask, port=port, session=session, token=token)
        assert wait_for(is_streaming)
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=30)
        asked.exception(timeout=30)  # cut off, or told that the answer was interrupted
    answer = Message.objects.get(role="assistant")
    assert answer.status == "interrupted"
    assert answer.content


def test_open_sockets_are_told_that_the_process_restarts(
    start: Callable[[str], tuple[subprocess.Popen[bytes], int]], session: ChatSession, member: User
) -> None:
    process, port = start("5")
    browser = Client()
    browser.force_login(member)
    cookie = {"Cookie": f"sessionid={browser.cookies['sessionid'].value}"}
    address = f"ws://127.0.0.1:{port}/ws/chat/{session.pk}/"
    with connect(address, additional_headers=cookie, origin=Origin(f"http://127.0.0.1:{port}")) as link:
        process.send_signal(signal.SIGTERM)
        with pytest.raises(ConnectionClosed) as closed:
            link.recv(timeout=10)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1012
    assert process.wait(timeout=10) == 0
