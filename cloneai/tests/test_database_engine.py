"""The engine against servers that it did not start, reached here through the embedded server's own socket."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import DEFAULT_DB_ALIAS, connection
from psycopg_pool.base import AttemptWithBackoff

from chat.tests.live import database_url_of_tests
from cloneai.database.base import DatabaseWrapper, check_when_readable
from cloneai.database.errors import (
    DatabaseUnavailableError,
    explain_pgvector,
    explain_server_version,
)
from cloneai.environment import read_database

CHECKOUT = Path(__file__).resolve().parents[2]
PLACE = {"database": "cloneai", "user": "app", "place": "db.example.org:5432"}


@pytest.fixture
def server(db: None) -> dict[str, Any]:
    """Settings of the running test database as an ordinary server's."""
    params = connection.get_connection_params()
    return {
        **connection.settings_dict,
        "HOST": params["host"],
        "PORT": params["port"],
        "USER": params["user"],
    }


@contextmanager
def open_engine(settings_dict: dict[str, Any], **changes: Any) -> Iterator[DatabaseWrapper]:
    DatabaseWrapper._examined.clear()
    engine = DatabaseWrapper({**settings_dict, **changes}, alias=DEFAULT_DB_ALIAS)
    try:
        yield engine
    finally:
        engine.close()


def test_ordinary_server_with_pgvector_is_used(server: dict[str, Any]) -> None:
    with open_engine(server) as engine, engine.cursor() as cursor:
        cursor.execute("SELECT current_database()")
        assert cursor.fetchone() == (server["NAME"],)


def test_ordinary_server_is_examined_once_per_process(server: dict[str, Any]) -> None:
    with open_engine(server) as engine:
        engine.ensure_connection()
        examined = set(DatabaseWrapper._examined)
        engine.close()
        engine.ensure_connection()
        assert DatabaseWrapper._examined == examined
        assert len(examined) == 1


def test_missing_database_is_told_with_the_cure(server: dict[str, Any]) -> None:
    with (
        open_engine(server, NAME="no_such_database") as engine,
        pytest.raises(DatabaseUnavailableError, match=r"has no database 'no_such_database'. Create it"),
    ):
        engine.ensure_connection()


def test_missing_user_is_told_with_the_cure(server: dict[str, Any]) -> None:
    with (
        open_engine(server, USER="no_such_user") as engine,
        pytest.raises(DatabaseUnavailableError, match=r"has no user 'no_such_user'. Create it"),
    ):
        engine.ensure_connection()


def test_unreachable_server_is_told_with_the_cure_and_without_the_password(server: dict[str, Any]) -> None:
    with (
        open_engine(server, HOST="127.0.0.1", PORT="1", PASSWORD="top-secret") as engine,
        pytest.raises(DatabaseUnavailableError, match=r"127.0.0.1:1 cannot be reached") as caught,
    ):
        engine.ensure_connection()
    assert "leave DATABASE_URL unset" in str(caught.value)
    assert "top-secret" not in str(caught.value)


def test_pool_tells_the_cause_instead_of_a_timeout(server: dict[str, Any]) -> None:
    options = {"pool": {"min_size": 1, "max_size": 2, "timeout": 20}}
    with (
        open_engine(server, HOST="127.0.0.1", PORT="1", OPTIONS=options, CONN_MAX_AGE=0) as engine,
        pytest.raises(DatabaseUnavailableError, match=r"cannot be reached"),
    ):
        engine.ensure_connection()


@pytest.mark.django_db(transaction=True)
def test_user_who_may_not_create_the_extension_is_told() -> None:
    params = connection.get_connection_params()
    admin = psycopg.connect(
        host=params["host"], port=params["port"], user=params["user"], dbname="postgres", autocommit=True
    )
    with admin:
        admin.execute("DROP DATABASE IF EXISTS test_without_vector")
        admin.execute("DROP ROLE IF EXISTS test_plain_user")
        admin.execute("CREATE ROLE test_plain_user LOGIN")
        admin.execute("CREATE DATABASE test_without_vector")
    ordinary = {
        **connection.settings_dict,
        "HOST": params["host"],
        "PORT": params["port"],
        "USER": "test_plain_user",
        "NAME": "test_without_vector",
    }
    with (
        open_engine(ordinary) as engine,
        pytest.raises(DatabaseUnavailableError, match=r"may not create the extension pgvector"),
    ):
        engine.ensure_connection()


@pytest.mark.parametrize(
    ("installed", "available", "may_create", "words"),
    [
        (None, None, True, "has no pgvector: install pgvector 0.8"),
        (None, "0.7.4", True, "has pgvector 0.7.4, too old: install pgvector 0.8"),
        ("0.6.0", "0.6.0", True, "has pgvector 0.6.0, too old"),
        ("0.7.4", "0.8.0", True, "ALTER EXTENSION vector UPDATE"),
        (None, "0.8.0", False, "CREATE EXTENSION vector"),
    ],
)
def test_unfit_pgvector_is_told_with_the_cure(
    installed: str | None, available: str | None, may_create: bool, words: str
) -> None:
    told = explain_pgvector(installed=installed, available=available, may_create=may_create, **PLACE)
    assert told is not None
    assert words in told


@pytest.mark.parametrize(("installed", "available"), [("0.8.0", "0.8.0"), (None, "0.8.1"), ("0.10.0", None)])
def test_fit_pgvector_is_accepted(installed: str | None, available: str | None) -> None:
    assert explain_pgvector(installed=installed, available=available, may_create=True, **PLACE) is None


def test_postgresql_older_than_15_is_refused() -> None:
    assert explain_server_version(server_version=150000, place="db") is None
    assert "is version 14, but CloneAI needs 15" in str(
        explain_server_version(server_version=140012, place="db")
    )


@pytest.mark.parametrize(
    ("url", "host", "port"),
    [
        ("postgresql://app:secret@db.example.org:5433/cloneai", "db.example.org", 5433),
        ("postgresql:///cloneai?host=/var/run/postgresql", "/var/run/postgresql", ""),
        ("postgresql://app@%2Fvar%2Frun%2Fpostgresql/cloneai", "/var/run/postgresql", ""),
    ],
)
def test_database_url_names_a_host_or_a_socket(url: str, host: str, port: int | str) -> None:
    database = read_database(url=url)
    assert (database["HOST"], database["PORT"], database["NAME"]) == (host, port, "cloneai")


@pytest.mark.parametrize(
    "url", ["postgresql:///cloneai", "postgresql://app@db", "postgresql://app@db:port/cloneai"]
)
def test_database_url_without_host_or_name_is_refused(url: str) -> None:
    with pytest.raises(ImproperlyConfigured, match="DATABASE_URL cannot be understood"):
        read_database(url=url)


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        (
            "DATABASE_URL",
            "postgresql://app:secret@127.0.0.1:1/cloneai",
            "Database: PostgreSQL at 127.0.0.1:1 cannot",
        ),
        ("PORT", "eighty", "Configuration: PORT is 'eighty', but must be a whole number"),
    ],
)
def test_command_line_tells_one_sentence_and_exits_with_2(name: str, value: str, told: str) -> None:
    done = subprocess.run(
        [sys.executable, "manage.py", "migrate", "--check"],
        check=False,
        capture_output=True,
        text=True,
        cwd=CHECKOUT,
        env={**os.environ, name: value},
    )
    assert done.returncode == 2
    assert done.stderr.startswith(told)
    assert len(done.stderr.splitlines()) == 1
    assert "secret" not in done.stderr


FORK = """
import os
import django
django.setup()
from django.db import connection

def ask():
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        return cursor.fetchone()[0]

before = ask()
assert connection.pool is not None
child = os.fork()
if child == 0:
    first, again = ask(), ask()
    connection.close()
    os._exit(0 if first == again != before else 1)
_pid, status = os.waitpid(child, 0)
assert os.waitstatus_to_exitcode(status) == 0
assert ask() == before
connection.close()
connection.close_pool()
"""


@pytest.mark.django_db(transaction=True)
def test_forked_process_speaks_on_connections_of_its_own() -> None:
    environment = {**os.environ, "DATABASE_URL": database_url_of_tests(), "DATABASE_POOL": "true"}
    done = subprocess.run(
        [sys.executable, "-c", FORK],
        cwd=CHECKOUT,
        env=environment | {"DJANGO_SETTINGS_MODULE": "cloneai.settings"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.django_db
def test_a_pooled_connection_that_the_server_ended_is_noticed() -> None:
    with psycopg.connect(**connection.get_connection_params(), autocommit=True) as pooled:
        check_when_readable(pooled)
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [pooled.info.backend_pid])
        with pytest.raises(psycopg.OperationalError):
            check_when_readable(pooled)


def test_a_server_that_is_away_is_looked_for_every_second() -> None:
    """However long it was away: with the pool's own doubling pauses people would wait for as long again."""
    attempt, now = AttemptWithBackoff(timeout=300), 0.0
    while now < 60:
        assert not attempt.time_to_give_up(now)
        attempt.update_delay(now)
        assert 0.5 < attempt.delay < 1.5
        now += attempt.delay


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("command", "words"),
    [("migrate", "CREATE EXTENSION vector"), ("reconcile_costs", "run `manage.py migrate`")],
)
def test_a_database_that_is_not_prepared_is_told_in_a_sentence(command: str, words: str) -> None:
    """Who owns a database may create what belongs to it, but not pgvector."""
    url = database_url_of_tests()
    place, name = url.partition("@")[2].rpartition("/")[::2]
    owner, empty = f"{name}_owner", f"{name}_empty"
    with psycopg.connect(url, autocommit=True) as link:
        link.execute(f"DROP DATABASE IF EXISTS {empty}")
        link.execute(f"DROP ROLE IF EXISTS {owner}")
        link.execute(f"CREATE ROLE {owner} LOGIN PASSWORD 'owner'")
        link.execute(f"CREATE DATABASE {empty} OWNER {owner} TEMPLATE template0")
        done = subprocess.run(
            [sys.executable, "manage.py", command],
            cwd=CHECKOUT,
            env={**os.environ, "DATABASE_URL": f"postgresql://{owner}:owner@{place}/{empty}"},
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        link.execute(f"DROP DATABASE {empty} WITH (FORCE)")
        link.execute(f"DROP ROLE {owner}")
    assert done.returncode == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr
