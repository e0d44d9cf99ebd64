"""Rows that the product cannot do without: roles, first prices, schedules. Put in place after every `migrate`."""

from datetime import timedelta
from typing import Any

from django.utils import timezone

EVERY_MINUTE = {
    "Interrupt answers whose writer died": ("chat.tasks.interrupt_stale", timedelta()),
    "Interrupt answers whose writer died (half past)": ("chat.tasks.interrupt_stale", timedelta(seconds=30)),
    "Pick up documents that a dead worker left": ("knowledge.tasks.sweep", timedelta(seconds=15)),
    "Settle provider calls whose process died": ("billing.tasks.settle_abandoned", timedelta(seconds=45)),
    "Summarise conversations that are idle": ("chat.tasks.settle_idle_sessions", timedelta(seconds=20)),
    "Join questions that mean the same": ("chat.tasks.sort_gaps", timedelta(seconds=35)),
    "Warn staff about limits that are reached": ("billing.tasks.warn_about_limits", timedelta(seconds=50)),
}
EVERY_HOUR = {
    "Sum up the costs of closed days": "billing.tasks.roll_up_closed_days",
    "Index the vectors of large clones": "knowledge.tasks.keep_vector_indexes",
    "Remove archives of people's data past their time": "cloneai.privacy.tasks.remove_expired_exports",
}
EVERY_NIGHT = {
    "Delete what is older than the retention settings": "cloneai.privacy.tasks.apply_retention",
    "Count rows and files that belong to no document": "knowledge.tasks.audit_orphans",
}
NIGHT_HOUR_UTC = 3


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
    for name, function in EVERY_HOUR.items():
        Schedule.objects.get_or_create(
            name=name,
            defaults={"func": function, "schedule_type": Schedule.HOURLY, "next_run": timezone.now()},
        )
    night = timezone.now().replace(hour=NIGHT_HOUR_UTC, minute=20, second=0) + timedelta(days=1)
    for name, function in EVERY_NIGHT.items():
        Schedule.objects.get_or_create(
            name=name, defaults={"func": function, "schedule_type": Schedule.DAILY, "next_run": night}
        )
