"""What `benchmarks.chat` asks with: members on sockets, and the bare client of the provider."""

import asyncio
import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
import uuid
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any

import websockets

from benchmarks.paced_provider import TOKENS_PER_SECOND

MEMBERS, PASSAGES = 13, 300
DIMENSIONS, EMBEDDING_MODEL, CHAT_MODEL = 1536, "text-embedding-3-large", "gpt-4.1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """One answer as its reader met it; times in seconds since the question was sent."""

    first_token: float
    last_token: float
    tokens: int
    socket_bytes: int = 0
    status: str = "complete"

    @property
    def tokens_per_second(self) -> float:
        return (self.tokens - 1) / (self.last_token - self.first_token)


class Members:
    """People with cookies, and conversations that nobody has used yet."""

    def __init__(self) -> None:
        from django.conf import settings
        from django.test import Client

        from cloneai.accounts.models import User

        self.cookies = []
        self.users = [User.objects.create_user(email=f"m{n}@example.com") for n in range(MEMBERS)]
        for user in self.users:
            client = Client()
            client.force_login(user)
            name = settings.SESSION_COOKIE_NAME
            self.cookies.append(f"{name}={client.cookies[name].value}")
        self.clone = make_clone(owner=self.users[0])

    def seats(self, count: int) -> list[dict[str, Any]]:
        """New conversations with their member's cookie, in turn."""
        from chat.models import ChatSession

        sessions = ChatSession.objects.bulk_create(
            ChatSession(clone=self.clone, user=self.users[n % MEMBERS]) for n in range(count)
        )
        return [
            {"session_id": session.pk, "cookie": self.cookies[n % MEMBERS]}
            for n, session in enumerate(sessions)
        ]


def make_clone(*, owner: Any) -> Any:
    """A clone with `PASSAGES` passages, through the real pipeline."""
    from django.core.files.base import ContentFile

    from clones.models import Clone, Visibility
    from knowledge.ingestion import ingest_document
    from knowledge.uploads import create_document

    clone = Clone.objects.create(
        owner=owner,
        name="Ada Berg",
        slug="ada",
        visibility=Visibility.PUBLIC,
        chunk_tokens=100,
        chunk_overlap_tokens=0,
        daily_cost_limit_usd=None,
    )
    text = "\n\n".join(
        f"# Part {number}\n\nBegin each one-on-one number {number} with a question. "
        + "Then listen to what they say about it. " * 7
        for number in range(PASSAGES)
    )
    file = ContentFile(text.encode(), name="book.md")
    document = create_document(clone=clone, file=file, file_name="book.md", uploaded_by=owner)
    ingest_document(document_id=document.pk)
    document.refresh_from_db()
    assert document.chunk_count >= PASSAGES / 2, (document.status, document.error_message)
    return clone


@contextmanager
def run_daphne(application: str | None = None, **variables: str) -> Iterator[tuple[str, int]]:
    """Our web process with these variables, or Daphne with another application; gives its host and process id."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    host = f"127.0.0.1:{port}"
    program = ["daphne", application] if application else ["cloneai.web"]
    command = [sys.executable, "-m", *program, "-v", "0", "-b", "127.0.0.1", "-p", str(port)]
    process = subprocess.Popen(
        command, env={**os.environ, **variables}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        while process.poll() is None:
            try:
                urllib.request.urlopen(f"http://{host}/healthz", timeout=2).close()
                break
            except OSError:
                time.sleep(0.1)
        yield host, process.pid
    finally:
        process.terminate()
        process.wait(timeout=30)


def open_socket(*, host: str, session_id: Any, cookie: str) -> Any:
    return websockets.connect(
        f"ws://{host}/ws/chat/{session_id}/",
        origin=f"http://{host}",
        additional_headers={"Cookie": cookie},
        compression=None,
        open_timeout=60,
    )


@asynccontextmanager
async def open_sockets(*, host: str, seats: Sequence[dict[str, Any]]) -> AsyncIterator[list[Any]]:
    """One socket a seat, opened one after the other."""
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(open_socket(host=host, **seat)) for seat in seats]


async def ask_by_socket(link: Any, *, tokens: int, pace: int = TOKENS_PER_SECOND) -> Heard:
    """One question over an open socket."""
    begun_at, first, last, size = time.perf_counter(), 0.0, 0.0, 0
    order = {
        "type": "message",
        "client_message_id": str(uuid.uuid4()),
        "content": f"How do I begin a one-on-one? tokens={tokens} pace={pace}",
    }
    await link.send(json.dumps(order))
    async for text in link:
        size += len(text.encode())
        frame = json.loads(text)
        if frame["type"] == "error":
            raise RuntimeError(frame["message"])
        if frame["type"] != "ai_response_chunk":
            continue
        if frame["is_complete"]:
            return Heard(
                first_token=first,
                last_token=last,
                tokens=tokens,
                socket_bytes=size,
                status=frame["status"],
            )
        last = time.perf_counter() - begun_at
        first = first or last
    raise RuntimeError("the socket ended before the answer")


async def ask_bare(client: Any, *, tokens: int) -> Heard:
    """The same two calls to the provider with nothing around them."""
    begun_at, first, last = time.perf_counter(), 0.0, 0.0
    question = f"How do I begin a one-on-one? tokens={tokens}"
    await client.embeddings.create(model=EMBEDDING_MODEL, input=[question], dimensions=DIMENSIONS)
    stream = await client.chat.completions.create(
        model=CHAT_MODEL,
        messages=[{"role": "user", "content": question}],
        stream=True,
        stream_options={"include_usage": True},
    )
    async for event in stream:
        if event.choices and event.choices[0].delta.content:
            last = time.perf_counter() - begun_at
            first = first or last
    return Heard(first_token=first, last_token=last, tokens=tokens)


async def ask_many(questions: list[Any], *, spread_seconds: float) -> list[Heard]:
    """All at once, begun within `spread_seconds` of each other, as people do."""

    async def later(number: int, question: Any) -> Heard:
        await asyncio.sleep(spread_seconds * number / len(questions))
        return await question

    return list(await asyncio.gather(*(later(number, question) for number, question in enumerate(questions))))
