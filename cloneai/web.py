"""The web process, `python -m cloneai.web`: Daphne, which finishes what it has begun before it ends.

On SIGTERM or SIGINT it takes no more connections and closes its sockets with 1012 (restart), so that clients go on in
another process. It ends when the answers being written and the requests being served are done, or after
DRAIN_SECONDS, or at once on a second signal. It takes the options of the `daphne` command.
"""

import os
import signal
import sys
from types import FrameType
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "cloneai.settings")
os.environ.setdefault("DATABASE_POOL", "1")

import cloneai.event_loop  # noqa: F401, I001  (it chooses Twisted's reactor, so it comes first)
from daphne.cli import CommandLineInterface
from daphne.http_protocol import WebRequest
from daphne.server import Server
from daphne.ws_protocol import WebSocketProtocol
from twisted.internet import reactor as chosen_reactor

reactor: Any = chosen_reactor  # a module that is replaced by the reactor itself
RESTARTING = 1012
POLL_SECONDS = 0.1


class DrainingServer(Server):
    """Daphne's server with an end of its own."""

    connections: dict[Any, dict[str, Any]]  # by protocol: a WebRequest or a WebSocketProtocol

    def __init__(self, application: Any, **options: Any) -> None:
        super().__init__(application, signal_handlers=False, **options)
        self._ports: list[Any] = []
        self._give_up_at: float | None = None

    def run(self) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._on_signal)
        super().run()

    def listen_success(self, port: Any) -> None:
        self._ports.append(port)
        super().listen_success(port)

    def drain(self) -> None:
        """Begins the end; a second call does not wait for anything."""
        from django.conf import settings

        if self._give_up_at is not None:
            self.stop()
            return
        self._give_up_at = reactor.seconds() + settings.DRAIN_SECONDS
        for port in self._ports:
            port.stopListening()
        for protocol in list(self.connections):
            if isinstance(protocol, WebSocketProtocol) and protocol.state == protocol.STATE_OPEN:
                protocol.sendCloseFrame(code=RESTARTING)  # `sendClose` keeps this code to itself
        self._end_when_idle()

    def kill_all_applications(self) -> Any:
        # Daphne's own expects an application in each entry, and forgets those of requests that are done.
        self.connections = {
            protocol: details
            for protocol, details in self.connections.items()
            if "application_instance" in details
        }
        return super().kill_all_applications()

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        reactor.callFromThread(self.drain)

    def _end_when_idle(self) -> None:
        assert self._give_up_at is not None
        if reactor.seconds() >= self._give_up_at or not self._is_busy():
            self.stop()
        else:
            reactor.callLater(POLL_SECONDS, self._end_when_idle)

    def _is_busy(self) -> bool:
        from chat.streaming import count_running_answers

        serving = (
            details["application_instance"]
            for protocol, details in self.connections.items()
            if isinstance(protocol, WebRequest) and "application_instance" in details
        )
        return count_running_answers() > 0 or any(not application.done() for application in serving)


class CommandLine(CommandLineInterface):
    server_class = DrainingServer


def main() -> None:
    CommandLine().run([*sys.argv[1:], "cloneai.asgi:application"])


if __name__ == "__main__":
    main()
