#!/usr/bin/env python
"""Django's command line, with configuration mistakes told in one sentence."""

import os
import sys


def main() -> int:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "cloneai.settings")
    from django.core.exceptions import ImproperlyConfigured
    from django.core.management import execute_from_command_line

    try:
        from django.conf import settings

        settings.configured or settings.DEBUG  # noqa: B018  (reads the settings now, so that mistakes show here)
        execute_from_command_line(sys.argv)
    except ImproperlyConfigured as error:
        print(f"Configuration: {error}", file=sys.stderr)  # noqa: T201
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
