"""Daphne's HTTP requests with an end to their bodies.

Left to itself the server stores any body whole before the application is asked, and takes forms apart on its event loop
for nobody's use: one large form from anybody would stop every conversation. Here bytes beyond the limit of the address
are dropped as they come, so that `cloneai.edge` answers 413, and nothing is parsed.
"""

from typing import Any
from urllib.parse import unquote

import daphne.http_protocol
from daphne.http_protocol import WebRequest

from cloneai.edge import find_limit

LARGEST_DROPPED_BYTES = 2 * 1024**3  # somebody who sends more hears no answer


class BoundedRequest(WebRequest):
    """Keeps one byte more than the limit: the sign of a body that was too large."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs, parsePOSTFormSubmission=False)
        self._room = self._received = 0

    def gotLength(self, length: int | None) -> None:  # noqa: N802
        super().gotLength(length)
        address: bytes = getattr(
            self.channel, "_path", b""
        )  # the request itself learns it with its last byte
        self._room = find_limit(unquote(address.partition(b"?")[0].decode("latin-1"))) + 1

    def process(self) -> Any:
        # Daphne believes this prefix of all addresses whoever names it, and stumbles over an odd one.
        self.requestHeaders.removeHeader(b"Daphne-Root-Path")
        # Django reads no form whose length it is not told; here the body, or what was too much of it, has come.
        if self._received and not self.requestHeaders.hasHeader(b"Content-Length"):
            self.requestHeaders.setRawHeaders(b"Content-Length", [str(self._received).encode()])
        return super().process()

    def handleContentChunk(self, data: bytes) -> None:  # noqa: N802
        self._received += len(data)
        super().handleContentChunk(data[: self._room])
        self._room -= min(self._room, len(data))
        if self._received > LARGEST_DROPPED_BYTES:
            self.channel.loseConnection()


def install() -> None:
    """Daphne has no setting for its class of requests; it looks the name up for each connection."""
    daphne.http_protocol.WebRequest = BoundedRequest
