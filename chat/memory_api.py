"""The member's memories over the JSON API."""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from django.shortcuts import get_object_or_404
from ninja import Field, Query, Router, Schema, Status
from ninja.errors import HttpError

from chat.memories import MemoryRefused, confirm, edit, remove
from chat.models import Memory
from cloneai.accounts.requests import MemberRequest
from clones.api import Page

router = Router()


class MemoryOut(Schema):
    """`message_id` and `session_id` name what the member said; null once they wrote it themselves."""

    id: UUID
    clone: str = Field(alias="clone.slug")
    kind: str
    text: str
    quote: str
    state: str
    confidence: float
    mentions: int
    message_id: UUID | None
    session_id: UUID | None = None
    created_at: datetime
    updated_at: datetime

    @staticmethod
    def resolve_session_id(memory: Memory) -> UUID | None:
        return memory.message.session_id if memory.message else None


class MemoryList(Schema):
    items: list[MemoryOut]
    count: int


class MemoryIn(Schema):
    """`text` is the member's own wording and confirms; `state` only ever becomes `confirmed`."""

    text: str | None = None
    state: Literal["confirmed"] | None = None


@router.get("", response=MemoryList)
def list_memories(request: MemberRequest, page: Query[Page], clone: str = "") -> dict[str, Any]:
    """The caller's own, newest first; `clone` is a slug. Deleted ones are not there, replaced ones are."""
    found = Memory.objects.visible_to(request.user).select_related("clone", "message").defer("embedding")
    if clone:
        found = found.filter(clone__slug=clone)
    return {"items": list(found[page.offset : page.offset + page.limit]), "count": found.count()}


@router.patch("/{uuid:memory_id}", response=MemoryOut)
def change_memory(request: MemberRequest, memory_id: UUID, payload: MemoryIn) -> Memory:
    memory = find_memory(request, memory_id)
    if payload.text is None and payload.state is None:
        raise HttpError(422, "Send a text, or the state “confirmed”.")
    try:
        if payload.text is not None:
            edit(memory=memory, text=payload.text)
        else:
            confirm(memory=memory)
    except MemoryRefused as refusal:
        raise HttpError(422, refusal.message) from refusal
    return find_memory(request, memory_id)


@router.delete("/{uuid:memory_id}", response={204: None})
def delete_memory(request: MemberRequest, memory_id: UUID) -> Status[None]:
    remove(memory=find_memory(request, memory_id))
    return Status(204, None)


def find_memory(request: MemberRequest, memory_id: UUID) -> Memory:
    own = Memory.objects.visible_to(request.user).select_related("clone", "message")
    return get_object_or_404(own, pk=memory_id)
