"""Cuts a document's text into overlapping chunks of a given number of tokens; enter at `chunk_text`.

Positions are characters of `DocumentText.text`, sizes are tokens of the embedding model's encoding.
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from knowledge.chunking_boundaries import (
    HeadingIndex,
    find_headings,
    last_paragraph_end,
    last_sentence_end,
    last_space,
    sentence_ends,
    skip_space,
    whole_character_end,
)
from knowledge.chunking_tokens import TokenMap, count_tokens
from knowledge.extraction_types import ExtractedPage

__all__ = ["PAGE_SEPARATOR", "DocumentText", "TextChunk", "chunk_text", "count_tokens", "join_pages"]

PAGE_SEPARATOR = "\n\n"

_LEAST_MAX_TOKENS = 8  # one character is at most four tokens
_LEAST_FILL = 0.5  # share of the room that a cut at a heading or sentence must leave filled
_LEAST_PARAGRAPH_FILL = 0.9  # a sentence near the limit beats a paragraph far from it
_LEAST_PROGRESS = 0.25  # share of the room behind the overlap that must be new text
_LONGEST_GAP = 256  # longer runs of white space between chunks belong to none
_LAST_TWO = 1.5  # from here down, what is left is shared by two chunks of about the same size
_SLACK = 1.15


@dataclass(frozen=True, slots=True)
class DocumentText:
    """The text of all pages, and (start_char, page_number) of each page that has text, ascending."""

    text: str
    page_starts: tuple[tuple[int, int], ...]

    def page_at(self, position: int) -> int:
        """The number of the page that holds the character at `position`; 1 when no page has text."""
        index = bisect_right(self.page_starts, position, key=lambda start: start[0]) - 1
        return self.page_starts[max(index, 0)][1] if self.page_starts else 1


@dataclass(frozen=True, slots=True)
class TextChunk:
    """text[start_char:end_char], its pages and the headings that it stands under, outermost first."""

    index: int
    content: str
    start_char: int
    end_char: int
    page_start: int
    page_end: int
    token_count: int
    headings: tuple[str, ...]


def join_pages(*, pages: Sequence[ExtractedPage]) -> DocumentText:
    """Join the pages' texts by PAGE_SEPARATOR; a page of white space only is left out."""
    starts: list[tuple[int, int]] = []
    texts: list[str] = []
    position = 0
    for page in pages:
        if not page.text.strip():
            continue
        starts.append((position, page.number))
        texts.append(page.text)
        position += len(page.text) + len(PAGE_SEPARATOR)
    return DocumentText(text=PAGE_SEPARATOR.join(texts), page_starts=tuple(starts))


def chunk_text(
    *, document: DocumentText, encoding_name: str, max_tokens: int = 1000, overlap_tokens: int = 200
) -> list[TextChunk]:
    """Cut the document into chunks of at most `max_tokens` tokens that share at most `overlap_tokens`.

    A chunk ends at a heading, paragraph or sentence where one is near, else at a word, else at a character.
    Together they hold the text from its first to its last visible character; only a run of white space that
    is longer than 256 characters or than a chunk may belong to none.
    Raises ValueError for sizes that cannot work or an unknown encoding.
    """
    if max_tokens < _LEAST_MAX_TOKENS or not 0 <= overlap_tokens < max_tokens:
        raise ValueError(f"Chunks of {max_tokens} tokens with an overlap of {overlap_tokens} cannot be made.")
    cutter = _Cutter(
        tokens=TokenMap(text=document.text, encoding_name=encoding_name),
        headings=find_headings(text=document.text),
        max_tokens=max_tokens,
        overlap_tokens=overlap_tokens,
    )
    return [
        TextChunk(
            index=index,
            content=document.text[start:end],
            start_char=start,
            end_char=end,
            page_start=document.page_at(start),
            page_end=document.page_at(end - 1),
            token_count=token_count,
            headings=cutter.headings.path_at(text=document.text, position=start),
        )
        for index, (start, end, token_count) in enumerate(cutter.spans())
    ]


@dataclass(frozen=True, slots=True)
class _Cutter:
    """Finds the spans of the chunks of one text from its start to its end."""

    tokens: TokenMap
    headings: HeadingIndex
    max_tokens: int
    overlap_tokens: int

    def spans(self) -> list[tuple[int, int, int]]:
        """(start, end, token count) of each chunk."""
        text = self.tokens.text
        text_end = len(text.rstrip())
        start = covered = skip_space(text=text, position=0)
        spans: list[tuple[int, int, int]] = []
        while covered < text_end:
            span = self._next_span(start=start, covered=covered, text_end=text_end)
            if span is None:  # the overlap leaves no room: start where it ends
                start = covered = self._start_without_overlap(covered)
                span = self._next_span(start=start, covered=covered, text_end=text_end)
            if span is None:  # one character always fits
                end = skip_space(text=text, position=start) + 1
                span = (end, end, self.tokens.count(start, end))
            end, next_start, token_count = span
            spans.append((start, end, token_count))
            start, covered = next_start, max(end, next_start)
        return spans

    def _start_without_overlap(self, position: int) -> int:
        """`position` with the white space that follows it if one chunk can hold it, else what comes after."""
        visible = skip_space(text=self.tokens.text, position=position)
        fits = self.tokens.count(position, visible + 1) <= self.max_tokens
        return position if fits else visible

    def _next_span(self, *, start: int, covered: int, text_end: int) -> tuple[int, int, int] | None:
        """The end of the chunk at `start`, the next one's start, and this one's token count.

        `covered` is where the text begins that no chunk holds yet. None when nothing of that fits.
        """
        left_tokens = self.tokens.tokens_before(text_end) - self.tokens.tokens_before(start)
        if left_tokens <= self.max_tokens + 2:
            token_count = self.tokens.count(start, text_end)
            if token_count <= self.max_tokens:
                return text_end, text_end, token_count
        limit = self.max_tokens
        if left_tokens < _LAST_TWO * self.max_tokens:
            limit = min(limit, int(_SLACK * (left_tokens + self.overlap_tokens) / 2))
        while limit > 0:
            high = min(self.tokens.position_after(start=start, tokens=limit), text_end)
            if high > covered:
                cut, is_heading = self._best_cut(start=start, covered=covered, high=high)
                end, next_start = self._finish(start=start, cut=cut, is_heading=is_heading)
                token_count = self.tokens.count(start, end)
                if end > covered and token_count <= self.max_tokens:
                    return end, next_start, token_count
            limit = min(limit - 1, int(limit * 0.99))
        return None

    def _best_cut(self, *, start: int, covered: int, high: int) -> tuple[int, bool]:
        """The best position in (covered, high] to end at, and whether a marked heading starts there."""
        text = self.tokens.text
        least = covered + int(_LEAST_PROGRESS * (high - covered))
        low = max(start + int(_LEAST_FILL * (high - start)), least)
        heading = self.headings.last_start_between(low + 1, high)
        if heading is not None:
            return heading.start, heading.is_marked
        paragraph_low = max(start + int(_LEAST_PARAGRAPH_FILL * (high - start)), least)
        cut = last_paragraph_end(text=text, low=paragraph_low, high=high)
        if cut is None:
            cut = last_sentence_end(text=text, low=low, high=high)
        for character in "\n ":
            if cut is None:
                cut = last_space(text=text, low=low, high=high, character=character)
        if cut is None:
            cut = whole_character_end(text=text, low=covered, high=high)
        # Trimming must leave new text: a cut that would only repeat the overlap is moved to the end.
        return (cut, False) if text[covered:cut].strip() else (high, False)

    def _finish(self, *, start: int, cut: int, is_heading: bool) -> tuple[int, int]:
        """Trim the chunk that ends at `cut` and choose where the next one starts."""
        text = self.tokens.text
        trimmed = start + len(text[start:cut].rstrip())
        following = skip_space(text=text, position=cut)
        if not is_heading and self.overlap_tokens:
            overlap_start = self._overlap_start(start=start, end=trimmed)
            if overlap_start is not None:
                return trimmed, overlap_start
        if following - trimmed > _LONGEST_GAP:
            return trimmed, following
        # Without overlap the white space between two chunks belongs to the first one that has room for it.
        if self.tokens.count(start, following) <= self.max_tokens:
            return following, following
        return trimmed, trimmed

    def _overlap_start(self, *, start: int, end: int) -> int | None:
        """The earliest start of a sentence, else of a word, else of a character, within the overlap."""
        text = self.tokens.text
        low = max(start, self.tokens.position_before(end=end, tokens=self.overlap_tokens))
        for position in sentence_ends(text=text, low=low, high=end - 1):
            candidate = skip_space(text=text, position=position)
            if start < candidate < end and self.tokens.count(candidate, end) <= self.overlap_tokens:
                return candidate
        position = low
        for _attempt in range(8):
            found = text.find(" ", position, end)
            candidate = skip_space(text=text, position=found) if found >= 0 else end
            if start < candidate < end and self.tokens.count(candidate, end) <= self.overlap_tokens:
                return candidate
            position = candidate
        for candidate in range(max(low, start + 1), min(low + 8, end)):
            if self.tokens.count(candidate, end) <= self.overlap_tokens and not text[candidate].isspace():
                return candidate
        return None
