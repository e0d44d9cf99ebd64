"""A running web process and people who mean it no good: every socket of theirs is closed cleanly, and nobody else's."""

import json
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.test import Client
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin

from chat.models import ChatSession
from chat.socket_limits import MAX_SOCKETS_PER_USER
from chat.tests.live import find_free_port, start_web, stop
from cloneai.accounts.models import User

pytestmark = pytest.mark.django_db(transaction=True)

MEGABYTE = 1024**2
MAX_GROWTH_MEGABYTES = 50


@pytest.fixture(scope="module")
def web(django_db_setup: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, int]]:
    """Host with port, and process id."""
    port = find_free_port()
    process = start_web(port=port, log_path=tmp_path_factory.mktemp("web") / "web.log", variables={})
    yield f"127.0.0.1:{port}", process.pid
    stop(process)


def log_in(user: User) -> str:
    client = Client()
    client.force_login(user)
    return f"{settings.SESSION_COOKIE_NAME}={client.cookies[settings.SESSION_COOKIE_NAME].value}"


def open_socket(host: str, session: ChatSession, *, origin: str | None, cookie: str) -> ClientConnection:
    return connect(
        f"ws://{host}/ws/chat/{session.pk}/",
        origin=None if origin is None else Origin(origin),
        additional_headers={"Cookie": cookie},
        open_timeout=60,
        max_size=None,
    )


def read_close_code(link: ClientConnection) -> int | None:
    """What the server closed it with; 1006 when it went away without a word."""
    with suppress(ConnectionClosed):
        while True:
            link.recv(timeout=60)
    return link.close_code


def flood(link: ClientConnection) -> None:
    """A thousand frames as fast as they go, or as many as are taken."""
    with suppress(ConnectionClosed):
        for _ in range(1000):
            link.send('{"type":"nonsense","padding":"' + "x" * 1000 + '"}')


def is_answered(link: ClientConnection) -> bool:
    """Whether an order that nobody knows gets its refusal: the socket works."""
    link.send(json.dumps({"type": "nonsense"}))
    return json.loads(link.recv(timeout=60))["error_type"] == "invalid_request"


def read_memory_megabytes(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise AssertionError("no VmRSS")


@pytest.mark.parametrize(
    "origin",
    [
        None, "null", "https://evil.example", "http://127.0.0.1.evil.example:{port}", "http://evil{host}", "http://127.0.0.1:1",
        "http://127.0.0.1", "https://{host}", "http://{host}@evil.example", "http://localhost:{port}", "http://{host}/",
    ],
)  # fmt: skip
def test_other_origins_are_refused_in_the_handshake(
    origin: str | None, web: Any, session: ChatSession, member: User
):
    host, _pid = web
    named = None if origin is None else origin.format(host=host, port=host.partition(":")[2])
    with pytest.raises(InvalidStatus) as refusal:
        open_socket(host, session, origin=named, cookie=log_in(member))
    assert refusal.value.response.status_code == 403


@pytest.mark.parametrize(
    ("frame", "codes"),
    [
        (b"\x00" * 1000, {4413}),
        ("x" * MEGABYTE, {1009, 4413}),
        ("ä" * 40_000, {4413}),
    ],
    ids=["binary", "1 MiB", "characters of two bytes"],
)
def test_frames_too_large_or_binary_close_their_socket_only(
    frame: str | bytes, codes: set[int], web: Any, session: ChatSession, member: User
):
    host, _pid = web
    cookie = log_in(member)
    with (
        open_socket(host, session, origin=f"http://{host}", cookie=cookie) as link,
        open_socket(host, session, origin=f"http://{host}", cookie=cookie) as other,
    ):
        link.send(frame)
        assert read_close_code(link) in codes
        assert is_answered(other)


def test_frames_that_make_no_sense_are_answered(web: Any, session: ChatSession, member: User):
    host, _pid = web
    with open_socket(host, session, origin=f"http://{host}", cookie=log_in(member)) as link:
        deep = "[" * 30_000
        for frame in (
            "",
            "{",
            "[]",
            "null",
            '{"type":[]}',
            '{"type":"message"}',
            deep,
            '{"type":"message","content":7}',
        ):
            link.send(frame)
            assert json.loads(link.recv(timeout=60))["error_type"] == "invalid_request", frame[:20]


@pytest.mark.skipif(
    not Path("/proc/self/status").exists(), reason="reads memory from /proc, which only Linux has"
)
def test_a_flood_of_frames_and_sockets_is_closed_and_leaves_no_memory_behind(
    web: Any, session: ChatSession, member: User, stranger: User, clone: Any
):
    host, pid = web
    origin, theirs = f"http://{host}", ChatSession.objects.create(clone=clone, user=stranger)
    cookie = log_in(member)
    with open_socket(host, theirs, origin=origin, cookie=log_in(stranger)) as other:
        assert is_answered(other)
        before = read_memory_megabytes(pid)
        with ExitStack() as stack:
            links = [
                stack.enter_context(open_socket(host, session, origin=origin, cookie=cookie))
                for _ in range(60)
            ]
            for link in links[MAX_SOCKETS_PER_USER:]:
                assert read_close_code(link) == 4429
            for link in links[:5]:
                flood(link)
                assert read_close_code(link) == 4429
            assert is_answered(other), "another's socket works on"
        assert is_answered(other)
        assert read_memory_megabytes(pid) - before < MAX_GROWTH_MEGABYTES
        with open_socket(host, session, origin=origin, cookie=cookie) as again:
            assert is_answered(again), "who comes back in peace is let in"
