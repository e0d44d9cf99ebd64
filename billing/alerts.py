"""Warnings to staff about limits: a row each, a log line, a banner in the admin, and an e-mail when that is set up.

The platform's day is warned about at 80% and at 100%, a person's and a clone's at 100%. A refused call is 100%,
whatever the account says: what is left does not pay for a call. The row is unique, so several processes warn once.
"""

import logging
from dataclasses import dataclass
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
from cloneai.accounts.admin_access import name_for_staff
from cloneai.accounts.models import REVIEWERS, User
from clones.models import Clone

logger = logging.getLogger(__name__)

WARN_PERCENT = 80
FULL_PERCENT = 100
WARN_SHARE = Decimal(WARN_PERCENT) / 100
OFFER_FOR = timedelta(days=1)  # an e-mail that could not be sent for this long is not worth sending
SUBJECTS = {
    WARN_PERCENT: "Most of today's budget for AI calls is used",
    FULL_PERCENT: "A daily limit for AI calls is reached",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertLine:
    """A warning as its reader may see it."""

    percent: int
    text: str

    @property
    def is_full(self) -> bool:
        return self.percent >= FULL_PERCENT


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
    reached = Q(spent__gte=F("limit")) | Q(scope=Scope.PLATFORM, spent__gte=F("limit") * WARN_SHARE)
    count = 0
    for account in accounts.filter(reached, spent__gt=0, limit__isnull=False):
        percents = [WARN_PERCENT] if account.scope == Scope.PLATFORM else []
        percents += [FULL_PERCENT] if account.spent >= account.limit else []
        for percent in percents:
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
    """Sends each warning that was not yet sent, by one process; returns how many. Nothing without EMAIL_URL.

    A warning that cannot be sent is kept for the next time, for a day.
    """
    if not settings.EMAIL_URL:
        return 0
    since = (now or timezone.now()) - OFFER_FOR
    waiting = SpendAlert.objects.filter(mailed_at=None, created_at__gte=since)
    return sum(_send(alert_id) for alert_id in waiting.order_by("created_at").values_list("pk", flat=True))


def list_alerts(*, viewer: User) -> list[AlertLine]:
    """Today's warnings: reviewers see all, experts those of their clones and that the platform's limit is reached.

    One query, and up to two for names. Of an account's two warnings only the graver is shown.
    """
    alerts = SpendAlert.objects.filter(day=utc_today())
    if not viewer.is_reviewer:
        own = Clone.objects.editable_by(viewer).values("pk")
        alerts = alerts.filter(
            Q(scope=Scope.CLONE, owner_id__in=own) | Q(scope=Scope.PLATFORM, percent=FULL_PERCENT)
        )
    shown: dict[tuple[str, int], AlertLine] = {}
    for alert in alerts:  # the higher percentage comes first
        line = AlertLine(percent=alert.percent, text=describe(alert=alert, viewer=viewer))
        shown.setdefault((alert.scope, alert.owner_id), line)
    return list(shown.values())


def describe(*, alert: SpendAlert, viewer: User | None = None) -> str:
    """One sentence or two; without a viewer for a reader who may know everything but addresses."""
    is_open = viewer is None or viewer.is_reviewer
    figures = f" (${alert.spent_usd:.2f} of ${alert.limit_usd:.2f})"
    until = "until midnight (UTC) calls that it cannot pay for are refused"
    if alert.scope == Scope.PLATFORM:
        if alert.percent < FULL_PERCENT:
            return f"{alert.percent}% of the platform's daily limit is used{figures}."
        return f"The platform's daily limit is reached{figures if is_open else ''}: {until}."
    return f"The daily limit of {_owner_name(alert=alert, viewer=viewer)} is reached{figures}: {until}."


def _owner_name(*, alert: SpendAlert, viewer: User | None) -> str:
    if alert.scope == Scope.CLONE:
        clone = Clone.objects.filter(pk=alert.owner_id).first()
        return f"the clone “{clone.name}”" if clone else "a deleted clone"
    person = User.objects.filter(pk=alert.owner_id).first()
    if viewer is None:
        return person.pseudonym if person else "an erased person"
    return name_for_staff(person=person, viewer=viewer)


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


def _send(alert_id: int) -> bool:
    """Sends one warning while its row is locked, so that nobody else does."""
    with transaction.atomic():
        waiting = SpendAlert.objects.select_for_update(skip_locked=True).filter(pk=alert_id, mailed_at=None)
        alert = waiting.first()
        addresses = _addresses(alert) if alert else []
        if alert is None or not addresses:
            return False
        try:
            for address in addresses:  # one each: nobody learns who else is told
                send_mail(
                    f"[CloneAI] {SUBJECTS[alert.percent]}", f"{describe(alert=alert)}\n", None, [address]
                )
        except (SMTPException, OSError) as error:
            logger.warning("A warning about a limit could not be mailed: %s.", type(error).__name__)
            return False
        alert.mailed_at = timezone.now()
        alert.save(update_fields=["mailed_at"])
    return True


def _addresses(alert: SpendAlert) -> list[str]:
    """Reviewers and superusers, and of a clone its owner."""
    told = Q(is_staff=True) & (Q(is_superuser=True) | Q(groups__name=REVIEWERS))
    if alert.scope == Scope.CLONE:
        told |= Q(clones__pk=alert.owner_id)
    people = User.objects.filter(told, is_active=True).exclude(email="")
    return sorted(set(people.values_list("email", flat=True)))
