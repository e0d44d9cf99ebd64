"""PDF to pages of text by PDFium, with pypdf as the second try for files that PDFium cannot open."""

import io
import logging
import mmap
import re
from collections.abc import Iterable
from dataclasses import dataclass, field

import pypdfium2
import pypdfium2.raw as pdfium_c

from knowledge.extraction_pdf_notes import read_page_notes
from knowledge.extraction_text import clean_text, clean_title
from knowledge.extraction_types import ExtractedDocument, ExtractedPage, ExtractionError, ExtractionLimits

# PDFium puts this in place of a hyphen at a line's end together with the line break after it.
_LINE_END_HYPHEN = re.compile(r"(\w*)[\ufffe\x02](\w*)")
_HYPHENATED_WORD = re.compile(r"\w+-\w+")
_PROGRAM_TITLE = re.compile(
    r"^(?:Microsoft (?:Word|PowerPoint|Excel) - |untitled|slide 1|presentation\d*$)", re.I
)


@dataclass(slots=True)
class _Pages:
    """What was found: the text of each page, and the numbers of those that are pictures or cannot be read."""

    title: str
    texts: list[str] = field(default_factory=list)
    pictures: list[int] = field(default_factory=list)
    unreadable: list[int] = field(default_factory=list)


def read_pdf(data: bytes | mmap.mmap, limits: ExtractionLimits) -> ExtractedDocument:
    """Read a PDF's pages in order. Raises ExtractionError: encrypted, corrupt, too_many_pages, no_text."""
    try:
        document = pypdfium2.PdfDocument(bytes(data))
        page_count = len(document)
    except pypdfium2.PdfiumError as problem:
        if getattr(problem, "err_code", None) in (pdfium_c.FPDF_ERR_PASSWORD, pdfium_c.FPDF_ERR_SECURITY):
            raise encrypted_error() from problem
        page_count = 0
    if page_count == 0:
        return _finish(_read_with_pypdf(data, limits))
    _refuse_too_many_pages(page_count=page_count, limits=limits)
    if document.get_formtype() == pdfium_c.FORMTYPE_ACRO_FORM:
        document.init_forms()  # before any page is loaded
    pages = _Pages(title=document.get_metadata_value("Title"))
    for number in range(1, page_count + 1):
        try:
            text, is_picture = _read_page(document=document, index=number - 1)
        except pypdfium2.PdfiumError:
            text, is_picture = "", False
            pages.unreadable.append(number)
        pages.texts.append(text)
        if is_picture:
            pages.pictures.append(number)
    return _finish(pages)


def _read_page(*, document: pypdfium2.PdfDocument, index: int) -> tuple[str, bool]:
    """The text of one page, and whether it shows a picture in place of text."""
    page = document[index]
    try:
        text_page = page.get_textpage()
        try:
            text = str(text_page.get_text_range())
        finally:
            text_page.close()
        text = "\n".join([text, *read_page_notes(page)])
        if text.strip():
            return text, False
        pictures = page.get_objects(filter=[pdfium_c.FPDF_PAGEOBJ_IMAGE], max_depth=3)
        return "", next(iter(pictures), None) is not None
    finally:
        page.close()


def _read_with_pypdf(data: bytes | mmap.mmap, limits: ExtractionLimits) -> _Pages:
    """Read what PDFium could not open. It raises nearly anything on damage: all is `corrupt`."""
    import pypdf

    logging.getLogger("pypdf").setLevel(logging.CRITICAL)
    try:
        reader = pypdf.PdfReader(io.BytesIO(bytes(data)))
        if reader.is_encrypted and not reader.decrypt(""):
            raise encrypted_error()
        _refuse_too_many_pages(page_count=len(reader.pages), limits=limits)
        texts = [page.extract_text() for page in reader.pages]
        title = reader.metadata.title if reader.metadata else ""
    except (ExtractionError, MemoryError, RecursionError):
        raise
    except Exception as problem:
        raise _corrupt_error() from problem
    if not texts:
        raise _corrupt_error()
    return _Pages(title=str(title or ""), texts=texts)


def _finish(pages: _Pages) -> ExtractedDocument:
    """Clean the texts and name the pages without any. Raises ExtractionError: corrupt, no_text."""
    texts = [clean_text(text) for text in join_hyphenated_words(pages.texts)]
    if len(pages.unreadable) == len(texts):
        raise _corrupt_error()
    if not any(texts):
        raise _no_text_error(page_count=len(texts), has_pictures=bool(pages.pictures))
    known = {*pages.pictures, *pages.unreadable}
    blank = [number for number, text in enumerate(texts, start=1) if not text and number not in known]
    warnings = []
    if pages.pictures:
        are = "are images and hold" if len(pages.pictures) > 1 else "is an image and holds"
        warnings.append(
            f"{name_pages(pages.pictures)} {are} no text. Run text recognition (OCR) to include it."
        )
    if blank:
        warnings.append(f"{name_pages(blank)} {'hold' if len(blank) > 1 else 'holds'} no text.")
    if pages.unreadable:
        warnings.append(f"{name_pages(pages.unreadable)} could not be read: the file is damaged there.")
    title = clean_title(pages.title)
    return ExtractedDocument(
        kind="pdf",
        title="" if _PROGRAM_TITLE.match(title) else title,
        pages=tuple(ExtractedPage(number=number, text=text) for number, text in enumerate(texts, start=1)),
        warnings=tuple(warnings),
    )


def _no_text_error(*, page_count: int, has_pictures: bool) -> ExtractionError:
    pages = "only page holds" if page_count == 1 else f"{page_count} pages hold"
    if has_pictures:
        why = (
            "only pictures, as a scan does. Run text recognition (OCR), for example with ocrmypdf or Acrobat"
        )
    else:
        why = (
            "and no pictures: it is blank, drawn as shapes, or a form that only Acrobat can fill in. Open "
            "it, print it to a new PDF, run text recognition (OCR) on that if need be"
        )
    return ExtractionError(
        code="no_text", message=f"The PDF's {pages} no text, {why}, and upload the result."
    )


def join_hyphenated_words(texts: list[str]) -> list[str]:
    """Resolve PDFium's mark for a hyphen at a line's end into the whole word.

    The hyphen stays when the same document writes the word with it elsewhere, or when what follows is not in
    lower case ("SARS-related" by the first rule, "Stress-Engineered" by the second).
    """
    if not any("\ufffe" in text or "\x02" in text for text in texts):
        return texts
    hyphenated = {word.lower() for text in texts for word in _HYPHENATED_WORD.findall(text)}

    def join(match: re.Match[str]) -> str:
        left, right = match.groups()
        keeps = f"{left}-{right}".lower() in hyphenated or not right[:1].islower() or not left
        return f"{left}-{right}" if keeps else f"{left}{right}"

    return [_LINE_END_HYPHEN.sub(join, text) for text in texts]


def name_pages(numbers: Iterable[int]) -> str:
    """Name pages for a reader: [3, 4, 5, 9] becomes "Pages 3 to 5 and 9"."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    parts = [str(run[0]) if len(run) == 1 else f"{run[0]} to {run[-1]}" for run in runs]
    label = "Page" if len(runs) == 1 and len(runs[0]) == 1 else "Pages"
    return f"{label} {', '.join(parts[:-1])} and {parts[-1]}" if len(parts) > 1 else f"{label} {parts[0]}"


def _refuse_too_many_pages(*, page_count: int, limits: ExtractionLimits) -> None:
    if page_count > limits.pages:
        raise ExtractionError(
            code="too_many_pages",
            message=f"The PDF has {page_count:,} pages, more than the {limits.pages:,} that one document "
            "may have. Split it into several files and upload each.",
        )


def encrypted_error() -> ExtractionError:
    return ExtractionError(
        code="encrypted",
        message="The PDF is protected by a password. Open it with the password, save or print it to a PDF "
        "without one, and upload that.",
    )


def _corrupt_error() -> ExtractionError:
    return ExtractionError(
        code="corrupt",
        message="The PDF is damaged and cannot be opened. Open it in a PDF viewer, print it to a new PDF "
        "and upload that; if the viewer cannot open it either, fetch the file again from where it came.",
    )
