"""System checks of what settings alone cannot refuse; `check --deploy` adds those for production."""

import re
from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register

LOCAL_EMBEDDING_DIMENSIONS = 256
LARGEST_INDEXED_DIMENSIONS = 4000
SMALLEST_KEY_CHARACTERS = 50
SMALLEST_KEY_ALPHABET = 5
ORIGIN = re.compile(r"https?://(\*\.)?[^/?#*@;,'\"\s]+")


@register(Tags.compatibility)
def check_embedding_dimensions(
    *, app_configs: Sequence[AppConfig] | None = None, **kwargs: Any
) -> list[CheckMessage]:
    dimensions = settings.EMBEDDING_DIMENSIONS
    if settings.AI_OFFLINE and dimensions != LOCAL_EMBEDDING_DIMENSIONS:
        return [
            Error(
                f"EMBEDDING_DIMENSIONS is {dimensions}; local embeddings have {LOCAL_EMBEDDING_DIMENSIONS}.",
                hint="Leave EMBEDDING_DIMENSIONS unset, or set OPENAI_API_KEY.",
                id="cloneai.E001",
            )
        ]
    if not 1 <= dimensions <= LARGEST_INDEXED_DIMENSIONS:
        return [
            Error(
                f"EMBEDDING_DIMENSIONS is {dimensions}, but halfvec takes 1 to {LARGEST_INDEXED_DIMENSIONS}.",
                hint="1536 is what text-embedding-3-large is asked for by default.",
                id="cloneai.E002",
            )
        ]
    return []


@register(Tags.security)
def check_trusted_origins(
    *, app_configs: Sequence[AppConfig] | None = None, **kwargs: Any
) -> list[CheckMessage]:
    return [
        Error(
            f"{name} contains {origin!r}, which is not an origin.",
            hint="Write scheme and host (and an unusual port): https://example.org or https://*.example.org",
            id="cloneai.E003",
        )
        for name in ("CSRF_TRUSTED_ORIGINS", "EMBED_ORIGINS")
        for origin in getattr(settings, name)
        if not ORIGIN.fullmatch(origin)
    ]


@register(Tags.security)
def check_secret_key(*, app_configs: Sequence[AppConfig] | None = None, **kwargs: Any) -> list[CheckMessage]:
    key = settings.SECRET_KEY
    if settings.DEBUG or (len(key) >= SMALLEST_KEY_CHARACTERS and len(set(key)) >= SMALLEST_KEY_ALPHABET):
        return []
    return [
        Error(
            f"SECRET_KEY is too weak: it has {len(key)} characters, {len(set(key))} of them different.",
            hint="Make one with: python -c 'import secrets; print(secrets.token_urlsafe(50))'",
            id="cloneai.E004",
        )
    ]


@register(Tags.security)
def check_allowed_hosts(
    *, app_configs: Sequence[AppConfig] | None = None, **kwargs: Any
) -> list[CheckMessage]:
    if settings.DEBUG or "*" not in settings.ALLOWED_HOSTS:
        return []
    return [
        Error(
            "ALLOWED_HOSTS contains '*', which lets anybody choose the host in links that e-mails carry.",
            hint="Name the hosts that serve CloneAI, such as example.org,.example.org.",
            id="cloneai.E005",
        )
    ]


@register(Tags.compatibility, deploy=True)
def check_channel_layer(
    *, app_configs: Sequence[AppConfig] | None = None, **kwargs: Any
) -> list[CheckMessage]:
    """In memory an answer reaches only its own process's sockets, which is fine with one web process."""
    if settings.REDIS_URL:
        return []
    return [
        Warning(
            "REDIS_URL is not set, so live answers and limits are kept in the memory of one web process.",
            hint="Set REDIS_URL before you start a second web process.",
            id="cloneai.W001",
        )
    ]


@register(Tags.security)
def check_https(*, app_configs: Sequence[AppConfig] | None = None, **kwargs: Any) -> list[CheckMessage]:
    """Cookies must not travel in the clear, and browsers must learn to use HTTPS from us or from a proxy."""
    if settings.DEBUG or settings.INSECURE_HTTP:
        return []
    leads_to_https = settings.SECURE_SSL_REDIRECT or settings.SECURE_HSTS_SECONDS
    if settings.SESSION_COOKIE_SECURE and settings.CSRF_COOKIE_SECURE and leads_to_https:
        return []
    return [
        Error(
            "Cookies or pages may travel without HTTPS.",
            hint="Set SECURE_SSL_REDIRECT or SECURE_HSTS_SECONDS, or say INSECURE_HTTP=true on purpose.",
            id="cloneai.E006",
        )
    ]


@register(Tags.security, deploy=True)
def check_mail(*, app_configs: Sequence[AppConfig] | None = None, **kwargs: Any) -> list[CheckMessage]:
    if settings.EMAIL_URL:
        return []
    return [
        Warning(
            "EMAIL_URL is not set: addresses are not verified, and nobody can reset their password by mail.",
            hint="Set EMAIL_URL, for example smtp+tls://user:password@host:587",
            id="cloneai.W002",
        )
    ]
