"""Sockets of real clients against real web processes: slow readers, and two processes beside each other."""

import base64
import json
import os
import socket
import time
import urllib.request
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.test import Client
from websockets.exceptions import ConnectionClosed
from websockets.frames import Frame, Opcode
from websockets.protocol import State
from websockets.sync.client import ClientConnection, connect

from billing.models import CostRecord, Purpose
from chat.models import ChatSession, Message
from chat.tests.conftest import asked_for_answers
from chat.tests.live import run_web
from cloneai.accounts.models import ApiKey, User
from cloneai.local_ai.faults import Fault
from cloneai.local_ai.testing import FakeProvider
from cloneai.tests.redis_server import RedisServer
from knowledge.models import Document

pytestmark = pytest.mark.django_db(transaction=True)

QUESTION = "How long does the pepper soup simmer?"
LONG = "\n\n".join(f"It simmers for **twenty-five** minutes, says line {line} [1]." for line in range(40))


@pytest.fixture
def cookie(member: User) -> str:
    client = Client()
    client.force_login(member)
    return f"{settings.SESSION_COOKIE_NAME}={client.cookies[settings.SESSION_COOKIE_NAME].value}"


def open_link(url: str, *, session: ChatSession, cookie: str, **options: Any) -> ClientConnection:
    address = f"{url.replace('http', 'ws', 1)}/ws/chat/{session.pk}/"
    return connect(
        address, origin=url, additional_headers={"Cookie": cookie}, max_size=None, compression=None, **options
    )


def read_answer(link: ClientConnection) -> list[dict[str, Any]]:
    frames: list[dict[str, Any]] = []
    while not frames or not frames[-1].get("is_complete"):
        frame = json.loads(link.recv(timeout=30))
        if frame["type"] == "ai_response_chunk":
            frames.append(frame)
    return frames


def provider_variables(provider: FakeProvider) -> dict[str, str]:
    return {
        "OPENAI_API_KEY": "sk-test-secret",
        "OPENAI_BASE_URL": provider.base_url,
        "GPT_4_MODEL": "gpt-4.1",
    }


def connect_lazily(url: str, *, session: ChatSession, cookie: str) -> socket.socket:
    """A socket whose owner never reads from it, over the smallest buffer."""
    host = url.removeprefix("http://")
    link = socket.socket()
    link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    link.connect(("127.0.0.1", int(host.rpartition(":")[2])))
    link.sendall(
        f"GET /ws/chat/{session.pk}/ HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}\r\nSec-WebSocket-Version: 13\r\n"
        f"Origin: {url}\r\nCookie: {cookie}\r\n\r\n".encode()
    )
    assert b" 101 " in link.recv(4096)
    return link


def test_a_client_that_does_not_read_is_dropped_and_may_resume(
    session: ChatSession, cookie: str, tmp_path: Path
) -> None:
    question = Message.objects.create(session=session, role="user", content="Tell me all.")
    text = "All of it, word by word. " * 8_000
    answer = Message.objects.create(
        session=session, role="assistant", reply_to=question, content=text, chunk_ends=[len(text)]
    )
    order = json.dumps({"type": "resume", "message_id": str(answer.pk), "after_seq": -1})
    frame = Frame(Opcode.TEXT, order.encode()).serialize(mask=True)
    log_path = tmp_path / "web.log"
    with run_web(log_path=log_path) as url, connect_lazily(url, session=session, cookie=cookie) as lazy:
        with suppress(ConnectionError):  # the end comes while we still send, or after
            for _order in range(38):  # one below the limit of frames
                lazy.sendall(frame)
        wait_for_line(log_path, "too slowly")
        with suppress(ConnectionError):
            while lazy.recv(65536):  # what was on its way, then the end
                pass
        with open_link(url, session=session, cookie=cookie) as again:
            again.send(order)
            assert read_answer(again)[-1]["full_response"] == text


def wait_for_line(path: Path, words: str) -> None:
    deadline = time.monotonic() + 30
    while words not in (text := path.read_text()):
        assert time.monotonic() < deadline, text[-2000:]
        time.sleep(0.1)


def run_two(stack: ExitStack, *, provider: FakeProvider, folder: Path) -> tuple[RedisServer, str, str]:
    """A Redis and the addresses of two web processes."""
    redis = stack.enter_context(RedisServer(folder))
    variables = {**provider_variables(provider), "REDIS_URL": redis.url}
    here, there = (
        stack.enter_context(run_web(log_path=folder / f"{name}.log", **variables)) for name in "ab"
    )
    return redis, here, there


def test_two_processes_share_turns(
    material: Document, session: ChatSession, cookie: str, provider: FakeProvider, tmp_path: Path
) -> None:
    provider.always(Fault(path="/chat/completions", answer=LONG, chunk_delay_seconds=0.005))
    with ExitStack() as stack:
        _, here, there = run_two(stack, provider=provider, folder=tmp_path)
        asker = stack.enter_context(open_link(here, session=session, cookie=cookie))
        watcher = stack.enter_context(open_link(there, session=session, cookie=cookie))
        order = {"type": "message", "content": QUESTION, "client_message_id": str(uuid.uuid4())}
        asker.send(json.dumps(order))
        first = next(
            frame
            for frame in (json.loads(asker.recv(timeout=30)) for _ in range(9))
            if frame["type"] == "ai_response_chunk"
        )
        late = stack.enter_context(open_link(there, session=session, cookie=cookie))
        late.send(json.dumps({"type": "resume", "message_id": first["message_id"], "after_seq": 0}))
        heard_here = [first, *read_answer(asker)]
        assert (heard_here[-1]["status"], heard_here[-1]["full_response"]) == ("complete", LONG)
        assert read_answer(watcher) == heard_here
        *missed, last = read_answer(late)
        assert missed == heard_here[1:-1]
        assert last["html"] == heard_here[-1]["html"]

        for link in (asker, watcher, late):  # the same message again, from everywhere
            link.send(json.dumps(order))
        for link in (asker, watcher, late):
            assert read_answer(link)[-1]["message_id"] == first["message_id"]
        assert len(asked_for_answers(provider)) == 1
        assert CostRecord.objects.filter(purpose=Purpose.CHAT).count() == 1

        provider.always(Fault(path="/chat/completions", answer=LONG, chunk_delay_seconds=0.1))
        asker.send(json.dumps({"type": "regenerate", "message_id": first["message_id"]}))
        started = json.loads(watcher.recv(timeout=30))
        while started["type"] != "ai_response_chunk" or started["is_complete"]:
            started = json.loads(watcher.recv(timeout=30))
        watcher.send(json.dumps({"type": "stop", "message_id": started["message_id"]}))
        assert read_answer(watcher)[-1]["status"] == "stopped"


def test_an_answer_outlives_redis(
    material: Document, session: ChatSession, cookie: str, provider: FakeProvider, tmp_path: Path
) -> None:
    """Its reader loses the socket, comes back to another process, and both show and stop what goes on."""
    provider.always(Fault(path="/chat/completions", answer=LONG, chunk_delay_seconds=0.1))
    with ExitStack() as stack:
        redis, here, there = run_two(stack, provider=provider, folder=tmp_path)
        asker = stack.enter_context(open_link(here, session=session, cookie=cookie))
        asker.send(
            json.dumps({"type": "message", "content": QUESTION, "client_message_id": str(uuid.uuid4())})
        )
        seen = [read_chunk(asker)]
        redis.stop()
        seen += read_until_closed(asker, code=4503)
        with open_link(there, session=session, cookie=cookie) as early:  # nobody can listen yet
            assert read_until_closed(early, code=4503) == []
        redis.start()
        back = reopen(stack, there, session=session, cookie=cookie)
        order = {"type": "resume", "message_id": seen[0]["message_id"], "after_seq": seen[-1]["seq"]}
        back.send(json.dumps(order))
        for _ in range(5):
            seen.append(read_chunk(back))
        back.send(json.dumps({"type": "stop", "message_id": seen[0]["message_id"]}))
        *rest, final = read_answer(back)
        seen += rest
        assert [frame["seq"] for frame in seen] == list(range(len(seen)))
        assert final["status"] == "stopped"
        assert final["full_response"] == "".join(frame["content"] for frame in seen)


def read_chunk(link: ClientConnection) -> dict[str, Any]:
    while (frame := json.loads(link.recv(timeout=30)))["type"] != "ai_response_chunk":
        pass
    return frame


def read_until_closed(link: ClientConnection, *, code: int) -> list[dict[str, Any]]:
    frames: list[dict[str, Any]] = []
    try:
        while True:
            frames.append(read_chunk(link))
    except ConnectionClosed as end:
        seen_code = end.rcvd.code if end.rcvd else None
    assert seen_code == code
    return frames


def reopen(stack: ExitStack, url: str, *, session: ChatSession, cookie: str) -> ClientConnection:
    """As a browser does: again and again, until the socket stays."""
    deadline = time.monotonic() + 30
    while True:
        link = stack.enter_context(open_link(url, session=session, cookie=cookie))
        with suppress(TimeoutError, ConnectionClosed):
            link.recv(timeout=1)
        if link.state is State.OPEN:
            return link
        assert time.monotonic() < deadline
        time.sleep(0.2)


def test_one_client_message_id_twenty_times_at_once_is_one_turn(
    material: Document,
    session: ChatSession,
    member: User,
    cookie: str,
    provider: FakeProvider,
    tmp_path: Path,
) -> None:
    provider.always(Fault(path="/chat/completions", answer=LONG, chunk_delay_seconds=0.005))
    client_message_id = str(uuid.uuid4())
    with run_web(log_path=tmp_path / "web.log", **provider_variables(provider)) as url:

        def send_by_socket(link: ClientConnection) -> str:
            order = {"type": "message", "content": QUESTION, "client_message_id": client_message_id}
            link.send(json.dumps(order))
            return read_answer(link)[-1]["message_id"]

        def send_by_api() -> str:
            order = {
                "session_id": str(session.pk),
                "message": QUESTION,
                "client_message_id": client_message_id,
            }
            request = urllib.request.Request(  # noqa: S310  (our own address)
                f"{url}/api/chat/message",
                data=json.dumps(order).encode(),
                headers={"Authorization": f"Bearer {key}", "Content-Type": "application/json"},
            )
            with urllib.request.urlopen(request, timeout=60) as response:  # noqa: S310
                return json.load(response)["message_id"]

        key = ApiKey.issue(user=member, name="test")[1]
        with ExitStack() as stack, ThreadPoolExecutor(20) as threads:
            links = [
                stack.enter_context(open_link(url, session=session, cookie=cookie)) for _link in range(10)
            ]
            sent = [threads.submit(send_by_socket, link) for link in links]
            sent += [threads.submit(send_by_api) for _request in range(10)]
            answers = {future.result() for future in sent}
    assert len(answers) == 1
    assert session.messages.count() == 2
    assert len(asked_for_answers(provider)) == 1
    assert CostRecord.objects.filter(session=session, purpose=Purpose.CHAT).count() == 1
