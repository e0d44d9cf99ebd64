"""What does it cost to read PDFs in limited processes: our extraction against bare pypdfium2 over the same files.

`DOCUMENTS=/some/folder` reads the PDF and DOCX files of a folder instead of the made ones, and counts whether text is
read from as many as bare pypdfium2 and python-docx read. Both take turns, file by file.
"""

import os
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from benchmarks.harness import Result, milliseconds

PROMISED = 1.5
MADE = ((1, 12), (4, 12), (20, 6), (60, 2), (200, 1))  # pages, files
WORDS = [
    "the",
    "first",
    "ninety",
    "days",
    "of",
    "leading",
    "a",
    "team",
    "decide",
    "how",
    "people",
    "talk",
    "to",
    "you",
    "when",
    "something",
    "went",
    "wrong",
]


def run() -> Result:
    with tempfile.TemporaryDirectory() as made:
        folder = os.environ.get("DOCUMENTS")
        files = find_files(Path(folder)) if folder else make_files(Path(made))
        return compare(files, is_made=not folder)


def find_files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in (".pdf", ".docx"))


def make_files(folder: Path) -> list[Path]:
    """PDFs as experts have them: from a hand-out of one page to a book."""
    from fpdf import FPDF

    files = []
    for pages, count in MADE:
        for number in range(count):
            pdf = FPDF()
            pdf.set_font("helvetica", size=11)
            for page in range(pages):
                pdf.add_page()
                words = " ".join(WORDS[(page + number + index) % len(WORDS)] for index in range(450))
                pdf.multi_cell(0, 5, words)
            files.append(folder / f"{pages}-{number}.pdf")
            pdf.output(str(files[-1]))
    return files


def compare(files: list[Path], *, is_made: bool) -> Result:
    seconds: dict[str, list[float]] = {"bare": [], "ours": []}
    texts: Counter[tuple[str, str]] = Counter()
    reasons: Counter[str] = Counter()
    ours(files[0])  # starts the server of the parsers, which then stays
    for number, file in enumerate(files):
        kind = file.suffix.lower()[1:]
        ways: list[tuple[str, Callable[[Path], str]]] = [("bare", bare), ("ours", ours)]
        for way, read in ways if number % 2 else reversed(ways):
            started = time.perf_counter()
            found = read(file)
            if kind == "pdf":
                seconds[way].append(time.perf_counter() - started)
            texts[way, kind] += found == "text"
            if way == "ours" and found != "text":
                reasons[found] += 1
    ratio = sum(seconds["ours"]) / sum(seconds["bare"])
    extra = sorted(a - b for a, b in zip(seconds["ours"], seconds["bare"], strict=True))
    kinds = Counter(file.suffix.lower()[1:] for file in files)
    reads_enough = all(texts["ours", kind] >= texts["bare", kind] for kind in kinds)
    rows = [
        (
            way,
            *(f"{texts[way, kind]} of {kinds[kind]}" for kind in ("pdf", "docx")),
            f"{sum(seconds[way]):.2f}",
        )
        for way in seconds
    ]
    return Result(
        name="extraction",
        question="what does reading in limited processes cost, and is as much read?",
        ratio=ratio,
        ratio_of="our extraction / bare pypdfium2, seconds over the same PDFs",
        is_good=reads_enough and (ratio <= PROMISED or not is_made),
        columns=("reader", "PDF with text", "DOCX with text", "seconds (PDF)"),
        rows=rows,
        notes=(
            f"A process for each file adds {milliseconds(extra[len(extra) // 2])} ms (median).",
            f"Without text, and why: {dict(reasons) or 'none'}.",
        ),
        figures={"files": len(files), "added_ms": extra[len(extra) // 2] * 1000, "reasons": dict(reasons)},
    )


def bare(file: Path) -> str:
    """As the libraries' guides read a file."""
    return _bare_pdf(file) if file.suffix.lower() == ".pdf" else _bare_docx(file)


def _bare_pdf(file: Path) -> str:
    import pypdfium2

    text = ""
    try:
        document = pypdfium2.PdfDocument(file)
        for index in range(len(document)):
            try:
                page = document[index]
                text_page = page.get_textpage()
                text += text_page.get_text_range()
                text_page.close()
                page.close()
            except pypdfium2.PdfiumError:
                continue
        document.close()
    except pypdfium2.PdfiumError:
        return "refused"
    return "text" if text.strip() else "none"


def _bare_docx(file: Path) -> str:
    import docx

    try:
        document = docx.Document(str(file))
        texts = [paragraph.text for paragraph in document.paragraphs]
        texts += [cell.text for table in document.tables for row in table.rows for cell in row.cells]
    except Exception:  # noqa: BLE001 - it raises nearly anything on a damaged file
        return "refused"
    return "text" if "".join(texts).strip() else "none"


def ours(file: Path) -> str:
    from knowledge.extraction import ExtractionError, extract_document

    try:
        document = extract_document(path=file, name=file.name)
    except ExtractionError as error:
        return error.code
    return "text" if any(page.text.strip() for page in document.pages) else "none"
