"""The text of a piece of HTML as its tags come: headings as "#" lines, lists, tables, paragraphs; see `HtmlText`."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from knowledge.extraction_html_tables import HtmlTable

_PARAGRAPHS = frozenset(
    {"p", "div", "section", "article", "header", "footer", "main", "nav", "aside", "blockquote", "figure"}
    | {"figcaption", "table", "ul", "ol", "dl", "form", "fieldset", "address", "details", "summary", "hr", "body"}
    | {"dialog"}
)  # fmt: skip
_LINES = frozenset({"br", "dt", "dd", "caption", "option"})
_TABLE_PARTS = frozenset({"table", "thead", "tbody", "tfoot", "tr", "td", "th"})
_HEADINGS = frozenset({"h1", "h2", "h3", "h4", "h5", "h6"})
_SPACE = re.compile(r"\s+")
_MAX_LIST_DEPTH = 8
_MAX_TABLE_DEPTH = 8  # rows of deeper ones are rows of the table around them


@dataclass(slots=True)
class _OpenTable:
    """A table and what of it is open: `cell` is td, th or "", `spans` its columns and rows as stated."""

    table: HtmlTable
    outer: list[str]
    cell: str = ""
    spans: tuple[str | None, str | None] = (None, None)


class HtmlText:
    """Takes tags and words in their order, balanced or not."""

    def __init__(self) -> None:
        self.first_heading = ""
        self._parts: list[str] = []  # of the open cell, else of what is around all tables
        self._in_preformatted = 0
        self._heading_from: int | None = None
        self._lists: list[int | None] = []  # next number of each open list, None for bullets
        self._tables: list[_OpenTable] = []

    @property
    def has_begun(self) -> bool:
        return bool(self._parts or self._tables)

    def text(self) -> str:
        while self._tables:
            self._end_table()
        lines = "".join(self._parts).split("\n")
        return re.sub(r"\n{3,}", "\n\n", "\n".join(line.rstrip() for line in lines))

    def append_text(self, other: "HtmlText") -> None:
        self._parts.append(f"\n\n{other.text()}\n\n")
        self.first_heading = self.first_heading or other.first_heading

    def start(self, tag: str, attributes: Mapping[str, str | None]) -> None:
        if tag in _HEADINGS and not (self._tables and self._tables[-1].cell == "th"):
            self._needs_lines()
            self._parts.append("\n\n" + "#" * int(tag[1]) + " ")
            self._heading_from = len(self._parts)
        elif tag == "pre":
            self._needs_lines()
            self._in_preformatted += 1
            self._parts.append("\n\n")
        elif tag == "li":
            self._start_item()
        elif tag in _TABLE_PARTS:
            self._start_table_part(tag, attributes)
        else:
            self._start_block(tag)

    def end(self, tag: str) -> None:
        if tag in _HEADINGS:
            self._end_heading()
        elif tag == "pre":
            self._in_preformatted = max(0, self._in_preformatted - 1)
            self._parts.append("\n\n")
        elif tag in ("ul", "ol"):
            if self._lists:
                self._lists.pop()
            self._parts.append("\n" if self._lists else "\n\n")
        elif tag in _TABLE_PARTS:
            self._end_table_part(tag)
        elif tag in _PARAGRAPHS:
            self._parts.append("\n\n")

    def part_before(self, tag: str) -> None:
        """End the paragraph if an element that begins with `tag` would."""
        if tag in _PARAGRAPHS:
            self._parts.append("\n\n")

    def add(self, data: str) -> None:
        if self._in_preformatted:
            self._parts.append(data)
            return
        text = _SPACE.sub(" ", data)
        if not self._parts or self._parts[-1].endswith(("\n", " ")):
            text = text.lstrip()
        if text:
            self._parts.append(text)

    def _needs_lines(self) -> None:
        if self._tables:
            self._tables[-1].table.has_blocks = True

    def _start_block(self, tag: str) -> None:
        if tag in ("ul", "ol"):
            self._lists.append(1 if tag == "ol" else None)
        if tag in _LINES or (tag in ("ul", "ol") and len(self._lists) > 1):
            self._parts.append("\n")
        elif tag in _PARAGRAPHS:
            self._parts.append("\n\n")

    def _start_item(self) -> None:
        number = self._lists[-1] if self._lists else None
        if number is not None:
            self._lists[-1] = number + 1
        indent = "  " * min(max(len(self._lists) - 1, 0), _MAX_LIST_DEPTH)
        self._parts.append(f"\n{indent}{'-' if number is None else f'{number}.'} ")

    def _end_heading(self) -> None:
        if self._heading_from is not None:
            words = "".join(self._parts[self._heading_from :]).split()
            self._parts[self._heading_from :] = [" ".join(words)]
            self.first_heading = self.first_heading or " ".join(words)
            self._heading_from = None
        self._parts.append("\n\n")

    def _start_table_part(self, tag: str, attributes: Mapping[str, str | None]) -> None:
        if tag == "table":
            self._start_table(is_layout=attributes.get("role") in ("presentation", "none"))
        elif not self._tables:
            self._parts.append("\n" if tag == "tr" else " ")
        elif tag in ("td", "th"):
            self._end_cell()
            self._switch_to([])
            self._tables[-1].cell = tag
            self._tables[-1].spans = attributes.get("colspan"), attributes.get("rowspan")
        else:
            self._end_table_part(tag)
            if not self._parts[-1].endswith("\n"):
                self._parts.append("\n")  # words between rows stand before the table
            if tag == "tr":
                self._tables[-1].table.start_row()
            else:
                self._tables[-1].table.is_in_head = tag == "thead"

    def _end_table_part(self, tag: str) -> None:
        if not self._tables:
            return
        self._end_cell()
        if tag == "table":
            self._end_table()
        elif tag not in ("td", "th"):
            self._tables[-1].table.end_row()
            self._tables[-1].table.is_in_head &= tag == "tr"

    def _start_table(self, *, is_layout: bool) -> None:
        self._parts.append("\n\n")
        if len(self._tables) < _MAX_TABLE_DEPTH:
            self._needs_lines()
            self._tables.append(_OpenTable(HtmlTable(is_layout=is_layout), outer=self._parts))

    def _end_cell(self) -> None:
        open_table = self._tables[-1]
        if open_table.cell:
            columns, rows = open_table.spans
            open_table.table.add_cell(
                text="".join(self._parts), is_header=open_table.cell == "th", columns=columns, rows=rows
            )
            open_table.cell = ""
            self._switch_to(open_table.outer)

    def _end_table(self) -> None:
        self._end_cell()
        open_table = self._tables.pop()
        self._parts.append(f"\n\n{open_table.table.text()}\n\n")

    def _switch_to(self, parts: list[str]) -> None:
        self._parts, self._heading_from = parts, None
