"""Which parts of a text stand in code, as Markdown has it. The one notion of it that markers go by.

Code is what a fence holds, and what two runs of backticks of the same length enclose within a line. A run that nothing
closes is text: a stray backtick, quoted from a document, must not let markers pass unchecked. Where this notion is
narrower than Markdown's (code over a line's end), markers in code are treated as those of the text.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

RUN = re.compile(r"`+")
OPENING = re.compile(r"(?<![\\`])`+")
# What may stand before a fence: quotes, and an item's mark.
FENCE = re.compile(
    r"(?P<prefix>[ \t>]*(?:(?:[-+*]|\d{1,9}[.)])[ \t]+)?)(?:(?P<ticks>`{3,})[^`\r\n]*|(?P<waves>~{3,})[^\r\n]*)"
    r"[\r\n]?"
)
MAYBE_FENCE = re.compile(
    r"[ \t>]*(?:(?:[-+*]|\d{1,9}[.)]?)[ \t]*)?(?:`{0,2}|`{3,}[^`\r\n]*|~{0,2}|~{3,}[^\r\n]*)"
)
ROW = re.compile(r"[ \t>]*(?:(?:[-+*]|\d{1,9}[.)])[ \t]+)?\|")
LINE_END = re.compile(r"[\r\n]")
MAYBE_CLOSING = re.compile(r"[ \t>]*(?:`*|~*)[ \t]*")


@dataclass(frozen=True, slots=True)
class _Fence:
    """`indent` is where its content begins: a line with less has left the list that holds the fence."""

    run: str
    indent: int
    is_quoted: bool

    def is_closed_by(self, line: str) -> bool:
        rest = line.strip(" \t\r\n>")
        return len(rest) >= len(self.run) and not rest.strip(self.run[0])

    def is_left_by(self, line: str) -> bool:
        content = line.lstrip(" \t>")
        begins = len(line) - len(content)
        return ">" not in line[:begins] if self.is_quoted else bool(content.strip()) and begins < self.indent


@dataclass(slots=True)
class CodeSpans:
    """Feed a text in pieces with `push`, end with `flush`; both give parts of it and whether each is code.

    What cannot be told yet is held back: half a line at most.
    """

    _held: str = ""
    _fence: _Fence | None = None
    _is_within_line: bool = False
    _is_row: bool = False

    def push(self, text: str) -> Iterator[tuple[str, bool]]:
        self._held += text
        yield from self._take(is_end=False)

    def flush(self) -> Iterator[tuple[str, bool]]:
        yield from self._take(is_end=True)

    def _take(self, *, is_end: bool) -> Iterator[tuple[str, bool]]:
        while self._held:
            ended = LINE_END.search(self._held)
            line, is_whole = self._held[: ended.end() if ended else None], ended is not None or is_end
            if not self._is_within_line:
                maybe = MAYBE_CLOSING if self._fence else MAYBE_FENCE
                if not is_whole and maybe.fullmatch(line):
                    return
            if not self._is_within_line and self._is_mark(line):
                # What else stands on an opening line is no code: markers there are checked.
                parts = [(line, self._fence is None)]
            elif self._fence:
                parts = [(line, True)]
            else:
                self._is_row = self._is_row if self._is_within_line else ROW.match(line) is not None
                parts = list(_read_line(line, is_whole=is_whole, is_row=self._is_row))
            taken = sum(len(part) for part, _is_code in parts)
            self._held = self._held[taken:]
            yield from parts
            self._is_within_line = not is_whole
            if taken < len(line):
                return

    def _is_mark(self, line: str) -> bool:
        """Whether the line opens or closes a fence; a fence that it leaves is left."""
        if self._fence and self._fence.is_left_by(line):
            self._fence = None
        if self._fence:
            is_closing = self._fence.is_closed_by(line)
            self._fence = None if is_closing else self._fence
            return is_closing
        if opened := FENCE.fullmatch(line):
            prefix = opened["prefix"]
            self._fence = _Fence(opened["ticks"] or opened["waves"], len(prefix), ">" in prefix)
        return opened is not None


def _read_line(line: str, *, is_whole: bool, is_row: bool) -> Iterator[tuple[str, bool]]:
    """Parts of a line outside of fences, as far as they are sure; the rest is left to the next piece.

    In a table's row (`is_row`) code ends with its cell.
    """
    start = 0  # of the text that was not given out yet
    after = 0
    while run := OPENING.search(line, after):
        closing = next((one for one in RUN.finditer(line, run.end()) if len(one[0]) == len(run[0])), None)
        if not is_whole and (closing is None or closing.end() == len(line)):
            yield from _as_text(line[start : run.start()])
            return
        after = run.end()
        if closing and not (is_row and "|" in line[run.end() : closing.start()]):
            yield from _as_text(line[start : run.start()])
            yield line[run.start() : closing.end()], True
            start = after = closing.end()
    # A backslash, or the backtick that it escapes, may be followed by another one yet.
    yield from _as_text(line[start:] if is_whole else line[start:].rstrip("\\`"))


def _as_text(text: str) -> Iterator[tuple[str, bool]]:
    if text:
        yield text, False
