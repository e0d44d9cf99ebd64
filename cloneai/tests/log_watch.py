"""What no log line and no metric may hold, looked for in every line that the whole suite writes."""

import logging
import re

from cloneai.logs import JsonFormatter, LineFormatter

# Marks that the tests put into what people say and keep, and the shapes of what opens doors.
FORBIDDEN = {
    "an API key": re.compile(r"\bcak_[\w-]{20,}"),
    "the provider's key": re.compile(r"sk-test-secret"),
    "a password": re.compile(r"correct horse battery"),
    "a session cookie": re.compile(r"(?i)sessionid['\"]?\s*[=:]\s*['\"]?[a-z0-9]{20,}"),
    "a CSRF cookie": re.compile(r"(?i)csrftoken['\"]?\s*[=:]\s*['\"]?[a-z0-9]{20,}"),
    "a one-time link": re.compile(
        r"/accounts/(?:confirm-email|password/reset/key)/(?!\[hidden\]|wrong|1-wrong|done)[^/\s]"
    ),
    "words of a conversation or a document": re.compile(
        r"(?i)pepper soup|one-on-one|mark(?:talk|document|gap|persona)\w*zq"
    ),
    "an e-mail's text": re.compile(r"Hello from |You're receiving this email"),
}  # fmt: skip


def find_forbidden(text: str) -> list[str]:
    """What `text` holds that it must not, with the place."""
    return [
        f"{name}: …{text[max(0, found.start() - 60) : found.end() + 20]}…"
        for name, pattern in FORBIDDEN.items()
        if (found := pattern.search(text))
    ]


class LogWatch(logging.Handler):
    """Takes part in the root logger; writes each record as both formatters would."""

    def __init__(self) -> None:
        super().__init__()
        self.formatters = (JsonFormatter(), LineFormatter("{levelname} {name}: {message}", style="{"))
        self.lines = 0
        self.found: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines += 1
        for formatter in self.formatters:
            self.found += [f"{record.name}: {what}" for what in find_forbidden(formatter.format(record))]
