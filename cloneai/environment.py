"""Typed readers of the environment and `.env`; every mistake names the variable, its value and the cure."""

import os
import secrets
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import environ
from django.core.exceptions import ImproperlyConfigured

TRUE_WORDS = {"1", "true", "yes", "on"}
SMTP_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
FALSE_WORDS = {"0", "false", "no", "off"}


def load_env_file(*, path: Path) -> None:
    """Reads `.env` into the environment; variables that are already set win."""
    if not path.exists():
        return
    try:
        environ.Env.read_env(path)
    except (OSError, UnicodeDecodeError) as error:
        raise ImproperlyConfigured(
            f"{path} cannot be read ({error}). Make it a readable UTF-8 file."
        ) from error


def read_text(name: str, default: str = "") -> str:
    """The variable's text, stripped; an empty variable counts as unset."""
    return os.environ.get(name, "").strip() or default


def read_bool(name: str, default: bool) -> bool:
    text = read_text(name).lower()
    if not text:
        return default
    if text in TRUE_WORDS | FALSE_WORDS:
        return text in TRUE_WORDS
    raise ImproperlyConfigured(
        f"{name} is {text!r}, but must be true or false. Correct it in the environment or .env."
    )


def read_int(name: str, default: int, *, minimum: int = 1, maximum: int = 10**9) -> int:
    text = read_text(name)
    if not text:
        return default
    try:
        number = int(text)
    except ValueError:
        number = minimum - 1
    if not minimum <= number <= maximum:
        raise ImproperlyConfigured(
            f"{name} is {text!r}, but must be a whole number from {minimum} to {maximum}. "
            "Correct it in the environment or .env."
        )
    return number


def read_usd(name: str, default: str) -> Decimal:
    """A non-negative amount of US dollars."""
    text = read_text(name, default)
    try:
        amount = Decimal(text)
    except InvalidOperation:
        amount = Decimal(-1)
    if not amount.is_finite() or amount < 0:
        raise ImproperlyConfigured(
            f"{name} is {text!r}, but must be an amount in US dollars such as 50.00. "
            "Correct it in the environment or .env."
        )
    return amount


def read_list(name: str, default: str = "") -> list[str]:
    """Comma-separated values, blanks dropped."""
    return [part.strip() for part in read_text(name, default).split(",") if part.strip()]


def read_choice(name: str, default: str, *, choices: tuple[str, ...]) -> str:
    text = read_text(name, default).lower()
    if text not in choices:
        raise ImproperlyConfigured(
            f"{name} is {text!r}, but must be {' or '.join(choices)}. Correct it in the environment or .env."
        )
    return text


def read_storage(name: str, *, default: Path) -> Path:
    """The folder for uploaded files: `file:///srv/cloneai/media`. Other stores are refused by name."""
    text = read_text(name)
    if not text:
        return default
    parts = urlsplit(text)
    if parts.scheme != "file" or parts.netloc or not parts.path.startswith("/"):
        raise ImproperlyConfigured(
            f"{name} must be a folder written as file:///path. Other kinds of storage are not supported: "
            "mount the volume that every process shares, or leave it unset to use var/media."
        )
    return Path(unquote(parts.path)).resolve()


def read_url(name: str, *, schemes: tuple[str, ...], default: str = "") -> str:
    text = read_text(name, default)
    if text and text.split("://")[0] not in schemes:
        expected = " or ".join(f"{scheme}://" for scheme in schemes)
        raise ImproperlyConfigured(
            f"{name} must start with {expected}. Correct it in the environment or .env, or leave it unset."
        )
    return text


def read_folder(name: str, *, default: Path) -> Path:
    """An absolute path where no file is in the way; the folder itself may still be missing."""
    path = Path(read_text(name, str(default))).resolve()
    for part in (path, *path.parents):
        if part.exists() and not part.is_dir():
            raise ImproperlyConfigured(
                f"{name} is {str(path)!r}, but {part} is a file. Point it to a folder in the environment or .env."
            )
    return path


def read_hosts(name: str, default: str = "") -> list[str]:
    """Host names for ALLOWED_HOSTS: neither schemes nor ports nor paths."""
    hosts = read_list(name, default)
    for host in hosts:
        if "/" in host:
            raise ImproperlyConfigured(
                f"{name} holds {host!r}, but must hold bare host names such as clones.example.com, separated by "
                "commas. Leave https:// and paths out. Correct it in the environment or .env."
            )
    return hosts


def read_email(name: str) -> dict[str, Any]:
    """Django's e-mail settings from `smtp+tls://user:password@host:587`; empty when the variable is unset."""
    url = read_text(name)
    try:
        mail: dict[str, Any] = environ.Env.email_url_config(url) if url else {}
    except (ValueError, environ.ImproperlyConfigured):
        mail = {"EMAIL_BACKEND": SMTP_BACKEND}
    if mail.get("EMAIL_BACKEND") == SMTP_BACKEND and not mail.get("EMAIL_HOST"):
        raise ImproperlyConfigured(
            f"{name} cannot be understood. It should look like smtp+tls://user:password@mail.example.com:587. "
            "Correct it in the environment or .env, or leave it unset to send no mail."
        )
    return mail


def read_database(*, url: str) -> dict[str, Any]:
    """Django's database settings from `postgresql://user:password@host:5432/name?option=value`.

    A Unix socket is written as `?host=/var/run/postgresql` or as a host with `%2F`.
    """
    try:
        database: dict[str, Any] = environ.Env.db_url_config(url)
    except (ValueError, environ.ImproperlyConfigured):
        database = {}
    options = database.get("OPTIONS", {})
    database["HOST"] = unquote(database.get("HOST", "")) or options.pop("host", "")
    if not database["HOST"] or not database.get("NAME"):
        raise ImproperlyConfigured(
            "DATABASE_URL cannot be understood. It should look like "
            "postgresql://user:password@host:5432/name; leave it unset to use the embedded server."
        )
    return database


def read_secret_key(*, var_dir: Path, debug: bool) -> str:
    """SECRET_KEY, or under DEBUG one generated once into `var/secret-key` (mode 600)."""
    if key := read_text("SECRET_KEY"):
        return key
    if not debug:
        raise ImproperlyConfigured(
            "SECRET_KEY is not set. Outside DEBUG give it at least 50 random characters, for example from "
            "`python -c 'import secrets; print(secrets.token_urlsafe(50))'`."
        )
    path = var_dir / "secret-key"
    try:
        make_private_dir(var_dir)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(secrets.token_urlsafe(50))
    except FileExistsError:
        pass
    except OSError as error:
        raise ImproperlyConfigured(
            f"{var_dir} cannot be written ({error.strerror}). Make the checkout writable for this user, "
            "or point VAR_DIR to a folder that is."
        ) from error
    return path.read_text()


def make_private_dir(path: Path) -> None:
    """Creates the folder for run-time data. Under root PostgreSQL's own user passes through."""
    path.mkdir(mode=0o711, parents=True, exist_ok=True)
