"""`manage.py export_user EMAIL [--output FILE]`: writes everything that is kept of a person into a zip."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from cloneai.accounts.models import AuditEntry, User
from cloneai.privacy.archive import write_archive
from cloneai.privacy.exports import hand_over_path


class Command(BaseCommand):
    help = "Writes a zip with all data of a person (JSON by table, conversations as Markdown) and prints its path."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("email")
        parser.add_argument(
            "--output",
            type=Path,
            help=f"a new file or a folder; without it var/exports, where it is removed after "
            f"{settings.RETENTION_DAYS_EXPORTS} days",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        person = User.objects.filter(email=options["email"].strip().lower()).first()
        if person is None:
            raise CommandError(f"There is no account {options['email']}.")
        path = hand_over_path(person)
        if (output := options["output"]) is not None:
            path = output / path.name if output.is_dir() else output
        try:
            write_archive(person=person, path=path)
        except FileExistsError:
            raise CommandError(f"{path} exists already. Name another file.") from None
        except OSError as error:
            raise CommandError(f"{path} cannot be written: {error.strerror}.") from None
        AuditEntry.objects.create(
            action="person.export", target=f"user:{person.pk}", detail={"way": "command"}
        )
        self.stdout.write(str(path.resolve()))
