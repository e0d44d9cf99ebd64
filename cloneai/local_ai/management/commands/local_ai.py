"""`manage.py local_ai --port N`: serve the local provider over HTTP."""

from __future__ import annotations

import socket
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError


class Command(BaseCommand):
    help = "Serve the local AI provider over HTTP, in OpenAI's wire format."
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--port", type=int, default=8100, help="port to listen on (default 8100)")
        parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default 127.0.0.1)")

    def handle(self, *args: Any, **options: Any) -> None:
        # Late: importing Daphne installs Twisted's reactor, which only the serving process wants.
        from daphne.endpoints import build_endpoint_description_strings
        from daphne.server import Server

        from cloneai.local_ai.asgi import application
        from cloneai.local_ai.embedding import load_model

        host, port = options["host"], options["port"]
        _check_free(host=host, port=port)
        load_model()
        server = Server(
            application=application,
            endpoints=build_endpoint_description_strings(host=host, port=port),
            server_name="cloneai-local-ai",
            ready_callable=lambda: self.stdout.write(f"Local AI provider at http://{host}:{port}/v1"),
        )
        server.run()


def _check_free(*, host: str, port: int) -> None:
    """Raise `CommandError` when the address cannot be listened on; Daphne would only log it."""
    try:
        with socket.create_server((host, port)):
            pass
    except (OSError, OverflowError) as error:
        raise CommandError(f"Cannot listen on {host}:{port}: {error}. Choose another with --port.") from error
