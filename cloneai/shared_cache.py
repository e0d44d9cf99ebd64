"""Django's Redis cache, which may be away: what is asked for is then not there, and what is kept is forgotten.

Only counts of requests and the like are cached, so a minute without them is better than a minute without pages.
"""

import logging
from collections.abc import Callable
from typing import Any, TypeVar

from django.core.cache.backends.base import DEFAULT_TIMEOUT
from django.core.cache.backends.redis import RedisCache
from redis.exceptions import RedisError

T = TypeVar("T")
AWAY = (OSError, RedisError)

logger = logging.getLogger(__name__)


class ForgivingRedisCache(RedisCache):
    """The operations that Django's other parts, allauth and we use. `incr` of what is not there is a ValueError."""

    def get(self, key: str, default: Any = None, version: int | None = None) -> Any:
        return _attempt(lambda: super(ForgivingRedisCache, self).get(key, default, version), default)

    def set(
        self, key: str, value: Any, timeout: float | None = DEFAULT_TIMEOUT, version: int | None = None
    ) -> None:
        _attempt(lambda: super(ForgivingRedisCache, self).set(key, value, timeout, version), None)

    def add(
        self, key: str, value: Any, timeout: float | None = DEFAULT_TIMEOUT, version: int | None = None
    ) -> bool:
        return _attempt(lambda: super(ForgivingRedisCache, self).add(key, value, timeout, version), True)

    def delete(self, key: str, version: int | None = None) -> bool:
        return _attempt(lambda: super(ForgivingRedisCache, self).delete(key, version), False)

    def incr(self, key: str, delta: int = 1, version: int | None = None) -> int:
        try:
            return int(super().incr(key, delta, version))
        except AWAY as error:
            logger.warning("The cache is away: %s", error)
            raise ValueError("The cache is away.") from error


def _attempt(operation: Callable[[], T], otherwise: T) -> T:
    try:
        return operation()
    except AWAY as error:
        logger.warning("The cache is away: %s", error)
        return otherwise
