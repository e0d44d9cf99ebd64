"""Whether today's budget still allows an answer, for the notice at the composer. The ledger decides."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.conf import settings

from billing.ledger import find_price_and_accounts
from billing.ledger_writes import find_room
from billing.metering import Payer, UnpricedModel
from billing.model_choice import Task, choose_model
from billing.models import Scope, utc_today
from billing.prices import worst_cost_usd
from chat.models import ChatSession

TYPICAL_CONTEXT_SHARE = 0.5  # of MAX_CONTEXT_LENGTH: persona, passages and some history


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetNotice:
    """`scope` is whose limit is nearest; `until` the next UTC midnight."""

    scope: Scope
    is_used_up: bool
    until: datetime

    @property
    def minutes_left(self) -> int:
        return max(1, round((self.until - datetime.now(UTC)).total_seconds() / 60))


def find_budget_notice(*, session: ChatSession) -> BudgetNotice | None:
    """None when a typical answer can be held against every limit of today; two queries."""
    clone, today = session.clone, utc_today()
    try:
        price, accounts = find_price_and_accounts(
            payer=Payer(user_id=session.user_id, clone_id=clone.pk),
            model=choose_model(task=Task.CHAT, override=clone.chat_model),
            day=today,
        )
    except UnpricedModel:
        return None  # the call says so
    needed_usd = worst_cost_usd(
        input_tokens=round(settings.MAX_CONTEXT_LENGTH * TYPICAL_CONTEXT_SHARE),
        max_output_tokens=clone.max_output_tokens,
        price=price,
    )
    room = find_room(accounts=accounts, day=today)
    if not room:
        return None
    nearest = min(room, key=room.__getitem__)
    if room[nearest] >= needed_usd:
        return None
    midnight = datetime(today.year, today.month, today.day, tzinfo=UTC) + timedelta(days=1)
    return BudgetNotice(scope=nearest.scope, is_used_up=room[nearest] <= 0, until=midnight)
