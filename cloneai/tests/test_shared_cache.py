"""An installation with Redis: its cache while Redis is away, and its channel layer's patience."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from channels_redis.core import RedisChannelLayer

from cloneai.shared_cache import ForgivingRedisCache

ROOT = Path(__file__).resolve().parents[2]


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


def test_redis_is_given_longer_than_the_channel_layer_waits_for_a_silent_socket() -> None:
    """Else an idle conversation loses its socket every few seconds."""
    asked = "from django.conf import settings; import json; print(json.dumps(settings.CHANNEL_LAYERS))"
    done = subprocess.run(
        [sys.executable, "-c", asked],
        env={
            **os.environ,
            "REDIS_URL": "redis://127.0.0.1:1/0",
            "DJANGO_SETTINGS_MODULE": "cloneai.settings",
        },
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    (host,) = json.loads(done.stdout)["default"]["CONFIG"]["hosts"]
    assert host["socket_timeout"] > 2 * RedisChannelLayer.brpop_timeout
