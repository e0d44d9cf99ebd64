"""“What clones remember”: the member sees, confirms, corrects and deletes memories, and switches the memory off."""

from dataclasses import dataclass
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from chat.memories import MAX_RECALLED_TOKENS, MemoryRefused, confirm, edit, forget, pause, remove, resume
from chat.memory_models import ACTIVE_STATES, MAX_MEMORY_CHARS
from chat.models import Memory, MemoryPause
from chat.sessions import find_session, set_remembered
from cloneai.accounts.models import User
from cloneai.accounts.requests import MemberRequest
from clones.models import Clone

MAX_SHOWN = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class CloneMemories:
    """What one clone remembers: what it uses, and what was replaced by something newer."""

    clone: Clone
    is_paused: bool
    active: list[Memory]
    superseded: list[Memory]


@login_required
@never_cache
@require_safe
def memory(request: MemberRequest) -> HttpResponse:
    shown = group_memories(user=request.user)
    context = {
        "clones": shown,
        "is_paused": MemoryPause.objects.filter(user=request.user, clone=None).exists(),
        "max_words": MAX_RECALLED_TOKENS * 3 // 4,  # what a token is on average
        "max_chars": MAX_MEMORY_CHARS,
        "editing": request.GET.get("edit", ""),
    }
    return render(request, "chat/memory.html", context)


@login_required
@require_POST
def change(request: MemberRequest, memory_id: UUID) -> HttpResponse:
    """`action`: confirm, delete, or save with `text`."""
    own = get_object_or_404(Memory.objects.visible_to(request.user), pk=memory_id)
    match request.POST.get("action"):
        case "confirm":
            confirm(memory=own)
            messages.success(request, "Confirmed.")
        case "delete":
            remove(memory=own)
            messages.success(request, "Deleted. It will not be learned again.")
        case _:
            try:
                edit(memory=own, text=request.POST.get("text", ""))
            except MemoryRefused as refusal:
                messages.error(request, refusal.message)
            else:
                messages.success(request, "Saved in your words.")
    return redirect("chat:memory")


@login_required
@require_POST
def switch(request: MemberRequest) -> HttpResponse:
    """Switches the memory `off` or `on`, of one `clone` (a slug) or wholly."""
    clone = _read_clone(request)
    if request.POST.get("memory") == "off":
        pause(user=request.user, clone=clone)
    else:
        resume(user=request.user, clone=clone)
    return redirect("chat:memory")


@login_required
@require_POST
def forget_all(request: MemberRequest) -> HttpResponse:
    """Deletes what one `clone` (a slug) remembers, or all of them."""
    clone = _read_clone(request)
    own = Memory.objects.visible_to(request.user)
    number = forget(own if clone is None else own.filter(clone=clone))
    messages.success(request, f"{number} {'memory' if number == 1 else 'memories'} deleted.")
    return redirect("chat:memory")


@login_required
@require_POST
def remember_session(request: MemberRequest, session_id: UUID) -> HttpResponse:
    """Whether this conversation may use and leave memories: `memory` is on or off."""
    session = find_session(user=request.user, session_id=session_id)
    set_remembered(session=session, is_remembered=request.POST.get("memory") != "off")
    if not session.is_remembered:
        messages.success(
            request, "Nothing of this conversation is remembered, and it uses no earlier memories."
        )
    return redirect(session)


def group_memories(*, user: User) -> list[CloneMemories]:
    """By clone, those that the member talked with included; three queries."""
    paused = set(MemoryPause.objects.filter(user=user).exclude(clone=None).values_list("clone_id", flat=True))
    found = Memory.objects.visible_to(user).select_related("message").defer("embedding")[:MAX_SHOWN]
    by_clone: dict[int, list[Memory]] = {}
    for one in found:
        by_clone.setdefault(one.clone_id, []).append(one)
    talked = Clone.objects.filter(sessions__user=user).values("pk")
    clones = Clone.objects.filter(pk__in=[*by_clone, *paused]) | Clone.objects.filter(pk__in=talked)
    return [
        CloneMemories(
            clone=clone,
            is_paused=clone.pk in paused,
            active=[one for one in by_clone.get(clone.pk, []) if one.state in ACTIVE_STATES],
            superseded=[one for one in by_clone.get(clone.pk, []) if one.state not in ACTIVE_STATES],
        )
        for clone in clones
    ]


def _read_clone(request: MemberRequest) -> Clone | None:
    """The clone named in the form: one that the member may know of. Raises Http404."""
    slug = request.POST.get("clone", "")
    if not slug:
        return None
    known = [row.clone.pk for row in group_memories(user=request.user)]
    return get_object_or_404(Clone.objects.filter(pk__in=known), slug=slug)
