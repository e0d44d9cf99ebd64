"""`manage.py serve`: the web process and the job workers under one supervisor; what `make run` calls."""

import errno
import http.client
import json
import re
import socket
import sys
import threading
import time
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import connection, connections
from django.db.migrations.executor import MigrationExecutor

from cloneai.startup import refuse_unsafe_start
from cloneai.supervisor import Program, Supervisor

ADDRESS = "127.0.0.1"
READY_WITHIN_SECONDS = 120
DRAIN_SECONDS = 3  # whoever pressed Ctrl-C is waiting
# Each page asks for a dozen static files, and probes ask all the time; failures are shown.
UNREMARKABLE = re.compile(rb'"(GET|HEAD) /(static/|healthz|readyz)\S*" [23]\d\d ')


class Command(BaseCommand):
    help = "Runs the web process and the job workers until Ctrl-C or SIGTERM. PORT chooses the port."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--prepare", action="store_true", help="first migrate the database and load the demo"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            refuse_unsafe_start()
        except ImproperlyConfigured as error:
            raise CommandError(str(error), returncode=2) from error
        check_port_is_free(port=settings.PORT)
        if options["prepare"]:
            self.prepare()
        connections.close_all()
        # Daphne's own access log (-v 1) shows queries and knows no request id; cloneai.edge writes ours.
        web = ["-m", "cloneai.web", "-v", "0", "-b", ADDRESS, "-p", str(settings.PORT)]
        supervisor = Supervisor(
            programs=[
                Program(
                    name="web",
                    command=[sys.executable, *web],
                    environment={"DATABASE_POOL": "1", "DRAIN_SECONDS": str(DRAIN_SECONDS)},
                    hidden=UNREMARKABLE,
                ),
                Program(name="jobs", command=[sys.executable, sys.argv[0], "qcluster"]),
            ]
        )
        sys.exit(supervisor.run(when_started=lambda stopping: announce(supervisor, stopping)))

    def prepare(self) -> None:
        """Migrates quietly when there is nothing to do; the demo says by itself what it does."""
        executor = MigrationExecutor(connection)
        if executor.migration_plan(executor.loader.graph.leaf_nodes()):
            call_command("migrate", interactive=False, verbosity=1)
        if settings.DEBUG:
            try:
                call_command("demo")
            except CommandError as error:  # a provider that is down must not keep the site down
                self.stderr.write(f"Warning: {error}")


def check_port_is_free(*, port: int) -> None:
    """Raises CommandError with the cure when something listens on the port."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((ADDRESS, port))
        except OSError as error:
            if error.errno == errno.EACCES:
                reason = f"Port {port} is reserved for root"
            else:
                reason = f"Port {port} is in use by another program"
            other_port = port + 1 if 1024 < port < 65535 else 8001
            raise CommandError(
                f"{reason}. Stop that program or choose another port: PORT={other_port} make run",
                returncode=2,
            ) from error


def announce(supervisor: Supervisor, stopping: threading.Event) -> None:
    """Prints the address and the demo's accounts as soon as the site is ready, or why it is not."""
    give_up_at = time.monotonic() + READY_WITHIN_SECONDS
    reasons: list[str] = ["it does not answer"]
    while not stopping.wait(0.1):
        found = fetch_reasons(port=settings.PORT)
        if found == []:
            for line in build_banner():
                supervisor.say(line)
            return
        reasons = found or reasons
        if time.monotonic() > give_up_at:
            supervisor.say(f"Not ready after {READY_WITHIN_SECONDS} seconds: {' '.join(reasons)}")
            return


def fetch_reasons(*, port: int) -> list[str] | None:
    """What `/readyz` says against being ready: nothing when ready, None when there is no answer yet."""
    link = http.client.HTTPConnection(ADDRESS, port, timeout=10)
    host = next((host.lstrip(".") for host in settings.ALLOWED_HOSTS if host != "*"), ADDRESS)
    try:
        link.request("GET", "/readyz", headers={"Host": host})
        answer = link.getresponse()
        body = answer.read()
        return [] if answer.status == 200 else list(json.loads(body).get("reasons", []))
    except (OSError, http.client.HTTPException, ValueError):
        return None
    finally:
        link.close()


def build_banner() -> list[str]:
    lines = ["", f"CloneAI is ready at http://localhost:{settings.PORT}/"]
    password_file = settings.VAR_DIR / "demo-password"
    if settings.DEBUG and password_file.exists():
        lines += [
            "Log in as member@example.com (chats), expert@example.com (documents, in /admin/)",
            "or reviewer@example.com (conversations and costs, in /admin/).",
            f"Password: {password_file.read_text().strip()}",
        ]
    if settings.AI_OFFLINE:
        lines.append(
            "Offline mode: answers are sentences from the documents. Set OPENAI_API_KEY for a real model."
        )
    return [*lines, "Ctrl-C stops everything.", ""]
