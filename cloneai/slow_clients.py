"""Drops clients that take their frames too slowly. Enter at `drop_slow_clients`.

Daphne hands every frame to Twisted, which keeps without a bound what the client's machine does not take. A client that
was dropped comes back and resumes.
"""

import logging
from typing import Any

logger = logging.getLogger(__name__)

MOST_WAITING_BYTES = 1024 * 1024  # of frames that a client has not taken yet; the longest answer is far below


def drop_slow_clients() -> None:
    """From now on Daphne cuts a socket whose client leaves more than `MOST_WAITING_BYTES` waiting."""
    from daphne.ws_protocol import WebSocketProtocol

    send = WebSocketProtocol.serverSend

    def send_or_drop(self: Any, content: str | bytes, binary: bool = False) -> None:
        if count_waiting_bytes(self.transport) > MOST_WAITING_BYTES:
            logger.info("A client that takes its frames too slowly was dropped: %s", self.path)
            self.dropConnection(abort=True)
        else:
            send(self, content, binary)

    WebSocketProtocol.serverSend = send_or_drop


def count_waiting_bytes(transport: Any) -> int:
    """What Twisted's TCP connection has been given and the system's own buffer has not."""
    return len(transport.dataBuffer) - int(transport.offset) + int(transport._tempDataLen)
