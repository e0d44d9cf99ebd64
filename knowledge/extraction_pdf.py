"""PDF to pages of text by PDFium, with pypdf as the second try for files that PDFium cannot open."""

import io
import mmap
import re
from collections.abc import Iterable

import pypdfium2
import pypdfium2.raw as pdfium_c

from knowledge.extraction_text import clean_text, clean_title
from knowledge.extraction_types import ExtractedDocument, ExtractedPage, ExtractionError, ExtractionLimits

# PDFium puts this in place of a hyphen at a line's end together with the line break after it.
_LINE_END_HYPHEN = re.compile(r"(\w*)[\ufffe\x02](\w*)")
_HYPHENATED_WORD = re.compile(r"\w+-\w+")
_PROGRAM_TITLE = re.compile(
    r"^(?:Microsoft (?:Word|PowerPoint|Excel) - |untitled|slide 1|presentation\d*$)", re.I
)


def read_pdf(data: bytes | mmap.mmap, limits: ExtractionLimits) -> ExtractedDocument:
    """Read a PDF's pages in order. Raises ExtractionError: encrypted, corrupt, too_many_pages, no_text."""
    try:
        document = pypdfium2.PdfDocument(bytes(data))
        page_count = len(document)
    except pypdfium2.PdfiumError as problem:
        if getattr(problem, "err_code", None) in (pdfium_c.FPDF_ERR_PASSWORD, pdfium_c.FPDF_ERR_SECURITY):
            raise encrypted_error() from problem
        return _finish(*_read_with_pypdf(data, limits), unreadable=[])
    if page_count == 0:
        return _finish(*_read_with_pypdf(data, limits), unreadable=[])
    _refuse_too_many_pages(page_count=page_count, limits=limits)
    texts: list[str] = []
    unreadable: list[int] = []
    for index in range(page_count):
        try:
            texts.append(_page_text(document=document, index=index))
        except pypdfium2.PdfiumError:
            texts.append("")
            unreadable.append(index + 1)
    return _finish(document.get_metadata_value("Title"), texts, unreadable=unreadable)


def _page_text(*, document: pypdfium2.PdfDocument, index: int) -> str:
    page = document[index]
    try:
        text_page = page.get_textpage()
        try:
            return str(text_page.get_text_range())
        finally:
            text_page.close()
    finally:
        page.close()


def _read_with_pypdf(data: bytes | mmap.mmap, limits: ExtractionLimits) -> tuple[str, list[str]]:
    """Read what PDFium could not open. pypdf raises nearly anything on damaged input, so all of it is one reason."""
    import pypdf

    try:
        reader = pypdf.PdfReader(io.BytesIO(bytes(data)))
        if reader.is_encrypted and not reader.decrypt(""):
            raise encrypted_error()
        _refuse_too_many_pages(page_count=len(reader.pages), limits=limits)
        texts = [page.extract_text() for page in reader.pages]
        title = reader.metadata.title if reader.metadata else ""
    except (ExtractionError, MemoryError, RecursionError):
        raise
    except Exception as problem:  # noqa: BLE001
        raise _corrupt_error() from problem
    if not texts:
        raise _corrupt_error()
    return str(title or ""), texts


def _finish(title: str, raw_texts: list[str], *, unreadable: list[int]) -> ExtractedDocument:
    texts = [clean_text(text) for text in join_hyphenated_words(raw_texts)]
    if len(unreadable) == len(texts):
        raise _corrupt_error()
    empty = [
        number for number, text in enumerate(texts, start=1) if not text.strip() and number not in unreadable
    ]
    if len(empty) + len(unreadable) == len(texts):
        raise ExtractionError(
            code="no_text",
            message=f"None of the PDF's {_count(len(texts), 'page')} holds text: it is a scan or a set of pictures. "
            "Run text recognition (OCR) on it, for example with ocrmypdf or Acrobat, and upload the result.",
        )
    warnings = []
    if empty:
        warnings.append(
            f"{name_pages(empty)} {'are images and hold' if len(empty) > 1 else 'is an image and holds'} "
            "no text. Run text recognition (OCR) to include them."
        )
    if unreadable:
        warnings.append(f"{name_pages(unreadable)} could not be read: the file is damaged there.")
    pages = tuple(ExtractedPage(number=number, text=text) for number, text in enumerate(texts, start=1))
    clean = clean_title(title)
    return ExtractedDocument(
        kind="pdf", title="" if _PROGRAM_TITLE.match(clean) else clean, pages=pages, warnings=tuple(warnings)
    )


def join_hyphenated_words(texts: list[str]) -> list[str]:
    """Resolve PDFium's mark for a hyphen at a line's end into the whole word.

    The hyphen stays when the same document writes the word with it elsewhere, or when what follows is not in lower
    case ("SARS-related" by the first rule, "Stress-Engineered" by the second).
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


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _refuse_too_many_pages(*, page_count: int, limits: ExtractionLimits) -> None:
    if page_count > limits.pages:
        raise ExtractionError(
            code="too_many_pages",
            message=f"The PDF has {page_count:,} pages, more than the {limits.pages:,} that one document may have. "
            "Split it into several files and upload each.",
        )


def encrypted_error() -> ExtractionError:
    return ExtractionError(
        code="encrypted",
        message="The PDF is protected by a password. Open it with the password, save or print it to a PDF without "
        "one, and upload that.",
    )


def _corrupt_error() -> ExtractionError:
    return ExtractionError(
        code="corrupt",
        message="The PDF is damaged and cannot be opened. Open it in a PDF viewer, print it to a new PDF and upload "
        "that; if the viewer cannot open it either, fetch the file again from where it came.",
    )
