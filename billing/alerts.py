"""Warnings to staff about limits: a row each, a log line, a banner in the admin, and an e-mail when that is set up.

Every account is warned about at 80% and at 100% of its limit. A refused call is 100%, whatever the account says: what
is left does not pay for a call. The row is unique, so several processes warn once.
"""

import logging
from collections import defaultdict
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from smtplib import SMTPException
from typing import Any

from django.conf import settings
from django.core.mail import send_mail
from django.db import transaction
from django.db.models import Case, F, OuterRef, Q, Subquery, Value, When
from django.db.models.functions import Coalesce
from django.utils import timezone

from billing.models import Scope, SpendAccount, SpendAlert, UsdField, utc_today
from cloneai.accounts.models import REVIEWERS, User
from clones.models import Clone

logger = logging.getLogger(__name__)

WARN_PERCENT = 80
FULL_PERCENT = 100
WARN_SHARE = Decimal(WARN_PERCENT) / 100
OFFER_FOR = timedelta(days=1)  # an e-mail that could not be sent for this long is not worth sending
SUBJECTS = {
    WARN_PERCENT: "Most of a daily limit for AI calls is used",
    FULL_PERCENT: "A daily limit for AI calls is reached",
}


def check_limits(*, day: date | None = None) -> int:
    """Warns about every account that has reached a threshold; one query when none has. Returns how many did."""
    limit = Case(
        When(scope=Scope.PLATFORM, then=Value(settings.DAILY_COST_LIMIT)),
        When(
            scope=Scope.USER,
            then=Coalesce(_own_limit(User), Value(settings.USER_DAILY_COST_LIMIT), output_field=UsdField()),
        ),
        default=_own_limit(Clone),
        output_field=UsdField(),
    )
    accounts: Any = SpendAccount.objects.filter(day=day or utc_today()).annotate(
        limit=limit, spent=F("settled_usd") + F("reserved_usd")
    )
    reached = accounts.filter(spent__gte=F("limit") * WARN_SHARE, spent__gt=0, limit__isnull=False)
    count = 0
    for account in reached:
        for percent in (WARN_PERCENT, FULL_PERCENT) if account.spent >= account.limit else (WARN_PERCENT,):
            count += _warn(
                scope=Scope(account.scope),
                owner_id=account.owner_id,
                day=account.day,
                percent=percent,
                limit_usd=account.limit,
                spent_usd=account.spent,
            )
    return count


def warn_of_refusal(*, scope: Scope, owner_id: int, day: date, limit_usd: Decimal) -> None:
    """Warns that an account had no room for a call; at most two queries after the first time."""
    known = SpendAlert.objects.filter(scope=scope, owner_id=owner_id, day=day, percent=FULL_PERCENT)
    if known.exists():
        return
    account = SpendAccount.objects.filter(scope=scope, owner_id=owner_id, day=day).first()
    spent = account.settled_usd + account.reserved_usd if account else Decimal(0)
    _warn(scope=scope, owner_id=owner_id, day=day, percent=FULL_PERCENT, limit_usd=limit_usd, spent_usd=spent)


def send_mails(*, now: datetime | None = None) -> int:
    """Tells each reader of all warnings that were not yet mailed, in one mail; returns how many warnings went out.

    By one process, and nothing without EMAIL_URL. A warning that reached nobody is kept for the next time, for a day.
    """
    if not settings.EMAIL_URL:
        return 0
    since = (now or timezone.now()) - OFFER_FOR
    with transaction.atomic():  # the rows stay locked meanwhile, so that nobody else sends them
        waiting = SpendAlert.objects.select_for_update(skip_locked=True).filter(
            mailed_at=None, created_at__gte=since
        )
        letters: dict[str, list[SpendAlert]] = defaultdict(list)
        for alert in waiting.order_by("created_at"):
            for address in _addresses(alert):
                letters[address].append(alert)
        told = {alert.pk for address, alerts in letters.items() if _send(address, alerts) for alert in alerts}
        SpendAlert.objects.filter(pk__in=told).update(mailed_at=timezone.now())
    return len(told)


def describe(*, alert: SpendAlert, owner: str, is_open: bool = True) -> str:
    """One sentence. `owner` is how the reader may know person or clone; not open hides the platform's figures."""
    figures = f" (${alert.spent_usd:.2f} of ${alert.limit_usd:.2f})"
    until = "until midnight (UTC) calls that no longer fit into it are refused"
    whose = "the platform's daily limit" if alert.scope == Scope.PLATFORM else f"the daily limit of {owner}"
    if alert.percent < FULL_PERCENT:
        return f"{alert.percent}% of {whose} is used{figures}."
    is_shown = is_open or alert.scope != Scope.PLATFORM
    return f"{whose[0].upper()}{whose[1:]} is reached{figures if is_shown else ''}: {until}."


def find_owner(alert: SpendAlert) -> User | Clone | None:
    """The person or clone of an alert; None when it is gone, and for the platform. One query."""
    if alert.scope == Scope.PLATFORM:
        return None
    model: Any = Clone if alert.scope == Scope.CLONE else User
    found: User | Clone | None = model.objects.filter(pk=alert.owner_id).first()
    return found


def _name_for_mail(alert: SpendAlert) -> str:
    """No address: mail passes through many hands."""
    owner = find_owner(alert)
    if isinstance(owner, Clone):
        return f"the clone “{owner.name}”"
    return owner.pseudonym if owner else "somebody who is gone"


def _own_limit(model: Any) -> Subquery:
    return Subquery(model.objects.filter(pk=OuterRef("owner_id")).values("daily_cost_limit_usd"))


def _warn(
    *, scope: Scope, owner_id: int, day: date, percent: int, limit_usd: Decimal, spent_usd: Decimal
) -> bool:
    """Writes the warning and logs it, unless somebody did before; says whether it was this call."""
    alert, is_new = SpendAlert.objects.get_or_create(
        scope=scope,
        owner_id=owner_id,
        day=day,
        percent=percent,
        defaults={"limit_usd": limit_usd, "spent_usd": spent_usd},
    )
    if is_new:
        level = logging.ERROR if scope == Scope.PLATFORM and percent >= FULL_PERCENT else logging.WARNING
        logger.log(
            level,
            "Budget: %s %s is at %d%% of its daily limit, $%.2f of $%.2f.",
            scope.value,
            owner_id or "",
            alert.percent,
            spent_usd,
            limit_usd,
        )
    return is_new


def _send(address: str, alerts: Sequence[SpendAlert]) -> bool:
    """One mail about all of them to one reader: nobody learns who else is told. False when it could not be sent."""
    subject = f"[CloneAI] {SUBJECTS[max(alert.percent for alert in alerts)]}"
    lines = [describe(alert=alert, owner=_name_for_mail(alert)) for alert in alerts]
    try:
        send_mail(subject, "\n".join([*lines, ""]), None, [address])
    except (SMTPException, OSError) as error:
        logger.warning("A warning about limits could not be mailed: %s.", type(error).__name__)
        return False
    return True


def _addresses(alert: SpendAlert) -> list[str]:
    """Reviewers and superusers, and of a clone its owner."""
    told = Q(is_staff=True) & (Q(is_superuser=True) | Q(groups__name=REVIEWERS))
    if alert.scope == Scope.CLONE:
        told |= Q(clones__pk=alert.owner_id)
    people = User.objects.filter(told, is_active=True).exclude(email="")
    return sorted(set(people.values_list("email", flat=True)))
