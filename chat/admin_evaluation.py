"""Evaluation in the admin: an expert's questions, runs over them, and two runs side by side."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import admin, messages
from django.http import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect
from django.urls import URLPattern, path
from unfold.decorators import display
from unfold.widgets import UnfoldAdminFileFieldWidget, UnfoldAdminTextInputWidget

from chat.evaluation import compare_runs, start_run
from chat.evaluation_metrics import NAMES, Figures, find_regressions, in_units
from chat.evaluation_questions import ImportRefused, import_questions, take_liked_answers
from chat.models import EvaluationQuestion, EvaluationResult, EvaluationRun, RunStatus
from cloneai.accounts.admin_access import EXPERT, RoleAdmin, StaffRequest, record_action
from clones.admin_filters import CloneNameFilter, OwnCloneFilter
from clones.models import Clone

RUNS_SHOWN = 20
MAX_FILE_BYTES = 2 * 1024 * 1024
FRACTIONS = ("recall", "mrr", "ndcg", "answer", "unsupported", "right_refusals", "wrong_refusals")


class ImportForm(forms.Form):
    file = forms.FileField(
        label="CSV file",
        widget=UnfoldAdminFileFieldWidget(attrs={"accept": ".csv,text/csv"}),
        help_text="As a spreadsheet saves it, first line: question, expected_quotes, expected_answer, "
        "expects_no_answer. Only the first is needed; several quotes stand apart by “ | ”.",
    )


class RunForm(forms.Form):
    label = forms.CharField(
        label="What was changed",
        required=False,
        max_length=80,
        widget=UnfoldAdminTextInputWidget(),
        help_text="For example “larger passages”. May be empty.",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class FigureRow:
    """One figure of a run and of its baseline, as shown; `is_worse` by the stated rules."""

    title: str
    now: str
    before: str
    is_worse: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultRow:
    now: EvaluationResult
    before: EvaluationResult | None


@admin.register(EvaluationQuestion)
class EvaluationQuestionAdmin(RoleAdmin):
    viewed_by = changed_by = added_by = deleted_by = (EXPERT,)
    rows = "editable_by"
    list_display = ("question", "clone", "expects", "created_at")
    list_select_related = ("clone",)
    list_filter = (OwnCloneFilter, CloneNameFilter, "expects_no_answer", "created_at")
    search_fields = ("question", "expected_quotes")
    fields = ("clone", "question", "expected_quotes", "expected_answer", "expects_no_answer")
    change_list_outer_before_template = "admin/chat/evaluation_links.html"

    def get_urls(self) -> list[URLPattern]:
        pages = (
            ("clone/<int:clone_id>/", "chat_evaluation", show_evaluation),
            ("run/<uuid:run_id>/", "chat_evaluation_run", show_run),
        )
        own = [
            path(route, self.admin_site.admin_view(partial(view, self)), name=name)
            for route, name, view in pages
        ]
        return own + super().get_urls()

    def changelist_view(
        self, request: StaffRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponseBase:
        clones = Clone.objects.editable_by(request.user).order_by("name")[:100]
        return super().changelist_view(request, {"evaluated_clones": clones, **(extra_context or {})})

    @display(description="Expects")
    def expects(self, question: EvaluationQuestion) -> str:
        if question.expects_no_answer:
            return "no answer"
        parts = [f"{len(question.quotes)} quotes"] if question.quotes else []
        parts += ["an answer"] if question.expected_answer else []
        return " and ".join(parts) or "nothing yet"


def show_evaluation(
    model_admin: EvaluationQuestionAdmin, request: StaffRequest, clone_id: int
) -> HttpResponseBase:
    """A clone's questions and runs. Posts: import a file, take liked answers, start a run."""
    clone = get_object_or_404(Clone.objects.editable_by(request.user), pk=clone_id)
    is_post, order = request.method == "POST", request.POST.get("do", "")
    import_form = ImportForm(request.POST, request.FILES) if is_post and order == "import" else ImportForm()
    run_form = RunForm(request.POST if is_post and order == "run" else None)
    if is_post and _carry_out(request, clone=clone, order=order, import_form=import_form, run_form=run_form):
        return redirect("admin:chat_evaluation", clone.pk)
    runs = list(clone.evaluation_runs.all()[:RUNS_SHOWN])
    return model_admin.render(
        request,
        "admin/chat/evaluation.html",
        title=f"Evaluation: {clone.name}",
        clone=clone,
        questions=clone.evaluation_questions.count(),
        runs=[
            (run, _shown(run.figures, ("recall", "ndcg", "unsupported", "right_refusals"))) for run in runs
        ],
        figure_names=[NAMES[name] for name in ("recall", "ndcg", "unsupported", "right_refusals")],
        is_waiting=any(run.status in (RunStatus.WAITING, RunStatus.RUNNING) for run in runs),
        import_form=import_form,
        run_form=run_form,
    )


def show_run(model_admin: EvaluationQuestionAdmin, request: StaffRequest, run_id: UUID) -> HttpResponseBase:
    """One run, beside the baseline that `?baseline=` names."""
    runs = EvaluationRun.objects.editable_by(request.user).select_related("clone")
    run: EvaluationRun = get_object_or_404(runs, pk=run_id)
    others = run.clone.evaluation_runs.filter(status=RunStatus.READY).exclude(pk=run.pk)
    wanted = request.GET.get("baseline", "")
    baseline = next((one for one in others[:200] if str(one.pk) == wanted), None)
    return model_admin.render(
        request,
        "admin/chat/evaluation_run.html",
        title=str(run),
        run=run,
        clone=run.clone,
        others=others[:RUNS_SHOWN],
        baseline=baseline,
        figures=_list_figures(run, baseline),
        settings=_list_settings(run, baseline),
        results=_list_results(run, baseline),
    )


def _carry_out(
    request: StaffRequest, *, clone: Clone, order: str, import_form: ImportForm, run_form: RunForm
) -> bool:
    """Does what was posted; False when its form has something to say."""
    if order == "liked":
        added = take_liked_answers(clone=clone)
        record_action(actor=request.user, action="evaluation.liked", target=clone, added=added)
        messages.success(request, f"{added} questions taken from answers that members found helpful.")
        return True
    if order == "run" and run_form.is_valid():
        run = start_run(clone=clone, label=run_form.cleaned_data["label"], started_by=request.user)
        record_action(actor=request.user, action="evaluation.run", target=clone, run=str(run.pk))
        messages.success(request, "The run has been queued. Its calls are counted as your cost.")
        return True
    if order == "import" and import_form.is_valid():
        return _import(request, clone=clone, form=import_form)
    return False


def _import(request: StaffRequest, *, clone: Clone, form: ImportForm) -> bool:
    file = form.cleaned_data["file"]
    if file.size > MAX_FILE_BYTES:
        form.add_error("file", "The file is larger than 2 MB.")
        return False
    try:
        imported = import_questions(clone=clone, content=file.read())
    except ImportRefused as refusal:
        form.add_error("file", str(refusal))
        return False
    record_action(actor=request.user, action="evaluation.import", target=clone, added=imported.added)
    messages.success(request, f"{imported.added} questions added, {imported.known} known already.")
    return True


def _shown(figures: dict[str, Any], names: Sequence[str]) -> list[str]:
    return [_format(name, figures.get(name)) for name in names]


def _format(name: str, value: float | None) -> str:
    if value is None:
        return "–"
    if name in FRACTIONS:
        return f"{value:.3f}"
    return f"{in_units(name=name, value=value):.6f}" if name == "nano_usd" else f"{value:,.0f}"


def _list_figures(run: EvaluationRun, baseline: EvaluationRun | None) -> list[FigureRow]:
    """The run's own figures; beside a baseline those over the questions that both asked."""
    now: Figures = run.figures
    before: Figures = {}
    if baseline is not None:
        now, before, _worse = compare_runs(run=run, baseline=baseline)
    return [
        FigureRow(
            title=title,
            now=_format(name, now.get(name)),
            before=_format(name, before.get(name)),
            is_worse=bool(find_regressions(now={name: now.get(name)}, before={name: before.get(name)})),
        )
        for name, title in NAMES.items()
    ]


def _list_settings(run: EvaluationRun, baseline: EvaluationRun | None) -> list[tuple[str, Any, Any, bool]]:
    before = baseline.settings if baseline else {}
    return [
        (
            name.replace("_", " ").capitalize(),
            value,
            before.get(name),
            bool(before) and before.get(name) != value,
        )
        for name, value in run.settings.items()
    ]


def _list_results(run: EvaluationRun, baseline: EvaluationRun | None) -> list[ResultRow]:
    before = {one.question_text: one for one in baseline.results.all()} if baseline else {}
    rows = [ResultRow(now=one, before=before.get(one.question_text)) for one in run.results.all()]
    return sorted(rows, key=lambda row: row.now.figures.get("recall", 1.0) or 0.0)  # the worst first
