"""Whether today's budget still allows an answer, for the notice at the composer. The ledger decides."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.conf import settings

from billing.model_choice import Task, choose_model
from billing.models import PLATFORM_OWNER_ID, ModelPrice, Scope, SpendAccount, utc_today
from billing.prices import price_of, worst_cost_usd
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
    price = ModelPrice.objects.find(model=choose_model(task=Task.CHAT, override=clone.chat_model), day=today)
    if price is None:
        return None  # the call says so
    needed_usd = worst_cost_usd(
        input_tokens=round(settings.MAX_CONTEXT_LENGTH * TYPICAL_CONTEXT_SHARE),
        max_output_tokens=clone.max_output_tokens,
        price=price_of(price),
    )
    own_limit = session.user.daily_cost_limit_usd
    limits = {
        (Scope.USER, session.user_id): settings.USER_DAILY_COST_LIMIT if own_limit is None else own_limit,
        (Scope.CLONE, clone.pk): clone.daily_cost_limit_usd,
        (Scope.PLATFORM, PLATFORM_OWNER_ID): settings.DAILY_COST_LIMIT,
    }
    accounts = SpendAccount.objects.filter(
        day=today, scope__in=[scope for scope, _ in limits], owner_id__in=[owner for _, owner in limits]
    )
    spent = {
        (Scope(account.scope), account.owner_id): account.settled_usd + account.reserved_usd
        for account in accounts
    }
    left = [(limit - spent.get(key, 0), key[0]) for key, limit in limits.items() if limit is not None]
    if not left:
        return None
    left_usd, scope = min(left)
    if left_usd >= needed_usd:
        return None
    midnight = datetime(today.year, today.month, today.day, tzinfo=UTC) + timedelta(days=1)
    return BudgetNotice(scope=scope, is_used_up=left_usd <= 0, until=midnight)
