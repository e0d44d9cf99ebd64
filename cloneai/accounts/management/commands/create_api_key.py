"""`manage.py create_api_key EMAIL [--name N] [--scope S]...`: prints a new key, once."""

import argparse
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from cloneai.accounts.admin_access import record_action
from cloneai.accounts.models import ApiKey, Scope, User


class Command(BaseCommand):
    help = "Creates an API key for an account and prints it. It cannot be shown again."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("email")
        parser.add_argument("--name", default="key", help="what the key is for, shown in the list of keys")
        parser.add_argument(
            "--scope",
            action="append",
            choices=Scope.values,
            help="what the key may be used for; may be given several times (default: everything)",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        user = User.objects.filter(email=options["email"].lower(), is_active=True).first()
        if user is None:
            raise CommandError(f"There is no active account {options['email']}. Create it first.")
        key, token = ApiKey.issue(user=user, name=options["name"][:100], scopes=options["scope"])
        record_action(actor=None, action="api_key.create", target=key, scopes=key.scopes, owner=user.pk)
        self.stdout.write(token)
