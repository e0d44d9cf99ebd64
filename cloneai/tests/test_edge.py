"""The outermost layers, as an ASGI server meets them."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.conf import settings as django_settings

from cloneai import logs
from cloneai.edge import LimitedBodies, RecordedRequests, answers_counted, find_limit

Message = dict[str, Any]
MEGABYTE = 1024**2


async def call(
    application: Any,
    *,
    path: str = "/",
    headers: dict[str, str] | None = None,
    body: tuple[bytes, ...] = (b"",),
) -> list[Message]:
    """What the application sends to a request with this body, given piece by piece."""
    pieces = [{"type": "http.request", "body": piece, "more_body": True} for piece in body]
    pieces[-1]["more_body"] = False
    sent: list[Message] = []

    async def receive() -> Message:
        return pieces.pop(0)

    async def send(message: Message) -> None:
        sent.append(message)

    named = [(name.lower().encode(), value.encode()) for name, value in (headers or {}).items()]
    scope = {"type": "http", "method": "POST", "path": path, "headers": named, "query_string": b"q=private"}
    await application(scope, receive, send)
    return sent


def answer(status: int, *, then: Callable[[], None] = lambda: None, headers: Any = ()) -> Any:
    async def application(scope: Message, receive: Any, send: Any) -> None:
        while (await receive()).get("more_body"):
            pass
        then()
        await send({"type": "http.response.start", "status": status, "headers": list(headers)})
        await send({"type": "http.response.body", "body": b"ok"})

    return application


def header(sent: list[Message], name: bytes) -> str:
    return {key.lower(): value for key, value in sent[0]["headers"]}[name].decode()


async def test_each_answer_carries_the_id_that_its_log_lines_have():
    seen: list[str] = []
    application = RecordedRequests(answer(200, then=lambda: seen.append(logs.current_request_id())))
    sent = await call(application, headers={"X-Request-ID": "forged\nline"})
    assert header(sent, b"x-request-id") == seen[0]
    assert len(seen[0]) == 32
    assert header(await call(application), b"x-request-id") != seen[0]


async def test_access_line_names_path_and_status_but_no_query(caplog: pytest.LogCaptureFixture):
    caplog.set_level("INFO", logger="cloneai.access")
    before = answers_counted["4xx"]
    await call(RecordedRequests(answer(404)), path="/c/a\nGET /forged")
    (record,) = caplog.records
    assert record.getMessage().startswith('"POST /c/a%0AGET%20/forged" 404 ')
    assert "private" not in logs.JsonFormatter().format(record)
    assert answers_counted["4xx"] == before + 1


async def test_a_crash_is_counted_and_passed_on(caplog: pytest.LogCaptureFixture):
    caplog.set_level("INFO", logger="cloneai.access")

    def crash() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await call(RecordedRequests(answer(200, then=crash)))
    assert '" 500 ' in caplog.records[0].getMessage()


@pytest.mark.parametrize(
    ("path", "megabytes"),
    [
        ("/api/clones/ada/documents", 51),
        ("/admin/knowledge/document/add/", 201),
        ("/api/clones", 5),
        ("/v1/x", 5),
    ],
)
def test_only_uploads_may_be_large(path: str, megabytes: int):
    assert find_limit(path) == megabytes * MEGABYTE


@pytest.mark.parametrize("declared", [True, False])
@pytest.mark.parametrize(
    ("path", "read_type"),
    [
        ("/api/chat/message", lambda body: json.loads(body)["error_type"]),
        ("/v1/chat/completions", lambda body: json.loads(body)["error"]["code"]),
    ],
)
async def test_larger_bodies_are_refused_in_the_format_of_the_address(
    path: str, read_type: Callable[[bytes], str], declared: bool
):
    pieces = (b"x" * MEGABYTE,) * (django_settings.DATA_UPLOAD_MAX_MEMORY_SIZE // MEGABYTE) + (b"x",)
    headers = {"Content-Length": str(sum(map(len, pieces)))} if declared else {}
    sent = await call(LimitedBodies(answer(200)), path=path, headers=headers, body=pieces)
    assert sent[0]["status"] == 413
    assert read_type(sent[1]["body"]) == "too_large"


async def test_people_get_a_page(db: None):
    sent = await call(LimitedBodies(answer(200)), headers={"Content-Length": str(10 * MEGABYTE)})
    assert "<!doctype html>" in sent[1]["body"].decode()
    assert "too large" in sent[1]["body"].decode()


async def test_bodies_up_to_the_limit_pass():
    sent = await call(LimitedBodies(answer(200)), body=(b"x" * MEGABYTE,) * 5)
    assert sent[0]["status"] == 200


async def test_a_prefix_that_a_client_names_is_not_believed():
    seen: list[str] = []

    async def application(scope: Message, receive: Any, send: Any) -> None:
        seen.append(scope["root_path"])

    for kind in ("http", "websocket"):
        scope = {"type": kind, "method": "GET", "path": "/", "root_path": "//evil.example", "headers": []}
        await RecordedRequests(application)(scope, None, None)
    assert seen == ["", ""]
