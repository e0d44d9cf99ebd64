"""A cursor for the few statements that are sent again and again and whose own time counts: `prepared_cursor`.

Django writes a statement's values into its text, so each is parsed and planned anew; a vector becomes 14 KB of digits.
Here values travel beside the statement, in binary where psycopg knows how, and the connection keeps the plan.
Without DATABASE_PREPARED_STATEMENTS (a pooler in between that knows none) the values still do.
"""

from typing import Any, Self

import psycopg
from django.db import connection
from django.db.backends.utils import CursorWrapper
from pgvector import HalfVector
from pgvector.psycopg.halfvec import HalfVectorBinaryDumper

__all__ = ["HalfVector", "prepared_cursor"]


class PreparedCursor(psycopg.Cursor[Any]):
    """Binds on the server. psycopg prepares nothing on a connection whose `prepare_threshold` is None."""

    def __init__(self, owner: "psycopg.Connection[Any]") -> None:
        super().__init__(owner)
        self.format = psycopg.pq.Format.BINARY
        # The statement says `::halfvec`, so that no connection needs to ask for the type's number.
        self.adapters.register_dumper(HalfVector, HalfVectorBinaryDumper)

    def execute(self, query: Any, params: Any = None, **_options: Any) -> Self:
        return super().execute(query, params, prepare=True, binary=True)


def prepared_cursor() -> CursorWrapper:
    """Django's wrapper around it, so that errors, query counts and logs are those of any other cursor."""
    connection.ensure_connection()
    with connection.wrap_database_errors:
        cursor = PreparedCursor(connection.connection)
    wrapped: CursorWrapper = connection._prepare_cursor(cursor)  # type: ignore[attr-defined]  # not in the stubs
    return wrapped
