"""Rows that the product cannot do without: roles, first prices, schedules. Put in place after every `migrate`."""

from datetime import timedelta
from typing import Any

from django.utils import timezone

EVERY_MINUTE = {
    "Interrupt answers whose writer died": ("chat.tasks.interrupt_stale", timedelta()),
    "Interrupt answers whose writer died (half past)": ("chat.tasks.interrupt_stale", timedelta(seconds=30)),
    "Pick up documents that a dead worker left": ("knowledge.tasks.sweep", timedelta(seconds=15)),
    "Settle provider calls whose process died": ("billing.tasks.settle_abandoned", timedelta(seconds=45)),
}


def ensure_reference_data(**kwargs: Any) -> None:
    """Receiver of `post_migrate`; does its work once all tables are there."""
    from django.contrib.auth.models import Group
    from django_q.models import Schedule

    from billing.models import ModelPrice
    from billing.prices import seed_prices
    from cloneai.accounts.models import EXPERTS, REVIEWERS

    if not ModelPrice.objects.exists():
        seed_prices(price_model=ModelPrice)
    for name in (EXPERTS, REVIEWERS):
        Group.objects.get_or_create(name=name)
    for name, (function, delay) in EVERY_MINUTE.items():
        Schedule.objects.get_or_create(
            name=name,
            defaults={
                "func": function,
                "schedule_type": Schedule.MINUTES,
                "minutes": 1,
                "next_run": timezone.now() + delay,
            },
        )
