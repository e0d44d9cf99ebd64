"""The people of `benchmarks.load`: members who chat, stop, lose their connection and come back, leave; an expert."""

import asyncio
import json
import random
import time
import uuid
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from websockets.exceptions import WebSocketException

from benchmarks.chat_clients import open_socket

TOKENS, PACE = 60, 50
THINK_SECONDS, UPLOAD_SECONDS, ANSWER_SECONDS = (1.0, 5.0), 5.0, 60.0
STOPS, BREAKS, ENDS = (
    0.1,
    0.15,
    0.25,
)  # shares of the questions that are stopped, interrupted by a lost line; of visits


@dataclass(kw_only=True)
class Notes:
    """What happened: (seconds since the begin, seconds that it took) by kind; what a member sees as an error."""

    began: float = field(default_factory=time.monotonic)
    took: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    errors: Counter[str] = field(default_factory=Counter)

    def note(self, kind: str, since: float) -> None:
        now = time.monotonic()
        self.took.setdefault(kind, []).append((now - self.began, now - since))


@dataclass(kw_only=True)
class Member:
    host: str
    slug: str
    cookie: str
    token: str
    http: Any
    notes: Notes

    async def live_until(self, end: float) -> None:
        """One visit after the other: a new conversation, some questions, perhaps its end."""
        await asyncio.sleep(random.uniform(0, THINK_SECONDS[1]))
        while time.monotonic() < end:
            try:
                await self._visit(end)
            except (WebSocketException, OSError, RuntimeError, TimeoutError) as error:
                self.notes.errors[f"{type(error).__name__}: {error}"[:120]] += 1
                await asyncio.sleep(1)

    async def _visit(self, end: float) -> None:
        made = await self._send("POST", "/api/chat/sessions", json={"clone": self.slug})
        session_id = made.json()["id"]
        await self._open_page(f"/chat/{session_id}/")
        link = await self._connect(session_id)
        try:
            for _ in range(random.randint(2, 6)):
                if time.monotonic() >= end:
                    break
                link = await self._ask(link, session_id)
                await asyncio.sleep(random.uniform(*THINK_SECONDS))
        finally:
            await link.close()
        await self._open_page("/chat/")
        if random.random() < ENDS:
            await self._send("POST", f"/api/chat/sessions/{session_id}/end")

    async def _ask(self, link: Any, session_id: str) -> Any:
        """One question; returns the socket, a new one when the line was lost on the way."""
        what = random.random()
        asked_at, shown, first = time.monotonic(), "", True
        await link.send(
            json.dumps(
                {
                    "type": "message",
                    "client_message_id": str(uuid.uuid4()),
                    "content": f"How do I begin a one-on-one? tokens={TOKENS} pace={PACE}",
                }
            )
        )
        async with asyncio.timeout(ANSWER_SECONDS):
            while True:
                frame = json.loads(await link.recv())
                if frame["type"] == "error":
                    raise RuntimeError(frame["message"])
                if frame["type"] != "ai_response_chunk":
                    continue
                if first:
                    self.notes.note("first token", asked_at)
                    first = False
                shown += frame["content"]
                if frame["is_complete"]:
                    if shown != frame["full_response"]:
                        raise RuntimeError("shown otherwise than saved")
                    if frame["status"] not in {"complete", "stopped"}:
                        raise RuntimeError(f"the answer was {frame['status']}")
                    self.notes.note(f"answer {frame['status']}", asked_at)
                    return link
                if frame["seq"] == 3 and what < STOPS:
                    await link.send(json.dumps({"type": "stop", "message_id": frame["message_id"]}))
                elif frame["seq"] == 3 and what < STOPS + BREAKS:
                    link.transport.abort()
                    await asyncio.sleep(random.uniform(0.2, 2))
                    link = await self._connect(session_id)
                    resume = {
                        "type": "resume",
                        "message_id": frame["message_id"],
                        "after_seq": frame["seq"],
                    }
                    await link.send(json.dumps(resume))
                    self.notes.note("come back", time.monotonic())

    async def _connect(self, session_id: str) -> Any:
        since = time.monotonic()
        link = await open_socket(host=self.host, session_id=session_id, cookie=self.cookie)
        self.notes.note("socket", since)
        return link

    async def _open_page(self, path: str) -> None:
        since = time.monotonic()
        answer = await self.http.get(f"http://{self.host}{path}", headers={"Cookie": self.cookie})
        if answer.status_code != 200:
            raise RuntimeError(f"{path.split('/')[1]} page: {answer.status_code}")
        self.notes.note("page", since)

    async def _send(self, method: str, path: str, **body: Any) -> Any:
        headers = {"Authorization": f"Bearer {self.token}"}
        answer = await self.http.request(method, f"http://{self.host}{path}", headers=headers, **body)
        if answer.status_code >= 400:
            raise RuntimeError(f"{path}: {answer.status_code} {answer.text[:80]}")
        return answer


async def upload_until(end: float, *, url: str, token: str, http: Any, notes: Notes, words: int) -> int:
    """An expert who uploads a new text every few seconds; how many were taken."""
    from benchmarks.ingestion_setup import make_text

    count = 0
    while time.monotonic() < end:
        since = time.monotonic()
        files = {"file": (f"{count}.txt", make_text(count, words=words).encode())}
        answer = await http.post(url, files=files, headers={"Authorization": f"Bearer {token}"})
        if answer.status_code == 202:
            notes.note("upload", since)
            count += 1
        else:
            notes.errors[f"upload: {answer.status_code} {answer.text[:80]}"] += 1
        await asyncio.sleep(UPLOAD_SECONDS)
    return count
