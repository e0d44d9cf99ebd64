"""What staff reads about limits and prices on top of the admin's pages: `list_alerts`."""

from dataclasses import dataclass

from django.db.models import Q

from billing.alerts import FULL_PERCENT, describe, find_owner
from billing.models import ModelPrice, Scope, SpendAlert, utc_today
from billing.prices import configured_models
from cloneai.accounts.admin_access import name_for_staff
from cloneai.accounts.models import User
from clones.models import Clone

MOST_ACCOUNTS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertLine:
    """A warning as its reader may see it; `is_full` when calls are being refused."""

    label: str
    text: str
    is_full: bool


def list_alerts(*, viewer: User) -> list[AlertLine]:
    """Today's warnings: reviewers see all, experts those of their clones and that the platform's limit is reached.

    Models without a price come first, then the platform. Three queries, and one for each name. Of an account's two
    warnings only the graver is shown, and of many accounts those that are refused.
    """
    unpriced = "Calls to it are refused until it has a price, in the admin or by `manage.py refresh_prices`."
    lines = [
        AlertLine(label="No price", text=f"The model {model} has none. {unpriced}", is_full=True)
        for model in find_unpriced_models(viewer=viewer)
    ]
    alerts = SpendAlert.objects.filter(day=utc_today())
    if not viewer.is_reviewer:
        own = Clone.objects.editable_by(viewer).values("pk")
        alerts = alerts.filter(
            Q(scope=Scope.CLONE, owner_id__in=own) | Q(scope=Scope.PLATFORM, percent=FULL_PERCENT)
        )
    gravest: dict[tuple[str, int], SpendAlert] = {}
    for alert in alerts.order_by("-percent", "created_at"):
        gravest.setdefault((alert.scope, alert.owner_id), alert)
    ordered = sorted(gravest.values(), key=lambda alert: alert.scope != Scope.PLATFORM)
    for alert in ordered[:MOST_ACCOUNTS]:
        name = _name(alert=alert, viewer=viewer)
        text = describe(alert=alert, owner=name, is_open=viewer.is_reviewer)
        is_full = alert.percent >= FULL_PERCENT
        lines.append(AlertLine(label=f"{alert.percent}%", text=text, is_full=is_full))
    if others := len(ordered[MOST_ACCOUNTS:]):
        text = f"and {others} more people or clones have used most of their daily limit, or all of it."
        lines.append(AlertLine(label="…", text=text, is_full=False))
    return lines


def find_unpriced_models(*, viewer: User) -> list[str]:
    """The configured models, and those of the viewer's clones, that have no price today; two queries."""
    clones = Clone.objects.all() if viewer.is_reviewer else Clone.objects.editable_by(viewer)
    used = {*configured_models(), *clones.exclude(chat_model="").values_list("chat_model", flat=True)}
    return sorted(used - set(ModelPrice.objects.valid_on(utc_today()).values_list("model", flat=True)))


def _name(*, alert: SpendAlert, viewer: User) -> str:
    owner = find_owner(alert)
    if isinstance(owner, Clone):
        return f"the clone “{owner.name}”"
    if alert.scope == Scope.CLONE:
        return "a deleted clone"
    return name_for_staff(person=owner, viewer=viewer)
