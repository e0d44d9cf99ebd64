"""`export_user` and `erase_user`."""

import io
import json
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from cloneai.accounts.models import AuditEntry, User
from clones.models import Clone


def run(*arguments: str, **options: Any) -> str:
    output = io.StringIO()
    call_command(*arguments, stdout=output, stderr=io.StringIO(), **options)
    return output.getvalue().strip()


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_export_prints_the_path_of_a_zip(member: User) -> None:
    path = Path(run("export_user", "Member@example.com"))
    assert zipfile.is_zipfile(path)
    assert AuditEntry.objects.get().target == f"user:{member.pk}"


def test_export_goes_where_it_is_told(member: User, tmp_path: Path) -> None:
    assert run("export_user", member.email, output=tmp_path / "a.zip") == str(tmp_path / "a.zip")
    assert Path(run("export_user", member.email, output=tmp_path)).parent == tmp_path


def test_export_overwrites_nothing(member: User, tmp_path: Path) -> None:
    (tmp_path / "a.zip").touch()
    with pytest.raises(CommandError, match="exists already"):
        run("export_user", member.email, output=tmp_path / "a.zip")
    with pytest.raises(CommandError, match="cannot be written"):
        run("export_user", member.email, output=tmp_path / "no" / "a.zip")


@pytest.mark.parametrize("command", ["export_user", "erase_user"])
def test_unknown_address_is_said(command: str, db: None) -> None:
    with pytest.raises(CommandError, match="There is no account nobody"):
        run(command, "nobody@example.com")


def test_erase_prints_the_receipt_as_json(settled: User) -> None:
    receipt = json.loads(run("erase_user", settled.email, yes=True))
    assert receipt["rows"]["chat.Message"] == 2
    assert {"vectors", "files", "logins", "kept", "notes", "erased_at"} <= set(receipt)
    assert not User.objects.filter(pk=settled.pk).exists()


def test_erase_without_a_terminal_needs_yes(member: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(member.email))
    with pytest.raises(CommandError, match="Add --yes"):
        run("erase_user", member.email)
    assert User.objects.filter(pk=member.pk).exists()


@pytest.mark.parametrize(
    ("typed", "is_erased"), [("member@example.com\n", True), ("yes\n", False), ("", False)]
)
def test_erase_on_a_terminal_asks_for_the_address(
    member: User, monkeypatch: pytest.MonkeyPatch, typed: str, is_erased: bool
) -> None:
    monkeypatch.setattr(sys, "stdin", Terminal(typed))
    if is_erased:
        run("erase_user", member.email)
    else:
        with pytest.raises(CommandError, match="Nothing was erased"):
            run("erase_user", member.email)
    assert User.objects.filter(pk=member.pk).exists() is not is_erased


def test_owner_of_clones_needs_the_option(clone: Clone, expert: User) -> None:
    with pytest.raises(CommandError, match="Add --with-clones"):
        run("erase_user", expert.email, yes=True)
    receipt = json.loads(run("erase_user", expert.email, yes=True, with_clones=True))
    assert receipt["rows"]["clones.Clone"] == 1
