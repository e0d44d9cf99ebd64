"""A real local HTTP server that speaks OpenAI's wire format and does what a test tells it to.

`provider.replies` is a queue of replies, one a request; when it is empty, requests are answered well. A reply
is a function of the request's handler and its JSON body. `provider.rule` may name one by the body instead.
"""

import json
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Reply = Callable[["Handler", dict[str, Any]], None]

ANSWER = "Listen first, then ask."
USAGE = {"prompt_tokens": 20, "completion_tokens": 7, "total_tokens": 27}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: "FakeProvider"

    def do_GET(self) -> None:
        self.send_json(
            {"object": "list", "data": [{"id": name, "object": "model"} for name in self.server.models]}
        )

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with self.server.lock:
            self.server.requests.append(body)
            self.server.asked.set()
            reply = self.server.rule(body)
            if reply is None:
                reply = self.server.replies.pop(0) if self.server.replies else answer_well
        try:
            reply(self, body)
        except (BrokenPipeError, ConnectionResetError):
            self.server.hung_up.set()
            self.close_connection = True

    def send_json(self, payload: object, *, status: int = 200, headers: dict[str, str] | None = None) -> None:
        self.send_body(json.dumps(payload).encode(), status=status, headers=headers)

    def send_body(self, content: bytes, *, status: int = 200, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def begin_stream(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()

    def send_chunk(self, content: bytes) -> None:
        self.wfile.write(b"%x\r\n%s\r\n" % (len(content), content))

    def reset(self) -> None:
        """Closes the connection so that the other side sees a reset."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        self.close_connection = True

    def finish(self) -> None:
        try:
            super().finish()
        except (OSError, ValueError):
            self.close_connection = True

    def log_message(self, *args: object) -> None:
        """Tests read no server log."""


class FakeProvider(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 256

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.lock = threading.Lock()
        self.requests: list[dict[str, Any]] = []
        self.replies: list[Reply] = []
        self.rule: Callable[[dict[str, Any]], Reply | None] = lambda body: None
        self.vector_length: int | None = None
        self.models = ["gpt-4.1", "gpt-4o-mini", "text-embedding-3-large"]
        self.asked = threading.Event()
        self.hung_up = threading.Event()

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"

    def __enter__(self) -> "FakeProvider":
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self.shutdown()
        self.server_close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no defect of the server."""


def completion(
    *,
    text: str | None = ANSWER,
    finish_reason: str = "stop",
    usage: object = USAGE,
    refusal: str | None = None,
    model: str = "m",
) -> dict[str, Any]:
    message = {"role": "assistant", "content": text, "refusal": refusal}
    choice = {"index": 0, "finish_reason": finish_reason, "message": message}
    return {
        "id": "c1",
        "object": "chat.completion",
        "created": 1,
        "model": model,
        "choices": [choice],
        "usage": usage,
    }


def chunk(*, text: str | None = None, finish_reason: str | None = None) -> bytes:
    delta = {} if text is None else {"content": text}
    return event(
        {
            "id": "c1",
            "object": "chat.completion.chunk",
            "created": 1,
            "model": "m",
            "choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason}],
        }
    )


def usage_chunk(usage: object = USAGE) -> bytes:
    return event(
        {
            "id": "c1",
            "object": "chat.completion.chunk",
            "created": 1,
            "model": "m",
            "choices": [],
            "usage": usage,
        }
    )


def event(payload: object) -> bytes:
    return b"data: " + json.dumps(payload).encode() + b"\n\n"


DONE = b"data: [DONE]\n\n"
PIECES = ["Listen ", "first, ", "then ask."]


def embeddings(vectors: Iterable[Iterable[float]], **usage: int) -> dict[str, Any]:
    data = [{"object": "embedding", "index": index, "embedding": list(v)} for index, v in enumerate(vectors)]
    return {
        "object": "list",
        "data": data,
        "model": "m",
        "usage": usage or {"prompt_tokens": 5, "total_tokens": 5},
    }


def answer_well(handler: Handler, body: dict[str, Any]) -> None:
    if "input" in body:
        length = handler.server.vector_length or body["dimensions"]
        vectors = [[float(index + 1)] * length for index in range(len(body["input"]))]
        handler.send_json(embeddings(vectors))
    elif body.get("stream"):
        stream(*[chunk(text=piece) for piece in PIECES], chunk(finish_reason="stop"), usage_chunk(), DONE)(
            handler, body
        )
    else:
        handler.send_json(completion())


def stream(*events: bytes, then: str = "end") -> Reply:
    """Sends the events; then ends well, resets the connection, or keeps it open without a byte."""

    def reply(handler: Handler, body: dict[str, Any]) -> None:
        handler.begin_stream()
        for content in events:
            handler.send_chunk(content)
        if then == "end":
            handler.send_chunk(b"")
        elif then == "reset":
            time.sleep(0.05)  # let what was sent arrive: a reset discards the rest
            handler.reset()
        elif then == "stall":
            handler.server.hung_up.wait(timeout=20)
            handler.close_connection = True

    return reply


def json_reply(payload: object, *, status: int = 200, headers: dict[str, str] | None = None) -> Reply:
    return lambda handler, body: handler.send_json(payload, status=status, headers=headers)


def refusal(
    status: int, *, code: str = "", param: str | None = None, retry_after: str | None = None
) -> Reply:
    """An error in OpenAI's format, which quotes the key as OpenAI's does."""
    error = {
        "message": "Incorrect API key provided: sk-secret",
        "type": "error",
        "code": code,
        "param": param,
    }
    headers = {} if retry_after is None else {"Retry-After": retry_after}
    return json_reply({"error": error}, status=status, headers=headers)


def raw(content: bytes, *, content_type: str = "application/json", encoding: str = "") -> Reply:
    headers = {"Content-Type": content_type} | ({"Content-Encoding": encoding} if encoding else {})
    return lambda handler, body: handler.send_body(content, headers=headers)


def hang(handler: Handler, body: dict[str, Any]) -> None:
    """Says nothing until the client gives up or the test ends."""
    handler.server.hung_up.wait(timeout=20)
    handler.close_connection = True
