"""Every address, operation, socket, admin page and action, for everybody, on own, foreign and missing things.

The rules stand in `permissions/rows.py`. Each request is undone before the next.
"""

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from cloneai.tests.permissions.rows import (
    ACCOUNTS,
    ADMIN_PAGES,
    ADMINS,
    API,
    PAGES,
    THREADED,
    V1,
    Row,
    expand,
)
from cloneai.tests.permissions.walk import Undo, check, name_row
from cloneai.tests.permissions.world import World, build_world

GROUPS = {"pages": PAGES, "api": API, "accounts": ACCOUNTS, "admin": ADMIN_PAGES} | {
    label: expand(label, rules) for label, rules in ADMINS.items()
}


@pytest.fixture(autouse=True)
def folders(tmp_path: Path, settings: Any) -> None:
    settings.MEDIA_ROOT = tmp_path / "media"
    settings.EXPORTS_ROOT = tmp_path / "exports"


@pytest.fixture
def world(db: None) -> World:
    return build_world()


@pytest.mark.parametrize("group", GROUPS)
def test_browsers_get_what_the_rules_say(group: str, world: World) -> None:
    problems = [
        problem
        for row in GROUPS[group]
        if row.route not in THREADED
        for problem in check(row, world=world, clients=world.browsers, undo=Undo)
    ]
    assert not problems, "\n".join(problems)


def test_programs_get_what_the_rules_say(world: World) -> None:
    problems = [
        problem
        for row in API
        if row.route not in THREADED
        for problem in check(row, world=world, clients=world.programs, undo=Undo)
    ]
    assert not problems, "\n".join(problems)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("row", [row for row in PAGES + API + V1 if row.route in THREADED], ids=name_row)
def test_operations_of_other_threads(row: Row, transactional_db: None) -> None:
    """Not undone: these rows change nothing that a later request depends on."""
    world = build_world()
    for clients in (
        (world.programs,) if row.zone == "v1" else (world.browsers, world.programs)[: 1 + (row in API)]
    ):
        problems = check(row, world=world, clients=clients, undo=nullcontext)
        assert not problems, "\n".join(problems)
