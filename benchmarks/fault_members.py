"""The people of `benchmarks.faults`: members on sockets, an expert who uploads, somebody who looks at pages.

Each notes what a person would see, with the moment; nobody gives up, because people do not either.
"""

import json
import threading
import time
import urllib.error
import urllib.request
import uuid
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from websockets.exceptions import WebSocketException
from websockets.sync.client import connect
from websockets.typing import Origin

RETRY_SECONDS, ANSWER_SECONDS, PAGE_SECONDS, UPLOAD_SECONDS = 0.5, 60.0, 0.5, 2.0


@dataclass(kw_only=True)
class Seen:
    """What people saw in one phase. `good_at` are the moments of complete answers (or pages, or uploads taken)."""

    answers: Counter[str] = field(default_factory=Counter)
    pages: Counter[str] = field(default_factory=Counter)
    uploads: Counter[str] = field(default_factory=Counter)
    good_at: dict[str, list[float]] = field(default_factory=dict)

    def note(self, kind: str, what: str, *, who: str, is_good: bool) -> None:
        getattr(self, kind)[what] += 1
        if is_good:
            self.good_at.setdefault(f"{kind} {who}", []).append(time.monotonic())


class Person:
    """Somebody with a thread; `diary` is changed from phase to phase."""

    def __init__(self, *, name: str, address: str, tls: Any, diary: "Diary") -> None:
        self.name, self.address, self.tls, self.diary = name, address, tls, diary

    def live_until(self, end: threading.Event) -> None:
        raise NotImplementedError


@dataclass
class Diary:
    now: Seen = field(default_factory=Seen)

    def turn_page(self) -> Seen:
        before, self.now = self.now, Seen()
        return before


class Member(Person):
    """Asks one question after the other; one whose answer broke off is asked for again, as the page's button does."""

    def __init__(self, *, session_id: Any, cookie: str, **who: Any) -> None:
        super().__init__(**who)
        self.session_id, self.cookie = session_id, cookie
        self.confirmed: set[str] = set()  # client message ids that the server showed again
        self.complete: dict[str, str] = {}  # answers by message id, as they were read to their end

    def live_until(self, end: threading.Event) -> None:
        while not end.is_set():
            self._ask(str(uuid.uuid4()), end)

    def _ask(self, message_id: str, end: threading.Event) -> None:
        order: dict[str, Any] = {
            "type": "message",
            "content": "How do I give feedback?",
            "client_message_id": message_id,
        }
        while True:
            try:
                outcome, answer_id = self._ask_once(order)
            except (WebSocketException, OSError) as error:
                outcome, answer_id = f"socket cut ({type(error).__name__})", None
            self.diary.now.note("answers", outcome, who=self.name, is_good=outcome == "complete")
            if outcome == "complete":
                return
            if end.is_set() and message_id not in self.confirmed:
                return
            if answer_id and outcome in {"interrupted", "failed", "stopped"}:
                order = {"type": "regenerate", "message_id": answer_id}
            time.sleep(RETRY_SECONDS)

    def _ask_once(self, order: dict[str, Any]) -> tuple[str, str | None]:
        """What became of it, and the answer's id when there is one."""
        address = f"wss{self.address.removeprefix('https')}/ws/chat/{self.session_id}/"
        with connect(
            address,
            ssl=self.tls,
            origin=Origin(self.address),
            additional_headers={"Cookie": self.cookie},
            open_timeout=10,
            close_timeout=2,
        ) as link:
            link.send(json.dumps(order))
            shown, problem, give_up_at = "", "", time.monotonic() + ANSWER_SECONDS
            while time.monotonic() < give_up_at:
                frame = json.loads(link.recv(timeout=ANSWER_SECONDS))
                if frame["type"] == "user_message":
                    self.confirmed.add(frame["client_message_id"])
                elif frame["type"] == "error":
                    problem = f"“{frame['message']}”"
                    if not frame.get("message_id"):
                        return problem, None
                elif frame["type"] == "ai_response_chunk":
                    shown += frame["content"]
                    if frame["is_complete"]:
                        return self._read_end(frame, shown, problem), frame["message_id"]
        return "no end within a minute", None

    def _read_end(self, frame: dict[str, Any], shown: str, problem: str) -> str:
        if problem:
            self.diary.now.note("answers", problem, who=self.name, is_good=False)
        if frame["status"] != "complete":
            return str(frame["status"])
        if shown != frame["full_response"]:
            return "SHOWN OTHERWISE THAN SAVED"
        self.complete[frame["message_id"]] = frame["full_response"]
        return "complete"


class Visitor(Person):
    """Opens a page twice a second."""

    def __init__(self, *, cookie: str, path: str, **who: Any) -> None:
        super().__init__(**who)
        self.cookie, self.path = cookie, path

    def live_until(self, end: threading.Event) -> None:
        while not end.wait(PAGE_SECONDS):
            request = urllib.request.Request(self.address + self.path, headers={"Cookie": self.cookie})
            status = fetch(request, tls=self.tls)
            self.diary.now.note("pages", status, who=self.name, is_good=status == "200")


class Expert(Person):
    """Uploads one note after the other; one that was not taken is uploaded again."""

    def __init__(self, *, url: str, token: str, padding: int, **who: Any) -> None:
        super().__init__(**who)
        self.url, self.token, self.padding = url, token, padding
        self.taken = 0

    def live_until(self, end: threading.Event) -> None:
        number = 0
        while not end.wait(UPLOAD_SECONDS):
            text = f"Note {number}. On day {number} the team met for {number} minutes.\n" + " " * self.padding
            status = fetch(self._request(text, number), tls=self.tls)
            is_taken = status.startswith(("202", "409"))
            self.diary.now.note("uploads", status, who=self.name, is_good=is_taken)
            if is_taken:
                number, self.taken = number + 1, self.taken + 1

    def _request(self, text: str, number: int) -> urllib.request.Request:
        edge = uuid.uuid4().hex
        part = f'Content-Disposition: form-data; name="file"; filename="note-{number}.txt"'
        body = f"--{edge}\r\n{part}\r\nContent-Type: text/plain\r\n\r\n{text}\r\n--{edge}--\r\n"
        headers = {
            "Authorization": f"Bearer {self.token}",
            "Content-Type": f"multipart/form-data; boundary={edge}",
        }
        return urllib.request.Request(self.url, data=body.encode(), headers=headers)


def fetch(request: urllib.request.Request, *, tls: Any) -> str:
    """The status, with the JSON API's sentence where there is one."""
    try:
        with urllib.request.urlopen(request, timeout=25, context=tls) as answer:
            return str(answer.status)
    except urllib.error.HTTPError as error:
        body = error.read()
        try:
            return f"{error.code} “{json.loads(body)['message']}”"
        except (ValueError, KeyError, TypeError):
            return str(error.code)
    except OSError as error:
        return type(error).__name__
