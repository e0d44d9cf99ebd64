"""Bounds what a client can make the server keep: frames that it does not take, and frames that it sends without end.

Daphne hands every frame to Twisted, which keeps without a bound what the client's machine does not take. A client that
was dropped comes back and resumes. Daphne also goes on reading, parsing and delivering what a socket sends after it was
closed for sending too much.
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


def stop_listening_to_flooders(*, code: int) -> None:
    """From now on Daphne reads no more of a socket that was closed with `code`; a second later its line is cut."""
    from daphne.ws_protocol import WebSocketProtocol

    close, take = WebSocketProtocol.serverClose, WebSocketProtocol.onMessage

    def close_and_stop_reading(self: Any, **reason: int) -> None:
        close(self, **reason)
        if reason.get("code") == code:
            self.transport.pauseProducing()

    def take_while_open(self: Any, payload: bytes, is_binary: bool) -> None:
        if self.state == self.STATE_OPEN:
            take(self, payload, is_binary)

    WebSocketProtocol.serverClose = close_and_stop_reading
    WebSocketProtocol.onMessage = take_while_open


def count_waiting_bytes(transport: Any) -> int:
    """What Twisted's TCP connection has been given and the system's own buffer has not."""
    return len(transport.dataBuffer) - int(transport.offset) + int(transport._tempDataLen)
