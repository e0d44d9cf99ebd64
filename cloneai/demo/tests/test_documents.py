"""The committed demo documents hold what the question sets rely on, and are what their source says."""

import json
import re
from pathlib import Path

import docx
import pypdfium2
import pytest

from cloneai.demo.build_documents import DOCUMENTS_DIRECTORY, build_documents
from cloneai.demo.manuscript import ManuscriptError, read_manuscript
from cloneai.demo.persona import MARA

DEMO = DOCUMENTS_DIRECTORY.parent
GUIDE, WORKBOOK, LETTERS = (
    "the-first-ninety-days-of-leading.pdf",
    "feedback-and-hard-conversations-workbook.docx",
    "letters-to-new-leads.txt",
)
QUESTIONS = json.loads((DEMO / "questions.json").read_text(encoding="utf-8"))
UNANSWERABLE = json.loads((DEMO / "unanswerable.json").read_text(encoding="utf-8"))


def read_pdf_pages(path: Path) -> list[str]:
    with pypdfium2.PdfDocument(path) as pdf:
        return [page.get_textpage().get_text_bounded() for page in pdf]


def extract_text(path: Path) -> str:
    """The document's words in reading order, every run of white space made one space."""
    if path.suffix == ".pdf":
        text = "\n".join(read_pdf_pages(path))
    elif path.suffix == ".docx":
        parts = []
        for block in docx.Document(str(path)).iter_inner_content():
            rows = getattr(block, "rows", None)
            parts += [block.text] if rows is None else [cell.text for row in rows for cell in row.cells]
        text = "\n".join(parts)
    else:
        text = path.read_text(encoding="utf-8")
    return re.sub(r"\s+", " ", text)


@pytest.fixture(scope="module")
def texts() -> dict[str, str]:
    return {name: extract_text(DOCUMENTS_DIRECTORY / name) for name in (GUIDE, WORKBOOK, LETTERS)}


def test_every_answer_quote_stands_in_its_document_once(texts: dict[str, str]) -> None:
    counts = {
        entry["answer_quote"]: texts[entry["document"]].count(entry["answer_quote"]) for entry in QUESTIONS
    }

    assert {quote: count for quote, count in counts.items() if count != 1} == {}


def test_answer_quotes_stand_in_no_other_document(texts: dict[str, str]) -> None:
    strays = [
        (entry["answer_quote"], name)
        for entry in QUESTIONS
        for name, text in texts.items()
        if name != entry["document"] and entry["answer_quote"] in text
    ]

    assert strays == []


def test_answer_quotes_fit_on_one_page() -> None:
    pages = [re.sub(r"\s+", " ", page) for page in read_pdf_pages(DOCUMENTS_DIRECTORY / GUIDE)]
    quotes = [entry["answer_quote"] for entry in QUESTIONS if entry["document"] == GUIDE]

    assert [quote for quote in quotes if not any(quote in page for page in pages)] == []


def test_question_sets_are_large_and_spread_over_the_documents() -> None:
    questions = [entry["question"] for entry in QUESTIONS]

    assert len(set(questions)) == len(questions)
    assert {entry["wording"] for entry in QUESTIONS} == {"plain", "paraphrased"}
    assert sum(entry["wording"] == "paraphrased" for entry in QUESTIONS) >= 90
    assert sum(entry["wording"] == "plain" for entry in QUESTIONS) >= 60
    assert len(set(UNANSWERABLE)) == len(UNANSWERABLE) >= 30
    assert set(questions).isdisjoint(UNANSWERABLE)
    for name in (GUIDE, WORKBOOK, LETTERS):
        assert sum(entry["document"] == name for entry in QUESTIONS) >= 25


def test_guide_is_a_book_of_numbered_pages() -> None:
    pages = read_pdf_pages(DOCUMENTS_DIRECTORY / GUIDE)

    assert 12 <= len(pages) <= 18
    for number, page in enumerate(pages[1:], start=2):
        assert re.search(rf"The First Ninety Days of Leading Page {number}\b", page)


def test_contents_page_names_the_page_each_chapter_begins_on() -> None:
    pages = read_pdf_pages(DOCUMENTS_DIRECTORY / GUIDE)
    entries = re.findall(r"^(.+?) *(\d+)\s*$", pages[1].replace("\r", ""), flags=re.MULTILINE)
    chapters = [(name, int(number)) for name, number in entries if not name.endswith("Page")]

    assert len(chapters) == 14
    assert [name for name, number in chapters if name not in pages[number - 1]] == []


def test_documents_are_up_to_date_with_their_source(tmp_path: Path, texts: dict[str, str]) -> None:
    built = build_documents(directory=tmp_path)

    assert {path.name for path in built} == {path.name for path in DOCUMENTS_DIRECTORY.iterdir()}
    for path in built:
        assert extract_text(path) == texts[path.name], (
            f"{path.name}: run python -m cloneai.demo.build_documents"
        )


def test_building_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    first = build_documents(directory=tmp_path / "first")
    second = build_documents(directory=tmp_path / "second")

    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]


def test_every_numbered_list_of_the_workbook_counts_from_one() -> None:
    document = docx.Document(str(DOCUMENTS_DIRECTORY / WORKBOOK))
    ids = [
        paragraph._p.pPr.numPr.numId.val
        for paragraph in document.paragraphs
        if paragraph.style is not None and paragraph.style.name == "List Number"
    ]
    numbering = document.part.numbering_part.element

    assert len(set(ids)) >= 5
    for number_id in set(ids):
        override = numbering.num_having_numId(number_id).lvlOverride_lst[0]
        assert override.startOverride.val == 1


def test_source_that_cannot_be_set_is_refused(tmp_path: Path) -> None:
    source = tmp_path / "source.md"
    source.write_text("# Title\n\nSubtitle\n\n```\ncode\n```\n", encoding="utf-8")

    with pytest.raises(ManuscriptError, match="line 5: cannot set fence"):
        read_manuscript(path=source)


def test_persona_keeps_the_limits_of_a_clone() -> None:
    assert len(MARA.headline) <= 120
    assert len(MARA.starter_questions) == 4
    assert len(MARA.hard_rules) <= 3
    assert 5 <= len(MARA.expertise_areas) <= 8
    assert re.fullmatch(r"#[0-9a-f]{6}", MARA.accent_color)
