"""Sets a manuscript as a PDF with the built-in fonts, so that no system font changes it.

Lengths are in millimetres, font sizes in points. The built-in fonts speak Latin-1 only; a character
outside of it makes fpdf2 raise `FPDFUnicodeEncodingException`.
"""

import datetime
from itertools import zip_longest
from pathlib import Path
from typing import Any

from fpdf import FPDF
from fpdf.enums import TableBordersLayout
from fpdf.fonts import FontFace

from cloneai.demo.manuscript import (
    Callout,
    Heading,
    ItemList,
    Manuscript,
    Paragraph,
    Spans,
    Table,
    plain_text,
)

ACCENT = (31, 111, 92)
ACCENT_PALE = (233, 242, 238)
INK = (34, 38, 42)
GREY = (108, 114, 120)
MARGIN = 26
TEXT_WIDTH = 210 - 2 * MARGIN
BODY_SIZE, LINE = 11.2, 5.55
TABLE_SIZE, CELL_PADDING = 9.4, 2.2
# What must fit below a heading on its page, by its level; less moves it to the next page.
ROOM = {2: 62, 3: 34}
ROOM_WITH_TABLE = 90


class _Book(FPDF):
    running_title = ""

    def footer(self) -> None:
        if self.page_no() == 1:
            return
        self.set_y(-17)
        self.set_font("Helvetica", size=8.5)
        self.set_text_color(*GREY)
        self.cell(TEXT_WIDTH / 2, 5, self.running_title)
        self.cell(TEXT_WIDTH / 2, 5, f"Page {self.page_no()}", align="R")


def write_pdf(*, manuscript: Manuscript, author: str, created: datetime.datetime, path: Path) -> None:
    book = _Book(format="A4")
    book.running_title = manuscript.title
    book.set_title(manuscript.title)
    book.set_subject(manuscript.subtitle)
    book.set_author(author)
    book.set_creator("cloneai.demo.build_documents")
    book.set_producer("fpdf2")
    book.set_lang("en")
    book.set_creation_date(created)
    book.set_margins(MARGIN, 24, MARGIN)
    book.set_auto_page_break(True, margin=25)
    _add_title_page(book, manuscript=manuscript, author=author, created=created)
    book.add_page()
    book.insert_toc_placeholder(_add_contents)
    for block, following in zip_longest(manuscript.blocks, manuscript.blocks[1:]):
        match block:
            case Heading():
                _keep_room(book, ROOM_WITH_TABLE if isinstance(following, Table) else ROOM[block.level])
                _add_heading(book, block)
            case Paragraph(spans=spans):
                _add_flow(book, spans)
                book.ln(2.6)
            case Callout(spans=spans):
                _add_callout(book, spans)
            case ItemList():
                _add_list(book, block)
            case Table():
                _add_table(book, block)
    book.output(str(path))


def _add_title_page(book: FPDF, *, manuscript: Manuscript, author: str, created: datetime.datetime) -> None:
    book.add_page()
    book.set_fill_color(*ACCENT)
    book.rect(0, 0, 210, 178, style="F")
    book.set_text_color(255, 255, 255)
    book.set_xy(MARGIN, 62)
    book.set_font("Times", "B", 42)
    book.multi_cell(TEXT_WIDTH, 17, manuscript.title, align="L", new_x="LMARGIN", new_y="NEXT")
    book.ln(7)
    book.set_font("Helvetica", size=15)
    book.multi_cell(TEXT_WIDTH, 8, manuscript.subtitle, align="L", new_x="LMARGIN", new_y="NEXT")
    book.set_xy(MARGIN, 196)
    book.set_text_color(*INK)
    book.set_font("Helvetica", "B", 14)
    book.cell(TEXT_WIDTH, 8, author, new_x="LMARGIN", new_y="NEXT")
    book.set_font("Helvetica", size=11)
    book.set_text_color(*GREY)
    book.cell(TEXT_WIDTH, 7, f"Edition of {created:%B %Y}")


def _add_contents(book: FPDF, outline: list[Any]) -> None:
    book.set_x(MARGIN)
    book.set_font("Times", "B", 24)
    book.set_text_color(*ACCENT)
    book.cell(TEXT_WIDTH, 14, "Contents", new_x="LMARGIN", new_y="NEXT")
    book.ln(5)
    book.set_font("Times", size=12.5)
    book.set_text_color(*INK)
    book.set_draw_color(*ACCENT_PALE)
    for section in outline:
        if section.level:
            continue
        link = book.add_link(page=section.page_number)
        book.cell(TEXT_WIDTH - 15, 10, section.name, border="B", link=link)
        book.cell(15, 10, str(section.page_number), border="B", align="R", link=link)
        book.ln()


def _keep_room(book: FPDF, needed: float) -> None:
    if book.get_y() + needed > book.page_break_trigger:
        book.add_page()


def _add_heading(book: FPDF, heading: Heading) -> None:
    if heading.level == 2:
        if book.get_y() > 30:
            book.ln(9)
        book.start_section(heading.text)
        book.set_font("Times", "B", 22)
        book.set_text_color(*ACCENT)
        book.multi_cell(TEXT_WIDTH, 10, heading.text, align="L", new_x="LMARGIN", new_y="NEXT")
        book.set_fill_color(*ACCENT)
        book.rect(MARGIN, book.get_y() + 1, 18, 0.9, style="F")
        book.ln(6)
        return
    book.ln(2)
    book.start_section(heading.text, level=1)
    book.set_font("Helvetica", "B", 12.5)
    book.set_text_color(*INK)
    book.multi_cell(TEXT_WIDTH, 7, heading.text, align="L", new_x="LMARGIN", new_y="NEXT")
    book.ln(1.4)


def _marked(spans: Spans) -> str:
    """fpdf2's own inline marks: two asterisks for bold, two underscores for italic."""
    parts = []
    for span in spans:
        mark = "**" if span.bold else "__" if span.italic else ""
        parts.append(f"{mark}{span.text}{mark}")
    return "".join(parts)


def _add_flow(book: FPDF, spans: Spans, *, indent: float = 0) -> None:
    book.set_font("Times", size=BODY_SIZE)
    book.set_text_color(*INK)
    book.set_x(MARGIN + indent)
    book.multi_cell(
        TEXT_WIDTH - indent, LINE, _marked(spans), align="L", markdown=True, new_x="LMARGIN", new_y="NEXT"
    )


def _add_list(book: FPDF, block: ItemList) -> None:
    for number, item in enumerate(block.items, start=1):
        _keep_room(book, 2 * LINE)
        book.set_font("Helvetica", "B", 10)
        book.set_text_color(*ACCENT)
        book.set_x(MARGIN + 1)
        book.cell(6, LINE, f"{number}." if block.ordered else "\xbb")
        _add_flow(book, item, indent=8)
        book.ln(1.3)
    book.ln(2)


def _add_callout(book: FPDF, spans: Spans) -> None:
    book.set_font("Helvetica", size=10.2)
    lines = book.multi_cell(
        TEXT_WIDTH - 14, 5.4, _marked(spans), align="L", markdown=True, dry_run=True, output="LINES"
    )
    height = 5.4 * len(lines) + 8
    _keep_room(book, height + 4)
    top = book.get_y() + 1
    book.set_fill_color(*ACCENT_PALE)
    book.rect(MARGIN, top, TEXT_WIDTH, height, style="F")
    book.set_fill_color(*ACCENT)
    book.rect(MARGIN, top, 1.6, height, style="F")
    book.set_xy(MARGIN + 8, top + 4)
    book.set_text_color(*INK)
    book.multi_cell(
        TEXT_WIDTH - 14, 5.4, _marked(spans), align="L", markdown=True, new_x="LMARGIN", new_y="NEXT"
    )
    book.set_y(top + height + 5)


def _add_table(book: FPDF, block: Table) -> None:
    """Sets the table whole: on a new page where this one has not the room."""
    with book.offset_rendering() as trial:
        _draw_table(trial, block)
    if trial.page_break_triggered:
        book.add_page()
    _draw_table(book, block)


def _draw_table(book: FPDF, block: Table) -> None:
    widths = _column_widths(book, block)
    book.ln(1.5)
    book.set_fill_color(255, 255, 255)  # what body cells are filled with
    book.set_font("Helvetica", size=TABLE_SIZE)
    book.set_text_color(*INK)
    book.set_draw_color(200, 212, 207)
    heading = FontFace(emphasis="BOLD", color=(255, 255, 255), fill_color=ACCENT)
    with book.table(
        col_widths=widths,
        headings_style=heading,
        line_height=4.9,
        padding=(1.7, CELL_PADDING),
        text_align="LEFT",
        borders_layout=TableBordersLayout.HORIZONTAL_LINES,
        markdown=True,
        width=TEXT_WIDTH,
    ) as table:
        for row in (block.header, *block.rows):
            table.row([_marked(cell) for cell in row])
    book.ln(5)


def _column_widths(book: FPDF, block: Table) -> tuple[float, ...]:
    """Millimetres per column: its longest word first, so that none is cut; the rest by its longest cell."""
    book.set_font("Helvetica", "B", TABLE_SIZE)
    columns = [
        [plain_text(cell) for cell in column] for column in zip(block.header, *block.rows, strict=True)
    ]
    floors = [
        max(book.get_string_width(word) for cell in column for word in cell.split()) + 2 * CELL_PADDING + 1
        for column in columns
    ]
    weights = [min(max(len(cell) for cell in column), 46) for column in columns]
    spare = TEXT_WIDTH - sum(floors)
    return tuple(floor + spare * weight / sum(weights) for floor, weight in zip(floors, weights, strict=True))
