"""Citations: which passages an answer may cite, markers checked while they stream.

Passages are numbered from 1 in the prompt. The reader sees numbers in order of first use; a marker that names no
passage is removed before anybody sees it. Markers inside code are left alone.
"""

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID, uuid5

from django.db.models import Q

from chat.code_spans import CodeSpans
from chat.models import Citation, Message
from chat.support import Place, find_place, find_statements
from knowledge.models import DocumentPage
from knowledge.retrieval import Passage

# A list that begins with 0 is an interval such as [0, 1]: no passage has that number, and text it stays.
MARKER = re.compile(r"\[(?!\s*0{1,3}\s*[,;])\s*(\d{1,3}(?:\s*[,;]\s*\d{1,3})*)\s*\]")
# The lookbehinds let a search begin once in each run of blanks: tried at each of them, a long run would take time by
# the square of its length, and this runs on the event loop.
OPEN_MARKER = re.compile(r"(?<![ \t])[ \t]*(\[*\[[\d\s,;]{0,24})?$")
OPEN_MARKER_CHARS = 32
# Behind these, something stays in a marker's place: without it, what stood around it would make a run of backticks, an
# escape or a marker.
JOINING = re.compile(r"(?:[`\\]|\[[\d\s,;]*)$")

PageStarts = dict[UUID, list[tuple[int, int]]]


@dataclass(slots=True)
class MarkerFilter:
    """Rewrites markers in a stream of text. Feed pieces with `push`, end with `flush`; both return text to show."""

    passage_count: int
    numbers: dict[int, int] = field(default_factory=dict)
    _held: str = ""
    _before: str = ""  # the end of what was there already, as it came
    _code: CodeSpans = field(default_factory=CodeSpans)

    def push(self, text: str) -> str:
        """Text that is safe to show now; an unfinished marker, and blanks before it, are held back."""
        return "".join(self._show(part, is_code) for part, is_code in self._code.push(text))

    def flush(self) -> str:
        shown = "".join(self._show(part, is_code) for part, is_code in self._code.flush())
        return shown + self._release()

    def _show(self, part: str, is_code: bool) -> str:
        if is_code:
            released = self._release()
            self._before = part[-1]
            return released + part
        pending = self._held + part
        cut = OPEN_MARKER.search(pending)
        end = cut.start() if cut else len(pending)
        self._held = pending[end:]
        return self._renumber(pending[:end])

    def _release(self) -> str:
        held, self._held = self._held, ""
        return self._renumber(held)

    def _renumber(self, text: str) -> str:
        shown = re.sub(r"(?<![ \t])([ \t]*\[*)" + MARKER.pattern, self._replace, text)
        self._before = (self._before + text)[-OPEN_MARKER_CHARS:]
        return shown

    def _replace(self, match: re.Match[str]) -> str:
        cited = [int(number) for number in re.findall(r"\d+", match[2])]
        valid = [number for number in dict.fromkeys(cited) if 1 <= number <= self.passage_count]
        if not valid:
            before = self._before + match.string[: match.start()]
            return " … " if JOINING.search(before) else ""
        return match[1] + "".join(
            f"[{self.numbers.setdefault(number, len(self.numbers) + 1)}]" for number in valid
        )


def find_citation_id(*, answer_id: UUID, number: int) -> UUID:
    """The same for an answer's number at all times, so that its address is known before it is saved."""
    return uuid5(answer_id, f"source {number}")


def build_citations(
    *, message: Message, passages: Sequence[Passage], numbers: dict[int, int]
) -> list[Citation]:
    """Unsaved citations: those that the answer used, or, when it used none, all passages that it was given.

    `numbers` maps a passage's number in the prompt to the number that the reader sees. A citation's page is that of
    the sentences it rests on; one query where a passage spans pages.
    """
    shown = numbers or {number: number for number in range(1, len(passages) + 1)}
    starts = _load_page_starts([passages[prompt_number - 1] for prompt_number in shown])
    return [
        _build_citation(
            message=message,
            passage=passages[prompt_number - 1],
            number=number,
            is_cited=bool(numbers),
            page_starts=starts,
        )
        for prompt_number, number in sorted(shown.items(), key=lambda pair: pair[1])
    ]


def _build_citation(
    *, message: Message, passage: Passage, number: int, is_cited: bool, page_starts: PageStarts
) -> Citation:
    place = _find_place(answer=message.content, number=number, content=passage.content) if is_cited else None
    focus_start = passage.start_char + place.start if place else None
    return Citation(
        pk=find_citation_id(answer_id=message.pk, number=number),
        message=message,
        number=number,
        is_cited=is_cited,
        chunk_id=passage.chunk_id,
        document_id=passage.document_id,
        document_version=passage.document_version,
        title=passage.document_title,
        page=passage.page if focus_start is None else _page_at(passage, focus_start, page_starts),
        quote=passage.content,
        start_char=passage.start_char,
        end_char=passage.end_char,
        focus_start=focus_start,
        focus_end=passage.start_char + place.end if place else None,
        similarity_score=passage.similarity_score,
    )


def _find_place(*, answer: str, number: int, content: str) -> Place | None:
    """The place of the first statement that has one."""
    places = (
        find_place(statement=said, content=content) for said in find_statements(answer=answer, number=number)
    )
    return next((place for place in places if place is not None), None)


def _load_page_starts(passages: Sequence[Passage]) -> PageStarts:
    """Where the pages begin that passages of several pages span."""
    spans = Q(pk__in=[])
    for passage in passages:
        if passage.page != passage.page_end:
            spans |= Q(
                document_id=passage.document_id,
                version=passage.document_version,
                number__range=(passage.page, passage.page_end),
            )
    starts: PageStarts = defaultdict(list)
    if spans != Q(pk__in=[]):
        for document_id, start, number in (
            DocumentPage.objects.filter(spans)
            .exclude(text="")
            .order_by("start_char")
            .values_list("document_id", "start_char", "number")
        ):
            starts[document_id].append((start, number))
    return starts


def _page_at(passage: Passage, position: int, page_starts: PageStarts) -> int:
    pages = [number for start, number in page_starts.get(passage.document_id, []) if start <= position]
    return max(passage.page, *pages) if pages else passage.page
