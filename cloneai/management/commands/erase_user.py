"""`manage.py erase_user EMAIL [--yes] [--with-clones]`: erases a person and prints the receipt as JSON."""

import json
import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from cloneai.accounts.models import User
from cloneai.privacy.erasure import ErasureRefused, erase_person, find_obstacle


class Command(BaseCommand):
    help = (
        "Erases a person with everything that is theirs and prints the receipt (JSON). There is no way back."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("email")
        parser.add_argument("--yes", action="store_true", help="do not ask")
        parser.add_argument(
            "--with-clones",
            action="store_true",
            help="also delete the person's clones, with documents and everybody's conversations with them",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        person = User.objects.filter(email=options["email"].strip().lower()).first()
        if person is None:
            raise CommandError(f"There is no account {options['email']}.")
        with_clones = options["with_clones"]
        if obstacle := find_obstacle(person=person, with_clones=with_clones):
            raise CommandError(self._explain(obstacle))
        if not options["yes"]:
            self._ask(person)
        try:
            receipt = erase_person(person=person, actor=None, way="command", with_clones=with_clones)
        except ErasureRefused as refusal:
            raise CommandError(self._explain(refusal)) from None
        self.stdout.write(json.dumps(receipt.as_dict(), indent=2, ensure_ascii=False))

    def _ask(self, person: User) -> None:
        if not sys.stdin.isatty():
            raise CommandError("Nobody can be asked here. Add --yes if you are sure; there is no way back.")
        self.stderr.write(f"This erases {person.email} with everything that is theirs. There is no way back.")
        self.stderr.write("Type the e-mail address to go on: ", ending="")
        if sys.stdin.readline().strip().lower() != person.email:
            raise CommandError("That is another address. Nothing was erased.")

    def _explain(self, refusal: ErasureRefused) -> str:
        hint = " Add --with-clones for that." if refusal.code == "owns_clones" else ""
        return refusal.message + hint
