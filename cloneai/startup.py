"""What must be right before the web process serves anybody, and where it reports its errors."""

import logging
from typing import Any

from django.conf import settings
from django.core.checks import ERROR, Tags, run_checks
from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError

from cloneai.logs import redact

logger = logging.getLogger(__name__)


def refuse_unsafe_start() -> None:
    """Raises ImproperlyConfigured, naming all that is unsafe. Under DEBUG, and in tests, everything is allowed.

    `check` and `check --deploy` say the same about the settings; the demo's accounts are looked for only here.
    """
    if settings.DEBUG or settings.TESTING:
        return
    found = [
        f"{message.msg} {message.hint or ''}".strip()
        for message in run_checks(tags=[Tags.security])
        if message.level >= ERROR
    ]
    found += find_demo_logins()
    if found:
        raise ImproperlyConfigured("CloneAI does not start with unsafe settings:\n- " + "\n- ".join(found))


def find_demo_logins() -> list[str]:
    """Whether somebody can log in with the demo's password, which stands in a file. At most four queries."""
    from cloneai.accounts.models import User
    from cloneai.demo.installation import ACCOUNTS, demo_password_path

    try:
        password = demo_password_path().read_text().strip()
        people = User.objects.filter(email__in=[account.email for account in ACCOUNTS], is_active=True)
        known = [person.email for person in people if person.check_password(password)]
    except FileNotFoundError:
        return []
    except DatabaseError as error:  # /readyz will say so
        logger.warning("The accounts could not be looked at: %s", type(error).__name__)
        return []
    if not known:
        return []
    return [
        f"{', '.join(known)} can log in with the demo's password. Deactivate these accounts or change their "
        "passwords before DEBUG is off."
    ]


def start_sentry() -> None:
    """Reports errors to SENTRY_DSN, if set: without bodies, cookies, addresses or local variables."""
    if not settings.SENTRY_DSN:
        return
    import sentry_sdk
    from sentry_sdk.integrations.django import DjangoIntegration
    from sentry_sdk.integrations.logging import LoggingIntegration

    sentry_sdk.init(
        dsn=settings.SENTRY_DSN,
        send_default_pii=False,
        max_request_body_size="never",
        include_local_variables=False,
        max_breadcrumbs=0,
        traces_sample_rate=0,
        default_integrations=False,
        auto_enabling_integrations=False,
        integrations=[DjangoIntegration(), LoggingIntegration(level=None, event_level=logging.ERROR)],
        before_send=_clean_event,
    )


def _clean_event(event: Any, hint: Any) -> Any:
    """Keeps what happened and where; takes out who asked and with what."""
    request = event.get("request", {})
    event["request"] = {name: request[name] for name in ("method", "url") if name in request}
    event.pop("user", None)
    return _redact_all(event)


def _redact_all(value: Any) -> Any:
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, dict):
        return {name: _redact_all(item) for name, item in value.items()}
    return [_redact_all(item) for item in value] if isinstance(value, list) else value
