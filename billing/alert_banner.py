"""What staff reads about limits and prices on top of the admin's pages: `list_alerts`."""

from dataclasses import dataclass

from django.db.models import Q

from billing.alerts import FULL_PERCENT, describe, find_owner
from billing.models import ModelPrice, Scope, SpendAlert, utc_today
from billing.prices import configured_models
from cloneai.accounts.admin_access import name_for_staff
from cloneai.accounts.models import User
from clones.models import Clone


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertLine:
    """A warning as its reader may see it; `is_full` when calls are being refused."""

    label: str
    text: str
    is_full: bool


def list_alerts(*, viewer: User) -> list[AlertLine]:
    """Today's warnings: reviewers see all, experts those of their clones and that the platform's limit is reached.

    Models without a price come first. Three queries, and one for each name. Of an account's two warnings only the
    graver is shown.
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
    shown: dict[tuple[str, int], AlertLine] = {}
    for alert in alerts:  # the higher percentage comes first
        if (alert.scope, alert.owner_id) not in shown:
            shown[alert.scope, alert.owner_id] = AlertLine(
                label=f"{alert.percent}%",
                text=describe(
                    alert=alert, owner=_name(alert=alert, viewer=viewer), is_open=viewer.is_reviewer
                ),
                is_full=alert.percent >= FULL_PERCENT,
            )
    return [*lines, *shown.values()]


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
