"""Which pages may open a socket."""

from typing import Any

import pytest

from cloneai.origins import is_allowed_origin


@pytest.mark.parametrize(
    ("origin", "is_allowed"),
    [
        ("https://clones.example.org", True),
        ("https://CLONES.example.org", True),
        ("https://clones.example.org:443", True),
        ("https://www.trusted.example", True),
        ("https://a.b.wild.example", True),
        ("https://odd.example:8443", True),
        ("", False),
        ("null", False),
        ("http://clones.example.org", False),
        ("https://clones.example.org:444", False),
        ("https://clones.example.org.evil.example", False),
        ("https://evilclones.example.org", False),
        ("https://clones.example.org@evil.example", False),
        ("https://evil.example#clones.example.org", False),
        ("https://clones.example.org#x", False),
        ("https://clones.example.org/", False),
        ("https://clones.example.org?x", False),
        ("https://@clones.example.org", False),
        ("https://wild.example", False),
        ("https://evilwild.example", False),
        ("https://*.wild.example.evil.example", False),
        ("http://a.wild.example", False),
        ("https://odd.example", False),
        ("https://sub.www.trusted.example", False),
        ("wss://clones.example.org", False),
        ("javascript://clones.example.org", False),
        ("https://clones.example.org:99999", False),
        ("https://[::1", False),
        ("https://clones.example.org https://evil.example", False),
    ],
)
def test_an_origin_is_ours_or_named_with_scheme_and_port(origin: str, is_allowed: bool, settings: Any):
    settings.ALLOWED_HOSTS = ["clones.example.org"]
    settings.CSRF_TRUSTED_ORIGINS = [
        "https://www.trusted.example",
        "https://*.wild.example",
        "https://odd.example:8443",
    ]
    assert is_allowed_origin(origin=origin, host="clones.example.org", is_secure=True) == is_allowed


def test_a_forged_host_does_not_make_an_origin_ours(settings: Any):
    settings.ALLOWED_HOSTS, settings.CSRF_TRUSTED_ORIGINS = ["clones.example.org"], []
    assert not is_allowed_origin(origin="https://evil.example", host="evil.example", is_secure=True)
