"""`manage.py create_api_key`."""

from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from cloneai.accounts.models import ApiKey, User


def create_key(*arguments: str) -> ApiKey | None:
    printed = StringIO()
    call_command("create_api_key", *arguments, stdout=printed)
    return ApiKey.objects.find(printed.getvalue().strip())


def test_printed_key_opens_everything_for_its_owner(member: User):
    key = create_key("Member@example.com", "--name", "cron")
    assert (key.user, key.name, key.scopes) == (member, "cron", ["chat", "knowledge", "billing"])


def test_scopes_narrow_the_key(member: User):
    key = create_key("member@example.com", "--scope", "billing", "--scope", "chat")
    assert key.scopes == ["chat", "billing"]


def test_unknown_scope_and_account_are_refused(member: User):
    with pytest.raises(CommandError, match="invalid choice"):
        create_key("member@example.com", "--scope", "everything")
    with pytest.raises(CommandError, match="no active account"):
        create_key("nobody@example.com")
    assert not ApiKey.objects.exists()
