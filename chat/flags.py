"""Which conversations a reviewer should look at first. The rules are queries, so that a flag is never out of date."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True)
class Rule:
    """A conversation has the flag when it has one of these rows; `session` is the way from a row to it."""

    rows: Callable[[], QuerySet[Any]]
    session: str

    def is_met(self) -> Q:
        """For filters and counts: the rows are rare and have an index, so all their conversations are found at once."""
        return Q(session__in=self.rows().values(self.session))

    def find_one(self) -> Subquery:
        """For the few summaries of a page: a row of this conversation. As `Exists`, PostgreSQL would read all rows."""
        return Subquery(self.rows().filter(**{self.session: OuterRef("session")}).order_by().values("pk")[:1])


RULES: Mapping[str, Rule] = {
    "distress": Rule(lambda: Message.objects.filter(is_distress=True), "session"),
    "disliked": Rule(lambda: Message.objects.filter(is_current=True, rating=-1), "session"),
    "unsupported": Rule(
        lambda: Citation.objects.filter(is_cited=True, is_supported=False, message__is_current=True),
        "message__session",
    ),
    "no_context": Rule(
        lambda: GapQuestion.objects.filter(reason=GapReason.UNANSWERED, message__isnull=False),
        "message__session",
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
    """Adds `flag_<name>` for each rule, None when it is not met, and `cost_total`, what the conversation cost (USD)."""
    costs = CostRecord.objects.filter(session=OuterRef("session")).order_by().values("session")
    return summaries.annotate(
        cost_total=Coalesce(Subquery(costs.annotate(total=Sum("cost_usd")).values("total")), Decimal(0)),
        **{f"flag_{name}": rule.find_one() for name, rule in RULES.items()},
    )


def find_flagged(summaries: QuerySet[SessionSummary]) -> QuerySet[SessionSummary]:
    """Those with any flag."""
    flagged = Q()
    for rule in RULES.values():
        flagged |= rule.is_met()
    return summaries.filter(flagged)


def list_flags(summary: SessionSummary) -> list[str]:
    """Labels of the flags of an annotated summary, the gravest first."""
    return [label for name, label in LABELS.items() if getattr(summary, f"flag_{name}", False)]
