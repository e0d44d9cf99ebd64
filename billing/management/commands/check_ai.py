"""`manage.py check_ai`: reaches the provider with the configured key; exit 1 when the product could not work."""

import asyncio
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from billing.checkup import ModelCheck, check_models

LISTED = {True: "available", False: "not in the provider's list", None: "the provider lists no models"}


class Command(BaseCommand):
    help = "Checks that the configured models can be reached, answer, and have a price."

    def handle(self, *args: Any, **options: Any) -> None:
        if settings.AI_OFFLINE:
            self.stdout.write(
                "Offline mode: no OPENAI_API_KEY is set, so this machine answers by itself, for free."
            )
        else:
            self.stdout.write(f"Provider: {settings.OPENAI_BASE_URL or 'OpenAI'}")
        checks = asyncio.run(check_models())
        for check in checks:
            self._show(check)
        broken = [check.model for check in checks if check.problem or not check.is_priced]
        if broken:
            raise CommandError(f"The product cannot work yet: see {', '.join(broken)} above.")
        self.stdout.write(self.style.SUCCESS("Everything that the product needs is there."))

    def _show(self, check: ModelCheck) -> None:
        style = self.style.ERROR if check.problem else self.style.SUCCESS
        self.stdout.write(style(f"{check.model} ({', '.join(check.variables)})"))
        self.stdout.write(f"  model: {LISTED[check.is_listed]}")
        self.stdout.write(f"  price: {'known' if check.is_priced else 'unknown; add one in the admin'}")
        if check.dimensions is not None:
            self.stdout.write(f"  embedding dimensions: {check.dimensions}")
        self.stdout.write(f"  trial call: {check.problem or 'answered'}")
