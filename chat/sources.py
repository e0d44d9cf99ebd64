"""The view of a source: the passage behind a citation in its page, what stands around it, and the way to its file."""

from collections.abc import Sequence
from dataclasses import dataclass

from django.db.models import F
from django.db.models.functions import Length
from django.urls import reverse

from chat.models import Citation
from knowledge.models import Document, DocumentPage


@dataclass(frozen=True, slots=True)
class PageText:
    number: int
    text: str


@dataclass(frozen=True, slots=True)
class SourceView:
    """A passage in its page. `before` + `passage` + `after` is the text of the pages that the passage spans.

    `focus` is the span of `passage` that the answer rests on; `page` is its page.
    """

    title: str
    page: int
    page_end: int
    page_count: int
    before: str
    passage: str
    after: str
    is_document_live: bool
    focus: tuple[int, int] | None = None
    previous_page: PageText | None = None
    next_page: PageText | None = None
    download_url: str | None = None


def has_download(*, citation: Citation) -> bool:
    """Whether its reader may have the file: the expert allows it, and it is still the file that was cited."""
    document = citation.document
    return (
        citation.message.session.clone.allow_download
        and document is not None
        and document.live_version == citation.document_version
        and bool(document.live_file)
    )


def open_source(*, citation: Citation) -> SourceView:
    """The passage with the text around it; at most two queries. The snapshot alone when the document has changed."""
    document = citation.document
    pages: list[DocumentPage] = []
    if document is not None and document.live_version == citation.document_version:
        pages = _load_pages(citation=citation, document=document)
    if document is None or not pages:
        return SourceView(
            title=citation.title,
            page=citation.page,
            page_end=citation.page,
            page_count=document.page_count if document else 0,
            before="",
            passage=citation.quote,
            after="",
            is_document_live=False,
            focus=_focus(citation),
        )
    neighbours = DocumentPage.objects.filter(
        document=document,
        version=citation.document_version,
        number__in=[pages[0].number - 1, pages[-1].number + 1],
    ).exclude(text="")
    around = {page.number: PageText(page.number, page.text) for page in neighbours}
    text, offset = _join(pages)
    start, end = citation.start_char - offset, citation.end_char - offset
    page = pages[0].number if citation.focus_start is None else citation.page
    return SourceView(
        title=citation.title,
        page=page,
        page_end=pages[-1].number if citation.focus_start is None else citation.page,
        page_count=document.page_count,
        before=text[:start],
        passage=text[start:end],
        after=text[end:],
        is_document_live=True,
        focus=_focus(citation),
        previous_page=around.get(pages[0].number - 1),
        next_page=around.get(pages[-1].number + 1),
        download_url=_download_url(citation=citation, page=page),
    )


def _load_pages(*, citation: Citation, document: Document) -> list[DocumentPage]:
    """The pages that the passage spans."""
    pages = DocumentPage.objects.filter(document=document, version=citation.document_version)
    return list(
        pages.annotate(end_char=F("start_char") + Length("text")).filter(
            start_char__lt=citation.end_char, end_char__gt=citation.start_char
        )
    )


def _download_url(*, citation: Citation, page: int) -> str | None:
    if not has_download(citation=citation) or citation.document is None:
        return None
    url = reverse("chat:download", kwargs={"citation_id": citation.pk})
    return f"{url}#page={page}" if citation.document.live_kind == "pdf" else url


def _focus(citation: Citation) -> tuple[int, int] | None:
    if citation.focus_start is None or citation.focus_end is None:
        return None
    return citation.focus_start - citation.start_char, citation.focus_end - citation.start_char


def _join(pages: Sequence[DocumentPage]) -> tuple[str, int]:
    """The pages' text as it stands in the document, and where it starts there."""
    offset = pages[0].start_char
    text = ""
    for page in pages:
        text = text.ljust(page.start_char - offset, "\n") + page.text
    return text, offset
