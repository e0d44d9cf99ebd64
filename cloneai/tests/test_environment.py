"""Mistakes in the environment end in one sentence that names the variable and shows the way out."""

from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from cloneai.environment import read_email, read_folder, read_hosts


@pytest.mark.parametrize("url", ["nonsense", "ftp://host", "smtp://", "smtp://user:password@host:port"])
def test_an_unreadable_mail_address_is_refused_with_an_example(url: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("EMAIL_URL", url)
    with pytest.raises(ImproperlyConfigured, match=r"^EMAIL_URL cannot be understood.*smtp\+tls://user"):
        read_email("EMAIL_URL")


def test_a_mail_address_becomes_settings(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("EMAIL_URL", "smtp+tls://ada:secret@mail.example.com:587")
    mail = read_email("EMAIL_URL")
    assert (mail["EMAIL_HOST"], mail["EMAIL_PORT"], mail["EMAIL_USE_TLS"]) == ("mail.example.com", 587, True)
    monkeypatch.setenv("EMAIL_URL", "consolemail://")
    assert read_email("EMAIL_URL")["EMAIL_BACKEND"].endswith("console.EmailBackend")


@pytest.mark.parametrize("below", ["", "deeper"])
def test_a_file_in_the_way_of_a_folder_is_named(below: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "taken").write_text("")
    monkeypatch.setenv("VAR_DIR", str(tmp_path / "taken" / below))
    with pytest.raises(ImproperlyConfigured, match=r"^VAR_DIR is .*taken is a file\. Point it to a folder"):
        read_folder("VAR_DIR", default=tmp_path)


def test_a_missing_folder_is_fine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("VAR_DIR", str(tmp_path / "new" / "one"))
    assert read_folder("VAR_DIR", default=tmp_path) == tmp_path / "new" / "one"


@pytest.mark.parametrize("hosts", ["https://clones.example.com", "a.example.com, b.example.com/path"])
def test_hosts_with_more_than_a_name_are_refused(hosts: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("ALLOWED_HOSTS", hosts)
    with pytest.raises(ImproperlyConfigured, match=r"^ALLOWED_HOSTS holds .*bare host names"):
        read_hosts("ALLOWED_HOSTS")
