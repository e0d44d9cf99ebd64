"""From a passage's raw text, PDF line breaks and all, to clean units that can be quoted."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Literal

from cloneai.local_ai.tables import Table, find_loose_tables, is_pipe_row, starts_anew, write_pipe_rows

Kind = Literal["prose", "item", "row", "heading"]

_ABBREVIATION_TEXT = """
dr mr mrs ms prof st sr jr vs e.g i.e eg ie cf fig figs no nos vol vols pp p eq eqs sec ch chap ed eds
approx dept est inc ltd co corp univ assoc al ca bzw z.b d.h u.a nr usw vgl
"""
_ABBREVIATIONS = frozenset(_ABBREVIATION_TEXT.split())
# These do end sentences, when a capital follows.
_CLOSING_ABBREVIATIONS = frozenset(
    ["al", "inc", "ltd", "co", "corp", "ed", "no", "st", "jr", "sr", "p", "usw"]
)
_BOUNDARY = re.compile(r"(?:[.!?…]+[\"'”’»)\]¹²³⁴-⁹]*)(?=\s)|[。！？]+")
_LIST_MARKER = re.compile(r"^\s*(?:[-*•‣◦▪·»›✓☐□–—]|\(?\d{1,2}[.)]|\(?[a-z]\))\s+(?=\S)")
_MARKDOWN_HEADING = re.compile(r"^\s{0,3}#{1,6}\s+")
_CONTENTS_LINE = re.compile(r"(?:\.\s?){4,}\s*\d*\s*$")
_CONTENTS_TITLE = re.compile(r"^[\s#*]*(?:table of )?contents[\s*]*$", re.IGNORECASE)
_CONTENTS_ENTRY = re.compile(r"\S.*\s\d{1,4}\s*$")
_PAGE_LINE = re.compile(r"^\s*(?:(?:page|seite)\s*)?\d{1,4}(?:\s*(?:/|of|von)\s*\d{1,4})?\s*$", re.IGNORECASE)
_WIKI_HEADING = re.compile(r"^\s*(?:=\s?){1,6}\s*(?P<title>[^=\s][^=]*?)\s*(?:=\s?){1,6}$")
_UNDERLINE = re.compile(r"^\s*(?:-{3,}|={3,})\s*$")
_TABLE_RULE = re.compile(r"^\s*\|?[\s:|-]*-{3,}[\s:|-]*$")
_MAX_HEADING_WORDS = 12


@dataclass(frozen=True)
class Unit:
    """A heading, a sentence of prose or of an item, or a row of a table.

    `block` counts paragraphs, items and rows within the text.
    """

    text: str
    kind: Kind
    block: int


def split_units(*, text: str) -> list[Unit]:
    """Split raw text into units in reading order; contents pages, page numbers and rules are left out."""
    units: list[Unit] = []
    # Soft hyphens, in the three forms that PDF readers give them, join what they stand between.
    text = re.sub(r"[\u00ad\ufffe\x02][ \t]*\n?", "", text)
    for block, (kind, joined) in enumerate(_join_lines(text)):
        clean = clean_inline(joined)
        if not clean:
            continue
        if kind == "heading":
            units.append(Unit(text=clean.rstrip(":"), kind="heading", block=block))
            continue
        if kind == "row":
            units.append(Unit(text=clean, kind="row", block=block))
            continue
        units.extend(Unit(text=sentence, kind=kind, block=block) for sentence in split_sentences(text=clean))
    if all(
        unit.kind == "heading" for unit in units
    ):  # a note of a line or two: it heads nothing, and is all there is
        return [replace(unit, kind="prose") for unit in units]
    return units


def split_sentences(*, text: str) -> list[str]:
    """Split one paragraph at its sentence ends; knows abbreviations, initials, decimals and numbering."""
    sentences: list[str] = []
    start = 0
    for match in _BOUNDARY.finditer(text):
        if _ends_sentence(text, start=start, match=match):
            sentences.append(text[start : match.end()].strip())
            start = match.end()
    sentences.append(text[start:].strip())
    return [sentence for sentence in sentences if sentence]


def clean_inline(text: str) -> str:
    """Put a paragraph on one line: mend hyphenation, drop soft hyphens, Markdown links and emphasis."""
    text = text.replace("\u200b", "")
    text = re.sub(r"!\[[^\]]*\]\([^)]*\)", " ", text)
    text = re.sub(r"\[([^\]]+)\]\([^)\s]+\)", r"\1", text)
    text = re.sub(r"(\*\*|__)(?=\S)(.+?)(?<=\S)\1", r"\2", text)
    return re.sub(r"\s+", " ", text).strip()


def join_hyphenated(*, before: str, after: str, known: str) -> str:
    """Join two lines of which the first ends in a hyphen; `known` is text that may show how the word is written."""
    head = re.search(r"[^\W\d_]+$", before[:-1])
    tail = re.match(r"[^\W\d_]+", after)
    if head is None or tail is None or not tail.group()[0].islower():
        return before + after
    hyphenated = f"{head.group()}-{tail.group()}".lower()
    joined = f"{head.group()}{tail.group()}".lower()
    if hyphenated in known and joined not in known:
        return before + after
    return before[:-1] + after


def _ends_sentence(text: str, *, start: int, match: re.Match[str]) -> bool:
    if match.group()[0] in "。！？":
        return True
    following = text[match.end() :].lstrip()
    if not following:
        return True
    if following[0].islower():
        return False
    if not match.group().startswith(".") or match.group().startswith(".."):
        return True
    before = text[start : match.start()]
    last = re.search(r"[^\s(\[\"“]+$", before)
    word = last.group().lower() if last else ""
    if re.fullmatch(r"\d{1,2}", word) and before.strip() == word:
        return False  # "1. Do this": numbering, not an end
    if re.fullmatch(r"[a-z]", word) and last is not None and last.group().isupper():
        return word == "i"  # "J. Smith" is an initial, "than I." an end
    if word not in _ABBREVIATIONS:
        return True
    return word in _CLOSING_ABBREVIATIONS and not following[0].isdigit() and word not in ("p", "st")


def _join_lines(text: str) -> list[tuple[Kind, str]]:
    """Join the lines of each paragraph, item and heading; returns them in order."""
    lines = _without_contents(text.replace("\r\n", "\n").replace("\r", "\n").split("\n"))
    widest = max((len(line) for line in lines), default=0)
    known = text.lower()
    joined: list[tuple[Kind, str]] = []
    open_kind: Kind | None = None
    tables = _find_tables(lines)
    after_table = 0
    for index, line in enumerate(lines):
        if index in tables:
            after_table = tables[index].end
            joined += [("heading", tables[index].title)] if tables[index].title else []
            joined.extend(("row", row) for row in tables[index].rows)
            open_kind = None
        if index < after_table:
            continue
        if line.strip() and _PAGE_LINE.match(line):
            continue  # a sentence may go on over a page's end
        if not line.strip() or _CONTENTS_LINE.search(line) or _TABLE_RULE.match(line):
            open_kind = None
            continue
        kind, content = _classify(lines, index=index, widest=widest)
        continues = (
            kind == "prose"
            and open_kind in ("prose", "item")
            and not starts_anew(lines=lines, index=index, widest=widest, in_list=open_kind == "item")
        )
        if continues and open_kind is not None:
            joined[-1] = (open_kind, _append(joined[-1][1], content, known=known))
            continue
        joined.append((kind, content))
        open_kind = None if kind == "heading" else kind
    return joined


def _without_contents(lines: list[str]) -> list[str]:
    """Blank out a table of contents: its title, and the lines below it that end in a page number."""
    kept: list[str] = []
    inside = False
    for line in lines:
        title = _CONTENTS_TITLE.match(line) is not None
        inside = title or (inside and (not line.strip() or _CONTENTS_ENTRY.search(line) is not None))
        kept.append("" if inside else line.rstrip())
    return kept


def _find_tables(lines: list[str]) -> dict[int, Table]:
    """Find the tables: first line -> table."""
    tables = find_loose_tables(lines=lines)
    start = 0
    while start < len(lines):
        end = start
        while end < len(lines) and is_pipe_row(lines[end]):
            end += 1
        if end > start:
            tables[start] = Table(end=end, title="", rows=tuple(write_pipe_rows(lines=lines[start:end])))
        start = max(end, start + 1)
    return tables


def _append(before: str, after: str, *, known: str) -> str:
    if re.search(r"[^\W\d_]-$", before):
        return join_hyphenated(before=before, after=after, known=known)
    return f"{before} {after}"


def _classify(lines: list[str], *, index: int, widest: int) -> tuple[Kind, str]:
    line = lines[index]
    if _MARKDOWN_HEADING.match(line):
        return "heading", _MARKDOWN_HEADING.sub("", line).rstrip("# ")
    if index + 1 < len(lines) and _UNDERLINE.match(lines[index + 1]) and len(line.split()) <= 20:
        return "heading", line.strip()
    if wiki := _WIKI_HEADING.match(line):
        return "heading", wiki["title"]
    if _is_heading(lines, index=index, widest=widest):
        return "heading", _LIST_MARKER.sub("", line).strip()
    if _LIST_MARKER.match(line):
        return "item", _LIST_MARKER.sub("", line).strip()
    return "prose", line.strip()


def _is_heading(lines: list[str], *, index: int, widest: int) -> bool:
    """Tell a heading by its look: short, capital first, no end mark, alone or before a new start."""
    line = lines[index].strip()
    words = line.split()
    bare = re.sub(r"^(?:\d+(?:\.\d+)*\.?|[IVX]+\.)\s+", "", line)
    if (
        not bare
        or len(words) > _MAX_HEADING_WORDS
        or not bare[0].isupper()
        or re.search(r"[.!?;:,…\-][\"'”’»)\]]*$", line)
        or len(split_sentences(text=bare)) > 1
    ):
        return False
    if re.match(r"^\s*[-*•‣◦▪·–—(]", line):
        return False
    before = lines[index - 1].strip() if index else ""
    after = lines[index + 1].strip() if index + 1 < len(lines) else ""
    if before and not re.search(r"[.!?:…\"”)]$", before):
        return False  # the end of a wrapped sentence, or an item of an unmarked list
    if re.match(r"^\d{1,2}[.)]\s", line) and (_LIST_MARKER.match(before) or _LIST_MARKER.match(after)):
        return False  # an item of a numbered list
    if not after:
        return not before or len(words) <= 8
    starts = after[0].isupper() or after[0] in "\"“'‘" or _LIST_MARKER.match(after) is not None
    return starts and len(line) < 0.75 * max(widest, 40)
