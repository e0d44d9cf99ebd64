"""What log lines say, and what they leave out."""

import json
import logging
import sys
import uuid

import pytest
from django.test import RequestFactory
from django.utils.functional import SimpleLazyObject

from cloneai import logs
from cloneai.accounts.models import ApiKey, User
from cloneai.tests.log_watch import FORBIDDEN, LogWatch, find_forbidden


def make_record(message: str, *args: object, **extra: object) -> logging.LogRecord:
    record = logging.LogRecord("chat.turns", logging.INFO, __file__, 1, message, args, None)
    record.__dict__.update(extra)
    return record


def format_line(record: logging.LogRecord) -> str:
    return logs.LineFormatter("{levelname} {name}: {message}", style="{").format(record)


async def test_lines_carry_request_person_and_turn(rf: RequestFactory):
    context = logs.begin_request()
    request = rf.get("/")
    logs.note_request(request)
    request.user = User(pk=7)
    answer_id = uuid.uuid4()
    logs.begin_turn(answer_id)
    record = make_record("Answer %s is done", 3, method="GET", path="/", status=200, duration_ms=4)
    line = json.loads(logs.JsonFormatter().format(record))
    expected = {
        "level": "INFO", "logger": "chat.turns", "message": "Answer 3 is done", "request_id": context.request_id,
        "user_id": 7, "turn_id": str(answer_id), "method": "GET", "path": "/", "status": 200, "duration_ms": 4,
    }  # fmt: skip
    assert {name: value for name, value in line.items() if name != "time"} == expected
    assert format_line(record).endswith(f"[request={context.request_id} user=7 turn={answer_id}]")


async def test_asking_for_the_person_makes_no_query(rf: RequestFactory):
    logs.begin_request()
    request = rf.get("/")

    def load() -> User:
        raise AssertionError("the log must not load the person")

    request.user = SimpleLazyObject(load)
    logs.note_request(request)
    assert logs.current_user_id() is None
    logs.note_user(5)
    assert logs.current_user_id() == 5


@pytest.mark.parametrize(
    "secret",
    [
        "cak_hunter2hunter2",
        "sk-proj-hunter2hunter2",
        "Authorization: Bearer hunter2hunter2",
        "sessionid=hunter2hunter2; path=/",
        "postgresql://user:hunter2@host/db",
        "/accounts/password/reset/key/1-hunter2/",
        "/accounts/confirm-email/hunter2/",
        'null value in column "role" violates not-null constraint\nDETAIL:  Failing row contains (7, hunter2).',
    ],
)
def test_secrets_are_taken_out_of_messages_and_traces(secret: str):
    try:
        raise ValueError(secret)
    except ValueError:
        error = sys.exc_info()
    record = make_record("Got %s", secret)
    record.exc_info = error
    assert "hunter2" not in logs.JsonFormatter().format(record)
    assert "hunter2" not in format_line(record)


def test_a_message_cannot_begin_a_line_of_its_own():
    line = format_line(make_record("Not Found: %s", "/x\n2026 ERROR forged\u2028"))
    assert len(line.splitlines()) == 1
    assert len(logs.JsonFormatter().format(make_record("a\nb")).splitlines()) == 1


def test_the_suite_reads_its_own_log(log_watch: LogWatch):
    """Its findings are looked at after the last test; see `conftest.py`."""
    before = log_watch.lines
    logging.getLogger("cloneai").warning("Nothing to hide")
    assert log_watch.lines == before + 1


def test_the_watch_finds_each_kind(member: User):
    _key, token = ApiKey.issue(user=member, name="x")
    for name, text in {
        "an API key": f"Key {token} refused",
        "the provider's key": "Incorrect API key provided: sk-test-secret",
        "a password": "password='correct horse battery staple'",
        "a session cookie": "Cookie: sessionid=abcdefghijklmnopqrstuvwxyz012345",
        "a CSRF cookie": "'csrftoken': 'abcdefghijklmnopqrstuvwxyz012345'",
        "a one-time link": "GET /accounts/password/reset/key/1-abc/",
        "words of a conversation or a document": "How long does the pepper soup simmer?",
        "an e-mail's text": "Hello from example.com!",
    }.items():
        assert [found.split(":")[0] for found in find_forbidden(text)] == [name]
    assert len(FORBIDDEN) == 8
