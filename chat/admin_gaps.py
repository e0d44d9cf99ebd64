"""The expert's inbox: what the material lacks, most asked first; answered in place, then asked again."""

from functools import partial
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpResponseBase, HttpResponseNotAllowed, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from unfold.decorators import display
from unfold.widgets import UnfoldAdminTextareaWidget

from chat.gap_closing import MAX_ANSWER_CHARS, GapRefused, answer_gap, request_replay
from chat.gaps import join_gaps
from chat.markdown import render_markdown
from chat.models import GapQuestion, GapReason, KnowledgeGap
from cloneai.accounts.admin_access import (
    EXPERT,
    NOBODY,
    RoleAdmin,
    StaffRequest,
    name_for_staff,
    record_action,
)
from clones.admin_filters import CloneNameFilter, OwnCloneFilter
from knowledge.errors import UploadRefused

STATE_COLOURS = {"Open": "warning", "Being asked again": "info", "Answered": "success", "Closed": "success"}
QUESTIONS_SHOWN = 50
BADGES = {GapReason.DISLIKED: "Answer was not helpful", GapReason.NEAREST: GapReason.NEAREST.label}
NO_PASSAGE = "*No passage of the material fitted.*"
ANSWER_DISLIKED = "*There was an answer, and the member marked it as not helpful.*"
ANSWER_NEAREST = "*The clone said that nothing answers this exactly, and quoted the nearest passages.*"


class AnswerForm(forms.Form):
    answer = forms.CharField(
        label="Your answer",
        max_length=MAX_ANSWER_CHARS,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 8}),
        help_text="In your own words; Markdown is fine. It becomes a document of this clone, under the question as "
        "its heading, and is cited like any other.",
    )


@admin.register(KnowledgeGap)
class KnowledgeGapAdmin(RoleAdmin):
    """Questions that mean the same are one row. Experts see pseudonyms, and no conversation."""

    viewed_by = (EXPERT,)
    changed_by = added_by = deleted_by = NOBODY
    rows = "editable_by"
    list_display = ("question", "clone", "people", "times", "why", "last_asked", "state")
    list_display_links = ("question",)
    list_select_related = ("clone",)
    list_filter = (
        OwnCloneFilter,
        CloneNameFilter,
        ("closed_at", admin.EmptyFieldListFilter),
        ("questions__reason", admin.ChoicesFieldListFilter),
        "created_at",
    )
    search_fields = ("questions__question",)
    search_help_text = "Words of a question"
    actions = ("close", "reopen", "join")

    def get_queryset(self, request: StaffRequest) -> QuerySet[KnowledgeGap]:
        return KnowledgeGap.objects.editable_by(request.user).with_people()

    def get_ordering(self, request: StaffRequest) -> tuple[str, ...]:
        return ("-people", "-last_asked_at", "pk")

    def get_urls(self) -> list[URLPattern]:
        own = [
            path(
                f"<int:gap_id>/{name}/",
                self.admin_site.admin_view(partial(view, self)),
                name=f"chat_knowledgegap_{name}",
            )
            for name, view in (("answer", answer), ("replay", replay))
        ]
        return own + super().get_urls()

    def change_view(
        self,
        request: StaffRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponseBase:
        return show_gap(self, request, self.find_or_404(request, object_id))

    @admin.action(description="Close", permissions=["view"])
    def close(self, request: StaffRequest, queryset: QuerySet[KnowledgeGap]) -> None:
        closed = queryset.order_by().filter(closed_at=None).update(closed_at=timezone.now())
        self.message_user(request, f"{closed} closed.", messages.SUCCESS)

    @admin.action(description="Open again", permissions=["view"])
    def reopen(self, request: StaffRequest, queryset: QuerySet[KnowledgeGap]) -> None:
        reopened = queryset.order_by().exclude(closed_at=None).update(closed_at=None)
        self.message_user(request, f"{reopened} opened again.", messages.SUCCESS)

    @admin.action(description="Join: they ask the same", permissions=["view"])
    def join(self, request: StaffRequest, queryset: QuerySet[KnowledgeGap]) -> None:
        chosen = list(queryset)
        if len(chosen) < 2 or len({gap.clone_id for gap in chosen}) > 1:
            self.message_user(request, "Choose two or more of one clone.", messages.WARNING)
            return
        join_gaps(gaps=chosen)
        self.message_user(request, f"{len(chosen)} joined into one.", messages.SUCCESS)

    @display(description="Question", ordering="first_question")
    def question(self, gap: KnowledgeGap) -> str:
        return str(gap)

    @display(description="People", ordering="people")
    def people(self, gap: KnowledgeGap) -> int:
        return gap.people  # type: ignore[attr-defined]

    @display(description="Times asked", ordering="times")
    def times(self, gap: KnowledgeGap) -> int:
        return gap.times  # type: ignore[attr-defined]

    @display(description="Why it is here")
    def why(self, gap: KnowledgeGap) -> str:
        reasons = gap.reasons  # type: ignore[attr-defined]
        return ", ".join(str(reason.label) for reason in GapReason if reason in reasons)

    @display(description="Last asked", ordering="last_asked_at")
    def last_asked(self, gap: KnowledgeGap) -> Any:
        return gap.last_asked_at  # type: ignore[attr-defined]

    @display(description="State", ordering="closed_at", label=STATE_COLOURS)
    def state(self, gap: KnowledgeGap) -> str:
        return name_state(gap)


def name_state(gap: KnowledgeGap) -> str:
    if gap.is_being_replayed:
        return "Being asked again"
    if gap.closed_at is None:
        return "Open"
    return "Answered" if gap.answered_at else "Closed"


def show_gap(
    model_admin: KnowledgeGapAdmin,
    request: StaffRequest,
    gap: KnowledgeGap,
    *,
    form: AnswerForm | None = None,
    status: int = 200,
) -> HttpResponseBase:
    """The questions with what was said and what is said now, and the form for the answer."""
    asked = gap.questions.select_related("message", "asked_by").order_by("-created_at")
    rows = [_describe(one, gap=gap, request=request) for one in asked[:QUESTIONS_SHOWN]]
    response = model_admin.render(
        request,
        "admin/chat/gap.html",
        title=str(gap),
        gap=gap,
        state=name_state(gap),
        rows=rows,
        form=form or AnswerForm(initial={"answer": gap.answer}),
        answered_count=sum(row["asked"].is_answered_now for row in rows),
    )
    response.status_code = status
    return response


def _describe(asked: GapQuestion, *, gap: KnowledgeGap, request: StaffRequest) -> dict[str, Any]:
    """One asking. Conversations are not for experts: of the past they see their own "no answer" text."""
    has_refused = asked.message is None or gap.clone.no_answer_text in asked.message.content
    before = {
        GapReason.DISLIKED: ANSWER_DISLIKED,
        GapReason.NEAREST: ANSWER_NEAREST,
    }.get(GapReason(asked.reason), gap.clone.no_answer_text if has_refused else NO_PASSAGE)
    return {
        "asked": asked,
        "who": name_for_staff(person=asked.asked_by, viewer=request.user),
        "badge": BADGES.get(GapReason(asked.reason), ""),
        "before": render_markdown(before),
        "after": render_markdown(asked.replay_answer),
    }


def answer(model_admin: KnowledgeGapAdmin, request: StaffRequest, gap_id: int) -> HttpResponseBase:
    """Takes the expert's answer."""
    gap: KnowledgeGap = model_admin.find_or_404(request, str(gap_id))
    if request.method != "POST":
        return HttpResponseNotAllowed(["POST"])
    form = AnswerForm(request.POST)
    if not form.is_valid():
        return show_gap(model_admin, request, gap, form=form, status=422)
    try:
        document = answer_gap(gap=gap, text=form.cleaned_data["answer"], answered_by=request.user)
    except (GapRefused, UploadRefused) as refusal:
        form.add_error("answer", refusal.message)
        return show_gap(model_admin, request, gap, form=form, status=422)
    record_action(actor=request.user, action="gap.answer", target=gap, document=str(document.pk))
    messages.success(request, "Saved as a document. The questions are asked again as soon as it is read.")
    return _back(gap)


def replay(model_admin: KnowledgeGapAdmin, request: StaffRequest, gap_id: int) -> HttpResponseBase:
    """Asks the questions again, for example after an upload."""
    gap: KnowledgeGap = model_admin.find_or_404(request, str(gap_id))
    if request.method != "POST":
        return HttpResponseNotAllowed(["POST"])
    request_replay(gap=gap)
    messages.success(request, "The questions are being asked again.")
    return _back(gap)


def _back(gap: KnowledgeGap) -> HttpResponseRedirect:
    return HttpResponseRedirect(reverse("admin:chat_knowledgegap_change", args=[gap.pk]))
