"""`manage.py reconcile_costs`: the ledger against counters and rollup; exit 1 and a table when they differ."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from billing.models import CostRecord
from billing.reconciliation import Difference, find_differences, find_unrecorded
from billing.rollup import RollupDifference, find_rollup_differences, roll_up_day

COLUMNS = "{:<12}{:<10}{:>10}{:>20}{:>20}{:>20}{:>20}"


class Command(BaseCommand):
    help = "Compares what counters and daily sums say with what the cost records add up to."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--repair", action="store_true", help="sum up anew the closed days that are off")

    def handle(self, *args: Any, **options: Any) -> None:
        differences, unrecorded = find_differences(), find_unrecorded()
        rolled = find_rollup_differences()
        for day in rolled:
            self.stdout.write(_rollup_line(day))
            if options["repair"]:
                roll_up_day(day=day.day)
        if rolled and options["repair"]:
            self.stdout.write(f"{len(rolled)} days were summed up anew.")
            rolled = find_rollup_differences()
        if differences:
            head = (
                "day",
                "scope",
                "owner",
                "settled, counted",
                "settled, ledger",
                "reserved, counted",
                "reserved, open",
            )
            self.stdout.write(COLUMNS.format(*head))
        for difference in differences:
            self.stdout.write(_line(difference))
        for reservation_id in unrecorded:
            self.stdout.write(f"Reservation {reservation_id}: its state does not fit its record.")
        if differences or unrecorded or rolled:
            raise CommandError(
                f"{len(differences)} accounts differ, {len(unrecorded)} reservations do not fit, "
                f"{len(rolled)} closed days are summed up wrongly."
            )
        self.stdout.write(
            self.style.SUCCESS(
                f"Ledger, counters and daily sums agree on {CostRecord.objects.count()} records."
            )
        )


def _rollup_line(day: RollupDifference) -> str:
    return (
        f"{day.day}: the ledger has {day.ledger_calls} calls for ${day.ledger_cost_usd:.10f}, the daily sums "
        f"{day.usage_calls} for ${day.usage_cost_usd:.10f} and by person {day.person_calls} for "
        f"${day.person_cost_usd:.10f}; durations: {day.ledger_durations} and {day.rolled_durations}."
    )


def _line(difference: Difference) -> str:
    return COLUMNS.format(
        difference.day.isoformat(),
        difference.scope,
        difference.owner_id,
        f"{difference.counted_settled_usd:.10f}",
        f"{difference.ledger_settled_usd:.10f}",
        f"{difference.counted_reserved_usd:.10f}",
        f"{difference.ledger_reserved_usd:.10f}",
    )
