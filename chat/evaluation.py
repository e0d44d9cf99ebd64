"""Runs a clone's evaluation questions: retrieval, answer, figures. Enter at `start_run` or `run_evaluation`.

Each question is asked alone, as in a new conversation, by the code that conversations use (`chat.rehearsals`).
"""

from collections.abc import Callable
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
from chat.models import EvaluationQuestion, EvaluationResult, EvaluationRun, RunStatus
from chat.rehearsals import Rehearsal, rehearse
from chat.support import find_nearest
from cloneai.accounts.models import User
from clones.models import Clone

END_WHOLE_RUN = {"budget_exceeded", "authentication", "unpriced_model"}


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


def _end(run: EvaluationRun, *, error_message: str = "") -> EvaluationRun:
    run.status = RunStatus.FAILED if error_message else RunStatus.READY
    run.error_message, run.finished_at = error_message, timezone.now()
    run.save(update_fields=["status", "error_message", "finished_at", "figures"])
    return run
