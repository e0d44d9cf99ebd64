"""What the member set out to do: ticking action items, and which of them open the next conversation."""

from dataclasses import dataclass
from uuid import UUID

from django.db import transaction

from chat.models import ChatSession, SessionSummary, SummaryStatus, SummaryType

SHOWN = 3
SUMMARIES_LOOKED_AT = 5


@dataclass(frozen=True, slots=True)
class OpenItem:
    """An item that is not ticked. `number` counts from 0 within its summary."""

    summary_id: UUID
    number: int
    description: str


def find_open_items(*, session: ChatSession) -> list[OpenItem]:
    """At most three of the member's newest earlier conversation with this clone that left any; one query."""
    summaries = SessionSummary.objects.filter(
        session__user=session.user_id,
        session__clone=session.clone_id,
        status=SummaryStatus.READY,
        summary_type__in=[SummaryType.DETAILED, SummaryType.ACTION_ITEMS],
    ).exclude(session=session.pk)
    for summary in summaries.order_by("-created_at")[:SUMMARIES_LOOKED_AT]:
        items = summary.structured_data.get("action_items", [])
        if items:
            found = [
                OpenItem(summary.pk, number, item["description"])
                for number, item in enumerate(items)
                if number not in summary.done_items
            ]
            return found[:SHOWN]
    return []


@transaction.atomic
def tick(*, summary: SessionSummary, number: int, is_done: bool) -> bool:
    """Marks an action item as done, or not; False when the summary has no such item."""
    locked = SessionSummary.objects.select_for_update(of=("self",)).get(pk=summary.pk)
    if number >= len(locked.structured_data.get("action_items", [])):
        return False
    done = set(locked.done_items)
    done = done | {number} if is_done else done - {number}
    locked.done_items = sorted(done)
    locked.save(update_fields=["done_items"])
    return True
