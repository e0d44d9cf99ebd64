"""The review queue: summaries with their flags, the transcript beside, state, note, assignee and history."""

import re
from functools import partial
from typing import Any

from django.contrib import admin, messages
from django.db.models import BooleanField, Count, ExpressionWrapper, Q, QuerySet
from django.forms import ModelForm
from django.http import HttpResponseBase
from django.urls import URLPattern, path
from django.utils.html import format_html_join
from django.utils.safestring import SafeString
from unfold.decorators import display

from chat.admin_insights import show_insights
from chat.admin_review_filters import AssigneeFilter, CostFilter, FeedbackFilter, FlagFilter, QualityFilter
from chat.admin_transcript import load_page
from chat.flags import annotate_flags, find_flagged, list_flags
from chat.markdown import render_markdown
from chat.models import ReviewState, SessionSummary, SummaryStatus
from chat.summaries import request_summary
from cloneai.accounts.admin_access import (
    EXPERT,
    NOBODY,
    REVIEWER,
    RoleAdmin,
    StaffRequest,
    name_for_staff,
    record_action,
)
from cloneai.accounts.models import REVIEWERS, AuditEntry, User
from clones.admin_filters import SessionCloneFilter, SessionCloneNameFilter

STATUS_COLOURS = {"Waiting": "info", "Being written": "info", "Ready": "success", "Failed": "danger"}
REVIEW_COLOURS = {"New": "warning", "In review": "info", "Done": "success"}
HISTORY_SHOWN = 30
ITEMS_IN_TEXT = re.compile(r"^## Action items\n\n(?:- .*\n?)+\n*", re.MULTILINE)  # the table below has them


@admin.register(SessionSummary)
class SessionSummaryAdmin(RoleAdmin):
    """Reviewers work through it; experts read summaries of their own clones, by pseudonym."""

    viewed_by = (REVIEWER, EXPERT)
    changed_by = (REVIEWER,)
    added_by = deleted_by = NOBODY
    rows = "readable_by_staff"
    list_select_related = ("session__clone", "session__user", "assignee")
    list_filter = (
        SessionCloneFilter,
        SessionCloneNameFilter,
        "review_state",
        FlagFilter,
        QualityFilter,
        FeedbackFilter,
        CostFilter,
        AssigneeFilter,
        "summary_type",
        "status",
        "created_at",
    )
    list_display = ("shown_session", "clone", "flags", "shown_status", "shown_review", "cost", "created_at")
    list_before_template = "admin/chat/review_numbers.html"
    change_form_outer_before_template = "admin/chat/summary.html"
    actions = ("assign_to_me", "mark_done", "mark_in_review", "write_again")

    def get_urls(self) -> list[URLPattern]:
        insights = self.admin_site.admin_view(partial(show_insights, self))
        return [path("insights/", insights, name="chat_insights"), *super().get_urls()]

    def get_queryset(self, request: StaffRequest) -> QuerySet[SessionSummary]:
        is_own = ExpressionWrapper(Q(session__user=request.user.pk), output_field=BooleanField())
        return annotate_flags(super().get_queryset(request)).annotate(is_own=is_own)

    def get_list_display(self, request: StaffRequest) -> tuple[str, ...]:
        if request.user.is_reviewer:
            return (*self.list_display[:2], "member_address", *self.list_display[2:], "assignee")
        return (*self.list_display[:2], "member_pseudonym", *self.list_display[2:])

    def get_search_fields(self, request: StaffRequest) -> tuple[str, ...]:
        """Experts must not be able to find out by searching whose conversation it was."""
        searched = ("session__title", "summary_text")
        return (*searched, "session__user__email") if request.user.is_reviewer else searched

    def get_fields(self, request: StaffRequest, obj: SessionSummary | None = None) -> tuple[str, ...]:
        return ("review_state", "assignee", "review_note") if request.user.is_reviewer else ("review_state",)

    def get_field_queryset(
        self, db: str | None, db_field: Any, request: StaffRequest
    ) -> QuerySet[Any] | None:
        if db_field.name == "assignee" and request.user.is_reviewer:
            may_review = Q(is_superuser=True) | Q(groups__name=REVIEWERS)
            return User.objects.filter(may_review, is_staff=True, is_active=True).distinct().order_by("email")
        return super().get_field_queryset(db, db_field, request)

    def changelist_view(
        self, request: StaffRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponseBase:
        numbers = self._count(request) if self.has_view_permission(request) else {}
        return super().changelist_view(request, {"numbers": numbers, **(extra_context or {})})

    def change_view(
        self,
        request: StaffRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponseBase:
        summary: SessionSummary = self.find_or_404(request, object_id)
        may_read_transcript = request.user.is_reviewer
        if may_read_transcript and request.method == "GET":
            clone_id = summary.session.clone_id
            record_action(
                actor=request.user, action="transcript.view", target=summary.session, clone=clone_id
            )
        shown = {
            "title": str(summary),
            "subtitle": None,
            "summary_html": render_markdown(ITEMS_IN_TEXT.sub("", summary.summary_text)),
            "action_items": summary.structured_data.get("action_items", []),
            "is_list_alone": summary.summary_type == "action_items",
            "flags": list_flags(summary),
            "member_name": name_for_staff(person=summary.session.user, viewer=request.user),
            "may_read_transcript": may_read_transcript,
            "transcript": load_page(
                session=summary.session, number=request.GET.get("page"), with_replaced=False
            )
            if may_read_transcript
            else None,
            "history": _load_history(summary, viewer=request.user),
        }
        return super().change_view(request, object_id, form_url, {**shown, **(extra_context or {})})

    def save_model(
        self, request: StaffRequest, obj: SessionSummary, form: ModelForm[SessionSummary], change: bool
    ) -> None:
        super().save_model(request, obj, form, change)
        detail: dict[str, Any] = {"state": obj.review_state}
        if "assignee" in form.changed_data:
            detail["assignee"] = obj.assignee_id
        if "review_note" in form.changed_data:
            detail["note"] = True
        record_action(actor=request.user, action="summary.review", target=obj, **detail)

    @admin.action(description="Assign to me", permissions=["change"])
    def assign_to_me(self, request: StaffRequest, queryset: QuerySet[SessionSummary]) -> None:
        chosen = list(queryset)
        for summary in chosen:
            record_action(
                actor=request.user, action="summary.assign", target=summary, assignee=request.user.pk
            )
        SessionSummary.objects.filter(pk__in=[summary.pk for summary in chosen]).update(assignee=request.user)
        self.message_user(request, f"{len(chosen)} assigned to you.", messages.SUCCESS)

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

    def _count(self, request: StaffRequest) -> dict[str, int]:
        """The numbers on top, of all that this person sees; two queries. The first reads an index alone."""
        seen = SessionSummary.objects.readable_by_staff(request.user)
        is_ready = Q(status=SummaryStatus.READY)
        counted: dict[str, int] = seen.aggregate(
            new=Count("review_state", filter=is_ready & Q(review_state=ReviewState.NEW)),
            in_review=Count("review_state", filter=Q(review_state=ReviewState.IN_REVIEW)),
            done=Count("review_state", filter=Q(review_state=ReviewState.DONE)),
            failed=Count("review_state", filter=Q(status=SummaryStatus.FAILED)),
            mine=Count(
                "review_state", filter=Q(assignee=request.user.pk) & ~Q(review_state=ReviewState.DONE)
            ),
        )
        flagged = find_flagged(seen.exclude(review_state=ReviewState.DONE))
        return counted | {"flagged": flagged.count()}

    @display(description="Conversation", ordering="session__title")
    def shown_session(self, summary: SessionSummary) -> str:
        return f"{summary.session} ({summary.get_summary_type_display().lower()})"

    @display(description="Clone", ordering="session__clone__name")
    def clone(self, summary: SessionSummary) -> str:
        return summary.session.clone.name

    @display(description="Member", ordering="session__user__email")
    def member_address(self, summary: SessionSummary) -> str:
        return summary.session.user.email

    @display(description="Member")
    def member_pseudonym(self, summary: SessionSummary) -> str:
        """The expert's own conversations are shown as theirs."""
        person = summary.session.user
        return person.email if summary.is_own else person.pseudonym  # type: ignore[attr-defined]

    @display(description="Flags")
    def flags(self, summary: SessionSummary) -> SafeString:
        badges = (
            ("ax-badge-bad" if name == "Distress" else "ax-badge-busy", name) for name in list_flags(summary)
        )
        return format_html_join(" ", '<span class="ax-badge {}">{}</span>', badges)

    @display(description="Cost (USD)", ordering="cost_total")
    def cost(self, summary: SessionSummary) -> str:
        return f"{summary.cost_total:.4f}"  # type: ignore[attr-defined]

    @display(description="State", ordering="status", label=STATUS_COLOURS)
    def shown_status(self, summary: SessionSummary) -> str:
        return summary.get_status_display()

    @display(description="Review", ordering="review_state", label=REVIEW_COLOURS)
    def shown_review(self, summary: SessionSummary) -> str:
        return summary.get_review_state_display()


def _load_history(summary: SessionSummary, *, viewer: User) -> list[dict[str, Any]]:
    """What reviewers did with it, newest first; experts see what, not who."""
    entries = AuditEntry.objects.filter(target=f"sessionsummary:{summary.pk}").select_related("actor")
    return [
        {
            "at": entry.at,
            "who": str(entry.actor or "Erased") if viewer.is_reviewer else "A reviewer",
            "what": _describe_entry(entry),
        }
        for entry in entries.order_by("-at")[:HISTORY_SHOWN]
    ]


def _describe_entry(entry: AuditEntry) -> str:
    said = []
    if state := entry.detail.get("state"):
        said.append(f"set to “{ReviewState(state).label}”" if state in ReviewState.values else "set")
    if "assignee" in entry.detail:
        said.append("assigned" if entry.detail["assignee"] else "assigned to nobody")
    if entry.detail.get("note"):
        said.append("changed the note")
    return ", ".join(said) or entry.action
