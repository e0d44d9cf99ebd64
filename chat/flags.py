"""Which conversations a reviewer should look at first. The rules are queries, so that a flag is never out of date."""

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from django.db.models import Exists, OuterRef, Q, QuerySet, Subquery, Sum
from django.db.models.functions import Coalesce

from billing.models import CostRecord
from chat.models import Citation, GapQuestion, GapReason, Message, SessionSummary

LABELS: Mapping[str, str] = {
    "distress": "Distress",
    "disliked": "Not helpful",
    "unsupported": "Unsupported claim",
    "no_context": "Nothing found",
}
POOR = ("poor", "no_context")
GOOD = ("good", "excellent")


def _messages(**conditions: Any) -> Exists:
    return Exists(Message.objects.filter(session=OuterRef("session"), is_current=True, **conditions))


RULES: Mapping[str, Callable[[], Exists]] = {
    "distress": lambda: Exists(Message.objects.filter(session=OuterRef("session"), is_distress=True)),
    "disliked": lambda: _messages(rating=-1),
    "unsupported": lambda: Exists(
        Citation.objects.filter(
            message__session=OuterRef("session"), message__is_current=True, is_cited=True, is_supported=False
        )
    ),
    "no_context": lambda: Exists(
        GapQuestion.objects.filter(message__session=OuterRef("session"), reason=GapReason.UNANSWERED)
    ),
}
QUALITIES: Mapping[str, tuple[str, Callable[[], Q]]] = {
    "poor": ("Has poor answers", lambda: Q(_messages(retrieval_quality__status__in=POOR))),
    "good": (
        "All well grounded",
        lambda: (
            Q(_messages(retrieval_quality__status__in=GOOD))
            & ~Q(_messages(retrieval_quality__status__in=(*POOR, "fair")))
        ),
    ),
}
FEEDBACK: Mapping[str, tuple[str, Callable[[], Q]]] = {
    "bad": ("Not helpful", lambda: Q(_messages(rating=-1))),
    "good": ("Helpful", lambda: Q(_messages(rating=1))),
    "none": ("None", lambda: ~Q(_messages(rating__isnull=False))),
}


def annotate_flags(summaries: QuerySet[SessionSummary]) -> QuerySet[SessionSummary]:
    """Adds a boolean `flag_<name>` for each rule, and `cost_total`, what the conversation cost in USD."""
    costs = CostRecord.objects.filter(session=OuterRef("session")).order_by().values("session")
    return summaries.annotate(
        cost_total=Coalesce(Subquery(costs.annotate(total=Sum("cost_usd")).values("total")), Decimal(0)),
        **{f"flag_{name}": rule() for name, rule in RULES.items()},
    )


def find_flagged(summaries: QuerySet[SessionSummary]) -> QuerySet[SessionSummary]:
    """Those with any flag."""
    flagged = Q()
    for rule in RULES.values():
        flagged |= Q(rule())
    return summaries.filter(flagged)


def list_flags(summary: SessionSummary) -> list[str]:
    """Labels of the flags of an annotated summary, the gravest first."""
    return [label for name, label in LABELS.items() if getattr(summary, f"flag_{name}", False)]
