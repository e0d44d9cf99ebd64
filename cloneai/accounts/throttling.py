"""How many requests a key, a person or an address may send to the APIs in a minute.

Counted in the cache, which all processes share when REDIS_URL is set.
"""

import time

from allauth.account.adapter import get_adapter
from django.conf import settings
from django.core.cache import cache
from django.http import HttpRequest

from cloneai.accounts.models import ApiKey, User

WINDOW_SECONDS = 60
ADDRESS_FACTOR = 2  # several people may share an address


class TooManyRequestsError(Exception):
    """`retry_after` is in seconds."""

    message = "Too many requests. Wait a moment, then go on."

    def __init__(self, *, retry_after: int) -> None:
        super().__init__(self.message)
        self.retry_after = retry_after


def count_address(request: HttpRequest) -> None:
    """Before anything is known of who asks. Raises TooManyRequestsError."""
    _count(
        f"address:{get_adapter().get_client_ip(request)}",
        limit=ADDRESS_FACTOR * settings.API_REQUESTS_PER_MINUTE,
    )


def count_caller(caller: ApiKey | User) -> None:
    """Raises TooManyRequestsError."""
    _count(f"{caller._meta.model_name}:{caller.pk}", limit=settings.API_REQUESTS_PER_MINUTE)


def _count(who: str, *, limit: int) -> None:
    now = time.time()
    window, passed = divmod(now, WINDOW_SECONDS)
    name = f"requests:{who}:{window:.0f}"
    cache.add(name, 0, timeout=2 * WINDOW_SECONDS)
    try:
        number = cache.incr(name)
    except ValueError:  # evicted between the two lines
        return
    if number > limit:
        raise TooManyRequestsError(retry_after=max(1, round(WINDOW_SECONDS - passed)))
