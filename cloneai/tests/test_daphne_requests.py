"""Bodies as Daphne takes them in: bounded, and not taken apart."""

from typing import Any

import daphne.http_protocol
import pytest
from twisted.internet.error import ConnectionDone
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure

from cloneai import daphne_requests
from cloneai.edge import find_limit

daphne_requests.install()


class Server:
    """What Daphne's requests need of their server; keeps what the application would be given."""

    proxy_forwarded_address_header = None
    root_path = ""
    server_name = "test"
    request_buffer_size = 64 * 1024

    def __init__(self) -> None:
        self.scopes: list[dict[str, Any]] = []
        self.pieces: list[dict[str, Any]] = []

    def protocol_connected(self, protocol: object) -> None: ...

    def protocol_disconnected(self, protocol: object) -> None: ...

    def create_application(self, protocol: object, scope: dict[str, Any]) -> Any:
        self.scopes.append(scope)
        return self

    def put_nowait(self, message: dict[str, Any]) -> None:
        self.pieces.append(message)

    @property
    def body(self) -> bytes:
        return b"".join(piece.get("body", b"") for piece in self.pieces)


def take_in(*, head: str, body: bytes, size: int = 1024 * 1024) -> tuple[Server, StringTransport]:
    server, transport = Server(), StringTransport()
    factory = daphne.http_protocol.HTTPFactory(server)
    factory.timeOut = None
    channel = factory.buildProtocol(None)
    channel.makeConnection(transport)
    channel.dataReceived(head.replace("\n", "\r\n").encode("latin-1") + b"\r\n\r\n")
    for start in range(0, len(body), size):
        channel.dataReceived(body[start : start + size])
    channel.connectionLost(Failure(ConnectionDone()))
    return server, transport


def form(path: str, *, length: int, kind: str = "application/x-www-form-urlencoded") -> str:
    return f"POST {path} HTTP/1.1\nHost: localhost\nContent-Type: {kind}\nContent-Length: {length}"


@pytest.mark.parametrize(
    "path", ["/accounts/login/", "/accounts/login/?next=/admin/", "/api/chat/message", "/%61dmin"]
)
def test_of_a_large_body_only_one_byte_too_many_is_kept(path: str):
    body = b"a=&" * 4_000_000
    server, _transport = take_in(head=form(path, length=len(body)), body=body)
    assert len(server.body) == find_limit(path) + 1 == 5 * 1024**2 + 1
    headers = dict(server.scopes[0]["headers"])
    assert headers[b"content-length"] == str(len(body)).encode()  # by which `cloneai.edge` refuses it


def test_bodies_without_a_length_are_bounded_too():
    piece = b"a" * 1024 * 1024
    chunk = f"{len(piece):x}\r\n".encode() + piece + b"\r\n"
    head = "POST /v1/chat/completions HTTP/1.1\nHost: localhost\nTransfer-Encoding: chunked"
    server, _transport = take_in(head=head, body=chunk * 8 + b"0\r\n\r\n", size=len(chunk))
    assert len(server.body) == find_limit("/v1/chat/completions") + 1


def test_an_upload_without_a_length_is_bounded_as_it_comes(settings):
    settings.MAX_UPLOAD_BYTES = 2 * 1024 * 1024
    piece = b"a" * 1024 * 1024
    chunk = f"{len(piece):x}\r\n".encode() + piece + b"\r\n"
    head = "POST /api/clones/ada/documents HTTP/1.1\nHost: localhost\nTransfer-Encoding: chunked"
    server, _transport = take_in(head=head, body=chunk * 9 + b"0\r\n\r\n", size=len(chunk))
    assert len(server.body) == find_limit("/api/clones/ada/documents") + 1 == 3 * 1024 * 1024 + 1


def test_uploads_may_be_larger():
    body = b"a" * 6 * 1024 * 1024
    server, _transport = take_in(
        head=form("/api/clones/ada/documents", length=len(body), kind="text/plain"), body=body
    )
    assert server.body == body


def test_forms_are_left_to_django():
    """Twisted would parse them on the event loop, and close the connection over an odd one without a word."""
    body = b"--c63--\r\n"
    head = form("/api/clones/ada/documents", length=len(body), kind="multipart/form-data; boundary=c63")
    server, transport = take_in(head=head, body=body)
    assert server.body == body
    assert transport.value() == b""


def test_a_sender_without_end_is_cut_off(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(daphne_requests, "LARGEST_DROPPED_BYTES", 7 * 1024**2)
    server, transport = take_in(head=form("/", length=10**9), body=b"a" * 8 * 1024**2)
    assert transport.disconnecting
    assert not server.scopes


@pytest.mark.parametrize("prefix", [b"//evil.example", b"/\xff"])
def test_a_prefix_that_a_client_names_is_dropped(prefix: bytes):
    head = f"GET /chat/ HTTP/1.1\nHost: localhost\nDaphne-Root-Path: {prefix.decode('latin-1')}"
    server, transport = take_in(head=head, body=b"")
    assert server.scopes[0]["root_path"] == ""
    assert transport.value() == b""
