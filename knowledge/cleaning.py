"""Deterministic clean-up of extracted pages: what layout left in the text goes, words stay; `clean_pages`.

It mends ligatures, invisible characters, spaces, words broken over two lines, and running heads and feet.
The page numbers stay what they were. Nothing here calls a model.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence

from knowledge.extraction import ExtractedPage

# Heads and feet: the outermost lines of a page, when about the same line stands on most of the pages.
EDGE_LINES = 2
MIN_PAGES = 4
SHARE_OF_PAGES = 0.6
LONGEST_HEAD = 120

_LIGATURES = str.maketrans({"ﬀ": "ff", "ﬁ": "fi", "ﬂ": "fl", "ﬃ": "ffi", "ﬄ": "ffl", "ﬅ": "st", "ﬆ": "st"})
_LINE_BREAKS = re.compile(r"\r\n?|[\x0b\x0c\x85\u2028\u2029]")
_SPACES = re.compile(r"[\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000]")
# Soft hyphens, zero-width and direction characters, control characters, halves of surrogate pairs.
_INVISIBLE = re.compile(
    r"[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff\x00-\x08\x0e-\x1f\x7f\ud800-\udfff]"
)
# The lookbehinds let a search begin once in each run of blanks or letters; tried at each of its characters, a long run
# would take time by the square of its length.
_TRAILING_BLANKS = re.compile(r"(?<![ \t])[ \t]+$", re.MULTILINE)
_BROKEN_WORD = re.compile(r"(?<![^\W\d_])([^\W\d_]{2,})[-‐][ \t]*\n[ \t]*([^\W\d_]+)")
_NUMBERS = re.compile(r"\d+|\b[ivxlc]+\b", re.IGNORECASE)


def clean_pages(*, pages: Sequence[ExtractedPage], kind: str) -> tuple[ExtractedPage, ...]:
    """The same pages with clean text. Lines are only joined, and heads only removed, where the file has a layout."""
    texts = [clean_characters(text=page.text) for page in pages]
    if kind == "pdf":
        texts = remove_running_lines(texts=texts)
        known = _words_of(texts)
        texts = [join_broken_words(text=text, known_words=known) for text in texts]
    if kind in ("pdf", "docx"):
        texts = [re.sub(r"(?<=\S)[ \t]{2,}(?=\S)", " ", text) for text in texts]
    return tuple(
        ExtractedPage(number=page.number, text=text) for page, text in zip(pages, texts, strict=True)
    )


def clean_characters(*, text: str) -> str:
    """Composed characters, one kind of line break and space, no invisible characters, at most one blank line."""
    text = _LINE_BREAKS.sub("\n", text)
    if text.isascii():  # plain English holds nothing else; each of the others looks at every character
        text = _INVISIBLE.sub("", text)
    else:
        text = _INVISIBLE.sub("", _SPACES.sub(" ", text.translate(_LIGATURES)))
        text = unicodedata.normalize("NFC", text)
    text = _TRAILING_BLANKS.sub("", text)
    return re.sub(r"\n{3,}", "\n\n", text).strip("\n")


def remove_running_lines(*, texts: Sequence[str]) -> list[str]:
    """Texts without the lines that head or foot most pages, page numbers included. Numbers count as equal."""
    pages = [text.split("\n") for text in texts]
    filled = [lines for lines in pages if any(line.strip() for line in lines)]
    if len(filled) < MIN_PAGES:
        return list(texts)
    edges = Counter[str]()
    for lines in filled:
        present = [line for line in lines if line.strip()]
        # A file may draw a head after the text, so both ends count together.
        edges.update({_shape(line) for line in (*present[:EDGE_LINES], *present[-EDGE_LINES:])})
    needed = max(MIN_PAGES - 1, SHARE_OF_PAGES * len(filled))
    running = {shape for shape, count in edges.items() if shape and count >= needed}
    return [_without_edges(lines, running) for lines in pages]


def join_broken_words(*, text: str, known_words: frozenset[str]) -> str:
    """Join words that a hyphen breaks at a line's end.

    The hyphen stays where the document writes the word with it elsewhere, and before a capital letter or
    digit.
    """

    def join(match: re.Match[str]) -> str:
        first, second = match.groups()
        if not second[0].islower():
            return match[0]
        whole, compound = (first + second).lower(), f"{first}-{second}".lower()
        keeps_hyphen = compound in known_words and whole not in known_words
        return f"{first}-{second}" if keeps_hyphen else first + second

    return _BROKEN_WORD.sub(join, text)


def _words_of(texts: Sequence[str]) -> frozenset[str]:
    return frozenset(word.lower() for text in texts for word in re.findall(r"[^\W\d_]+(?:-[^\W\d_]+)*", text))


def _shape(line: str) -> str:
    """A line as compared over pages: no digits, no spaces at its ends; "" for one too long to be a head."""
    shape = _NUMBERS.sub("#", " ".join(line.split())).lower()
    return shape if len(shape) <= LONGEST_HEAD else ""


def _without_edges(lines: list[str], running: set[str]) -> str:
    present = [index for index, line in enumerate(lines) if line.strip()]
    edges = {*present[:EDGE_LINES], *present[-EDGE_LINES:]}
    dropped = {index for index in edges if _shape(lines[index]) in running}
    return "\n".join(line for index, line in enumerate(lines) if index not in dropped).strip("\n")
