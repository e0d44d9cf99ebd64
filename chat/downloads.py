"""The file behind a source, where the clone's expert lets people have it. Never by a guessed address."""

from collections.abc import AsyncIterator
from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.core.files.storage import default_storage
from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404
from django.utils.http import content_disposition_header
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from chat.models import Citation
from chat.sources import has_download
from cloneai.threads import run_in_thread
from knowledge.models import Document

PIECE_BYTES = 256 * 1024
# What a document's `kind` is served as; the rest, HTML above all, only as bytes to keep.
CONTENT_TYPES = {
    "pdf": "application/pdf",
    "txt": "text/plain; charset=utf-8",
    "md": "text/plain; charset=utf-8",
}
SHOWN_IN_BROWSER = {"pdf"}


@login_required
@never_cache
@require_safe
async def download(request: HttpRequest, citation_id: UUID) -> StreamingHttpResponse | HttpResponse:
    """Streams the file; a PDF opens in the browser's viewer, everything else is an attachment."""
    document = await run_in_thread(_find_document, request=request, citation_id=citation_id)
    response = StreamingHttpResponse(
        _read(document.live_file),
        content_type=CONTENT_TYPES.get(document.live_kind, "application/octet-stream"),
    )
    is_attachment = document.live_kind not in SHOWN_IN_BROWSER
    disposition = content_disposition_header(is_attachment, document.live_file_name)
    response["Content-Disposition"] = disposition or "attachment"
    response["X-Content-Type-Options"] = "nosniff"
    response["Content-Security-Policy"] = build_policy(is_attachment=is_attachment)
    return response


def build_policy(*, is_attachment: bool) -> str:
    """Nothing of a file may run as a page of ours. Browsers' own PDF viewers do not work in a sandbox."""
    closed = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
    return (
        f"{closed}; sandbox" if is_attachment else f"{closed}; style-src 'unsafe-inline'; object-src 'self'"
    )


def _find_document(*, request: HttpRequest, citation_id: UUID) -> Document:
    citations = Citation.objects.visible_to(request.user).select_related(
        "document", "message__session__clone"
    )
    citation = get_object_or_404(citations, pk=citation_id)
    document = citation.document
    if (
        document is None
        or not has_download(citation=citation)
        or not default_storage.exists(document.live_file)
    ):
        raise Http404
    return document


async def _read(name: str) -> AsyncIterator[bytes]:
    """The stored file in pieces; opened only when somebody reads."""
    file = await run_in_thread(default_storage.open, name)
    try:
        while piece := await run_in_thread(file.read, PIECE_BYTES):
            yield piece
    finally:
        await run_in_thread(file.close)
