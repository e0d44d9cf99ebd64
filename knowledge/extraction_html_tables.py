"""The tables of a web page as Markdown writes them: one line a row, a line of dashes under the head.

`knowledge.extraction_html` hands over rows and cells as their tags come.
"""

from dataclasses import dataclass, field

# What a page may ask for is bounded, since what is spanned is written again at each of its places.
MOST_COLUMNS_SPANNED = 50
MOST_ROWS_SPANNED = 1000
MOST_REPEATED = 50_000  # places in one table; beyond, each cell stands once
LONGEST_SPANNED = 100  # characters; a longer text stands at its first place only
LONGEST_CELL = 1000  # characters; a table with a longer one lays a page out


@dataclass(slots=True)
class _Row:
    """`cells` by column, what is spanned included; `own` as they stand in the file."""

    is_head: bool = True
    cells: list[str] = field(default_factory=list)
    own: list[str] = field(default_factory=list)

    def line(self) -> str:
        # What fills the whole row is a heading in the table.
        cells = self.own if len(self.own) == 1 else self.cells
        return f"| {' | '.join(' '.join(cell.split()) for cell in cells)} |"


@dataclass(slots=True)
class _Spanned:
    """A cell that goes on in the rows below."""

    text: str
    rows_left: int


@dataclass(slots=True)
class HtmlTable:
    """One open table; `has_blocks` says that a cell holds what needs lines of its own: a heading, code, a table."""

    is_layout: bool = False
    has_blocks: bool = False
    is_in_head: bool = False
    _rows: list[_Row] = field(default_factory=list)
    _spanned: dict[int, _Spanned] = field(default_factory=dict)
    _is_row_open: bool = False
    _repeated: int = 0

    def start_row(self) -> None:
        self.end_row()
        if self._repeated > MOST_REPEATED:
            self._spanned.clear()
        self._rows.append(_Row())
        self._is_row_open = True

    def add_cell(self, *, text: str, is_header: bool, columns: str | None, rows: str | None) -> None:
        """`columns` and `rows` are the spans that the file states."""
        if not self._is_row_open:
            self.start_row()
        row = self._rows[-1]
        row.is_head = row.is_head and (is_header or self.is_in_head)
        row.own.append(text)
        self._fill_spanned(row)
        again = " ".join(text.split()) if len(text) <= LONGEST_SPANNED else ""
        may_span = self._repeated <= MOST_REPEATED
        rows_below = _span(rows, most=MOST_ROWS_SPANNED) - 1
        width = _span(columns, most=MOST_COLUMNS_SPANNED) if may_span else 1
        self._repeated += width - 1
        for offset in range(width):
            if rows_below and may_span:
                self._spanned[len(row.cells)] = _Spanned(again, rows_below)
            row.cells.append(again if offset else text)

    def end_row(self) -> None:
        if self._is_row_open:
            self._fill_spanned(self._rows[-1])
            for column in [column for column in self._spanned if column >= len(self._rows[-1].cells)]:
                self._take_spanned(column)  # the row was too short to reach it
        self._is_row_open = False

    def text(self) -> str:
        """The whole table; what only lays a page out comes cell by cell, as it stood there."""
        self.end_row()
        rows = [row for row in self._rows if any(cell.strip() for cell in row.own)]
        own = [cell for row in rows for cell in row.own]
        is_frame = all(len(row.own) <= 1 for row in rows)
        if self.is_layout or self.has_blocks or is_frame or any(len(cell) > LONGEST_CELL for cell in own):
            return "\n\n".join(cell.strip("\n") for cell in own if cell.strip())
        start = next(at for at, row in enumerate(rows) if len(row.own) > 1)
        body = next((at for at, row in enumerate(rows) if at >= start and not row.is_head), start)
        lines = [row.line() for row in rows[start:]]
        if body > start:
            lines.insert(body - start, f"|{' --- |' * len(rows[body - 1].cells)}")
        titles = [" ".join(row.own[0].split()) for row in rows[:start]]
        return "\n\n".join([*titles, "\n".join(lines)])

    def _fill_spanned(self, row: _Row) -> None:
        """Write what goes on from rows above where the next cell would stand."""
        while (column := len(row.cells)) in self._spanned:
            row.cells.append(self._take_spanned(column))

    def _take_spanned(self, column: int) -> str:
        above = self._spanned[column]
        above.rows_left -= 1
        self._repeated += 1
        if not above.rows_left:
            del self._spanned[column]
        return above.text


def _span(stated: str | None, *, most: int) -> int:
    """A stated span as a number; 1 for what is none."""
    if stated is None:
        return 1
    stated = stated.strip()
    is_number = stated.isascii() and stated.isdecimal() and len(stated) < 6
    return min(max(int(stated), 1), most) if is_number else 1
