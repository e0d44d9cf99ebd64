"""What staff sees of conversations: reviewers everything, experts summaries and gaps of own clones."""

from functools import partial
from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponseBase
from django.urls import URLPattern, path
from unfold.decorators import display

from chat.admin_evaluation import EvaluationQuestionAdmin as EvaluationQuestionAdmin
from chat.admin_gaps import KnowledgeGapAdmin
from chat.admin_receipt import show_receipt
from chat.admin_reviews import SessionSummaryAdmin
from chat.admin_transcript import annotate_figures, load_page
from chat.models import ChatSession
from chat.transcript_search import find_said
from cloneai.accounts.admin_access import (
    REVIEWER,
    ReadOnlyAdmin,
    StaffRequest,
    record_action,
)
from cloneai.accounts.models import User
from clones.admin_filters import CloneNameFilter, OwnCloneFilter
from clones.models import Clone

__all__ = ["ChatSessionAdmin", "KnowledgeGapAdmin", "SessionSummaryAdmin"]


class EndedFilter(admin.SimpleListFilter):
    title = "state"
    parameter_name = "ended"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("0", "Open"), ("1", "Ended")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        value = self.value()
        return queryset.filter(ended_at__isnull=value == "0") if value in ("0", "1") else queryset


@admin.register(ChatSession)
class ChatSessionAdmin(ReadOnlyAdmin):
    """Transcripts. Opening one is written to the audit log."""

    viewed_by = (REVIEWER,)
    rows = "readable_by_staff"
    list_display = (
        "shown_title",
        "clone",
        "member",
        "messages_total",
        "cost_total",
        "last_activity_at",
        "is_over",
    )
    list_select_related = ("clone", "user")
    list_filter = (OwnCloneFilter, CloneNameFilter, EndedFilter, "created_at", "last_activity_at")
    search_fields = ("title", "user__email", "clone__name")
    search_help_text = "Title, member, clone, or words of the conversation as they begin"

    def get_queryset(self, request: StaffRequest) -> QuerySet[ChatSession]:
        return annotate_figures(super().get_queryset(request))

    def get_search_results(
        self, request: StaffRequest, queryset: QuerySet[ChatSession], search_term: str
    ) -> tuple[QuerySet[ChatSession], bool]:
        found = queryset
        for word in search_term.split()[:8]:
            named = Q(title__icontains=word)
            named |= Q(user__in=User.objects.filter(email__icontains=word))
            named |= Q(clone__in=Clone.objects.filter(name__icontains=word))
            found = found.filter(named | Q(pk__in=find_said(word).values("session")))
        return found, False

    def change_view(
        self,
        request: StaffRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponseBase:
        session: ChatSession = self.find_or_404(request, object_id)
        record_action(actor=request.user, action="transcript.view", target=session, clone=session.clone_id)
        return self.render(
            request,
            "admin/chat/transcript.html",
            title=str(session),
            session=session,
            transcript=load_page(
                session=session, number=request.GET.get("page"), with_replaced="replaced" in request.GET
            ),
            summaries=session.summaries.all()[:20],
        )

    def get_urls(self) -> list[URLPattern]:
        receipt = self.admin_site.admin_view(partial(show_receipt, self))
        return [
            path("receipt/<uuid:message_id>/", receipt, name="chat_receipt"),
            *super().get_urls(),
        ]

    @display(description="Conversation", ordering="title")
    def shown_title(self, session: ChatSession) -> str:
        return str(session)

    @display(description="Member", ordering="user__email")
    def member(self, session: ChatSession) -> str:
        return session.user.email

    @display(description="Messages", ordering="messages_total")
    def messages_total(self, session: ChatSession) -> int:
        return session.messages_total  # type: ignore[attr-defined]

    @display(description="Cost (USD)", ordering="cost_total")
    def cost_total(self, session: ChatSession) -> str:
        return f"{session.cost_total:.6f}"  # type: ignore[attr-defined]

    @display(description="State", ordering="ended_at", label={"Open": "info", "Ended": "success"})
    def is_over(self, session: ChatSession) -> str:
        return "Ended" if session.is_ended else "Open"
