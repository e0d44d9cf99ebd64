"""`manage.py demo`: what `make run` loads."""

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from cloneai.demo.installation import (
    ACCOUNTS,
    demo_password_path,
    ensure_accounts,
    ensure_clone,
    load_documents,
)
from knowledge.models import Status


class Command(BaseCommand):
    help = "Loads the demo clone, its documents and three accounts. Does nothing that is done already."

    def handle(self, *args: Any, **options: Any) -> None:
        if not settings.DEBUG:
            raise CommandError("The demo has well-known accounts, so it is refused when DEBUG is off.")
        password = ensure_accounts()
        clone = ensure_clone()
        for document in load_documents(clone=clone):
            if document.status != Status.READY:
                reason = (
                    document.error_message
                    or "the provider could not be reached; it is tried again in the background"
                )
                raise CommandError(
                    f"The demo is incomplete. {document.file_name}: {reason.rstrip('.')}. `manage.py check_ai` says "
                    f"whether the provider knows the model {settings.EMBEDDING_MODEL}; then run `manage.py demo` again."
                )
            self.stdout.write(
                f"Loaded {document.file_name}: {document.page_count} pages, {document.chunk_count} passages."
            )
        self.stdout.write(f"Demo clone “{clone.name}” at {clone.get_absolute_url()}")
        self.stdout.write("Accounts: " + ", ".join(account.email for account in ACCOUNTS))
        self.stdout.write(f"Password: {password} (kept in {demo_password_path()})")
