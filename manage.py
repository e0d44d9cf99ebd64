#!/usr/bin/env python
"""Django's command line, with mistakes of configuration told in one sentence instead of a trace."""

import os
import sys


def main() -> int:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "cloneai.settings")
    try:
        from django.conf import settings
        from django.core.exceptions import ImproperlyConfigured
        from django.core.management import execute_from_command_line
    except ImportError as error:
        print(  # noqa: T201
            f"{error.name} is not installed for {sys.executable}. "
            "Use `make run`, or `pip install -r requirements.txt` in a virtual environment.",
            file=sys.stderr,
        )
        return 2
    from django.db import DatabaseError

    from cloneai.database.errors import DatabaseUnavailableError, explain_refused_statement

    try:
        settings.SECRET_KEY  # noqa: B018  (reads the settings now, before a command can hide their mistakes)
        execute_from_command_line(sys.argv)
    except ImproperlyConfigured as error:
        print(f"Configuration: {error}", file=sys.stderr)  # noqa: T201
        return 2
    except DatabaseUnavailableError as error:
        print(f"Database: {error}", file=sys.stderr)  # noqa: T201
        return 2
    except DatabaseError as error:
        told = explain_refused_statement(error)
        if told is None:
            raise
        print(f"Database: {told}", file=sys.stderr)  # noqa: T201
        return 2
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
