"""Pages that start, stop or show a turn: async, so that no thread waits for an answer."""

from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from billing.model_choice import Task, choose_model
from chat.budget import find_budget_notice
from chat.context import max_question_tokens
from chat.forms import MessageForm
from chat.models import ChatSession, Message, Role
from chat.open_items import find_open_items
from chat.sessions import CLOSED_MESSAGE, ConversationClosed, create_session, find_session
from chat.transcripts import MESSAGES_SHOWN, load_transcript, placeholder_messages, session_title
from chat.turns import TurnRefused, edit_message, regenerate_answer, start_turn, stop_answer
from cloneai.threads import run_in_thread
from clones.models import Clone

CHARS_PER_TOKEN = 3  # on the safe side for English; `turns` counts exactly when the message comes
REFUSED_STATUS = {"turn_running": 409, "rate_limit": 429, "budget_exceeded": 429}


@login_required
@require_POST
async def start(request: HttpRequest, slug: str) -> HttpResponse:
    """Opens a conversation; a `question` in the form becomes its first message."""
    session = await run_in_thread(_create_session, request=request, slug=slug)
    question = request.POST.get("question", "").strip()
    if question:
        try:
            await start_turn(session=session, content=question)
        except TurnRefused as error:
            messages.error(request, error.message)
    return redirect(session)


@login_required
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
async def conversation(request: HttpRequest, session_id: UUID) -> HttpResponse:
    """The conversation; a plain form post sends a message and comes back here."""
    try:
        session = await run_in_thread(find_session, user=request.user, session_id=session_id)
    except ConversationClosed as closed:
        context = {"session": closed.session, "message": CLOSED_MESSAGE}
        return await run_in_thread(render, request, "chat/closed.html", context, status=404)
    if request.method != "POST":
        return await run_in_thread(render_conversation, request=request, session=session)
    form = MessageForm(request.POST, clone_name=session.clone.name)
    if not form.is_valid():
        return await run_in_thread(
            render_conversation, request=request, session=session, form=form, status=422
        )
    try:
        turn = await start_turn(
            session=session,
            content=form.cleaned_data["content"],
            client_message_id=form.client_message_id(),
        )
    except TurnRefused as error:
        form.add_error("content", error.message)
        status = REFUSED_STATUS.get(error.error_type, 422)
        return await run_in_thread(
            render_conversation, request=request, session=session, form=form, status=status
        )
    return HttpResponseRedirect(f"{session.get_absolute_url()}#m-{turn.user_message_id}")


@login_required
@require_POST
async def stop(request: HttpRequest, message_id: UUID) -> HttpResponse:
    answer = await run_in_thread(_own_answer, request=request, message_id=message_id)
    await stop_answer(session=answer.session, answer_id=answer.pk)
    return _back_to(answer)


@login_required
@require_POST
async def regenerate(request: HttpRequest, message_id: UUID) -> HttpResponse:
    answer = await run_in_thread(_own_answer, request=request, message_id=message_id)
    try:
        await regenerate_answer(session=answer.session, answer_id=answer.pk)
    except TurnRefused as error:
        messages.error(request, error.message)
    return redirect(answer.session)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
async def edit(request: HttpRequest, message_id: UUID) -> HttpResponse:
    """A page of its own to edit the last question on, for browsers without scripts."""
    question = await run_in_thread(_own_question, request=request, message_id=message_id)
    session = question.session
    if request.method != "POST":
        form = MessageForm(initial={"content": question.content}, clone_name=session.clone.name)
        return await run_in_thread(_render_edit, request=request, question=question, form=form)
    form = MessageForm(request.POST, clone_name=session.clone.name)
    if form.is_valid():
        try:
            turn = await edit_message(
                session=session, message_id=question.pk, content=form.cleaned_data["content"]
            )
        except TurnRefused as error:
            form.add_error("content", error.message)
        else:
            return HttpResponseRedirect(f"{session.get_absolute_url()}#m-{turn.user_message_id}")
    return await run_in_thread(_render_edit, request=request, question=question, form=form, status=422)


def _render_edit(
    *, request: HttpRequest, question: Message, form: MessageForm, status: int = 200
) -> HttpResponse:
    form.fields["content"].widget.attrs |= {"rows": 6, "enterkeyhint": "enter"}
    context = {
        "form": form,
        "question": question,
        "session": question.session,
        "clone": question.session.clone,
    }
    return render(request, "chat/edit.html", context, status=status)


def _create_session(*, request: HttpRequest, slug: str) -> ChatSession:
    clone = get_object_or_404(Clone.objects.visible_to(request.user), slug=slug)
    assert not isinstance(request.user, AnonymousUser)  # the view is closed to them
    return create_session(user=request.user, clone=clone)


def _own_answer(*, request: HttpRequest, message_id: UUID) -> Message:
    return _own_message(request=request, message_id=message_id, role=Role.ASSISTANT)


def _own_question(*, request: HttpRequest, message_id: UUID) -> Message:
    return _own_message(request=request, message_id=message_id, role=Role.USER)


def _own_message(*, request: HttpRequest, message_id: UUID, role: Role) -> Message:
    said = Message.objects.filter(role=role, session__in=ChatSession.objects.visible_to(request.user))
    return get_object_or_404(said.select_related("session__clone", "session__user"), pk=message_id)


def _back_to(answer: Message) -> HttpResponse:
    return HttpResponseRedirect(f"{answer.session.get_absolute_url()}#m-{answer.pk}")


def render_conversation(
    *, request: HttpRequest, session: ChatSession, form: MessageForm | None = None, status: int = 200
) -> HttpResponse:
    shown = request.GET.get("show", "")
    transcript = load_transcript(
        session=session,
        shown=int(shown) if shown.isdecimal() else MESSAGES_SHOWN,
        version=_read_id(request.GET.get("version", "")),
    )
    context = {
        "session": session,
        "clone": session.clone,
        "title": session_title(session=session, clone=session.clone),
        "transcript": transcript,
        "form": form or MessageForm(clone_name=session.clone.name),
        "notice": find_budget_notice(session=session),
        "max_message_chars": _estimate_max_chars(clone=session.clone),
        "open_items": [] if transcript.messages else find_open_items(session=session),
        **placeholder_messages(session=session),
    }
    return render(request, "chat/conversation.html", context, status=status)


def _read_id(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


def _estimate_max_chars(*, clone: Clone) -> int:
    """About how long a message may be, for the notice while it is typed."""
    model = choose_model(task=Task.CHAT, override=clone.chat_model)
    return max_question_tokens(clone=clone, model=model) * CHARS_PER_TOKEN
