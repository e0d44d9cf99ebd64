"""Sending an archive to a browser, in pieces and to nobody's cache."""

import asyncio
from collections.abc import AsyncIterator
from typing import BinaryIO

from django.http import StreamingHttpResponse
from django.utils import timezone

BYTES_AT_A_TIME = 256 * 1024


def send_archive(file: BinaryIO, *, size_bytes: int) -> StreamingHttpResponse:
    """The open file as an attachment; closed when it is sent."""
    name = f"cloneai-data-{timezone.now():%Y-%m-%d}.zip"
    return StreamingHttpResponse(
        _read(file),
        content_type="application/zip",
        headers={
            "Content-Disposition": f'attachment; filename="{name}"',
            "Content-Length": str(size_bytes),
            "Cache-Control": "private, no-store",
            "X-Content-Type-Options": "nosniff",
        },
    )


async def _read(file: BinaryIO) -> AsyncIterator[bytes]:
    with file:
        while piece := await asyncio.to_thread(file.read, BYTES_AT_A_TIME):
            yield piece
