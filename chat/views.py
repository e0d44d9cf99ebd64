"""Pages about conversations that await nothing: the list, ending, summaries, feedback and sources."""

from datetime import timedelta
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.db.models import OuterRef, Prefetch, Q, Subquery
from django.db.models.functions import Left
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe
from django.views.decorators.vary import vary_on_headers

from chat.feedback import save_feedback
from chat.forms import FeedbackForm, SessionSearchForm, TitleForm
from chat.models import ChatSession, Citation, GapQuestion, Message, Role
from chat.sessions import end_session, find_session, remove_session
from chat.source_text import flow_page, flow_source
from chat.sources import open_source
from chat.transcript_search import find_said
from chat.transcripts import session_title

SESSIONS_PER_PAGE = 30
ANSWERED_NOW_SHOWN_FOR = timedelta(days=30)
PREVIEW_CHARS = 180
SCRIPT_HEADER = "X-Requested-With"  # sent by our scripts: they want a partial or JSON instead of a page


@login_required
@require_safe
def sessions(request: HttpRequest) -> HttpResponse:
    """The member's own conversations, last active first; `?q=` looks for words in titles, names and what was said.

    Of those whose clone is closed to the member only the title is shown and searched.
    """
    form = SessionSearchForm(request.GET)
    query = form.cleaned_data["q"].strip() if form.is_valid() else ""
    found = (
        ChatSession.objects.owned_by(request.user).select_related("clone").prefetch_related(_answered_now())
    )
    for word in query.split()[:8]:
        said = find_said(word).filter(session__user=request.user.pk, is_current=True)
        inside = Q(clone__name__icontains=word) | Q(pk__in=said.values("session"))
        found = found.filter(Q(title__icontains=word) | (Q(is_open=True) & inside))
    latest = Message.objects.filter(session=OuterRef("pk"), is_current=True).exclude(content="")
    found = found.annotate(
        preview=Subquery(latest.order_by("-created_at").values(text=Left("content", PREVIEW_CHARS))[:1])
    )
    page = Paginator(found, SESSIONS_PER_PAGE).get_page(request.GET.get("page"))
    return render(request, "chat/sessions.html", {"form": form, "query": query, "page": page})


@login_required
@require_POST
def end(request: HttpRequest, session_id: UUID) -> HttpResponse:
    session = find_session(user=request.user, session_id=session_id)
    end_session(session=session)
    return redirect("chat:summary", session_id=session.pk)


@login_required
@require_POST
def rename(request: HttpRequest, session_id: UUID) -> HttpResponse:
    session = find_session(user=request.user, session_id=session_id)
    form = TitleForm(request.POST)
    if form.is_valid():
        session.title = form.cleaned_data["title"]
        session.save(update_fields=["title"])
    else:
        messages.error(request, "A title has 1 to 120 characters.")
    return redirect("chat:sessions")


@login_required
@require_POST
def delete(request: HttpRequest, session_id: UUID) -> HttpResponse:
    remove_session(user=request.user, session_id=session_id)
    messages.success(request, "The conversation is deleted.")
    return redirect("chat:sessions")


@login_required
@require_POST
def feedback(request: HttpRequest, message_id: UUID) -> HttpResponse:
    """Saves a rating and a comment; JSON for the script, back to the answer for a plain form."""
    answers = Message.objects.filter(
        role=Role.ASSISTANT, session__in=ChatSession.objects.visible_to(request.user)
    )
    answer = get_object_or_404(answers.select_related("session__clone", "reply_to"), pk=message_id)
    form = FeedbackForm(request.POST)
    if not form.is_valid():
        problem = " ".join(str(text) for errors in form.errors.values() for text in errors)
        if _wants_partial(request):
            return JsonResponse(
                {"error_type": "invalid_request", "message": problem, "retry_after": None}, status=422
            )
        messages.error(request, problem)
        return redirect(answer.session)
    rating, comment = form.cleaned_data["rating"], form.cleaned_data["comment"]
    save_feedback(
        answer=answer,
        rating=int(rating) or None if rating else answer.rating,
        comment=comment if "comment" in form.data else answer.rating_comment,
    )
    if _wants_partial(request):
        return JsonResponse({"rating": answer.rating, "comment": answer.rating_comment})
    return HttpResponseRedirect(f"{answer.session.get_absolute_url()}#m-{answer.pk}")


@login_required
@require_safe
@vary_on_headers(SCRIPT_HEADER)
def source(request: HttpRequest, citation_id: UUID) -> HttpResponse:
    """The passage behind a citation in its page; the script gets the article alone, for its panel."""
    citations = Citation.objects.visible_to(request.user).select_related(
        "message__session__clone", "document"
    )
    citation = get_object_or_404(citations, pk=citation_id)
    session = citation.message.session
    opened = open_source(citation=citation)
    context = {
        "citation": citation,
        "source": opened,
        "text": flow_source(source=opened, is_whole="whole" in request.GET),
        "previous_text": flow_page(opened.previous_page.text) if opened.previous_page else "",
        "next_text": flow_page(opened.next_page.text) if opened.next_page else "",
        "session": session,
        "clone": session.clone,
        "is_own": session.user_id == request.user.pk,
        "title": session_title(session=session, clone=session.clone),
    }
    template = "chat/_source.html" if _wants_partial(request) else "chat/source.html"
    return render(request, template, context)


def _answered_now() -> Prefetch[str]:
    """`answered_now` of each answer without one: questions that the expert has answered meanwhile."""
    since = timezone.now() - ANSWERED_NOW_SHOWN_FOR
    asked = GapQuestion.objects.filter(is_answered_now=True, replayed_at__gt=since).order_by("-replayed_at")
    answers = Message.objects.filter(gap_question__in=asked).select_related("gap_question")
    return Prefetch("messages", answers.defer("content", "chunk_ends"), to_attr="answered_now")


def _wants_partial(request: HttpRequest) -> bool:
    return request.headers.get(SCRIPT_HEADER) == "fetch"
