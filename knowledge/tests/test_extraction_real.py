"""Real documents, where they stand beside the checkout: read with true page counts, or refused."""

from pathlib import Path

import pytest

from knowledge.chunking import chunk_text, join_pages
from knowledge.extraction import ExtractionError, extract_document

FOLDER = Path(__file__).resolve().parents[3] / "shared" / "data" / "documents"
pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason="the shared documents are not here")


@pytest.mark.parametrize(
    ("name", "page_count", "words"),
    [
        ("GeoTopo-komprimiert.pdf", 117, "Fundamentalgruppe"),
        ("testJournalParser.pdf", 10, "Stress-Engineered MEMS Microrobots"),
        ("pdflatex-4-pages.pdf", 4, ""),
        ("google-doc-document.pdf", 1, ""),
        ("habibi.pdf", 1, "habibi"),
        ("testPDFVarious.pdf", 2, ""),
        ("testPDF_bookmarks.pdf", 2, ""),
        ("testPDF_protected.pdf", 41, "financial network"),
        ("testPDF_rotated.pdf", 1, "Apache Tika"),
        ("footnotes.docx", 1, "[^1]: snoska"),
        ("testWORD.docx", 2, "### Heading Level 3"),
        ("testWORD_no_format.docx", 1, ""),
        ("testWORD_numbered_list.docx", 3, "ii) Level"),
        ("testWORD_various.docx", 2, "Here is a text box"),
    ],
)
def test_real_document_is_read(name: str, page_count: int, words: str) -> None:
    document = extract_document(path=FOLDER / name, name=name)
    assert len(document.pages) == page_count
    joined = join_pages(pages=document.pages)
    assert words in joined.text
    for chunk in chunk_text(document=joined, encoding_name="cl100k_base", max_tokens=300, overlap_tokens=60):
        assert joined.text[chunk.start_char : chunk.end_char] == chunk.content
        first, last = chunk.content.split("\n")[0], chunk.content.split("\n")[-1]
        assert first in document.pages[chunk.page_start - 1].text
        assert last in document.pages[chunk.page_end - 1].text


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("testOCR.pdf", "no_text"),
        ("testPDF_malformedXFA.pdf", "no_text"),
        ("testWORD_truncated.docx", "corrupt"),
        ("libreoffice-writer-password.pdf", "encrypted"),
        ("testWORD_protected_passtika.docx", "encrypted"),
    ],
)
def test_real_document_is_refused_with_a_reason(name: str, code: str) -> None:
    with pytest.raises(ExtractionError) as caught:
        extract_document(path=FOLDER / name, name=name)
    assert caught.value.code == code
