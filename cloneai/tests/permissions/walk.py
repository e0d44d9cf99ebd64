"""How a row is walked: everybody sends it to their own, the foreign and the missing thing."""

import copy
import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from asgiref.sync import async_to_sync
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import transaction
from django.http import HttpResponse
from django.test import Client

from cloneai.tests.permissions.rows import Row
from cloneai.tests.permissions.world import ACTORS, HOUSES, World, find_leaks, mirror

KEY = re.compile(r"<[^>]+>|\{\w+\}")


def name_row(row: Row) -> str:
    return f"{row.method} /{row.route} {'&'.join(map(str, row.data.values()))}".strip()


def fill(value: Any, *, world: World, house: str) -> Any:
    """`{kind}` replaced by the key of that thing."""
    if isinstance(value, str) and (match := re.fullmatch(r"\{(\w+)\}", value)):
        return world.key(match[1], house)
    return value


def send(row: Row, *, client: Client, world: World, house: str) -> HttpResponse:
    address = row.address or row.route
    if row.kind:
        address = KEY.sub(lambda _match: world.key(row.kind, house), address)
    data = {name: fill(value, world=world, house=house) for name, value in row.data.items()}
    if "file" in data:
        data["file"] = SimpleUploadedFile(data["file"], b"A text about soup and patience.")
    extra = {"content_type": "application/json"} if row.as_json else {}
    return getattr(client, row.method.lower())(f"/{address}", data, **extra)


def read_payload(response: HttpResponse) -> str:
    """Body and redirection; a streamed body is read to its end."""
    if not response.streaming:
        return response.content.decode() + response.headers.get("Location", "")
    if not response.is_async:
        return response.getvalue().decode()

    async def read() -> bytes:
        return b"".join([piece async for piece in response.streaming_content])

    return async_to_sync(read)().decode()


def normalise(payload: str, *, world: World, row: Row, house: str) -> str:
    """The payload without what each request has of its own: CSRF tokens, and the key that was asked for."""
    payload = re.sub(r"(csrf[^>]{0,40}?)[0-9A-Za-z]{64}", "", payload)
    for kind in {row.kind, *(str(value).strip("{}") for value in row.data.values())} & set(world.keys):
        payload = payload.replace(f"/{world.key(kind, house)}", "/KEY").replace(
            f"`{world.key(kind, house)}`", "KEY"
        )
    return payload


def check(
    row: Row, *, world: World, clients: dict[str, Client], undo: Callable[[], AbstractContextManager[None]]
) -> list[str]:
    """What is wrong with this row's answers; nothing when all is well."""
    problems = []
    for actor in ACTORS:
        refusals: dict[str, str] = {}
        for house in ("missing", *HOUSES) if row.kind else ("a",):
            stands_for = mirror(actor, house) if row.kind else actor
            is_refused = house == "missing" or stands_for not in row.allow
            expected = row.expect_refusal(actor) if house == "missing" else row.expect(stands_for)
            client, cookies = clients[actor], copy.deepcopy(clients[actor].cookies)
            with undo():
                before = world.fingerprint() if row.method != "GET" else {}
                response = send(row, client=client, world=world, house=house)
                payload = read_payload(response)
                after = world.fingerprint() if row.method != "GET" else {}
            client.cookies = cookies
            complaints = (
                [] if response.status_code == expected else [f"{response.status_code} instead of {expected}"]
            )
            if leaks := find_leaks(actor=actor, payload=payload, besides=row.shows):
                complaints.append(f"shows {leaks}")
            changed = {name for name in after if after[name] != before[name]} - (
                set() if is_refused else {house}
            )
            if changed and row.kind:
                complaints.append(f"changes {changed}")
            if is_refused and row.kind:
                refusals[house] = normalise(payload, world=world, row=row, house=house)
                if refusals[house] != refusals["missing"]:
                    complaints.append(f"foreign is not like missing: {first_difference(**refusals)}")
            problems += [f"{name_row(row)}: {actor} on {house}: {complaint}" for complaint in complaints]
    return problems


def first_difference(*, missing: str, a: str = "", b: str = "") -> str:
    pairs = zip((b or a).splitlines(), missing.splitlines(), strict=False)
    return next((f"{one[:150]!r} / {other[:150]!r}" for one, other in pairs if one != other), "length")


class Undo:
    """A savepoint that is rolled back at the end."""

    def __enter__(self) -> None:
        self.atomic = transaction.atomic()
        self.atomic.__enter__()

    def __exit__(self, *error: Any) -> None:
        transaction.set_rollback(True)
        self.atomic.__exit__(None, None, None)
