"""A conversation as reviewers read it: messages with sources, figures and feedback, in pages."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from django.core.paginator import Page, Paginator
from django.db.models import Count, OuterRef, QuerySet, Subquery, Sum
from django.db.models.functions import Coalesce
from django.utils.safestring import SafeString

from billing.models import CostRecord
from chat.markdown import render_markdown
from chat.models import ChatSession, Message, Role

MESSAGES_SHOWN = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One message; `html` is sanitised for answers and empty for what the member typed."""

    message: Message
    html: SafeString | str
    is_answer: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class TranscriptPage:
    entries: list[Entry]
    page_obj: Page[Message]
    replaced_count: int
    with_replaced: bool


def annotate_figures(sessions: QuerySet[ChatSession]) -> QuerySet[ChatSession]:
    """Adds `messages_total` and `cost_total` (USD, every call of the conversation) as subqueries."""
    messages = Message.objects.filter(session=OuterRef("pk"), is_current=True).order_by().values("session")
    costs = CostRecord.objects.filter(session=OuterRef("pk")).order_by().values("session")
    return sessions.annotate(
        messages_total=Coalesce(Subquery(messages.annotate(number=Count("pk")).values("number")), 0),
        cost_total=Coalesce(Subquery(costs.annotate(total=Sum("cost_usd")).values("total")), Decimal(0)),
    )


def load_page(*, session: ChatSession, number: str | None, with_replaced: bool) -> TranscriptPage:
    """The messages of one page, oldest first; at most four queries."""
    messages = session.messages.order_by("created_at").select_related("receipt").prefetch_related("citations")
    replaced_count = session.messages.filter(is_current=False).count()
    if not with_replaced:
        messages = messages.filter(is_current=True)
    page_obj = Paginator(messages, MESSAGES_SHOWN).get_page(number)
    return TranscriptPage(
        entries=[_build_entry(message, link_hosts=session.clone.link_hosts) for message in page_obj],
        page_obj=page_obj,
        replaced_count=replaced_count,
        with_replaced=with_replaced,
    )


def _build_entry(message: Message, *, link_hosts: Sequence[str]) -> Entry:
    is_answer = message.role == Role.ASSISTANT
    urls = {citation.number: citation.get_absolute_url() for citation in message.citations.all()}
    html = render_markdown(message.content, source_urls=urls, link_hosts=link_hosts) if is_answer else ""
    return Entry(message=message, html=html, is_answer=is_answer)
