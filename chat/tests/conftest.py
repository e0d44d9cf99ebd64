"""A clone that has material, and ways to take part in its conversations."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from channels.layers import channel_layers
from channels.testing import WebsocketCommunicator
from django.conf import settings
from django.core.files.base import ContentFile
from django.db import connections
from django.test import Client

from chat.models import ChatSession
from cloneai.accounts.models import User
from cloneai.local_ai.faults import RecordedRequest
from cloneai.local_ai.testing import FakeProvider
from cloneai.threads import run_in_thread
from clones.models import Clone
from knowledge.ingestion import ingest_document
from knowledge.models import Document, Status
from knowledge.uploads import create_document

MATERIAL = """# Meetings

Hold a one-on-one with every person each week. It lasts thirty minutes, and the agenda belongs to them.

# Pepper soup

The soup needs four red peppers, one onion and a litre of stock. Simmer it for twenty-five minutes.

# Feedback

Give feedback within forty-eight hours. Describe what you saw, what it caused, and what you would like instead.
"""


@pytest.fixture
def material(clone: Clone, expert: User) -> Document:
    """One ready document of the clone, through the real pipeline."""
    Clone.objects.filter(pk=clone.pk).update(chunk_tokens=100, chunk_overlap_tokens=0)
    clone.refresh_from_db()
    document = create_document(
        clone=clone,
        file=ContentFile(MATERIAL.encode(), name="notes.md"),
        file_name="notes.md",
        title="Notes",
        uploaded_by=expert,
    )
    ingest_document(document_id=document.pk)
    document.refresh_from_db()
    assert document.status == Status.READY, document.error_message
    return document


@pytest.fixture
def session(clone: Clone, member: User) -> ChatSession:
    return ChatSession.objects.create(clone=clone, user=member)


@pytest.fixture(autouse=True)
async def _own_loop() -> AsyncIterator[None]:
    """The in-memory layer belongs to one event loop; connections of the async ORM's thread are closed with it."""
    channel_layers.backends.clear()
    yield
    await finish_titles()
    await sync_to_async(connections.close_all)()


async def finish_titles() -> None:
    """Waits for the titles that are being made in the background."""
    tasks = [task for task in asyncio.all_tasks() if task.get_name().startswith("title ")]
    if tasks:
        await asyncio.wait(tasks, timeout=20)


def asked_for_answers(provider: FakeProvider) -> list[RecordedRequest]:
    """What the provider was sent for answers; titles and other errands are not streamed."""
    return [request for request in provider.requests_to("/chat/completions") if request.json.get("stream")]


class Socket:
    """A member's socket: frames as dictionaries."""

    def __init__(self, communicator: WebsocketCommunicator) -> None:
        self.communicator = communicator

    async def send(self, **frame: Any) -> None:
        await self.communicator.send_to(text_data=json.dumps(frame))

    async def receive(self, timeout: float = 15) -> dict[str, Any]:
        """The next frame. Titles may come at any time; only `receive_title` looks for them."""
        while (frame := await self._receive(timeout))["type"] == "session_title":
            pass
        return frame

    async def receive_title(self, timeout: float = 15) -> dict[str, Any]:
        while (frame := await self._receive(timeout))["type"] != "session_title":
            pass
        return frame

    async def _receive(self, timeout: float) -> dict[str, Any]:
        return json.loads(await self.communicator.receive_from(timeout=timeout))

    async def read_answer(self) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        """All frames up to the final one, and that one."""
        frames = []
        while True:
            frame = await self.receive()
            frames.append(frame)
            if frame.get("is_complete"):
                return frames, frame


@pytest.fixture
async def open_socket() -> AsyncIterator[Callable[..., Any]]:
    """`await open_socket(user, session_id)` connects through the whole ASGI application."""
    from cloneai.asgi import application

    opened: list[WebsocketCommunicator] = []

    async def connect(user: User | None, session_id: Any, *, origin: str | None = "http://localhost") -> Any:
        headers = [(b"host", b"localhost")]
        if origin is not None:
            headers.append((b"origin", origin.encode()))
        if user is not None:
            client = Client()
            await run_in_thread(client.force_login, user)
            cookie = client.cookies[settings.SESSION_COOKIE_NAME].value
            headers.append((b"cookie", f"{settings.SESSION_COOKIE_NAME}={cookie}".encode()))
        communicator = WebsocketCommunicator(application, f"/ws/chat/{session_id}/", headers=headers)
        connected, code = await communicator.connect(timeout=10)
        if not connected:
            return code
        opened.append(communicator)
        return Socket(communicator)

    yield connect
    for communicator in opened:
        await communicator.disconnect()
