"""The admin's first page: an expert's clones and documents, a reviewer's day. Days are UTC, money is USD."""

from dataclasses import dataclass
from datetime import UTC, datetime, time
from decimal import Decimal
from typing import Any

from django.db.models import Count, Q, QuerySet, Sum
from django.urls import reverse

from billing.alert_banner import list_alerts
from billing.models import CostRecord, utc_today
from chat.models import ChatSession, KnowledgeGap, ReviewState, SessionSummary, SummaryStatus
from cloneai.accounts.admin_access import StaffRequest
from cloneai.accounts.admin_lists import count_most
from cloneai.accounts.models import User
from clones.models import Clone
from knowledge.models import Status

CLONES_SHOWN = 25


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A number with its page."""

    label: str
    value: str
    url: str


def build_dashboard(request: StaffRequest, context: dict[str, Any]) -> dict[str, Any]:
    """Called by unfold for the index page; at most eleven queries."""
    user = request.user
    clones = list(summarise_clones(user=user)[:CLONES_SHOWN]) if user.is_expert else []
    return {
        **context,
        "figures": list_figures(user=user),
        "clones": clones,
        "is_expert": user.is_expert,
        "spend_alerts": list_alerts(viewer=user),
    }


def summarise_clones(*, user: User) -> QuerySet[Clone]:
    """The expert's clones with the number of documents that are ready, in work and failed; one query."""
    in_work = ~Q(documents__status__in=[Status.READY, Status.FAILED]) & Q(documents__isnull=False)
    return Clone.objects.editable_by(user).annotate(
        ready_total=Count("documents", filter=Q(documents__status=Status.READY)),
        failed_total=Count("documents", filter=Q(documents__status=Status.FAILED)),
        working_total=Count("documents", filter=in_work),
    )


def list_figures(*, user: User) -> list[Figure]:
    today = utc_today()
    figures = []
    if user.is_reviewer:
        begun = ChatSession.objects.readable_by_staff(user).filter(
            created_at__gte=datetime.combine(today, time.min, tzinfo=UTC)
        )
        figures.append(_figure("Conversations begun today", count_most(begun), "chat_chatsession_changelist"))
        waiting = SessionSummary.objects.readable_by_staff(user).filter(
            status=SummaryStatus.READY, review_state=ReviewState.NEW
        )
        query = f"?review_state__exact={ReviewState.NEW}&status__exact={SummaryStatus.READY}"
        figures.append(
            _figure("Summaries to review", count_most(waiting), "chat_sessionsummary_changelist", query)
        )
    if user.is_expert:
        gaps = KnowledgeGap.objects.editable_by(user).filter(closed_at=None)
        url = "chat_knowledgegap_changelist"
        figures.append(_figure("Open knowledge gaps", count_most(gaps), url, "?closed_at__isempty=1"))
    if user.is_reviewer or user.is_expert:
        spent = (
            CostRecord.objects.visible_to(user).filter(day=today).aggregate(total=Sum("cost_usd"))["total"]
        )
        figures.append(_figure("Spent today (UTC)", f"${spent or Decimal(0):.4f}", "billing_report"))
    return figures


def _figure(label: str, value: object, url: str, query: str = "") -> Figure:
    return Figure(label=label, value=str(value), url=reverse(f"admin:{url}") + query)
