"""Bounds what a client can make the server keep: frames that it does not take, and frames that it sends without end.

Daphne hands every frame to Twisted, which keeps without a bound what the client's machine does not take. A client that
was dropped comes back and resumes. It also parses and keeps without a bound what a client sends.
"""

import logging
from typing import Any

logger = logging.getLogger(__name__)

MOST_WAITING_BYTES = 1024 * 1024  # of frames that a client has not taken yet; the longest answer is far below
MOST_WAITING_FRAMES = 64  # that the application has not taken yet; it allows 40 in ten seconds


def drop_slow_clients() -> None:
    """From now on Daphne cuts a socket whose client leaves more than `MOST_WAITING_BYTES` waiting."""
    from daphne.ws_protocol import WebSocketProtocol

    send = WebSocketProtocol.serverSend

    def send_or_drop(self: Any, content: str | bytes, binary: bool = False) -> None:
        if self.state not in (self.STATE_CONNECTING, self.STATE_OPEN):
            return  # closed meanwhile; Autobahn would raise
        if count_waiting_bytes(self.transport) > MOST_WAITING_BYTES:
            logger.info("A client that takes its frames too slowly was dropped: %s", self.path)
            self.dropConnection(abort=True)
        else:
            send(self, content, binary)

    WebSocketProtocol.serverSend = send_or_drop


def cut_floods(*, code: int) -> None:
    """From now on Daphne closes a socket with `code` when more than `MOST_WAITING_FRAMES` wait for the application.

    A socket that was closed with `code`, here or by the application, is not read any more, and its line is cut a second
    later. The application takes one frame of a socket at a time, while Daphne parses all that a read brought: without
    this a flood is parsed and kept long before the application can tell it.
    """
    from daphne.ws_protocol import WebSocketProtocol

    close, take = WebSocketProtocol.serverClose, WebSocketProtocol.onMessage

    def close_and_stop_reading(self: Any, **reason: int) -> None:
        close(self, **reason)
        if reason.get("code") == code:
            self.transport.pauseProducing()
            self.data = b""  # what Autobahn has not parsed yet
            while not self.application_queue.empty():
                self.application_queue.get_nowait()

    def take_while_few_wait(self: Any, payload: bytes, is_binary: bool) -> None:
        if self.state != self.STATE_OPEN:
            return
        take(self, payload, is_binary)
        if self.application_queue.qsize() > MOST_WAITING_FRAMES:
            logger.info("A client that sends too many frames was dropped: %s", self.path)
            self.serverClose(code=code)

    WebSocketProtocol.serverClose = close_and_stop_reading
    WebSocketProtocol.onMessage = take_while_few_wait


def count_waiting_bytes(transport: Any) -> int:
    """What Twisted's TCP connection has been given and the system's own buffer has not."""
    return len(transport.dataBuffer) - int(transport.offset) + int(transport._tempDataLen)
