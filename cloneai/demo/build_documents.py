"""Builds the demo clone's documents from `source/`: `python -m cloneai.demo.build_documents`.

The results are committed, since running the product must not need fpdf2; a test holds them to their source.
`questions.json` judges retrieval: `answer_quote` stands once, in `document` (white space normalised);
`wording` is "plain" (the reader's own terms) or "paraphrased" (avoids the document's words, the harder set).
"""

import datetime
from pathlib import Path

from cloneai.demo.docx_writer import write_docx
from cloneai.demo.manuscript import Manuscript, read_manuscript
from cloneai.demo.pdf_writer import write_pdf
from cloneai.demo.text_writer import write_text

HERE = Path(__file__).parent
SOURCE_DIRECTORY = HERE / "source"
DOCUMENTS_DIRECTORY = HERE / "documents"
AUTHOR = "Mara Lindqvist"
# Fixed, so that two builds of the same source are the same file.
CREATED = datetime.datetime(2026, 3, 2, 9, 0, 0, tzinfo=datetime.UTC)


def build_documents(*, directory: Path) -> tuple[Path, ...]:
    """Writes the PDF, the Word document and the text file into `directory`; returns their paths."""
    guide = directory / "the-first-ninety-days-of-leading.pdf"
    workbook = directory / "feedback-and-hard-conversations-workbook.docx"
    letters = directory / "letters-to-new-leads.txt"
    directory.mkdir(parents=True, exist_ok=True)
    write_pdf(manuscript=_source_of(guide), author=AUTHOR, created=CREATED, path=guide)
    write_docx(manuscript=_source_of(workbook), author=AUTHOR, created=CREATED, path=workbook)
    write_text(manuscript=_source_of(letters), path=letters)
    return guide, workbook, letters


def _source_of(path: Path) -> Manuscript:
    return read_manuscript(path=SOURCE_DIRECTORY / f"{path.stem}.md")


if __name__ == "__main__":
    for built in build_documents(directory=DOCUMENTS_DIRECTORY):
        print(f"{built.name}: {built.stat().st_size:,} bytes")  # noqa: T201
