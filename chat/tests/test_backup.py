"""The commands of docs/operations.md for backup and restore, taken from there and run."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from chat.tests.live import ROOT, database_url_of_tests
from cloneai.database.cluster import find_program
from knowledge.models import Chunk, Document

pytestmark = pytest.mark.django_db(transaction=True)


def read_commands(heading: str, *, block: int) -> str:
    section = (ROOT / "docs" / "operations.md").read_text().split(f"\n## {heading}\n")[1].split("\n## ")[0]
    return re.findall(r"```sh\n(.*?)```", section, re.DOTALL)[block]


@pytest.fixture(autouse=True)
def old_folder(settings: Any, tmp_path: Path) -> Path:
    settings.MEDIA_ROOT = tmp_path / "old" / "media"
    return tmp_path / "old"


@pytest.fixture
def empty_database_url() -> Iterator[str]:
    """Made as the guide makes one: by a superuser, for a user who is none and so may not create the extension."""
    url = database_url_of_tests()
    place, _, name = url.rpartition("/")
    owner, restored = sql.Identifier(f"{name}_owner"), sql.Identifier(f"{name}_restored")
    with psycopg.connect(url, autocommit=True) as link:
        link.execute(sql.SQL("DROP DATABASE IF EXISTS {}").format(restored))
        link.execute(sql.SQL("DROP ROLE IF EXISTS {}").format(owner))
        link.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD 'owner'").format(owner))
        link.execute(sql.SQL("CREATE DATABASE {} OWNER {} TEMPLATE template0").format(restored, owner))
        with psycopg.connect(f"{place}/{name}_restored", autocommit=True) as other:
            other.execute("CREATE EXTENSION vector")
        yield f"postgresql://{name}_owner:owner@{place.partition('@')[2]}/{name}_restored"
        link.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(restored))
        link.execute(sql.SQL("DROP ROLE {}").format(owner))


def run(commands: str, *, folder: Path, database_url: str, var_dir: Path) -> None:
    done = subprocess.run(
        ["sh", "-euc", commands.replace("manage.py", f"{sys.executable} {ROOT / 'manage.py'}")],
        cwd=folder,
        env={
            **os.environ,
            "PATH": f"{find_program('pg_dump').parent}:{os.environ['PATH']}",
            "DATABASE_URL": database_url,
            "VAR_DIR": str(var_dir),
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_backup_can_be_restored(
    old_folder: Path, material: Document, empty_database_url: str, tmp_path: Path
) -> None:
    new_folder = tmp_path / "new"
    new_folder.mkdir()
    run(
        read_commands("Back up and restore", block=0),
        folder=tmp_path,
        database_url=database_url_of_tests(),
        var_dir=old_folder,
    )
    run(
        read_commands("Back up and restore", block=1),
        folder=tmp_path,
        database_url=empty_database_url,
        var_dir=new_folder,
    )
    with psycopg.connect(empty_database_url) as link:
        row = link.execute("SELECT count(*), count(embedding) FROM knowledge_chunkembedding").fetchone()
    assert row == (Chunk.objects.count(), Chunk.objects.count())
    stored = Path(material.file.name)
    assert (new_folder / "media" / stored).read_bytes() == (old_folder / "media" / stored).read_bytes()
