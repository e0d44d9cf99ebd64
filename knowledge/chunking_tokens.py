"""Token counts and positions by tiktoken, with one encoding of the whole text; enter at `TokenMap`.

Positions are characters of the text, counts are tokens.
"""

import re
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import tiktoken

_SEGMENT_CHARACTERS = 500_000
# Positions that no piece of tiktoken's splitting patterns spans, and where what stands before cannot change
# how the rest is split (the patterns look ahead at white space only, and never back): before a space that
# follows a visible character, and before these marks or a line end when a letter or digit comes before them.
_SYNC_POINT = re.compile(r"(?<=\S)(?= )|(?<=[^\W_])(?=[,.;:!?\n，。、！？；：])")
_FIRST_LOOK_BACK = 64


@lru_cache(maxsize=8)
def _encoding(name: str) -> tiktoken.Encoding:
    return tiktoken.get_encoding(name)


@lru_cache(maxsize=8)
def _token_lengths_bytes(name: str) -> npt.NDArray[np.int32]:
    """Length in bytes of each token of the vocabulary, by its number."""
    encoding = _encoding(name)
    ranks = {encoding.encode_single_token(token): len(token) for token in encoding.token_byte_values()}
    lengths = np.zeros(max(ranks) + 1, dtype=np.int32)
    lengths[list(ranks)] = list(ranks.values())
    return lengths


def _encode(text: str, *, encoding_name: str) -> npt.NDArray[np.uint32]:
    return _encoding(encoding_name).encode_to_numpy(text, disallowed_special=())


def count_tokens(*, text: str, encoding_name: str) -> int:
    """Return the number of tokens of `text`; the names of special tokens in it count as ordinary text.

    Raises ValueError for an encoding that tiktoken does not know.
    """
    return len(_encode(text, encoding_name=encoding_name)) if text else 0


class TokenMap:
    """Where each token of a text ends, so that any slice can be measured without encoding all of it again."""

    def __init__(self, *, text: str, encoding_name: str) -> None:
        self.text = text
        self._encoding_name = encoding_name
        self._encode_ordinary = _encoding(
            encoding_name
        ).encode_ordinary  # on a few words, a list is the fastest
        parts = [self._segment_ends(start, end) for start, end in self._segments()]
        self._ends = np.concatenate(parts) if parts else np.empty(0, dtype=np.int32)

    def _segments(self) -> list[tuple[int, int]]:
        """Split the text at sync points, to keep the arrays of one encoding small."""
        segments, start = [], 0
        while start < len(self.text):
            found = _SYNC_POINT.search(self.text, start + _SEGMENT_CHARACTERS)
            end = found.start() if found else len(self.text)
            segments.append((start, end))
            start = end
        return segments

    def _segment_ends(self, start: int, end: int) -> npt.NDArray[np.int32]:
        """Character position at which each token of text[start:end] ends, rounded down inside a character."""
        segment = self.text[start:end]
        lengths = _token_lengths_bytes(self._encoding_name)
        byte_ends = np.cumsum(lengths[_encode(segment, encoding_name=self._encoding_name)], dtype=np.int32)
        if segment.isascii():
            return byte_ends + np.int32(start)
        is_first_byte = (np.frombuffer(segment.encode(), dtype=np.uint8) & 0xC0) != 0x80
        characters_begun = np.concatenate(([0], np.cumsum(is_first_byte, dtype=np.int32)))
        inside = ~np.append(is_first_byte, True)[byte_ends]
        ends: npt.NDArray[np.int32] = characters_begun[byte_ends] - inside + np.int32(start)
        return ends

    def tokens_before(self, position: int) -> int:
        """Number of tokens of the whole text that end at or before `position`."""
        # Of the array's own type, or the whole array would be converted for each search.
        return int(self._ends.searchsorted(np.int32(position), side="right"))

    def position_after(self, *, start: int, tokens: int) -> int:
        """Position about `tokens` tokens after `start`; exact to a token or two, `count` is exact."""
        index = min(self.tokens_before(start) + tokens, len(self._ends)) - 1
        return max(start, int(self._ends[index])) if index >= 0 else start

    def position_before(self, *, end: int, tokens: int) -> int:
        """Position about `tokens` tokens before `end`; exact to a token or two."""
        index = self.tokens_before(end) - tokens - 1
        return int(self._ends[index]) if index >= 0 else 0

    def count(self, start: int, end: int) -> int:
        """Exact number of tokens of text[start:end] when it is encoded by itself.

        Only the edges up to the nearest sync points are encoded; a slice without any is encoded as a whole.
        """
        found = _SYNC_POINT.search(self.text, start, end)
        if found is None:
            return count_tokens(text=self.text[start:end], encoding_name=self._encoding_name)
        first = found.start()
        last = self._last_sync_point(start=first, end=end)
        head_tokens = len(self._encode_ordinary(self.text[start:first]))
        tail_tokens = len(self._encode_ordinary(self.text[last:end]))
        return head_tokens + self.tokens_before(last) - self.tokens_before(first) + tail_tokens

    def _last_sync_point(self, *, start: int, end: int) -> int:
        """The last sync point in [start, end); `start` is one."""
        look_back = _FIRST_LOOK_BACK
        position = start
        while position == start and end - look_back > start:
            for match in _SYNC_POINT.finditer(self.text, end - look_back, end):
                position = match.start()
            look_back *= 4
        if position == start:
            for match in _SYNC_POINT.finditer(self.text, start, end):
                position = match.start()
        return position
