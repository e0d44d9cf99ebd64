"""The cache of an installation with Redis, while Redis is away."""

import pytest

from cloneai.shared_cache import ForgivingRedisCache


@pytest.fixture
def cache() -> ForgivingRedisCache:
    return ForgivingRedisCache("redis://127.0.0.1:1/0", {})  # nothing listens there


def test_a_cache_that_is_away_holds_nothing_and_fails_nobody(cache: ForgivingRedisCache) -> None:
    cache.set("key", "value")
    assert cache.get("key") is None
    assert cache.get("key", "otherwise") == "otherwise"
    assert cache.add("key", "value") is True
    assert cache.delete("key") is False


def test_counting_in_a_cache_that_is_away_is_counting_what_is_not_there(cache: ForgivingRedisCache) -> None:
    with pytest.raises(ValueError, match="away"):
        cache.incr("key")
