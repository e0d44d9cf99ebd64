"""`manage.py check_ai`: reaches the provider with the configured key; exit 1 when the product could not work."""

import asyncio
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from billing.checkup import ModelCheck, check_models
from billing.errors import ErrorType, MeteredCallError

LISTED = {
    True: "available",
    False: "not in the provider's list",
    None: "unknown, the provider lists no models",
}
ADVICE: dict[ErrorType, str] = {
    "authentication": "Check OPENAI_API_KEY, OPENAI_ORG_ID and what the key may do.",
    "connection": "Check OPENAI_BASE_URL and the network.",
    "timeout": "Check OPENAI_BASE_URL and the network.",
    "rate_limit": "Too many requests, or the account has no credit left: see the provider's billing page.",
    "invalid_request": "The key may not use this model: name another one.",
    "unpriced_model": "Add a price in the admin, or by refresh_prices.",
    "budget_exceeded": "DAILY_COST_LIMIT leaves no room for a call today.",
}


class Command(BaseCommand):
    help = "Checks that the configured models can be reached, answer, and have a price."

    def handle(self, *args: Any, **options: Any) -> None:
        if settings.AI_OFFLINE:
            self.stdout.write(
                "Offline mode: no OPENAI_API_KEY is set, so this machine answers by itself, for free."
            )
        else:
            self.stdout.write(f"Provider: {_address()}")
        checkup = asyncio.run(check_models())
        if checkup.listing_failure:
            self.stdout.write(f"Its models could not be listed: {_explain(checkup.listing_failure)}")
        for check in checkup.models:
            self._show(check)
        broken = [check.model for check in checkup.models if check.failure or not check.is_priced]
        if broken:
            raise CommandError(f"The product cannot work yet: see {', '.join(broken)} above.")
        self.stdout.write(self.style.SUCCESS("Everything that the product needs is there."))

    def _show(self, check: ModelCheck) -> None:
        is_well = check.is_priced and not check.failure
        style = self.style.SUCCESS if is_well else self.style.ERROR
        self.stdout.write(style(f"{check.model} ({', '.join(check.variables)})"))
        self.stdout.write(f"  model: {LISTED[check.is_listed]}")
        self.stdout.write(f"  price: {'known' if check.is_priced else 'unknown; add one in the admin'}")
        if check.dimensions is not None:
            self.stdout.write(f"  embedding dimensions: {check.dimensions}")
        self.stdout.write(f"  trial call: {_explain(check.failure) if check.failure else 'answered'}")


def _address() -> str:
    """The provider's address without a name and password that may stand in it."""
    parts = urlsplit(settings.OPENAI_BASE_URL or "https://api.openai.com/v1")
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def _explain(failure: MeteredCallError) -> str:
    advice = ADVICE.get(failure.error_type, "")
    return f"{failure.error_type}: {failure.detail or failure.user_message} {advice}".rstrip()
