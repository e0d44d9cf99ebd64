"""The web process does not start with unsafe settings outside DEBUG. Each case is a process of its own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from cloneai import startup
from cloneai.accounts.models import User
from cloneai.environment import read_storage

ROOT = Path(__file__).resolve().parents[2]
SAFE = {
    "DEBUG": "false",
    "SECRET_KEY": "kQ3vN8xZ1rT6wY4mB7cH2jL9pS5dF0gA-eU_iOaXqWnRtYzVbM",
    "ALLOWED_HOSTS": "example.org",
    "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none",
}


def load(*, var_dir: Path, **variables: str) -> str:
    """What importing the ASGI application prints; "started" when it did not refuse."""
    found = subprocess.run(
        [sys.executable, "-c", "import cloneai.asgi; print('started')"],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "VAR_DIR": str(var_dir), **SAFE, **variables},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return found.stdout + found.stderr


@pytest.mark.parametrize(
    ("variables", "complaint"),
    [
        ({"SECRET_KEY": ""}, "SECRET_KEY is not set"),
        ({"SECRET_KEY": "changeme"}, "SECRET_KEY is too weak"),
        ({"ALLOWED_HOSTS": "*"}, "ALLOWED_HOSTS"),
        ({"SECURE_SSL_REDIRECT": "false", "SECURE_HSTS_SECONDS": "0"}, "without HTTPS"),
        ({"STORAGE_URL": "s3://bucket"}, "STORAGE_URL must be a folder"),
        ({"LOG_FORMAT": "xml"}, "LOG_FORMAT is 'xml'"),
    ],
)
def test_unsafe_settings_are_refused_by_name(variables: dict[str, str], complaint: str, tmp_path: Path):
    printed = load(var_dir=tmp_path, **variables)
    assert complaint in printed
    assert "started" not in printed


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"SECURE_SSL_REDIRECT": "false"},  # a proxy does it
        {"INSECURE_HTTP": "true"},
        {"SENTRY_DSN": "https://key@127.0.0.1:9/1"},
        {"DEBUG": "true", "SECRET_KEY": "short"},
    ],
)
def test_safe_and_deliberate_settings_start(variables: dict[str, str], tmp_path: Path):
    assert load(var_dir=tmp_path, **variables).startswith("started\n")


def test_demo_accounts_must_not_have_the_demo_password(member: User, settings, tmp_path: Path):
    settings.VAR_DIR = tmp_path
    assert startup.find_demo_logins() == []
    (tmp_path / "demo-password").write_text("correct horse battery staple\n")
    assert "member@example.com can log in" in startup.find_demo_logins()[0]
    settings.DEBUG, settings.TESTING = False, False
    with pytest.raises(ImproperlyConfigured, match="can log in"):
        startup.refuse_unsafe_start()
    member.set_password("another")
    member.save()
    assert startup.find_demo_logins() == []


def test_reports_to_sentry_leave_out_who_asked_and_with_what():
    event = {
        "message": "Refused cak_abcdefgh12",
        "user": {"email": "member@example.com"},
        "request": {
            "url": "https://example.org/",
            "cookies": "sessionid=x",
            "data": "private",
            "method": "GET",
        },
    }
    assert startup._clean_event(event, {}) == {
        "message": "Refused [hidden]",
        "request": {"url": "https://example.org/", "method": "GET"},
    }


def test_storage_is_a_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    assert read_storage("STORAGE_URL", default=tmp_path) == tmp_path
    monkeypatch.setenv("STORAGE_URL", "file:///srv/some%20where")
    assert str(read_storage("STORAGE_URL", default=tmp_path)) == "/srv/some where"
