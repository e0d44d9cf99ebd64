"""The corpora that retrieval is measured on, each a clone of its own, put in place by the product's own pipeline.

`everyday_corpora` need nothing but the checkout; the public ones are read from the folder `SHARED_DATA` (by default
`../shared/data` beside the checkout) and are left out where it is missing. A question counts as answered by a passage
that holds one of its `quotes`, or, where the data marks spans of the document, overlaps one by half or more.
"""

import csv
import json
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.core.files.base import ContentFile

CHECKOUT = Path(__file__).resolve().parent.parent
SHARED_DATA = Path(os.environ.get("SHARED_DATA", CHECKOUT.parent / "shared" / "data"))
DEMO = CHECKOUT / "cloneai" / "demo"
QUESTIONS = Path(__file__).parent / "questions"
SIZES = (
    (1000, 200),
    (400, 80),
)  # tokens a passage and tokens shared by neighbours: the default, and a small one


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    text: str
    quotes: tuple[str, ...] = ()
    spans: tuple[tuple[int, int], ...] = ()

    def is_answered_by(self, *, content: str, start: int, end: int) -> bool:
        shown = squeeze(content)
        return any(squeeze(quote) in shown for quote in self.quotes) or any(
            2 * (min(end, last) - max(start, first)) >= last - first for first, last in self.spans
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Corpus:
    """`sets` are named lists of questions on the same documents."""

    name: str
    files: tuple[Path, ...]
    sets: dict[str, tuple[Question, ...]]


def squeeze(text: str) -> str:
    """Letters and digits only: line breaks, list marks and typographic quotes of a file format do not count."""
    return " ".join(re.findall(r"\w+", text.casefold()))


def everyday_corpora() -> Iterator[Corpus]:
    """The demo's documents with its own questions and the everyday ones; the latter in two halves.

    The retriever may be tuned with the odd half ("development"); the even half is only ever measured.
    """
    demo_files = tuple(sorted((DEMO / "documents").iterdir()))
    demo = json.loads((DEMO / "questions.json").read_text())
    everyday = json.loads((QUESTIONS / "everyday.json").read_text())
    names = {path.name for path in demo_files}
    sets = {
        wording: tuple(
            Question(text=row["question"], quotes=(row["answer_quote"],))
            for row in demo
            if row["wording"] == wording
        )
        for wording in ("plain", "paraphrased")
    }
    sets |= _halves([row for row in everyday if row["document"] in names])
    yield Corpus(name="demo", files=demo_files, sets=sets)


def public_corpora() -> Iterator[Corpus]:
    """The corpora of `chunking/`, with the everyday questions that were written for one of them."""
    folder = SHARED_DATA / "chunking"
    if not folder.exists():
        return
    everyday = json.loads((QUESTIONS / "everyday.json").read_text())
    with (folder / "questions.csv").open() as file:
        rows = list(csv.DictReader(file))
    for path in sorted(folder.glob("*.md")):
        marked = tuple(
            Question(
                text=row["question"],
                spans=tuple(
                    (span["start_index"], span["end_index"]) for span in json.loads(row["references"])
                ),
            )
            for row in rows
            if row["corpus_id"] == path.stem
        )
        own = [row for row in everyday if row["document"] == path.name]
        yield Corpus(name=path.stem, files=(path,), sets={"marked": marked, **(_halves(own) if own else {})})


def load(*, corpus: Corpus, chunk_tokens: int, overlap_tokens: int) -> Any:
    """A clone that holds the corpus's files, through the real pipeline. The same again is not loaded twice."""
    from cloneai.accounts.models import User
    from clones.models import Clone
    from knowledge.ingestion import ingest_document
    from knowledge.uploads import create_document

    owner, _ = User.objects.get_or_create(email="bench@example.com")
    slug = f"{corpus.name}-{chunk_tokens}".replace("_", "-")
    clone, is_new = Clone.objects.get_or_create(
        slug=slug,
        defaults={
            "owner": owner,
            "name": slug,
            "is_cleaning_on": False,
            "chunk_tokens": chunk_tokens,
            "chunk_overlap_tokens": overlap_tokens,
        },
    )
    if is_new:
        for path in corpus.files:
            file = ContentFile(path.read_bytes(), name=path.name)
            document = create_document(clone=clone, file=file, file_name=path.name, uploaded_by=owner)
            ingest_document(document_id=document.pk)
            document.refresh_from_db()
            assert document.status == "ready", document.error_message
        clone.refresh_from_db()
    return clone


def _halves(rows: Sequence[dict[str, object]]) -> dict[str, tuple[Question, ...]]:
    questions = [Question(text=str(row["question"]), quotes=tuple(row["quotes"])) for row in rows]
    return {"everyday, development": tuple(questions[1::2]), "everyday, held out": tuple(questions[::2])}
