"""Runs a clone's evaluation questions: retrieval, answer, figures. Enter at `start_run` or `run_evaluation`.

Each question is asked alone, as in a new conversation, by the code that conversations use (`chat.rehearsals`).
"""

import csv
import io
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from uuid import UUID

from asgiref.sync import async_to_sync
from django.conf import settings
from django.db import transaction
from django.utils import timezone
from django_q.tasks import async_task

from billing.metering import MeteredCallError, Payer
from chat.claims import unsupported_rate
from chat.evaluation_metrics import (
    DEPTH,
    NANO,
    Figures,
    K,
    find_hits,
    find_regressions,
    ndcg_at,
    recall_at,
    reciprocal_rank,
    summarise,
)
from chat.models import (
    MAX_QUESTION_CHARS,
    Citation,
    EvaluationQuestion,
    EvaluationResult,
    EvaluationRun,
    Message,
    RunStatus,
)
from chat.rehearsals import Rehearsal, rehearse
from chat.support import find_nearest
from cloneai.accounts.models import User
from clones.models import Clone

DELIMITERS = ",;\t"  # the second where a comma parts decimals
MAX_IMPORTED = 2000
COLUMNS = ("question", "expected_quotes", "expected_answer", "expects_no_answer")
YES = {"1", "true", "yes", "x"}
END_WHOLE_RUN = {"budget_exceeded", "authentication", "unpriced_model"}


class ImportRefused(Exception):  # noqa: N818  (what happened)
    """A file that no questions can be read from; the message says why and where."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    added: int
    known: int


def start_run(
    *, clone: Clone, label: str = "", started_by: User | None = None, queue: bool = True
) -> EvaluationRun:
    """Saves a run and, with `queue`, has a worker carry it out."""
    with transaction.atomic():
        run = EvaluationRun.objects.create(
            clone=clone, label=label, started_by=started_by, settings=describe_settings(clone=clone)
        )
        if queue:
            async_task("chat.tasks.run_evaluation", str(run.pk), task_name=f"evaluate {run.pk}"[:100])
    return run


def describe_settings(*, clone: Clone) -> dict[str, object]:
    """What a run's figures depend on."""
    return {
        "chat_model": clone.chat_model or settings.GPT_4_MINI_MODEL,
        "embedding_model": clone.embedding_model,
        "is_strict": clone.is_strict,
        "temperature": str(clone.temperature),
        "similarity_threshold": clone.similarity_threshold,
        "chunk_tokens": clone.chunk_tokens,
        "chunk_overlap_tokens": clone.chunk_overlap_tokens,
        "documents": clone.documents.filter(live_version__isnull=False).count(),
    }


def run_evaluation(
    *, run_id: UUID, on_result: Callable[[EvaluationResult], None] | None = None
) -> EvaluationRun:
    """Asks all questions, one after the other, and stores what came of each. Ends the run as ready or failed.

    A run that a dead worker left is taken up where it stopped.
    """
    run = EvaluationRun.objects.select_related("clone").get(pk=run_id)
    run.status = RunStatus.RUNNING
    run.save(update_fields=["status"])
    done = set(run.results.values_list("question_id", flat=True))
    questions = run.clone.evaluation_questions.exclude(pk__in=done)
    payer = Payer(user_id=run.started_by_id, clone_id=run.clone_id)
    for question in questions:
        try:
            result = evaluate_question(question=question, run=run, payer=payer)
        except MeteredCallError as error:
            if error.error_type in END_WHOLE_RUN:
                return _end(run, error_message=error.user_message)
            result = EvaluationResult(
                run=run, question=question, question_text=question.question, error_message=error.user_message
            )
        result.save()
        if on_result is not None:
            on_result(result)
    results = list(run.results.all())
    if not results:
        return _end(run, error_message="There are no questions yet. Add some first.")
    run.figures = {
        **summarise([result.figures for result in results]),
        "questions": len(results),
        "failed": sum(bool(result.error_message) for result in results),
        "total_nano_usd": sum(result.figures.get("nano_usd") or 0 for result in results),
    }
    return _end(run)


def evaluate_question(*, question: EvaluationQuestion, run: EvaluationRun, payer: Payer) -> EvaluationResult:
    """Unsaved. Raises MeteredCallError."""
    rehearsal = async_to_sync(rehearse)(clone=run.clone, question=question.question, payer=payer)
    return EvaluationResult(
        run=run,
        question=question,
        question_text=question.question,
        answer=rehearsal.text,
        figures=_measure(question=question, rehearsal=rehearsal),
    )


def compare_runs(*, run: EvaluationRun, baseline: EvaluationRun) -> tuple[Figures, Figures, list[str]]:
    """Both runs' figures over the questions that both asked, and what is worse by the stated rules."""
    now = {one.question_text: one.figures for one in run.results.filter(error_message="")}
    before = {one.question_text: one.figures for one in baseline.results.filter(error_message="")}
    both = [text for text in now if text in before]
    mine, theirs = summarise([now[text] for text in both]), summarise([before[text] for text in both])
    return mine, theirs, find_regressions(now=mine, before=theirs)


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


def _measure(*, question: EvaluationQuestion, rehearsal: Rehearsal) -> dict[str, float | None]:
    figures: dict[str, float | None] = {
        "nano_usd": int(rehearsal.cost_usd * NANO),
        "search_ms": rehearsal.search_ms,
        "total_ms": rehearsal.total_ms,
        "unsupported": unsupported_rate(rehearsal.claims) if rehearsal.claims else None,
        "right_refusals": float(rehearsal.found_nothing) if question.expects_no_answer else None,
        "wrong_refusals": None if question.expects_no_answer else float(rehearsal.found_nothing),
    }
    if quotes := question.quotes:
        found = rehearsal.search.passages if rehearsal.search else ()
        hits = find_hits(passages=[passage.content for passage in found], quotes=quotes)
        figures["recall"] = recall_at(hits=hits, expected=len(quotes), k=K)
        figures["mrr"] = reciprocal_rank(hits=hits)
        figures["ndcg"] = ndcg_at(hits=hits, expected=len(quotes), k=DEPTH)
    if question.expected_answer:
        place = find_nearest(statement=question.expected_answer, content=rehearsal.text)
        figures["answer"] = place.share if place else 0.0
    return figures


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


def _end(run: EvaluationRun, *, error_message: str = "") -> EvaluationRun:
    run.status = RunStatus.FAILED if error_message else RunStatus.READY
    run.error_message, run.finished_at = error_message, timezone.now()
    run.save(update_fields=["status", "error_message", "finished_at", "figures"])
    return run
