from typing import Any

import pytest

from cloneai import checks

GOOD_KEY = "kQ3vN8xZ1rT6wY4mB7cH2jL9pS5dF0gA-eU_iOaXqWnRtYzVbM"


def find_ids(found: list[Any]) -> list[str]:
    return [message.id for message in found]


@pytest.mark.parametrize(
    ("offline", "dimensions", "found"),
    [
        (True, 256, []),
        (True, 1536, ["cloneai.E001"]),
        (False, 1536, []),
        (False, 4000, []),
        (False, 4001, ["cloneai.E002"]),
    ],
)
def test_embedding_dimensions_fit_the_provider_and_pgvector(
    settings: Any, offline: bool, dimensions: int, found: list[str]
) -> None:
    settings.AI_OFFLINE, settings.EMBEDDING_DIMENSIONS = offline, dimensions
    assert find_ids(checks.check_embedding_dimensions()) == found


@pytest.mark.parametrize(
    ("origin", "is_good"),
    [
        ("https://example.org", True),
        ("https://*.example.org", True),
        ("http://localhost:8001", True),
        ("example.org", False),
        ("https://example.org/", False),
        ("https://example.org/chat", False),
    ],
)
def test_trusted_origins_are_origins(settings: Any, origin: str, is_good: bool) -> None:
    settings.CSRF_TRUSTED_ORIGINS = [origin]
    assert find_ids(checks.check_trusted_origins()) == ([] if is_good else ["cloneai.E003"])


@pytest.mark.parametrize(
    ("debug", "key", "found"),
    [
        (False, GOOD_KEY, []),
        (False, "short", ["cloneai.E004"]),
        (False, "ab" * 40, ["cloneai.E004"]),
        (True, "short", []),
    ],
)
def test_weak_key_is_refused_outside_debug(settings: Any, debug: bool, key: str, found: list[str]) -> None:
    settings.DEBUG, settings.SECRET_KEY = debug, key
    assert find_ids(checks.check_secret_key()) == found


@pytest.mark.parametrize(("debug", "found"), [(False, ["cloneai.E005"]), (True, [])])
def test_any_host_is_refused_outside_debug(settings: Any, debug: bool, found: list[str]) -> None:
    settings.DEBUG, settings.ALLOWED_HOSTS = debug, ["*"]
    assert find_ids(checks.check_allowed_hosts()) == found


@pytest.mark.parametrize(("url", "found"), [("", ["cloneai.W001"]), ("redis://localhost", [])])
def test_memory_as_channel_layer_is_a_warning(settings: Any, url: str, found: list[str]) -> None:
    settings.REDIS_URL = url
    assert find_ids(checks.check_channel_layer()) == found
