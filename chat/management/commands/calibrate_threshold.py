"""`manage.py calibrate_threshold CLONE [--questions FILE] [--most-lost 0.02] [--apply]`: a floor from judgements."""

from argparse import ArgumentParser
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from billing.metering import MeteredCallError, Payer
from chat.calibration import MOST_LOST, Judged, Trade, choose_floor, judge_questions, trade_at, weigh_floors
from chat.evaluation_questions import ImportRefused, import_questions
from clones.models import Clone
from knowledge.relevance import calibration_for

SHOWN_STEPS = 10
FEW_QUESTIONS = 30


class Command(BaseCommand):
    help = (
        "Searches for a clone's evaluation questions and says what each floor of relevance would trade: answers lost "
        "against questions without an answer that get passages all the same. Proposes a floor for the embedding model "
        "and a threshold for this clone; --apply sets the latter."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("clone_slug")
        parser.add_argument(
            "--questions",
            type=Path,
            help="a CSV of questions to add first: question, expected_quotes, expects_no_answer",
        )
        parser.add_argument(
            "--most-lost", type=float, default=MOST_LOST, help="share of recall that may be lost (0.02)"
        )
        parser.add_argument("--apply", action="store_true", help="set the clone's similarity threshold")

    def handle(self, *args: Any, **options: Any) -> None:
        clone = Clone.objects.filter(slug=options["clone_slug"]).first()
        if clone is None:
            raise CommandError(f"There is no clone “{options['clone_slug']}”.")
        if not 0 <= options["most_lost"] <= 1:
            raise CommandError("--most-lost is a share between 0 and 1.")
        if options["questions"] is not None:
            self._import(clone=clone, path=options["questions"])
        try:
            judged = judge_questions(clone=clone, payer=Payer(user_id=None, clone_id=clone.pk))
        except MeteredCallError as error:
            raise CommandError(error.user_message) from error
        answerable = sum(one.is_answerable for one in judged)
        if not answerable:
            raise CommandError(
                "No evaluation question of this clone names a passage that answers it (“expected quotes”): "
                "add some in the admin, or give a CSV by --questions."
            )
        self.stdout.write(
            f"{answerable} questions with an expected passage, {len(judged) - answerable} that expect no answer."
        )
        if answerable < FEW_QUESTIONS or len(judged) - answerable < FEW_QUESTIONS:
            self.stdout.write(f"Fewer than {FEW_QUESTIONS} of a kind: take the figures as a hint.")
        self._propose(clone=clone, judged=judged, most_lost=options["most_lost"], apply=options["apply"])

    def _import(self, *, clone: Clone, path: Path) -> None:
        try:
            imported = import_questions(clone=clone, content=path.read_bytes())
        except (ImportRefused, OSError) as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"{imported.added} questions added, {imported.known} known already.")

    def _propose(self, *, clone: Clone, judged: Sequence[Judged], most_lost: float, apply: bool) -> None:
        for_model = weigh_floors(judged=judged, is_clones_own=False)
        now = calibration_for(model=clone.embedding_model).floor
        self._print(title=f"Floor of {clone.embedding_model or 'the embedding model'}", trades=for_model)
        chosen = choose_floor(trades=for_model, most_lost=most_lost)
        self._say("in force", trade_at(trades=for_model, floor=now), free=for_model[0])
        self._say("proposed (knowledge/relevance.py, CALIBRATIONS)", chosen, free=for_model[0])
        own = weigh_floors(judged=judged, is_clones_own=True)
        self._print(title=f"Threshold of {clone.slug}: nothing below it is used", trades=own)
        chosen = choose_floor(trades=own, most_lost=most_lost)
        if clone.similarity_threshold is not None:
            self._say("in force", trade_at(trades=own, floor=clone.similarity_threshold), free=own[0])
        self._say("proposed", chosen, free=own[0])
        if apply:
            clone.similarity_threshold = chosen.floor
            clone.save(update_fields=["similarity_threshold", "updated_at"])
            self.stdout.write(f"The similarity threshold of {clone.slug} is {chosen.floor:.2f} now.")

    def _print(self, *, title: str, trades: Sequence[Trade]) -> None:
        self.stdout.write(f"\n{title}\n{'floor':>6}{'recall@5':>10}{'let through':>13}")
        for one in trades[:: len(trades) // SHOWN_STEPS // 2]:
            self.stdout.write(f"{one.floor:>6.2f}{one.recall:>10.3f}{_share(one.let_through):>13}")
            if not one.recall:
                break

    def _say(self, what: str, trade: Trade, *, free: Trade) -> None:
        self.stdout.write(
            f"{what}: {trade.floor:.2f}, loses {free.recall - trade.recall:.3f} of recall@5 {free.recall:.3f}; "
            f"of questions without an answer {_share(trade.let_through)} get passages"
        )


def _share(value: float | None) -> str:
    return "not judged" if value is None else f"{value:.3f}"
