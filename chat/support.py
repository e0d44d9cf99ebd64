"""Where in a passage a statement of the answer stands: the sentences to highlight, and so the right page.

A statement is the text in front of a marker, back to the marker before it or to the beginning of the paragraph. Its
place is the run of sentences of the passage that shares most of its words, rare words counting more; it is at most
one sentence longer than the statement.
"""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from math import log

MAX_SENTENCES = 8
LEAST_SHARE = 0.3
MARKERS = re.compile(r"(?<![ \t])(?:[ \t]*\[\d{1,3}\])+")
# A single line end inside a sentence is a PDF's; one before a list item, a heading or a row ends something.
SENTENCE_END = re.compile(r"(?<=[.!?…])[\"'”’)\]]*\s+|\n\s*\n|\n(?=\s*(?:[-•*#|]|\d+[.)]\s))|(?<=[。！？])")
PARAGRAPH_END = re.compile(r"\n\s*\n")
WORD = re.compile(r"\w+")
STEM_CHARS = 5


@dataclass(frozen=True, slots=True)
class Place:
    """A span of the passage's text; `share` is the weighted share of the statement's words found there (0 to 1)."""

    start: int
    end: int
    share: float


def find_statements(*, answer: str, number: int) -> list[str]:
    """The statements that carry the marker `[number]`, in reading order."""
    statements, start = [], 0
    for run in MARKERS.finditer(answer):
        said = PARAGRAPH_END.split(answer[start : run.start()].rstrip())[-1].strip(" \n.,;:!?")
        if f"[{number}]" in run[0] and said:
            statements.append(said)
        start = run.end()
    return statements


def find_place(*, statement: str, content: str) -> Place | None:
    """The sentences of `content` that say what the statement says; None when nothing there resembles it."""
    place = find_nearest(statement=statement, content=content)
    return place if place and place.share >= LEAST_SHARE else None


def find_nearest(*, statement: str, content: str) -> Place | None:
    """The sentences of `content` that share most words with the statement; None without any words."""
    sentences = [(start, end, Counter(_stems(content[start:end]))) for start, end in _split(content)]
    wanted = set(_stems(statement))
    if not wanted or not sentences:
        return None
    in_sentences = Counter(stem for *_span, words in sentences for stem in words)
    weights = {stem: log(1 + len(sentences) / max(1, in_sentences[stem])) for stem in wanted}
    total = sum(weights.values())
    longest = min(MAX_SENTENCES, 1 + sum(1 for _ in _split(statement)))
    best: tuple[float, Place] | None = None
    for first in range(len(sentences)):
        found: set[str] = set()
        length = 0
        for last in range(first, min(first + longest, len(sentences))):
            words = sentences[last][2]
            found |= wanted & words.keys()
            length += sum(words.values())
            share = sum(weights[stem] for stem in found) / total
            # A longer span must earn its length: the shortest that says it wins.
            score = share - 0.004 * max(0, length - len(wanted))
            if best is None or score > best[0]:
                best = score, Place(start=sentences[first][0], end=sentences[last][1], share=share)
    return best[1] if best else None


def split_sentences(text: str) -> list[str]:
    return [text[start:end] for start, end in _split(text)]


def _split(text: str) -> Iterator[tuple[int, int]]:
    """Spans of the sentences of `text`, blanks between them left out."""
    start = 0
    for gap in SENTENCE_END.finditer(text):
        if text[start : gap.start()].strip():
            yield start, gap.start()
        start = gap.end()
    if text[start:].strip():
        yield start, len(text)


def _stems(text: str) -> list[str]:
    return [word[:STEM_CHARS] for word in WORD.findall(text.casefold()) if len(word) > 2 or word.isdigit()]
