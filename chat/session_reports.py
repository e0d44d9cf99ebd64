"""What an expert learns from the conversations with their clones: how many, who comes back, what about, how good.

Days are UTC, money is US dollars. Nothing here quotes a person alone: topics come from summaries, and a question is
named only when at least `LEAST_ASKERS` different people asked it in the same words.
"""

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

from django.db.models import Count, Min, Q, QuerySet, Sum
from django.db.models.functions import Length, Lower, TruncDate

from billing.models import CostRecord
from chat.gap_models import KnowledgeGap
from chat.models import ChatSession, Message, Role, SessionSummary, SummaryStatus, SummaryType
from cloneai.accounts.models import User
from clones.models import Clone

LEAST_ASKERS = 2
RANKED = 10
SUMMARIES_READ = 2000
LONGEST_QUESTION = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionReport:
    """One period. `returning` counts members with conversations on more than one day; rates are 0 to 1 or None."""

    first_day: date
    last_day: date
    sessions: int
    previous_sessions: int
    members: int
    returning: int
    answers: int
    unanswered: int
    liked: int
    disliked: int
    cost_usd: Decimal
    by_day: dict[date, tuple[int, int]]
    topics: list[tuple[str, int]]
    questions: list[tuple[str, int]]
    gaps: list[KnowledgeGap]

    @property
    def satisfaction(self) -> float | None:
        rated = self.liked + self.disliked
        return self.liked / rated if rated else None

    @property
    def cost_per_session_usd(self) -> Decimal | None:
        return self.cost_usd / self.sessions if self.sessions else None

    @property
    def trend_percent(self) -> float | None:
        """Sessions against as many days before."""
        if not self.previous_sessions:
            return None
        return (self.sessions / self.previous_sessions - 1) * 100


def report_sessions(
    *, viewer: User, first_day: date, last_day: date, clone_id: int | None = None
) -> SessionReport:
    """Of the clones that this member of staff may see, or of one of them; eleven queries or so."""
    clones = Clone.objects.readable_by_staff(viewer)
    if clone_id is not None:
        clones = clones.filter(pk=clone_id)
    since, until = _moment(first_day), _moment(last_day + timedelta(days=1))
    sessions = clones.rows_of(ChatSession.objects.all())
    begun = sessions.filter(created_at__gte=since, created_at__lt=until)
    said = Message.objects.filter(created_at__gte=since, created_at__lt=until, is_current=True)
    messages = clones.rows_of(said, path="session__clone")
    answers = messages.filter(role=Role.ASSISTANT).aggregate(
        all=Count("pk"),
        unanswered=Count("pk", filter=Q(gap_question__reason="unanswered")),
        liked=Count("pk", filter=Q(rating=1)),
        disliked=Count("pk", filter=Q(rating=-1)),
    )
    days = (last_day - first_day).days + 1
    before = sessions.filter(created_at__gte=since - timedelta(days=days), created_at__lt=since)
    # What was begun on a day has cost nothing before it, which keeps the ledger's older years out of it.
    calls = clones.rows_of(CostRecord.objects.filter(day__gte=first_day, session__in=begun))
    cost = calls.aggregate(total=Sum("cost_usd"))
    return SessionReport(
        first_day=first_day,
        last_day=last_day,
        sessions=begun.count(),
        previous_sessions=before.count(),
        members=begun.order_by().values("user").distinct().count(),
        returning=_count_returning(begun),
        answers=answers["all"],
        unanswered=answers["unanswered"],
        liked=answers["liked"],
        disliked=answers["disliked"],
        cost_usd=cost["total"] or Decimal(0),
        by_day=_count_by_day(sessions=begun, messages=messages),
        topics=_rank_topics(begun),
        questions=_rank_questions(messages),
        gaps=_rank_gaps(clones),
    )


def _count_returning(sessions: QuerySet[ChatSession]) -> int:
    visits = sessions.order_by().values("user").annotate(days=Count(TruncDate("created_at"), distinct=True))
    return visits.filter(days__gt=1).count()


def _count_by_day(
    *, sessions: QuerySet[ChatSession], messages: QuerySet[Message]
) -> dict[date, tuple[int, int]]:
    """Conversations begun and questions asked."""

    def count(rows: QuerySet[Any]) -> dict[date, int]:
        counted = rows.order_by().annotate(day=TruncDate("created_at")).values("day")
        return dict(counted.annotate(number=Count("pk")).values_list("day", "number"))

    begun, asked = count(sessions), count(messages.filter(role=Role.USER))
    return {day: (begun.get(day, 0), asked.get(day, 0)) for day in begun.keys() | asked.keys()}


def _rank_gaps(clones: QuerySet[Clone]) -> list[KnowledgeGap]:
    """Open ones in which a question is left, most asked first."""
    ranked: Any = KnowledgeGap.objects.filter(clone__in=clones, closed_at=None).with_people()
    return list(ranked.filter(people__gt=0).order_by("-people", "-last_asked_at")[:RANKED])


def _rank_topics(sessions: QuerySet[ChatSession]) -> list[tuple[str, int]]:
    """Topics of the detailed summaries, by the number of conversations that had them."""
    found = SessionSummary.objects.filter(
        session__in=sessions, status=SummaryStatus.READY, summary_type=SummaryType.DETAILED
    )
    newest = found.order_by("session_id", "-created_at").distinct("session_id")
    counted: Counter[str] = Counter()
    for topics in newest.values_list("structured_data__main_topics", flat=True)[:SUMMARIES_READ]:
        counted.update({str(topic).strip().casefold() for topic in topics or ()})
    ranked = sorted(counted.items(), key=lambda item: (-item[1], item[0]))
    return [(topic.capitalize(), number) for topic, number in ranked[:RANKED] if topic]


def _rank_questions(messages: QuerySet[Message]) -> list[tuple[str, int]]:
    """Questions in the same words, by the number of different people; those of one person alone are not named."""
    asked = messages.annotate(length=Length("content")).filter(
        role=Role.USER, length__lte=LONGEST_QUESTION, is_distress=False
    )
    grouped = asked.order_by().annotate(wording=Lower("content")).values("wording")
    ranked = grouped.annotate(people=Count("session__user", distinct=True), text=Min("content"))
    return list(
        ranked.filter(people__gte=LEAST_ASKERS)
        .order_by("-people", "text")
        .values_list("text", "people")[:RANKED]
    )


def _moment(day: date) -> datetime:
    return datetime.combine(day, time.min, tzinfo=UTC)
