"""Every process is restarted while people chat and upload: no message, no document and no cent is lost."""

import json
import threading
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.management import call_command
from django.test import Client
from websockets.exceptions import WebSocketException
from websockets.sync.client import connect
from websockets.typing import Origin

from billing.models import CostRecord, Purpose
from chat.models import ChatSession, Message, MessageStatus, Role
from chat.tests.conftest import MATERIAL
from chat.tests.live import database_url_of_tests
from cloneai.accounts.models import ApiKey, User
from cloneai.local_ai.faults import Fault
from cloneai.local_ai.testing import FakeProvider
from cloneai.tests.scaled_out.installation import WEB, WORKERS, Installation, find_missing_programs
from clones.models import Clone
from conftest import PROVIDER_KEY, make_user
from knowledge.models import Document, Status

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(
        bool(find_missing_programs()),
        reason=f"Not installed: {find_missing_programs()}; `make test` installs them as root.",
    ),
]
GIVE_UP_SECONDS = 120
MEMBERS = 3


@pytest.fixture
def installation(tmp_path: Path, provider: FakeProvider) -> Iterator[Installation]:
    provider.always(Fault(path="/chat/completions", chunk_delay_seconds=0.1))
    answers = {
        "SECRET_KEY": settings.SECRET_KEY,
        "OPENAI_API_KEY": PROVIDER_KEY,
        "OPENAI_BASE_URL": provider.base_url,
    }
    overrides = {"DATABASE_URL": database_url_of_tests(), "VAR_DIR": str(settings.VAR_DIR)}
    with Installation(folder=tmp_path, answers=answers, overrides=overrides) as running:
        yield running


class Visitor:
    """A member who asks again and again over a socket, and comes back whenever it is cut."""

    def __init__(self, *, installation: Installation, user: User, clone: Clone) -> None:
        self.session = ChatSession.objects.create(clone=clone, user=user)
        self.answers: dict[uuid.UUID, str] = {}
        self.reconnects = 0
        self._installation = installation
        browser = Client()
        browser.force_login(user)
        self._cookie = f"sessionid={browser.cookies[settings.SESSION_COOKIE_NAME].value}"

    def ask_until(self, end: threading.Event) -> None:
        while not end.is_set():
            message_id = uuid.uuid4()
            self.answers[message_id] = self._ask(message_id)

    def _ask(self, message_id: uuid.UUID) -> str:
        give_up_at = time.monotonic() + GIVE_UP_SECONDS
        while time.monotonic() < give_up_at:
            try:
                return self._ask_once(message_id)
            except (WebSocketException, OSError):
                self.reconnects += 1
                time.sleep(0.2)
        raise TimeoutError(f"No answer to {message_id}")

    def _ask_once(self, message_id: uuid.UUID) -> str:
        address = f"wss{self._installation.address.removeprefix('https')}/ws/chat/{self.session.pk}/"
        order = {
            "type": "message",
            "content": "How do I give feedback?",
            "client_message_id": str(message_id),
        }
        with connect(
            address,
            ssl=self._installation.tls,
            origin=Origin(self._installation.address),
            additional_headers={"Cookie": self._cookie},
        ) as link:
            link.send(json.dumps(order))
            shown = ""
            while True:
                frame = json.loads(link.recv(timeout=40))
                assert frame["type"] != "error", frame
                if frame["type"] != "ai_response_chunk":
                    continue
                shown += frame["content"]
                if frame["is_complete"]:
                    assert shown == frame["full_response"]
                    return shown


class Uploader:
    """An expert who uploads one file after the other."""

    def __init__(self, *, installation: Installation, user: User, clone: Clone) -> None:
        self.count = 0
        self._installation = installation
        self._url = f"{installation.address}/api/clones/{clone.slug}/documents"
        self._token = ApiKey.issue(user=user, name="laptop")[1]

    def upload_until(self, end: threading.Event) -> None:
        while not end.wait(1):
            self.upload(f"Note {self.count}. On day {self.count} the team met for {self.count} minutes.\n")

    def upload(self, text: str) -> None:
        self._send(text)
        self.count += 1

    def _send(self, text: str) -> None:
        give_up_at = time.monotonic() + GIVE_UP_SECONDS
        while time.monotonic() < give_up_at:
            try:
                with urllib.request.urlopen(self._request(text), timeout=20, context=self._installation.tls):  # noqa: S310
                    return
            except urllib.error.HTTPError as error:
                if error.code == 409:  # what was sent before the connection broke has arrived
                    return
                if error.code not in {502, 504}:
                    raise
            except OSError:
                pass
            time.sleep(0.2)
        raise TimeoutError("The upload was never taken.")

    def _request(self, text: str) -> urllib.request.Request:
        edge = uuid.uuid4().hex
        part = f'Content-Disposition: form-data; name="file"; filename="note-{self.count}.txt"'
        body = f"--{edge}\r\n{part}\r\nContent-Type: text/plain\r\n\r\n{text}\r\n--{edge}--\r\n"
        headers = {
            "Authorization": f"Bearer {self._token}",
            "Content-Type": f"multipart/form-data; boundary={edge}",
        }
        return urllib.request.Request(self._url, data=body.encode(), headers=headers)  # noqa: S310


def wait_for_documents() -> None:
    give_up_at = time.monotonic() + GIVE_UP_SECONDS
    busy: Any = Document.objects.exclude(status__in=[Status.READY, Status.FAILED])
    while busy.exists() and time.monotonic() < give_up_at:
        time.sleep(0.3)


def test_rolling_restart_under_load_loses_nothing(
    installation: Installation, clone: Clone, expert: User
) -> None:
    Clone.objects.filter(pk=clone.pk).update(is_cleaning_on=False)
    visitors = [
        Visitor(installation=installation, user=make_user(f"visitor_{number}"), clone=clone)
        for number in range(MEMBERS)
    ]
    uploader = Uploader(installation=installation, user=expert, clone=clone)
    uploader.upload(MATERIAL)
    wait_for_documents()
    end = threading.Event()
    with ThreadPoolExecutor() as pool:
        work = [pool.submit(visitor.ask_until, end) for visitor in visitors]
        work.append(pool.submit(uploader.upload_until, end))
        try:
            for name in (*WEB, *WORKERS):
                installation.restart(name)
        finally:
            end.set()
        for done in work:
            done.result(timeout=GIVE_UP_SECONDS)
    wait_for_documents()

    assert uploader.count > 1
    assert Document.objects.filter(clone=clone, status=Status.READY).count() == uploader.count
    for visitor in visitors:
        questions = Message.objects.filter(session=visitor.session, role=Role.USER)
        answers = Message.objects.filter(session=visitor.session, role=Role.ASSISTANT)
        assert {question.client_message_id for question in questions} == visitor.answers.keys()
        assert {answer.status for answer in answers} == {MessageStatus.COMPLETE}
        assert {answer.reply_to.client_message_id: answer.content for answer in answers} == visitor.answers  # type: ignore[union-attr]
        asked = CostRecord.objects.filter(session_id=visitor.session.pk, purpose=Purpose.CHAT)
        assert asked.count() == answers.count()
    assert sum(visitor.reconnects for visitor in visitors) > 0, "nobody was cut, so nothing was tried"
    call_command("reconcile_costs")
