"""What staff sees of conversations: reviewers everything, experts summaries and gaps of own clones."""

from functools import partial
from typing import Any

from django.contrib import admin, messages
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.forms import ModelForm
from django.http import HttpRequest, HttpResponseBase
from django.urls import URLPattern, path
from unfold.decorators import display

from chat.admin_evaluation import EvaluationQuestionAdmin as EvaluationQuestionAdmin
from chat.admin_gaps import KnowledgeGapAdmin
from chat.admin_receipt import show_receipt
from chat.admin_transcript import annotate_figures, load_page
from chat.markdown import render_markdown
from chat.models import ChatSession, Message, ReviewState, SessionSummary, SummaryStatus
from chat.summaries import request_summary
from cloneai.accounts.admin_access import (
    EXPERT,
    NOBODY,
    REVIEWER,
    ReadOnlyAdmin,
    RoleAdmin,
    StaffRequest,
    name_for_staff,
    record_action,
)
from clones.admin_filters import OwnCloneFilter, SessionCloneFilter

__all__ = ["ChatSessionAdmin", "KnowledgeGapAdmin", "SessionSummaryAdmin"]

STATUS_COLOURS = {"Waiting": "info", "Being written": "info", "Ready": "success", "Failed": "danger"}
REVIEW_COLOURS = {"New": "warning", "In review": "info", "Done": "success"}


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
    list_filter = (OwnCloneFilter, EndedFilter, "created_at", "last_activity_at")
    search_fields = ("title", "user__email", "clone__name")
    search_help_text = "Title, member, clone, or words of the conversation"
    date_hierarchy = "created_at"

    def get_queryset(self, request: StaffRequest) -> QuerySet[ChatSession]:
        return annotate_figures(super().get_queryset(request))

    def get_search_results(
        self, request: StaffRequest, queryset: QuerySet[ChatSession], search_term: str
    ) -> tuple[QuerySet[ChatSession], bool]:
        found = queryset
        for word in search_term.split()[:8]:
            said = Message.objects.filter(session=OuterRef("pk"), content__icontains=word)
            named = Q(title__icontains=word) | Q(user__email__icontains=word) | Q(clone__name__icontains=word)
            found = found.filter(named | Exists(said))
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


@admin.register(SessionSummary)
class SessionSummaryAdmin(RoleAdmin):
    viewed_by = (REVIEWER, EXPERT)
    changed_by = (REVIEWER,)
    added_by = deleted_by = NOBODY
    rows = "readable_by_staff"
    list_select_related = ("session__clone", "session__user")
    list_filter = (SessionCloneFilter, "review_state", "summary_type", "status", "created_at")
    list_display = ("shown_session", "clone", "summary_type", "shown_status", "shown_review", "created_at")
    change_form_outer_before_template = "admin/chat/summary.html"
    actions = ("mark_done", "mark_in_review", "write_again")

    def get_list_display(self, request: StaffRequest) -> tuple[str, ...]:
        member = "member_address" if request.user.is_reviewer else "member_pseudonym"
        return (*self.list_display[:2], member, *self.list_display[2:])

    def get_search_fields(self, request: StaffRequest) -> tuple[str, ...]:
        """Experts must not be able to find out by searching whose conversation it was."""
        searched = ("session__title", "summary_text")
        return (*searched, "session__user__email") if request.user.is_reviewer else searched

    def get_fields(self, request: StaffRequest, obj: SessionSummary | None = None) -> tuple[str, ...]:
        return ("review_state", "review_note") if request.user.is_reviewer else ("review_state",)

    def change_view(
        self,
        request: StaffRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponseBase:
        summary: SessionSummary = self.find_or_404(request, object_id)
        shown = {
            "title": str(summary),
            "subtitle": None,
            "summary_html": render_markdown(summary.summary_text),
            "action_items": summary.structured_data.get("action_items", []),
            "member_name": name_for_staff(person=summary.session.user, viewer=request.user),
            "may_read_transcript": request.user.is_reviewer,
        }
        return super().change_view(request, object_id, form_url, {**shown, **(extra_context or {})})

    def save_model(
        self, request: StaffRequest, obj: SessionSummary, form: ModelForm[SessionSummary], change: bool
    ) -> None:
        super().save_model(request, obj, form, change)
        record_action(actor=request.user, action="summary.review", target=obj, state=obj.review_state)

    @admin.action(description="Mark as done", permissions=["change"])
    def mark_done(self, request: StaffRequest, queryset: QuerySet[SessionSummary]) -> None:
        self._mark(request, queryset, ReviewState.DONE)

    @admin.action(description="Mark as in review", permissions=["change"])
    def mark_in_review(self, request: StaffRequest, queryset: QuerySet[SessionSummary]) -> None:
        self._mark(request, queryset, ReviewState.IN_REVIEW)

    @admin.action(description="Write again (failed ones)", permissions=["change"])
    def write_again(self, request: StaffRequest, queryset: QuerySet[SessionSummary]) -> None:
        failed = list(queryset.filter(status=SummaryStatus.FAILED))
        for summary in failed:
            request_summary(session=summary.session, summary_type=summary.summary_type)
        self.message_user(request, f"{len(failed)} summaries will be written again.", messages.SUCCESS)

    def _mark(self, request: StaffRequest, queryset: QuerySet[SessionSummary], state: ReviewState) -> None:
        marked = list(queryset)
        for summary in marked:
            record_action(actor=request.user, action="summary.review", target=summary, state=state)
        SessionSummary.objects.filter(pk__in=[summary.pk for summary in marked]).update(review_state=state)
        self.message_user(request, f"{len(marked)} summaries: {state.label.lower()}.", messages.SUCCESS)

    @display(description="Conversation", ordering="session__title")
    def shown_session(self, summary: SessionSummary) -> str:
        return str(summary.session)

    @display(description="Clone", ordering="session__clone__name")
    def clone(self, summary: SessionSummary) -> str:
        return summary.session.clone.name

    @display(description="Member", ordering="session__user__email")
    def member_address(self, summary: SessionSummary) -> str:
        return summary.session.user.email

    @display(description="Member")
    def member_pseudonym(self, summary: SessionSummary) -> str:
        return summary.session.user.pseudonym

    @display(description="State", ordering="status", label=STATUS_COLOURS)
    def shown_status(self, summary: SessionSummary) -> str:
        return summary.get_status_display()

    @display(description="Review", ordering="review_state", label=REVIEW_COLOURS)
    def shown_review(self, summary: SessionSummary) -> str:
        return summary.get_review_state_display()
