"""Sets a manuscript as a Word document. Sizes are in points, widths in centimetres."""

import datetime
import io
import zipfile
from pathlib import Path
from typing import Any

import docx
from docx.enum.text import WD_ALIGN_PARAGRAPH
from docx.oxml import OxmlElement
from docx.oxml.ns import qn
from docx.shared import Cm, Pt, RGBColor

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

ACCENT = RGBColor(0x1F, 0x6F, 0x5C)
TEXT_WIDTH_CM = 16.0
FONT = "Calibri"


def write_docx(*, manuscript: Manuscript, author: str, created: datetime.datetime, path: Path) -> None:
    document = docx.Document()
    _set_properties(document, manuscript=manuscript, author=author, created=created)
    _set_styles(document)
    _add_footer(document, title=manuscript.title)
    document.add_paragraph(manuscript.title, style="Title")
    document.add_paragraph(manuscript.subtitle, style="Subtitle")
    document.add_paragraph(author)
    for block in manuscript.blocks:
        match block:
            case Heading(level=level, text=text):
                document.add_heading(text, level=level - 1)
            case Paragraph(spans=spans):
                _add_spans(document.add_paragraph(), spans)
            case Callout(spans=spans):
                _add_spans(document.add_paragraph(style="Intense Quote"), spans)
            case ItemList():
                _add_list(document, block)
            case Table():
                _add_table(document, block)
    buffer = io.BytesIO()
    document.save(buffer)
    path.write_bytes(_with_fixed_times(buffer.getvalue(), created=created))


def _set_properties(
    document: Any, *, manuscript: Manuscript, author: str, created: datetime.datetime
) -> None:
    properties = document.core_properties
    properties.title, properties.subject = manuscript.title, manuscript.subtitle
    properties.author = properties.last_modified_by = author
    properties.created = properties.modified = created
    properties.comments = properties.keywords = ""
    properties.language, properties.revision = "en", 1


def _set_styles(document: Any) -> None:
    section = document.sections[0]
    section.page_width, section.page_height = Cm(21), Cm(29.7)
    section.left_margin = section.right_margin = Cm(2.5)
    section.top_margin = section.bottom_margin = Cm(2.3)
    sizes = {
        "Normal": 11,
        "Title": 30,
        "Subtitle": 15,
        "Heading 1": 18,
        "Heading 2": 13,
        "Intense Quote": 11,
    }
    for name, size in sizes.items():
        style = document.styles[name]
        style.font.name, style.font.size = FONT, Pt(size)
        # The template's theme fonts win over the named one unless they are taken away.
        fonts = style.element.get_or_add_rPr().get_or_add_rFonts()
        for attribute in ("asciiTheme", "hAnsiTheme", "eastAsiaTheme", "cstheme"):
            fonts.attrib.pop(qn(f"w:{attribute}"), None)
        if name != "Normal":
            style.font.color.rgb = ACCENT
    document.styles["Normal"].paragraph_format.space_after = Pt(7)
    document.styles["Normal"].paragraph_format.line_spacing = 1.12


def _add_spans(paragraph: Any, spans: Spans) -> None:
    for span in spans:
        run = paragraph.add_run(span.text)
        run.bold, run.italic = span.bold or None, span.italic or None


def _add_list(document: Any, block: ItemList) -> None:
    style = "List Number" if block.ordered else "List Bullet"
    number_id = _restarted_numbering(document, style=style) if block.ordered else None
    for item in block.items:
        paragraph = document.add_paragraph(style=style)
        paragraph.paragraph_format.space_after = Pt(3)
        if number_id is not None:
            properties = paragraph._p.get_or_add_pPr().get_or_add_numPr()
            properties.get_or_add_ilvl().val = 0
            properties.get_or_add_numId().val = number_id
        _add_spans(paragraph, item)


def _restarted_numbering(document: Any, *, style: str) -> int:
    """The id of a fresh numbering that counts from 1; Word would otherwise go on counting over all lists."""
    numbering = document.part.numbering_part.element
    style_number = document.styles[style].element.pPr.numPr.numId.val
    abstract_id = numbering.num_having_numId(style_number).abstractNumId.val
    fresh = numbering.add_num(abstract_id)
    fresh.add_lvlOverride(ilvl=0).add_startOverride(1)
    return int(fresh.numId)


def _add_table(document: Any, block: Table) -> None:
    columns = len(block.header)
    table = document.add_table(rows=0, cols=columns, style="Table Grid")
    widths = _column_widths(block)
    for index, row in enumerate((block.header, *block.rows)):
        cells = table.add_row().cells
        for cell, spans, width in zip(cells, row, widths, strict=True):
            cell.width = Cm(width)
            paragraph = cell.paragraphs[0]
            paragraph.paragraph_format.space_before = paragraph.paragraph_format.space_after = Pt(3)
            _add_spans(paragraph, spans)
            if index == 0:
                _shade_heading_cell(cell)
    repeated = OxmlElement("w:tblHeader")
    table.rows[0]._tr.get_or_add_trPr().append(repeated)
    document.add_paragraph().paragraph_format.space_after = Pt(2)


def _column_widths(block: Table) -> list[float]:
    """Shares the text width by the longest cell of each column; an empty one gets a fair part."""
    longest = [
        max(len(plain_text(row[column])) for row in (block.header, *block.rows))
        for column in range(len(block.header))
    ]
    blank = [not any(plain_text(row[column]) for row in block.rows) for column in range(len(block.header))]
    weights = [
        min(max(length, 45 if empty else 14), 60) for length, empty in zip(longest, blank, strict=True)
    ]
    if block.header and plain_text(block.header[-1]) in {"Done", "Points"}:
        weights[-1] = 10
    return [TEXT_WIDTH_CM * weight / sum(weights) for weight in weights]


def _shade_heading_cell(cell: Any) -> None:
    shading = OxmlElement("w:shd")
    shading.set(qn("w:val"), "clear")
    shading.set(qn("w:fill"), str(ACCENT))
    cell._tc.get_or_add_tcPr().append(shading)
    for run in cell.paragraphs[0].runs:
        run.bold, run.font.color.rgb = True, RGBColor(0xFF, 0xFF, 0xFF)


def _add_footer(document: Any, *, title: str) -> None:
    paragraph = document.sections[0].footer.paragraphs[0]
    paragraph.alignment = WD_ALIGN_PARAGRAPH.CENTER
    paragraph.add_run(f"{title}  ·  ").font.size = Pt(9)
    field = OxmlElement("w:fldSimple")
    field.set(qn("w:instr"), "PAGE")
    paragraph._p.append(field)


def _with_fixed_times(content: bytes, *, created: datetime.datetime) -> bytes:
    """The same package with every entry dated `created`, so that two builds give the same bytes."""
    buffer = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(content)) as source,
        zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as target,
    ):
        for name in source.namelist():
            entry = zipfile.ZipInfo(name, created.timetuple()[:6])
            target.writestr(entry, source.read(name), compress_type=zipfile.ZIP_DEFLATED)
    return buffer.getvalue()
