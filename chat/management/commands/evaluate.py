"""`manage.py evaluate CLONE [--baseline RUN] [--questions FILE] [--label TEXT]`: a gate before publishing a change."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError

from chat.evaluation import compare_runs, run_evaluation, start_run
from chat.evaluation_metrics import NAMES, Figures, in_units
from chat.evaluation_questions import ImportRefused, import_questions
from chat.models import EvaluationRun, RunStatus
from clones.models import Clone


class Command(BaseCommand):
    help = (
        "Asks a clone its evaluation questions and stores the figures. Exit 1 when the run fails, or when it is worse "
        "than the baseline by more than the stated rules (chat/evaluation_metrics.py) allow."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("clone_slug")
        parser.add_argument("--baseline", help="id of an earlier run, or “last” for the last finished one")
        parser.add_argument("--questions", type=Path, help="a CSV of questions to add first")
        parser.add_argument("--label", default="", help="what was changed")

    def handle(self, *args: Any, **options: Any) -> None:
        clone = Clone.objects.filter(slug=options["clone_slug"]).first()
        if clone is None:
            raise CommandError(f"There is no clone “{options['clone_slug']}”.")
        if options["questions"] is not None:
            self._import(clone=clone, path=options["questions"])
        baseline = find_baseline(clone=clone, name=options["baseline"])
        run = start_run(clone=clone, label=options["label"][:80], queue=False)
        run = run_evaluation(run_id=run.pk, on_result=lambda _result: self.stderr.write(".", ending=""))
        self.stderr.write("")
        if run.status == RunStatus.FAILED:
            raise CommandError(run.error_message)
        self.stdout.write(f"Run {run.pk}: {run.figures['questions']} questions")
        if baseline is None:
            self._print(now=run.figures, before=None)
            return
        now, before, worse = compare_runs(run=run, baseline=baseline)
        self._print(now=now, before=before)
        if worse:
            raise CommandError("Worse than the baseline. " + "; ".join(worse) + ".")
        self.stdout.write("Not worse than the baseline.")

    def _import(self, *, clone: Clone, path: Path) -> None:
        try:
            imported = import_questions(clone=clone, content=path.read_bytes())
        except (ImportRefused, OSError) as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"{imported.added} questions added, {imported.known} known already.")

    def _print(self, *, now: Figures, before: Figures | None) -> None:
        for name, title in NAMES.items():
            value = now.get(name)
            line = f"{title:<38}{_format(name, value):>12}"
            if before is not None:
                line += f"{_format(name, before.get(name)):>12}  before"
            self.stdout.write(line)


def _format(name: str, value: float | None) -> str:
    return "-" if value is None else f"{in_units(name=name, value=value):.4f}"


def find_baseline(*, clone: Clone, name: str | None) -> EvaluationRun | None:
    """The run that is meant; raises CommandError when there is none."""
    if not name:
        return None
    finished = EvaluationRun.objects.filter(clone=clone, status=RunStatus.READY)
    try:
        found = finished.first() if name == "last" else finished.filter(pk=name).first()
    except ValidationError as error:
        raise CommandError(f"“{name}” is no run's id.") from error
    if found is None:
        raise CommandError(f"{clone.slug} has no finished run “{name}”.")
    return found
