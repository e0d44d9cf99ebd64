"""Where a text may be cut well: headings, sentences, words, whole characters. Positions are characters."""

import re
import unicodedata
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass

_HEADING_CHARACTERS = 120
_TITLE_WORDS = 10
_TITLE_LEVEL = 9  # a title-like line stands below any heading that shows its rank

# Short lines only, settled without backtracking; what a word looks like is judged in Python.
_HEADING_LINE = re.compile(
    r"^(?=[^\n]{2,120}+$)(?:"
    r" {0,3}(?P<hashes>#{1,6})[ \t]+(?P<markdown>\S[^\n]*)"
    r"| ?(?P<signs>={2,6}|=(?: =){0,5}(?= ))[ \t]*(?P<wiki>[^=\s][^\n]*?)[ \t]*(?P=signs)[ \t]*"
    r"|(?P<number>\d{1,3}(?:\.\d{1,3}){0,4})\.?[ \t]+(?P<numbered>[^\W\d_][^\n]*)"
    r"|(?P<chapter>(?:Chapter|Part|Appendix|Section|Kapitel|Teil|Anhang|Abschnitt)[ \t][0-9A-Z]{1,5}\b[^\n]*)"
    r"|(?:(?<=\n\n)|(?<!\n)(?<!.))(?P<title>[^\W\d_a-z][^\n]{2,80}+)(?=\n\n)"
    r")$",
    re.MULTILINE,
)
_FENCE = re.compile(r"^ {0,3}(`{3,}|~{3,})", re.MULTILINE)
_TABLE_OF_CONTENTS_END = re.compile(r"(?:\.{3}|(?:\. ){2}|\s)\s*\d+\s*$")
_SENTENCE_PUNCTUATION = tuple(".,;:!?…。，、；：|-–—")

# One class first, so that the search skips all other characters at full speed; the rest is judged in Python.
_SENTENCE_END = re.compile(r"[.!?…。！？\n][.!?…。！？)\]\"'”’»」』）]*")
_WIDE_MARKS = frozenset("。！？")
_ABBREVIATION = re.compile(
    r"(?:\b(?:[^\W\d_]|Dr|Mr|Mrs|Ms|Prof|Sr|Jr|St|vs|etc|cf|al|Fig|Figs|Eq|No|Nos|pp|Vol|ed|eds|e\.g|i\.e"
    r"|approx|bzw|ca|Nr|Abb|Abs|Art|Bd|usw|vgl|z\.\s?B|d\.\s?h|u\.\s?a)|(?:^|\n)[ \t]*\d{1,3})\.$"
)
_SPACE = re.compile(r"\s+")
_JOINERS = frozenset("\u200d\ufe0e\ufe0f") | {chr(code) for code in range(0x1F3FB, 0x1F400)}


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading line text[start:end]; `path` is its own title under those of the headings above it."""

    start: int
    end: int
    level: int
    path: tuple[str, ...]
    is_marked: bool  # written as a heading, not only looking like one


@dataclass(frozen=True, slots=True)
class HeadingIndex:
    """The headings of one text in order."""

    headings: tuple[Heading, ...]
    starts: tuple[int, ...]

    def last_start_between(self, low: int, high: int) -> Heading | None:
        """The last heading that starts in [low, high]."""
        index = bisect_right(self.starts, high) - 1
        return self.headings[index] if index >= 0 and self.starts[index] >= low else None

    def path_at(self, *, text: str, position: int) -> tuple[str, ...]:
        """The headings in force at `position`, those that begin right there included."""
        index = bisect_left(self.starts, position)
        while index < len(self.starts) and not text[position : self.starts[index]].strip():
            position = self.headings[index].end
            index += 1
        return self.headings[index - 1].path if index else ()


def find_headings(*, text: str) -> HeadingIndex:
    """Find Markdown, wiki, numbered and title-like heading lines; lines within code fences are none."""
    has_fences = "```" in text or "~~~" in text
    fences = [match.start() for match in _FENCE.finditer(text)] if has_fences else []
    headings: list[Heading] = []
    stack: list[tuple[int, str]] = []
    for match in _HEADING_LINE.finditer(text):
        found = _level_and_title(text=text, match=match)
        if found is None or bisect_right(fences, match.start()) % 2:
            continue
        level, title = found
        while stack and stack[-1][0] >= level:
            stack.pop()
        stack.append((level, title[:_HEADING_CHARACTERS]))
        path = tuple(entry for _level, entry in stack)
        is_marked = match["markdown"] is not None or match["wiki"] is not None
        headings.append(Heading(match.start(), match.end(), level, path, is_marked))
    return HeadingIndex(tuple(headings), tuple(heading.start for heading in headings))


def _level_and_title(*, text: str, match: re.Match[str]) -> tuple[int, str] | None:
    if match["markdown"] is not None:
        return len(match["hashes"]), match["markdown"].rstrip(" \t#") or match["markdown"]
    if match["wiki"] is not None:
        return match["signs"].count("="), match["wiki"]
    line = match[0].strip()
    if line.endswith(_SENTENCE_PUNCTUATION) or _TABLE_OF_CONTENTS_END.search(line):
        return None
    stands_alone = _is_blank_before(text, match.start()) and _is_blank_after(text, match.end())
    if match["number"] is not None:
        depth = match["number"].count(".") + 1
        starts_upper = not match["numbered"][0].islower()
        return (depth, line) if starts_upper and (depth > 1 or stands_alone) else None
    if match["chapter"] is not None:
        return (1, line) if _is_blank_before(text, match.start()) else None
    # A colon within is how transcripts name who speaks.
    is_title = stands_alone and ": " not in line and _looks_like_title(line)
    return (_TITLE_LEVEL, line) if is_title else None


def _is_blank_before(text: str, position: int) -> bool:
    return position == 0 or text.endswith("\n\n", 0, position)


def _is_blank_after(text: str, position: int) -> bool:
    return text.startswith("\n\n", position)


def _looks_like_title(line: str) -> bool:
    """Few words, and all the longer ones with a capital."""
    words = line.split()
    longer = [word for word in words if len(word) > 3 and word[0].isalpha()]
    return len(words) <= _TITLE_WORDS and bool(longer) and all(word[0].isupper() for word in longer)


def sentence_ends(*, text: str, low: int, high: int) -> Iterator[int]:
    """Yield the positions in (low, high] right after a sentence or paragraph."""
    for match in _SENTENCE_END.finditer(text, low, high):
        start, end = match.span()
        if text[start] == "\n":
            end = start
            is_end = _is_blank_line(text, start)
        else:
            is_end = text[start] in _WIDE_MARKS or (
                text[end : end + 1].isspace() and not _is_false_end(text, start, end)
            )
        if is_end and low < end:
            yield end


def _is_blank_line(text: str, position: int) -> bool:
    """True when nothing but spaces stands between the line end at `position` and the next one."""
    line_end = text.find("\n", position + 1, position + 80)
    return line_end >= 0 and not text[position:line_end].strip()


def last_sentence_end(*, text: str, low: int, high: int) -> int | None:
    """The last of `sentence_ends` in (low, high], searched from the end in two steps."""
    for from_position in (max(low, high - 400), low):
        found = max(sentence_ends(text=text, low=from_position, high=high), default=None)
        if found is not None:
            return found
    return None


def _is_false_end(text: str, start: int, end: int) -> bool:
    following = text[end : end + 40].lstrip()[:1]
    if following.islower():
        return True
    return text[start] == "." and _ABBREVIATION.search(text, max(0, start - 8), start + 1) is not None


def skip_space(*, text: str, position: int) -> int:
    """The first position from `position` on that is not white space."""
    match = _SPACE.match(text, position)
    return match.end() if match else position


def last_paragraph_end(*, text: str, low: int, high: int) -> int | None:
    """The start of the last blank line in (low, high]."""
    found = text.rfind("\n\n", low, min(high + 2, len(text)))
    return found if found > low else None


def last_space(*, text: str, low: int, high: int, character: str) -> int | None:
    """The last position in (low, high] before `character`, a space or a line end."""
    found = text.rfind(character, low + 1, high + 1)
    return found if found > low else None


def whole_character_end(*, text: str, low: int, high: int) -> int:
    """The last position in (low, high] that parts no visible character; `high` when there is none."""
    for position in range(high, max(low, high - 32), -1):
        if position >= len(text) or not _joins(text[position - 1], text[position]):
            return position
    return high


def _joins(left: str, right: str) -> bool:
    """True when `right` continues the visible character that `left` is part of."""
    if right in _JOINERS or left == "\u200d" or unicodedata.category(right).startswith("M"):
        return True
    return "\U0001f1e6" <= left <= "\U0001f1ff" and "\U0001f1e6" <= right <= "\U0001f1ff"
