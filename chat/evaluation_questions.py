"""Where evaluation questions come from: a spreadsheet's file, and answers that members liked. All sync."""

import csv
import io
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from contextlib import suppress
from dataclasses import dataclass

from chat.models import MAX_QUESTION_CHARS, Citation, EvaluationQuestion, Message
from clones.models import Clone

DELIMITERS = ",;\t"  # the second where a comma parts decimals
MAX_IMPORTED = 2000
COLUMNS = ("question", "expected_quotes", "expected_answer", "expects_no_answer")
YES = {"1", "true", "yes", "x"}


class ImportRefused(Exception):  # noqa: N818  (what happened)
    """A file that no questions can be read from; the message says why and where."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    added: int
    known: int


def import_questions(*, clone: Clone, content: bytes) -> Imported:
    """Adds a CSV's questions (columns as in `COLUMNS`, only `question` is needed). All or nothing: ImportRefused."""
    text = _decode(content)
    delimiter = max(DELIMITERS, key=text.partition("\n")[0].count)
    try:
        rows = list(csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True))
    except csv.Error as error:
        raise ImportRefused(f"This is no CSV file: {error}.") from error
    if not rows or "question" not in rows[0]:
        raise ImportRefused("The first line must name the columns, and one of them must be “question”.")
    if len(rows) > MAX_IMPORTED:
        raise ImportRefused(f"{len(rows):,} lines are too many; {MAX_IMPORTED:,} are read at once.")
    questions = [_read_row(clone=clone, row=row, line=line) for line, row in enumerate(rows, start=2)]
    known = set(clone.evaluation_questions.values_list("question", flat=True))
    fresh = list({one.question: one for one in questions if one.question not in known}.values())
    EvaluationQuestion.objects.bulk_create(fresh, ignore_conflicts=True)
    return Imported(added=len(fresh), known=len(questions) - len(fresh))


def take_liked_answers(*, clone: Clone) -> int:
    """Makes questions of answers that members found helpful: what these rested on is expected. Returns how many.

    The question is a member's own words, so it becomes the expert's to read; the member's name does not.
    """
    liked = Message.objects.filter(
        session__clone=clone, rating=1, is_current=True, citations__is_cited=True, reply_to__isnull=False
    ).distinct()
    added = 0
    for answer in liked.select_related("reply_to").prefetch_related("citations"):
        assert answer.reply_to is not None
        text = answer.reply_to.content[:MAX_QUESTION_CHARS]
        quotes = [quote for citation in answer.citations.all() if (quote := _cited_words(citation))]
        _question, is_new = EvaluationQuestion.objects.get_or_create(
            clone=clone, question=text, defaults={"message": answer, "expected_quotes": "\n".join(quotes)}
        )
        added += is_new
    return added


def _decode(content: bytes) -> str:
    """UTF-8, UTF-16 with its mark, or what spreadsheets of western Windows write."""
    encodings = ("utf-16",) if content.startswith((BOM_UTF16_LE, BOM_UTF16_BE)) else ("utf-8-sig", "cp1252")
    for encoding in encodings:
        with suppress(UnicodeDecodeError):
            text = content.decode(encoding)
            if "\0" not in text:
                return text
    raise ImportRefused(
        "This is no CSV file. In a spreadsheet, save the sheet as “CSV UTF-8” and import that."
    )


def _read_row(*, clone: Clone, row: dict[str, str | None], line: int) -> EvaluationQuestion:
    values = {name: (row.get(name) or "").strip() for name in COLUMNS}
    if not values["question"] or len(values["question"]) > MAX_QUESTION_CHARS:
        raise ImportRefused(f"Line {line}: a question has 1 to {MAX_QUESTION_CHARS:,} characters.")
    expects_no_answer = values["expects_no_answer"].lower() in YES
    if expects_no_answer and (values["expected_quotes"] or values["expected_answer"]):
        raise ImportRefused(f"Line {line}: it expects no answer, and names one.")
    return EvaluationQuestion(
        clone=clone,
        question=values["question"],
        expected_quotes=values["expected_quotes"].replace(" | ", "\n"),
        expected_answer=values["expected_answer"],
        expects_no_answer=expects_no_answer,
    )


def _cited_words(citation: Citation) -> str:
    """The sentences that a liked answer rested on; the whole passage says too much to be expected again."""
    if not citation.is_cited or citation.focus_start is None or citation.focus_end is None:
        return ""
    start, end = citation.focus_start - citation.start_char, citation.focus_end - citation.start_char
    return " ".join(citation.quote[start:end].split())
