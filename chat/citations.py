"""Citations: which passages an answer may cite, markers checked while they stream, and the view of a source.

Passages are numbered from 1 in the prompt. The reader sees numbers in order of first use; a marker that names no
passage is removed before anybody sees it. Markers inside code are left alone.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from chat.models import Citation, Message
from knowledge.models import DocumentPage
from knowledge.retrieval import Passage

MARKER = re.compile(r"\[\s*(\d{1,3}(?:\s*[,;]\s*\d{1,3})*)\s*\]")
OPEN_MARKER = re.compile(r"[ \t]*(\[[\d\s,;]{0,24})?$")
MAX_QUOTE_CHARS = 600


@dataclass(slots=True)
class MarkerFilter:
    """Rewrites markers in a stream of text. Feed pieces with `push`, end with `flush`; both return text to show."""

    passage_count: int
    numbers: dict[int, int] = field(default_factory=dict)
    _held: str = ""
    _code_fence: str = ""

    def push(self, text: str) -> str:
        """Text that is safe to show now; an unfinished marker, and blanks before it, are held back."""
        pending = self._held + text
        cut = OPEN_MARKER.search(pending)
        end = cut.start() if cut else len(pending)
        # A run of backticks may go on in the next piece, so its length is not known yet.
        end = min(end, len(pending.rstrip("`")))
        self._held = pending[end:]
        return self._rewrite(pending[:end])

    def flush(self) -> str:
        held, self._held = self._held, ""
        return self._rewrite(held)

    def _rewrite(self, text: str) -> str:
        shown: list[str] = []
        for part in re.split(r"(`+)", text):
            if part.startswith("`"):
                if not self._code_fence:
                    self._code_fence = part
                elif part == self._code_fence:
                    self._code_fence = ""
                shown.append(part)
            else:
                shown.append(part if self._code_fence else self._renumber(part))
        return "".join(shown)

    def _renumber(self, text: str) -> str:
        return re.sub(r"([ \t]*)" + MARKER.pattern, self._replace, text)

    def _replace(self, match: re.Match[str]) -> str:
        cited = [int(number) for number in re.findall(r"\d+", match[2])]
        valid = [number for number in dict.fromkeys(cited) if 1 <= number <= self.passage_count]
        if not valid:
            return ""
        return match[1] + "".join(
            f"[{self.numbers.setdefault(number, len(self.numbers) + 1)}]" for number in valid
        )


def build_citations(
    *, message: Message, passages: Sequence[Passage], numbers: dict[int, int]
) -> list[Citation]:
    """Unsaved citations: those that the answer used, or, when it used none, all passages that it was given.

    `numbers` maps a passage's number in the prompt to the number that the reader sees.
    """
    shown = numbers or {number: number for number in range(1, len(passages) + 1)}
    return [
        Citation(
            message=message,
            number=number,
            is_cited=bool(numbers),
            chunk_id=passages[prompt_number - 1].chunk_id,
            document_id=passages[prompt_number - 1].document_id,
            document_version=passages[prompt_number - 1].document_version,
            title=passages[prompt_number - 1].document_title,
            page=passages[prompt_number - 1].page,
            quote=passages[prompt_number - 1].content,
            start_char=passages[prompt_number - 1].start_char,
            end_char=passages[prompt_number - 1].end_char,
            similarity_score=passages[prompt_number - 1].similarity_score,
        )
        for prompt_number, number in sorted(shown.items(), key=lambda pair: pair[1])
    ]


@dataclass(frozen=True, slots=True)
class SourceView:
    """A passage in its page. `before` + `passage` + `after` is the text of the pages that the passage spans."""

    title: str
    page: int
    page_end: int
    page_count: int
    before: str
    passage: str
    after: str
    is_document_live: bool


def open_source(*, citation: Citation) -> SourceView:
    """The passage with the text around it; two queries. The snapshot alone when the document is gone."""
    document = citation.document
    pages: list[DocumentPage] = []
    if document is not None and document.live_version == citation.document_version:
        pages = [
            page
            for page in DocumentPage.objects.filter(document=document, version=citation.document_version)
            if page.start_char < citation.end_char and page.start_char + len(page.text) > citation.start_char
        ]
    if not pages:
        return SourceView(
            title=citation.title,
            page=citation.page,
            page_end=citation.page,
            page_count=document.page_count if document else 0,
            before="",
            passage=citation.quote,
            after="",
            is_document_live=False,
        )
    text, offset = _join(pages)
    start, end = citation.start_char - offset, citation.end_char - offset
    return SourceView(
        title=citation.title,
        page=pages[0].number,
        page_end=pages[-1].number,
        page_count=document.page_count if document else 0,
        before=text[:start],
        passage=text[start:end],
        after=text[end:],
        is_document_live=True,
    )


def _join(pages: Sequence[DocumentPage]) -> tuple[str, int]:
    """The pages' text as it stands in the document, and where it starts there."""
    offset = pages[0].start_char
    text = ""
    for page in pages:
        text = text.ljust(page.start_char - offset, "\n") + page.text
    return text, offset
