"""`manage.py refresh_prices [MODEL …]`: shows where our prices differ from genai-prices', asks, and writes them."""

from decimal import Decimal
from importlib.metadata import version
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from billing.models import utc_today
from billing.price_refresh import (
    PUBLISHER,
    SUSPICIOUS_FACTOR,
    Comparison,
    PriceChange,
    apply_changes,
    find_changes,
)
from billing.prices import TokenPrice

COLUMNS = "{:<28}{:>26}{:>26}  {}"


class Command(BaseCommand):
    help = (
        "Compares the price list with the prices that the installed genai-prices carries, and takes them over from "
        "today on. Without models: all that have a price or are configured. Newer prices come with "
        "`pip install -U genai-prices`."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("models", nargs="*", metavar="MODEL", help="only these, whatever their change")
        parser.add_argument("--yes", action="store_true", help="do not ask; leaves doubtful changes out")
        parser.add_argument("--dry-run", action="store_true", help="show the difference, write nothing")

    def handle(self, *args: Any, **options: Any) -> None:
        day = utc_today()
        comparison = find_changes(day=day, models=options["models"])
        self._show(comparison)
        if unknown := set(options["models"]) & set(comparison.unknown):
            raise CommandError(f"Not published: {', '.join(sorted(unknown))}. Add a price in the admin.")
        if not comparison.changes or options["dry_run"]:
            return
        doubtful = [change for change in comparison.changes if _is_doubtful(change) and not options["models"]]
        wanted = [change for change in comparison.changes if change not in doubtful]
        if not options["yes"]:
            wanted = (
                wanted if wanted and self._confirms(f"Take over {len(wanted)} prices from today on?") else []
            )
            wanted += [change for change in doubtful if self._confirms(f"Also the one of {change.model}?")]
        elif doubtful:
            names = ", ".join(change.model for change in doubtful)
            self.stdout.write(self.style.WARNING(f"Left out: {names}. Name a model to take its price over."))
        apply_changes(changes=wanted, day=day)
        self.stdout.write(self.style.SUCCESS(f"{len(wanted)} prices are valid from {day} on."))

    def _show(self, comparison: Comparison) -> None:
        self.stdout.write(
            f"{PUBLISHER} {version(PUBLISHER)} against the price list, US dollars per million tokens (input / cached "
            f"input / output): {len(comparison.changes)} differ, {len(comparison.unchanged)} are the same."
        )
        if comparison.changes:
            self.stdout.write(COLUMNS.format("model", "now", "published", ""))
        for change in comparison.changes:
            line = COLUMNS.format(
                change.model, _words(change.before), _words(change.after), _remark(change)
            ).rstrip()
            self.stdout.write(self.style.WARNING(line) if _is_doubtful(change) else line)
        if comparison.unknown:
            self.stdout.write(f"Not published, left alone: {', '.join(comparison.unknown)}.")

    def _confirms(self, question: str) -> bool:
        try:
            return input(f"{question} [y/N] ").strip().lower() in ("y", "yes")
        except EOFError:
            raise CommandError("Nobody answers here. Use --yes or --dry-run.") from None


def _is_doubtful(change: PriceChange) -> bool:
    return change.is_suspicious or change.is_by_hand


def _remark(change: PriceChange) -> str:
    remarks = []
    if change.is_suspicious:
        remarks.append(f"more than {SUSPICIOUS_FACTOR}-fold: check it")
    if change.is_by_hand:
        remarks.append("entered by hand")
    return "; ".join(remarks)


def _words(price: TokenPrice | None) -> str:
    if price is None:
        return "none"
    return " / ".join(
        _digits(figure) for figure in (price.input_usd, price.cached_input_usd, price.output_usd)
    )


def _digits(figure: Decimal) -> str:
    return f"{figure.normalize():f}"
