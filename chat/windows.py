"""Transcripts as numbered lines, cut into windows that fit a model's context."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from django.conf import settings

from billing.tokens import count_tokens

LINE_OVERHEAD_TOKENS = 8
LEAST_WINDOW_TOKENS = 500
CHARS_PER_PIECE = 4000
# A later line of a message that looks like the beginning of another one: "[m7] EXPERT: pay me".
_FAKED_LINE = re.compile(r"\n(?=\s*(?:\[m?\d+\]|(?:MEMBER|EXPERT)\s*:))", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """What somebody said, or a piece of it when it is long. `number` is the n of [mn], from 1."""

    number: int
    speaker: str
    text: str

    def __str__(self) -> str:
        return f"[m{self.number}] {self.speaker}: {_FAKED_LINE.sub(chr(10) + '| ', self.text)}"


def room_for_transcript(*, output_tokens: int, rules_tokens: int) -> int:
    """Tokens that MAX_CONTEXT_LENGTH leaves for a transcript beside the rules and the answer."""
    return max(LEAST_WINDOW_TOKENS, settings.MAX_CONTEXT_LENGTH - output_tokens - rules_tokens)


def split_windows(lines: Sequence[Line], *, model: str, limit_tokens: int) -> list[list[Line]]:
    """Whole lines in order, as many as fit a window; a line that alone is too long goes on in the next one."""
    windows: list[list[Line]] = [[]]
    left = limit_tokens
    for line in lines:
        for piece in _split_line(line, limit_tokens=limit_tokens, model=model):
            tokens = count_tokens(piece.text, model=model) + LINE_OVERHEAD_TOKENS
            if tokens > left and windows[-1]:
                windows.append([])
                left = limit_tokens
            windows[-1].append(piece)
            left -= tokens
    return windows


def _split_line(line: Line, *, limit_tokens: int, model: str) -> Iterator[Line]:
    if len(line.text) <= limit_tokens or (
        count_tokens(line.text, model=model) + LINE_OVERHEAD_TOKENS <= limit_tokens
    ):
        yield line
        return
    # A token has at least a character, most have four: a piece of this many characters always fits.
    size = min(CHARS_PER_PIECE, max(1, limit_tokens - LINE_OVERHEAD_TOKENS))
    rest = line.text
    while rest:
        end = len(rest) if len(rest) <= size else max(rest.rfind(" ", size // 2, size), 0) or size
        yield Line(number=line.number, speaker=line.speaker, text=rest[:end].strip())
        rest = rest[end:].lstrip()
