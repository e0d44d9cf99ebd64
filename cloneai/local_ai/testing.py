"""A provider for tests: a real HTTP server on a free port that answers like OpenAI and can be told to fail.

Use: `with FakeProvider() as provider:`, point the client at `provider.base_url`, tell it what to do next with
`provider.next(Fault(status=429))`, look at `provider.requests`. It accepts every model name.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import struct
import threading
from collections import deque
from collections.abc import Mapping
from concurrent.futures import Future
from types import TracebackType
from typing import Any, Self

from cloneai.local_ai.faults import Fault, RecordedRequest, WireAnswer, answer_with_fault

_REASONS = {200: "OK", 400: "Bad Request", 401: "Unauthorized", 404: "Not Found", 429: "Too Many Requests"}
_READ_LIMIT = 64 * 1024 * 1024
NO_FAULT = Fault()


class FakeProvider:
    """An OpenAI-like server in a thread with an event loop of its own; enter it as a context manager."""

    def __init__(self) -> None:
        self.requests: list[RecordedRequest] = []
        self.disconnects = 0
        self._script: deque[Fault] = deque()
        self._standing = NO_FAULT
        self._script_lock = threading.Lock()
        self._connections: set[asyncio.Task[None]] = set()
        self._port = 0

    @property
    def base_url(self) -> str:
        """What to give a client as its base URL."""
        return f"http://127.0.0.1:{self._port}/v1"

    def next(self, *faults: Fault) -> None:
        """Queue faults: each is used once, by the next request that its `path` fits."""
        with self._script_lock:
            self._script.extend(faults)

    def always(self, fault: Fault | None) -> None:
        """Use a fault for every request that the queue has nothing for; None goes back to normal."""
        with self._script_lock:
            self._standing = fault or NO_FAULT

    def clear(self) -> None:
        """Forget what was recorded and scripted."""
        with self._script_lock:
            self._script.clear()
            self._standing = NO_FAULT
        self.requests.clear()
        self.disconnects = 0

    def requests_to(self, path: str) -> list[RecordedRequest]:
        """Return the recorded requests whose path ends like this, such as `/embeddings`."""
        return [request for request in self.requests if request.path.endswith(path)]

    def __enter__(self) -> Self:
        started: Future[int] = Future()
        self._thread = threading.Thread(target=self._run, args=(started,), name="fake-provider", daemon=True)
        self._thread.start()
        self._port = started.result(timeout=10)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._closing.set)
        self._thread.join(timeout=10)

    def _run(self, started: Future[int]) -> None:
        asyncio.run(self._serve(started))

    async def _serve(self, started: Future[int]) -> None:
        self._loop = asyncio.get_running_loop()
        self._closing = asyncio.Event()
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0, limit=_READ_LIMIT)
        started.set_result(server.sockets[0].getsockname()[1])
        await self._closing.wait()
        server.close()
        for task in list(self._connections):
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            while await self._answer_one(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError):
            self.disconnects += 1
        except asyncio.CancelledError:
            pass  # the provider closes
        finally:
            self._connections.discard(task)
            writer.transport.abort()
            with contextlib.suppress(ConnectionError, asyncio.CancelledError):
                await writer.wait_closed()

    async def _answer_one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Answer one request of a connection; return whether another may follow."""
        read = await _read_request(reader)
        if read is None:
            return False
        request, body = read
        self.requests.append(request)
        fault = self._take_fault(request.path)
        await self._pause(fault.delay_seconds, reader)
        answer = await answer_with_fault(request=request, body=body, fault=fault)
        if isinstance(answer.body, bytes):
            _write_head(writer, answer, f"content-length: {len(answer.body)}")
            writer.write(answer.body)
            await writer.drain()
            return True
        _write_head(writer, answer, "transfer-encoding: chunked")
        return await self._stream(reader, writer, events=answer.body, fault=fault)

    async def _stream(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, events: list[bytes], fault: Fault
    ) -> bool:
        for index, event in enumerate([*events, b""]):
            if fault.reset_after_chunks == index:
                _reset(writer)
                return False
            if fault.stall_after_chunks == index:
                await self._pause(float("inf"), reader)
            if event:
                writer.write(f"{len(event):x}\r\n".encode() + event + b"\r\n")
                await writer.drain()
                await self._pause(fault.chunk_delay_seconds, reader)
        writer.write(b"0\r\n\r\n")
        await writer.drain()
        return True

    async def _pause(self, seconds: float, reader: asyncio.StreamReader) -> None:
        """Wait, but notice a client that leaves: raises `ConnectionResetError` then."""
        waited = 0.0
        while waited < seconds:
            step = min(0.02, seconds - waited)
            await asyncio.sleep(step)
            waited += step
            if reader.at_eof():
                raise ConnectionResetError("the client left")

    def _take_fault(self, path: str) -> Fault:
        with self._script_lock:
            for fault in self._script:
                if path.endswith(fault.path):
                    self._script.remove(fault)
                    return fault
            return self._standing if path.endswith(self._standing.path) else NO_FAULT


async def _read_request(reader: asyncio.StreamReader) -> tuple[RecordedRequest, bytes] | None:
    """Read one HTTP/1.1 request; None when the client closed the connection between requests."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as error:
        if error.partial:
            raise
        return None
    first, *lines = head.decode("latin-1").rstrip("\r\n").split("\r\n")
    method, path, _ = first.split(" ", 2)
    headers = {name.strip().lower(): value.strip() for name, value in (line.split(":", 1) for line in lines)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return RecordedRequest(method=method, path=path, headers=headers, json=_parse(body)), body


def _parse(body: bytes) -> Any:
    try:
        return json.loads(body) if body else None
    except ValueError:
        return None


def _write_head(writer: asyncio.StreamWriter, answer: WireAnswer, length: str) -> None:
    lines: Mapping[str, str] = answer.headers
    head = [f"HTTP/1.1 {answer.status} {_REASONS.get(answer.status, 'Status')}", length]
    head += [f"{name}: {value}" for name, value in lines.items()]
    writer.write(("\r\n".join(head) + "\r\n\r\n").encode("latin-1"))


def _reset(writer: asyncio.StreamWriter) -> None:
    """Close a connection so that the client sees a reset, not an orderly end."""
    raw = writer.get_extra_info("socket")
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
