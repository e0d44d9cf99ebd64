"""`manage.py reconcile_costs`: the ledger against the counters; exit 1 and a table when they differ."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from billing.models import CostRecord
from billing.reconciliation import Difference, find_differences, find_unrecorded

COLUMNS = "{:<12}{:<10}{:>10}{:>20}{:>20}{:>20}{:>20}"


class Command(BaseCommand):
    help = "Compares what the spending counters say with what the cost records add up to."

    def handle(self, *args: Any, **options: Any) -> None:
        differences, unrecorded = find_differences(), find_unrecorded()
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
        if differences or unrecorded:
            raise CommandError(
                f"{len(differences)} accounts differ, {len(unrecorded)} reservations do not fit."
            )
        self.stdout.write(
            self.style.SUCCESS(f"Ledger and counters agree on {CostRecord.objects.count()} records.")
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
