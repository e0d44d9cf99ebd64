"""DOCX to text in reading order: headings, paragraphs, lists, tables, text boxes, foot- and endnotes.

The parts are read with lxml, the library below python-docx: python-docx refuses a whole file for one broken
link, and knows no footnotes, text boxes or list numbers. Headings become Markdown "#" lines.
"""

import mmap
import posixpath
import re
from collections.abc import Iterator

from lxml import etree

from knowledge.extraction_docx_styles import (
    Numbering,
    Styles,
    attribute,
    child,
    children,
    integer,
    local_name,
    value_of,
)
from knowledge.extraction_text import clean_text, clean_title
from knowledge.extraction_types import ExtractedDocument, ExtractedPage, ExtractionError, ExtractionLimits
from knowledge.extraction_zip import Package, open_package

_PAGE_BREAK = "\x0c"  # set by the author
_RENDERED_BREAK = "\x0b"  # where Word last began a page, often within a sentence
_BREAKS = _PAGE_BREAK + _RENDERED_BREAK
_SKIPPED = frozenset(
    {"del", "moveFrom", "instrText", "delText", "pPr", "rPr", "rt", "sectPr", "tblPr", "trPr"}
)
_NOTE_KINDS = {"footnoteReference": "footnotes", "endnoteReference": "endnotes"}
_BLOCK_WRAPPERS = frozenset(
    {
        "sdt",
        "sdtContent",
        "ins",
        "moveTo",
        "smartTag",
        "customXml",
        "body",
        "txbxContent",
        "footnote",
        "endnote",
        "tc",
    }
)
_BREAKING_SECTIONS = frozenset({None, "nextPage", "oddPage", "evenPage"})


def read_docx(data: bytes | mmap.mmap, limits: ExtractionLimits) -> ExtractedDocument:
    """Read a DOCX. Its pages are told apart only when its breaks agree with the page count that it states.

    Raises ExtractionError: corrupt, encrypted, zip_bomb, unsafe_xml, type_mismatch, no_text.
    """
    package = open_package(data, limits=limits)
    main_name = _find_main_part(package)
    root = package.read_xml(main_name) if main_name else None
    body = child(root, "body")
    if body is None:
        raise ExtractionError(
            code="type_mismatch",
            message="The name says a Word document, but the file is a zip archive without one. Upload the "
            "document itself, or unpack the archive and upload what is in it.",
        )
    reader = _Reader(package=package, folder=posixpath.dirname(main_name))
    text = reader.read_body(body)
    pages = _split_pages(text=text, stated_count=_stated_page_count(package))
    if not any(page.text.strip() for page in pages):
        raise ExtractionError(
            code="no_text",
            message="The Word document holds no text, perhaps only pictures. If its pages are scans, run "
            "text recognition (OCR) on them and upload the PDF that comes out.",
        )
    title = clean_title(_stated_title(package)) or clean_title(reader.first_heading)
    return ExtractedDocument(kind="docx", title=title, pages=pages, warnings=())


class _Reader:
    """Turns the elements of one document into text, block by block."""

    def __init__(self, *, package: Package, folder: str) -> None:
        self._styles = Styles.from_part(package.read_xml(posixpath.join(folder, "styles.xml")))
        self._numbering = Numbering.from_part(package.read_xml(posixpath.join(folder, "numbering.xml")))
        self._notes = {
            kind: _notes_by_id(package.read_xml(posixpath.join(folder, f"{kind}.xml")))
            for kind in _NOTE_KINDS.values()
        }
        self._note_texts: list[etree._Element] = []
        self._boxes: list[etree._Element] = []
        self._table_depth = 0
        self.first_heading = ""

    def read_body(self, body: etree._Element) -> str:
        text = _join_blocks(self._blocks(body))
        notes = []
        position = 0
        while position < len(self._note_texts):  # a note may refer to another note
            content = " ".join(_join_blocks(self._blocks(self._note_texts[position])).split())
            position += 1
            if content:
                notes.append(f"[^{position}]: {content}")
        return "\n\n".join([text, *notes])

    def _blocks(self, parent: etree._Element) -> Iterator[str]:
        """Yield paragraphs, list items and tables, each followed by the text boxes anchored in it."""
        for element in parent:
            name = local_name(element)
            if name == "p":
                yield from self._paragraph(element)
            elif name == "tbl":
                yield from self._table(element)
            elif name == "AlternateContent":
                yield from self._blocks(_chosen_content(element))
            elif name in _BLOCK_WRAPPERS:
                yield from self._blocks(element)
            boxes, self._boxes = self._boxes, []
            for box in boxes:
                yield from self._blocks(box)

    def _paragraph(self, element: etree._Element) -> Iterator[str]:
        properties = child(element, "pPr")
        text = "".join(self._inline(element)).strip(" \t\n")
        breaks_before = child(properties, "pageBreakBefore") is not None
        if value_of(properties, "pageBreakBefore") in ("0", "false"):
            breaks_before = False
        section = child(properties, "sectPr")
        level = self._styles.heading_level(properties)
        numbering = self._styles.numbering(properties)
        visible = text.strip(_BREAKS + " \n")
        if visible and numbering is not None:
            label = self._numbering.next_label(number_id=numbering[0], level=numbering[1])
            if level is None:
                text = _after_breaks(text, "  " * numbering[1] + label + " ")
            elif label != "-":
                text = _after_breaks(text, label + " ")
        if visible and level is not None:
            self.first_heading = self.first_heading or visible
            text = _after_breaks(" ".join(text.split(" ")).replace("\n", " "), "#" * level + " ")
        if breaks_before:
            text = _PAGE_BREAK + text
        if section is not None and value_of(section, "type") in _BREAKING_SECTIONS:
            text += _PAGE_BREAK
        if text:
            yield text

    def _inline(self, parent: etree._Element) -> Iterator[str]:
        for element in parent:
            name = local_name(element)
            if name == "t":
                yield element.text or ""
            elif name in ("tab", "ptab"):
                yield "\t"
            elif name == "br":
                yield _PAGE_BREAK if attribute(element, "type") == "page" else "\n"
            elif name == "cr":
                yield "\n"
            elif name == "lastRenderedPageBreak":
                yield _RENDERED_BREAK
            elif name == "noBreakHyphen":
                yield "-"
            elif name in _NOTE_KINDS:
                yield self._note_mark(element, kind=_NOTE_KINDS[name])
            elif name == "txbxContent":
                self._boxes.append(element)
            elif name == "AlternateContent":
                yield from self._inline(_chosen_content(element))
            elif name not in _SKIPPED:
                yield from self._inline(element)

    def _note_mark(self, element: etree._Element, *, kind: str) -> str:
        note = self._notes[kind].get(attribute(element, "id") or "")
        if note is None or note in self._note_texts:
            return ""
        self._note_texts.append(note)
        return f"[^{len(self._note_texts)}]"

    def _table(self, table: etree._Element) -> Iterator[str]:
        """A table as one line a row; a table of one column is only a frame, so its content stays as it is."""
        rows = [[cell for cell in _unwrapped(row) if local_name(cell) == "tc"]
                for row in _unwrapped(table) if local_name(row) == "tr"]  # fmt: skip
        if all(len(row) <= 1 for row in rows):
            for row in rows:
                for cell in row:
                    yield from self._blocks(cell)
            return
        self._table_depth += 1
        lines = []
        for row in rows:
            cells = [" ".join(_join_blocks(self._blocks(cell)).split()) for cell in row]
            if any(cells):
                is_inner = self._table_depth > 1
                lines.append("; ".join(filter(None, cells)) if is_inner else f"| {' | '.join(cells)} |")
        self._table_depth -= 1
        if lines:
            yield "\n".join(lines)


def _unwrapped(parent: etree._Element) -> Iterator[etree._Element]:
    """The children of a table or row, those within content controls and insertions included."""
    for element in parent:
        if local_name(element) in _BLOCK_WRAPPERS - {"tc"}:
            yield from _unwrapped(element)
        else:
            yield element


def _chosen_content(element: etree._Element) -> etree._Element:
    """The first of a feature's alternatives: they hold the same text twice."""
    choice = child(element, "Choice")
    if choice is not None:
        return choice
    fallback = child(element, "Fallback")
    return fallback if fallback is not None else etree.Element("nothing")


def _after_breaks(text: str, prefix: str) -> str:
    """Put `prefix` before the first visible character, behind page breaks at the start."""
    visible = text.lstrip(_BREAKS + " \n\t")
    return text[: len(text) - len(visible)] + prefix + visible


def _join_blocks(blocks: Iterator[str]) -> str:
    """Join blocks by blank lines, but the items of a list by line ends."""
    parts: list[str] = []
    was_item = False
    for block in blocks:
        start = block.lstrip(_BREAKS + " ")[:12].split(" ")[0]
        is_item = start == "-" or (start[:-1].isalnum() and len(start) <= 5 and start.endswith((".", ")")))
        if parts:
            parts.append("\n" if is_item and was_item else "\n\n")
        parts.append(block)
        was_item = is_item
    return "".join(parts)


def _notes_by_id(root: etree._Element | None) -> dict[str, etree._Element]:
    """The notes by id, without the separators that have a type of their own."""
    if root is None:
        return {}
    return {attribute(note, "id") or "": note for note in root if attribute(note, "type") in (None, "normal")}


def _split_pages(*, text: str, stated_count: int | None) -> tuple[ExtractedPage, ...]:
    """Split at page breaks if that gives as many pages as the document states, else make it one page.

    The author's break is often followed by the rendered one: with nothing between, they are one.
    """
    texts = [clean_text(part) for part in re.split(f"[{_BREAKS}]", text)]
    filled = [part for part in texts if part.strip()]
    if len(filled) < 2 or len(filled) != stated_count:
        filled = [clean_text(re.sub(f"\n*{_PAGE_BREAK}\n*", "\n\n", text.replace(_RENDERED_BREAK, "")))]
    return tuple(ExtractedPage(number=number, text=part) for number, part in enumerate(filled, start=1))


def _stated_page_count(package: Package) -> int | None:
    pages = child(package.read_xml("docProps/app.xml"), "Pages")
    return integer(pages.text) if pages is not None else None


def _stated_title(package: Package) -> str:
    title = child(package.read_xml("docProps/core.xml"), "title")
    return (title.text or "") if title is not None else ""


def _find_main_part(package: Package) -> str:
    """The document part, by the package's relationships or else by its usual name; "" when there is none."""
    relationships = package.read_xml("_rels/.rels")
    if relationships is not None:
        for relationship in children(relationships, "Relationship"):
            if (attribute(relationship, "Type") or "").endswith("/officeDocument"):
                target = posixpath.normpath(
                    (attribute(relationship, "Target") or "").replace("\\", "/")
                ).lstrip("/")
                if target in package.names:
                    return target
    return "word/document.xml" if "word/document.xml" in package.names else ""
