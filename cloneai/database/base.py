"""Django's PostgreSQL engine with two additions: it starts the embedded server and words errors."""

import os
import select
from typing import Any, Self

import psycopg
from django.conf import settings
from django.db import connections
from django.db.backends.base.base import NO_DB_ALIAS
from django.db.backends.postgresql import base as postgresql
from django.db.backends.postgresql.client import DatabaseClient as PostgresqlClient
from django.utils.asyncio import async_unsafe
from psycopg_pool import ConnectionPool, PoolTimeout
from psycopg_pool.base import AttemptWithBackoff

from cloneai.database import cluster, embedded
from cloneai.database.errors import (
    DatabaseUnavailableError,
    explain_connection_error,
    explain_pgvector,
    explain_server_version,
)

CONNECT_TIMEOUT_SECONDS = 10
# The pool looks for a server that is away every second. It doubled its pause each time: after half a minute away it
# would look again as long after the server's return, and who waits for a connection cannot make it look sooner.
AttemptWithBackoff.DELAY_BACKOFF = 1.0
SERVER_FACTS = """
    SELECT current_setting('server_version_num')::int,
           (SELECT extversion FROM pg_extension WHERE extname = 'vector'),
           (SELECT default_version FROM pg_available_extensions WHERE name = 'vector'),
           has_database_privilege(current_database(), 'CREATE'),
           current_database(),
           current_user
"""


class DatabaseClient(PostgresqlClient):
    """`manage.py dbshell`, which also finds the embedded server and its own psql."""

    @classmethod
    def settings_to_cmd_args_env(
        cls, settings_dict: dict[str, Any], parameters: Any
    ) -> tuple[list[str], dict[str, str] | None]:
        if settings_dict.get("HOST"):
            return super().settings_to_cmd_args_env(settings_dict, parameters)
        server = embedded.attach(var_dir=settings.VAR_DIR)
        place = {"HOST": str(server.socket_dir), "PORT": str(cluster.SOCKET_NUMBER), "USER": "postgres"}
        args, env = super().settings_to_cmd_args_env({**settings_dict, **place, "OPTIONS": {}}, parameters)
        return [str(cluster.find_program("psql")), *args[1:]], env


def check_when_readable(connection: "psycopg.Connection[Any]") -> None:
    """Raises OperationalError for a pooled connection that the server has ended.

    Nobody has asked anything on it, so it is readable only at its end, or when the server has something to say: then it
    is asked for a sign of life. A look costs microseconds.
    """
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    if poll.poll(0):
        ConnectionPool.check_connection(connection)


class EmbeddedConnection(psycopg.Connection[Any]):
    """A pool's connection that starts a dead server again instead of waiting for somebody else to."""

    @classmethod
    def connect(cls, conninfo: str = "", **kwargs: Any) -> Self:
        try:
            return super().connect(conninfo, **kwargs)
        except psycopg.OperationalError:
            embedded.wait_until_ready(var_dir=settings.VAR_DIR)
            return super().connect(conninfo, **kwargs)


class DatabaseWrapper(postgresql.DatabaseWrapper):
    """Embedded when settings name no HOST; otherwise a server that is examined once per process."""

    client_class = DatabaseClient
    _examined: set[tuple[str, str, str]] = set()

    @property
    def is_embedded(self) -> bool:
        return not self.settings_dict.get("HOST")

    @property
    def queries_logged(self) -> bool:
        """Only for who asks, not for all of DEBUG, which is how the product runs on a laptop: to write down the text
        of every statement takes time and keeps vectors and passages in memory.
        """
        return bool(self.force_debug_cursor)

    @property
    def pool(self) -> Any:
        options = self.settings_dict["OPTIONS"].get("pool")
        if options and self.is_embedded:
            options["connection_class"] = EmbeddedConnection
        pool = super().pool
        if pool is not None:
            pool._check = check_when_readable  # Django chooses the pool's own, a round trip for each use
        return pool

    def get_connection_params(self) -> dict[str, Any]:
        params: dict[str, Any] = super().get_connection_params()
        if self.is_embedded:
            server = embedded.attach(var_dir=settings.VAR_DIR)
            params |= {"host": str(server.socket_dir), "port": cluster.SOCKET_NUMBER, "user": "postgres"}
        params.setdefault("connect_timeout", CONNECT_TIMEOUT_SECONDS)
        return params

    @async_unsafe
    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        """Raises DatabaseUnavailableError with a sentence instead of libpq's own words."""
        if not self.is_embedded and self.alias != NO_DB_ALIAS:
            self._examine_server(conn_params)
        try:
            return self._connect(conn_params)
        except PoolTimeout as error:
            self._examine_server(conn_params, again=True)  # says so if the server is the cause
            raise DatabaseUnavailableError(
                "All database connections of this process were busy for too long. "
                "Raise DATABASE_POOL_SIZE, or look for slow queries."
            ) from error
        except psycopg.OperationalError as error:
            raise DatabaseUnavailableError(explain_connection_error(error, conn_params)) from error

    def _connect(self, conn_params: dict[str, Any]) -> Any:
        """One connection; an embedded server that died or is still recovering gets a second chance."""
        try:
            return super().get_new_connection(conn_params)
        except psycopg.OperationalError:
            if not self.is_embedded or self.pool:
                raise
            embedded.wait_until_ready(var_dir=settings.VAR_DIR)
            return super().get_new_connection(conn_params)

    def _examine_server(self, conn_params: dict[str, Any], *, again: bool = False) -> None:
        """Asks for the versions of server and pgvector, over a connection of its own."""
        place = f"{conn_params.get('host')}:{conn_params.get('port') or 5432}"
        key = (place, str(conn_params.get("dbname")), str(conn_params.get("user")))
        if key in self._examined and not again:
            return
        plain = {
            name: value
            for name, value in conn_params.items()
            if name not in ("cursor_factory", "context", "prepare_threshold")
        }
        try:
            with psycopg.connect(**plain) as connection:
                facts = connection.execute(SERVER_FACTS).fetchone()
        except psycopg.OperationalError as error:
            raise DatabaseUnavailableError(explain_connection_error(error, conn_params)) from error
        assert facts is not None
        version, installed, available, may_create, database, user = facts
        complaint = explain_server_version(server_version=version, place=place) or explain_pgvector(
            installed=installed,
            available=available,
            may_create=may_create,
            database=database,
            user=user,
            place=place,
        )
        if complaint:
            raise DatabaseUnavailableError(complaint)
        self._examined.add(key)


_of_parents: list[object] = []


def _forget_parents_connections() -> None:
    """A forked process opens its own. The parent's are kept, because collecting a pool joins its threads."""
    opened = [wrapper for wrapper in connections.all(initialized_only=True) if wrapper.connection is not None]
    pools: dict[str, object] = DatabaseWrapper._connection_pools  # type: ignore[attr-defined]  # not in the stubs
    _of_parents.extend((dict(pools), *(wrapper.connection for wrapper in opened)))
    pools.clear()
    for wrapper in opened:
        wrapper.connection = None


os.register_at_fork(after_in_child=_forget_parents_connections)
