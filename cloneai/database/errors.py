"""What to tell a person when the database cannot be used: always one sentence with the cure."""

from collections.abc import Mapping

import psycopg
from django.db.utils import DatabaseError, OperationalError

INSTALL_PGVECTOR = (
    "install pgvector 0.8 or newer on that server (Debian and Ubuntu with PostgreSQL's own package archive: "
    "`apt install postgresql-17-pgvector`; containers: the image pgvector/pgvector:pg17), "
    "or leave DATABASE_URL unset to use the embedded server"
)


class DatabaseUnavailableError(OperationalError):
    """The database cannot be used as configured; `str()` is a sentence for whoever runs CloneAI."""


def explain_connection_error(error: Exception, params: Mapping[str, object]) -> str:
    """The sentence for a connection that libpq refused; never contains the password."""
    text = " ".join(str(error).split())
    host = params.get("host") or "localhost"
    place = f"PostgreSQL at {host}"
    if not str(host).startswith("/"):
        place += f":{params.get('port') or 5432}"
    user, database = params.get("user") or "", params.get("dbname") or ""
    if "password" in text and ("failed" in text or "no password" in text):
        return f"{place} refused the password of user {user!r}. Correct DATABASE_URL."
    if "database" in text and "does not exist" in text:
        return f"{place} has no database {database!r}. Create it with `createdb` or correct DATABASE_URL."
    if "role" in text and "does not exist" in text:
        return f"{place} has no user {user!r}. Create it with `createuser` or correct DATABASE_URL."
    if "no pg_hba.conf entry" in text:
        return (
            f"{place} lets user {user!r} not into database {database!r} from this machine. "
            "Allow it in the server's pg_hba.conf or correct DATABASE_URL."
        )
    if "too many clients" in text or "remaining connection slots" in text:
        return f"{place} has no free connection. Raise its max_connections or lower DATABASE_POOL_SIZE."
    return (
        f"{place} cannot be reached ({text[:300]}). Start that server, correct DATABASE_URL, "
        "or leave DATABASE_URL unset to use the embedded server."
    )


def explain_refused_statement(error: DatabaseError) -> str | None:
    """The sentence for a database that is not prepared yet; None for every other refusal of a statement."""
    cause = error.__cause__
    if isinstance(cause, psycopg.errors.InsufficientPrivilege) and "create extension" in str(cause):
        return (
            "This user may not create the extension pgvector, whoever owns the database. "
            "Have a superuser run `CREATE EXTENSION vector` in it, then migrate again."
        )
    if isinstance(cause, psycopg.errors.UndefinedTable | psycopg.errors.UndefinedColumn):
        return "It lacks what this version needs: run `manage.py migrate` first."
    return None


def explain_server_version(*, server_version: int, place: str) -> str | None:
    """None when the server is PostgreSQL 15 or newer; `server_version` as in server_version_num (150004)."""
    if server_version >= 150000:
        return None
    return (
        f"PostgreSQL at {place} is version {server_version // 10000}, but CloneAI needs 15 or newer. "
        "Upgrade that server, or leave DATABASE_URL unset to use the embedded one."
    )


def explain_pgvector(
    *, installed: str | None, available: str | None, may_create: bool, database: str, user: str, place: str
) -> str | None:
    """None when pgvector >= 0.8 is there or the migration can create it; versions like '0.8.5'."""
    if installed is None and available is None:
        return f"PostgreSQL at {place} has no pgvector: {INSTALL_PGVECTOR}."
    if _is_new_enough(installed or available or ""):
        if installed or may_create:
            return None
        return (
            f"User {user!r} may not create the extension pgvector in database {database!r}. "
            "Have a superuser run `CREATE EXTENSION vector` in it."
        )
    if installed and _is_new_enough(available or ""):
        return (
            f"Database {database!r} uses pgvector {installed}, but CloneAI needs 0.8 or newer. "
            "Have a superuser run `ALTER EXTENSION vector UPDATE` in it."
        )
    return f"PostgreSQL at {place} has pgvector {installed or available}, too old: {INSTALL_PGVECTOR}."


def _is_new_enough(version: str) -> bool:
    parts = version.split(".")[:2]
    return len(parts) == 2 and all(part.isdigit() for part in parts) and tuple(map(int, parts)) >= (0, 8)
