"""Tables in plain text, row by row: pipe tables, and those of which a PDF leaves nothing but short lines.

A row reads "Tuesday: first two listening talks – ask your manager". Rows that cannot be told apart are left
out, since a table glued together says what nobody wrote.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

MIN_LINES = 4
# Narrower text has no room for columns, wider lines are whole paragraphs.
MIN_WIDTH, MAX_WIDTH = 50, 150
# A line is full from this share of the widest on.
FULL_LINE = 0.93
MAX_COLUMNS = 4
MIN_ROWS = 3
MIN_RANGES = 2
MAX_HEAD_LINES = 2
MAX_LABEL_WORDS = 4
MAX_HEAD_WORDS = 6

_LABEL_WITH_NUMBERS = re.compile(r"^(?:[A-Z][\w-]*\s+(?:[a-z]+\s+)?)?\d+(?:\s*(?:to|-|–)\s*\d+)?(?=\s|$)")
_RANGE = re.compile(r"^\d+\s*(?:to|-|–)\s*\d+\s+[^\W\d]")
_DASHES = re.compile(r":-+:?|-+:|-{2,}")
_MARKED = re.compile(r"^\s*(?:[-*•‣◦▪·»›–—#>|✓☐□]|\(?\d{1,2}[.)]|\(?[a-z]\))\s")
_ENDED = re.compile(r"[.!?…][\"'”’»)\]]*$")
# "Come along and see how I do it. You": two cells on one line
_GLUED = re.compile(r"[.!?][\"'”’»)]* [^\W\d_]+(?: [^\W\d_]+)?$")


@dataclass(frozen=True)
class Table:
    """A table in lines of text: the line after its last, what is written above its head, its rows."""

    end: int
    title: str
    rows: tuple[str, ...]


def is_pipe_row(line: str) -> bool:
    """Tell whether a line is a row of a pipe table."""
    return line.count("|") >= 2 and line.strip().startswith("|")


def write_pipe_rows(*, lines: Sequence[str]) -> list[str]:
    """Write each row of a pipe table as one text; the head names the further columns.

    The head is the row above the line of dashes, or else a first row of short cells.
    """
    rows = [
        [cell.strip() for cell in line.strip().removeprefix("|").removesuffix("|").split("|")]
        for line in lines
    ]
    mark = next((at for at, row in enumerate(rows) if all(_DASHES.fullmatch(cell) for cell in row)), 0)
    head = rows[mark - 1] if mark else []
    rows = [row for row in rows[mark:] if not all(re.fullmatch(r"[\s:-]*", cell) for cell in row)]
    if rows and not mark and all(cell and len(cell.split()) <= MAX_HEAD_WORDS for cell in rows[0]):
        head, *rows = rows
    return [text for row in rows if (text := _write_row(row, head))]


def _write_row(row: Sequence[str], head: Sequence[str]) -> str:
    """Label, colon, cells; nothing when the row is empty but for its label (a form to fill in)."""
    label, cells = row[0], row[1:]
    filled = [(index, cell) for index, cell in enumerate(cells, start=1) if cell]
    if not filled:
        return ""
    if len(cells) >= 2 and len(head) == len(row):
        parts = [f"{head[index]}: {cell}" if head[index] else cell for index, cell in filled]
        return f"{label} – {'; '.join(part.rstrip('.') for part in parts)}" if label else "; ".join(parts)
    return f"{label}{'' if label.endswith(('?', '!', '.', ':')) else ':'} {' – '.join(c for _, c in filled)}"


def find_loose_tables(*, lines: Sequence[str]) -> dict[int, Table]:
    """Find runs of short lines that are no paragraphs: first line -> table."""
    widest = max((len(line) for line in lines), default=0)
    if not MIN_WIDTH <= widest <= MAX_WIDTH:
        return {}
    tables: dict[int, Table] = {}
    index = 0
    while index < len(lines):
        ranges = _count_ranges(lines, start=index)
        if ranges >= MIN_RANGES:
            rows = tuple(_label([line.strip()]) for line in lines[index : index + ranges])
            tables[index] = Table(end=index + ranges, title="", rows=rows)
            index += ranges
            continue
        if index and lines[index - 1].strip() and not _stops_short(lines, index - 1, widest=widest):
            index += 1  # the last line of a paragraph
            continue
        end = _run_end(lines, start=index, widest=widest)
        if end - index >= MIN_LINES:
            tables[index] = _read_table(lines, start=index, end=end)
            end = tables[index].end
        index = max(end, index + 1)
    return tables


def _read_table(lines: Sequence[str], *, start: int, end: int) -> Table:
    """Read a run of short lines. What closes it may be the heading of the text that follows."""
    last = lines[end - 1].strip()
    may_be_heading = end < len(lines) and last[:1].isupper() and not _ENDED.search(last)
    for read in (_split_columns, _split_numbered):
        for cut in (end, end - 1) if read is _split_columns else (end - 1, end):
            if cut < end and not may_be_heading:
                continue
            cells = _join_cells(lines[start:cut])
            skipped, rows = read(cells)
            if rows:
                return Table(end=cut, title=cells[0] if skipped > 1 else "", rows=rows)
    return Table(end=end - 1 if may_be_heading else end, title="", rows=())


def _count_ranges(lines: Sequence[str], *, start: int) -> int:
    """Count the lines from `start` on that each begin with a range of numbers, as a timetable's do."""
    index = start
    while index < len(lines) and _RANGE.match(lines[index].strip()):
        index += 1
    return index - start


def _stops_short(lines: Sequence[str], index: int, *, widest: int) -> bool:
    """Tell whether a line stops though the next line's first word would still have fitted."""
    following = lines[index + 1].split() if index + 1 < len(lines) else []
    return not following or len(lines[index]) + 1 + len(following[0]) <= FULL_LINE * widest


def starts_anew(*, lines: Sequence[str], index: int, widest: int, in_list: bool) -> bool:
    """Tell whether a line begins a paragraph though no blank line says so: the one before ended early."""
    before = lines[index - 1].rstrip() if index else ""
    return (
        MIN_WIDTH <= widest <= MAX_WIDTH
        and (_ENDED.search(before) is not None or (in_list and lines[index].strip()[:1].isupper()))
        and _stops_short(lines, index - 1, widest=widest)
    )


def _run_end(lines: Sequence[str], *, start: int, widest: int) -> int:
    """Return where the run of lines ends that stop though the next word would still have fitted."""
    index = start
    while index < len(lines) and lines[index].strip() and not _MARKED.match(lines[index]):
        if not _stops_short(lines, index, widest=widest):
            break
        index += 1
    return index


def _join_cells(lines: Sequence[str]) -> list[str]:
    """Join the lines of a cell: the next one goes on in lower case, or an open quotation is not closed."""
    cells: list[str] = []
    for line in (line.strip() for line in lines):
        open_quote = bool(cells) and (
            cells[-1].count('"') % 2 == 1 or cells[-1].count("“") > cells[-1].count("”")
        )
        if cells and (line[0].islower() or open_quote):
            cells[-1] += line if re.search(r"[^\W\d_]-$", cells[-1]) and not open_quote else f" {line}"
        else:
            cells.append(line)
    return cells


def _split_columns(cells: list[str]) -> tuple[int, tuple[str, ...]]:
    """Split where every second, third or fourth cell is a short label.

    Returns how many cells stand above the first row, too; no rows when they cannot be told apart.
    """
    for merged in (_merge_sentences(cells), cells):
        for columns in range(2, MAX_COLUMNS + 1):
            for head in range(MAX_HEAD_LINES, -1, -1):
                body = merged[head:]
                rows = [body[at : at + columns] for at in range(0, len(body), columns)]
                if len(rows) >= MIN_ROWS and len(body) % columns == 0 and _are_labels(rows):
                    names = merged[head - 1].split() if head else []
                    return head, tuple(_write_cells(row, names) for row in rows)
    return 0, ()


def _split_numbered(cells: list[str]) -> tuple[int, tuple[str, ...]]:
    """Split before the cells that begin with a number or a range, as `_split_columns` does."""
    if any(_GLUED.search(cell) for cell in cells):
        return 0, ()
    starts = [index for index, cell in enumerate(cells) if _LABEL_WITH_NUMBERS.match(cell)]
    if len(starts) < MIN_ROWS or starts[0] > MAX_HEAD_LINES or not _is_even(starts, len(cells)):
        return 0, ()
    bounds = pairwise([*starts, len(cells)])
    return starts[0], tuple(_label(cells[first:after]) for first, after in bounds)


def _write_cells(row: Sequence[str], names: Sequence[str]) -> str:
    """Write a row; the head names its columns only when it has one word for each, since it is one line."""
    if len(row) > 2 and len(names) == len(row):
        return _write_row(row, names)
    return f"{row[0]}: {' – '.join(cell.rstrip('.') for cell in row[1:])}"


def _is_even(starts: Sequence[int], total: int) -> bool:
    lengths = [after - first for first, after in zip(starts, [*starts[1:], total], strict=True)]
    return max(lengths) <= MAX_COLUMNS


def _label(cells: Sequence[str]) -> str:
    match = _LABEL_WITH_NUMBERS.match(cells[0])
    label = match[0].strip() if match else ""
    rest = [part for part in (cells[0][len(label) :].strip(), *cells[1:]) if part]
    return f"{label}: {' – '.join(rest)}" if rest else label


def _are_labels(rows: Sequence[Sequence[str]]) -> bool:
    labels = [row[0] for row in rows]
    others = [cell for row in rows for cell in row[1:]]
    return (
        all(len(label.split()) <= MAX_LABEL_WORDS and not _ENDED.search(label) for label in labels)
        and len(set(labels)) == len(labels)
        and sum(map(len, labels)) / len(labels) < 0.6 * sum(map(len, others)) / len(others)
    )


def _merge_sentences(cells: Sequence[str]) -> list[str]:
    """Join what follows a cell that ends a sentence: a cell may hold several."""
    merged: list[str] = []
    for cell in cells:
        if merged and _ENDED.search(merged[-1]):
            merged[-1] += f" {cell}"
        else:
            merged.append(cell)
    return merged
