"""What remains of a conversation, for its member: the summary's three kinds, its action items, a file to keep."""

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils.http import content_disposition_header
from django.utils.text import slugify
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe
from django.views.decorators.vary import vary_on_headers

from chat.models import ChatSession, SessionSummary, SummaryStatus, SummaryType
from chat.open_items import tick
from chat.sessions import find_session
from chat.settling import has_answers
from chat.summaries import request_summary
from chat.transcripts import session_title

SCRIPT_HEADER = "X-Requested-With"  # sent by our scripts: they want a partial or JSON instead of a page


@login_required
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@vary_on_headers(SCRIPT_HEADER)
def summary(request: HttpRequest, session_id: UUID) -> HttpResponse:
    """The latest summary of the `type` in whatever state it is; POST asks for one, also again after a failure."""
    session = find_session(user=request.user, session_id=session_id)
    summary_type = _read_type(request.POST.get("type") or request.GET.get("type"))
    if request.method == "POST":
        if has_answers(session):
            request_summary(session=session, summary_type=summary_type)
        else:
            messages.error(request, "There is nothing to summarise yet. Ask something first.")
        return HttpResponseRedirect(address(session, summary_type))
    template = "chat/_summary.html" if _wants_partial(request) else "chat/summary.html"
    return render(request, template, _describe(session, summary_type))


@login_required
@require_safe
def download(request: HttpRequest, session_id: UUID) -> HttpResponse:
    """The summary as a Markdown file."""
    session = find_session(user=request.user, session_id=session_id)
    summary_type = _read_type(request.GET.get("type"))
    found = _latest(session, summary_type)
    if found is None or found.status != SummaryStatus.READY:
        raise Http404
    title = session_title(session=session, clone=session.clone)
    head = f"# {title}\n\nWith {session.clone.name}, an AI clone, on {session.created_at:%d %B %Y}.\n\n"
    response = HttpResponse(head + found.summary_text + "\n", content_type="text/markdown; charset=utf-8")
    name = f"summary-{slugify(title)[:50] or session.pk.hex[:8]}.md"
    response["Content-Disposition"] = content_disposition_header(True, name) or "attachment"
    return response


@login_required
@require_POST
def tick_item(request: HttpRequest, summary_id: UUID, number: int) -> HttpResponse:
    """Ticks an action item (`done` is 1), or takes the tick back; back to where the form was, `next` says."""
    own = get_object_or_404(SessionSummary.objects.visible_to(request.user), pk=summary_id)
    is_done = request.POST.get("done") == "1"
    if not tick(summary=own, number=number, is_done=is_done):
        raise Http404
    if _wants_partial(request):
        return JsonResponse({"done": is_done})
    back_to = request.POST.get("session", "")
    sessions = ChatSession.objects.visible_to(request.user)
    session = sessions.filter(pk=back_to).first() if _is_uuid(back_to) else None
    if session is not None:
        return HttpResponseRedirect(session.get_absolute_url())
    return HttpResponseRedirect(f"{address(own.session, own.summary_type)}#item-{number}")


def address(session: ChatSession, summary_type: str) -> str:
    url = reverse("chat:summary", args=[session.pk])
    return url if summary_type == SummaryType.DETAILED else f"{url}?type={summary_type}"


def _describe(session: ChatSession, summary_type: str) -> dict[str, Any]:
    found = _latest(session, summary_type)
    is_pending = found is not None and found.status in (SummaryStatus.QUEUED, SummaryStatus.RUNNING)
    items = found.structured_data.get("action_items", []) if found else []
    return {
        "session": session,
        "clone": session.clone,
        "title": session_title(session=session, clone=session.clone),
        "summary": found,
        "summary_type": summary_type,
        "tabs": [
            (address(session, kind), label, kind == summary_type) for kind, label in SummaryType.choices
        ],
        "url": address(session, summary_type),
        "is_pending": is_pending,
        "items": [
            {**item, "number": number, "is_done": number in (found.done_items if found else [])}
            for number, item in enumerate(items)
        ],
    }


def _latest(session: ChatSession, summary_type: str) -> SessionSummary | None:
    return session.summaries.filter(summary_type=summary_type).order_by("-created_at").first()


def _read_type(text: str | None) -> str:
    return text if text in SummaryType.values else SummaryType.DETAILED.value


def _is_uuid(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True


def _wants_partial(request: HttpRequest) -> bool:
    return request.headers.get(SCRIPT_HEADER) == "fetch"
