"""Clones over the JSON API: everybody reads what is visible, experts write their own."""

from typing import Any

from django.http import Http404
from django.shortcuts import get_object_or_404
from django.utils.text import slugify
from ninja import Field, Query, Router, Schema, Status

from cloneai.accounts.requests import MemberRequest
from clones.deletion import delete_clone
from clones.models import Clone, Visibility

router = Router()


class Page(Schema):
    """How lists are asked for."""

    limit: int = Field(20, ge=1, le=100)
    offset: int = Field(0, ge=0, le=1_000_000)


class CloneOut(Schema):
    slug: str
    name: str
    headline: str
    bio: str
    expertise_areas: list[str]
    greeting: str
    starter_questions: list[str]
    visibility: str
    is_strict: bool
    accent_color: str


class CloneList(Schema):
    items: list[CloneOut]
    count: int


class CloneFields(Schema, extra="forbid"):
    """Fields that may be written; absent and null ones keep their value."""

    name: str | None = Field(None, min_length=1, max_length=80)
    slug: str | None = Field(None, pattern=r"^[-a-zA-Z0-9_]+$", max_length=80)
    headline: str | None = Field(None, max_length=160)
    bio: str | None = Field(None, max_length=4000)
    communication_style: str | None = Field(None, max_length=1000)
    expertise_areas: list[str] | None = Field(None, max_length=20)
    greeting: str | None = Field(None, max_length=600)
    starter_questions: list[str] | None = Field(None, max_length=6)
    hard_rules: list[str] | None = Field(None, max_length=3)
    no_answer_text: str | None = Field(None, min_length=1, max_length=600)
    visibility: Visibility | None = None
    is_strict: bool | None = None
    temperature: float | None = Field(None, ge=0, le=2)
    max_output_tokens: int | None = Field(None, ge=50, le=16_000)
    similarity_threshold: float | None = Field(None, ge=0, le=1)
    chunk_tokens: int | None = Field(None, ge=100, le=4000)
    chunk_overlap_tokens: int | None = Field(None, ge=0, le=1000)
    is_cleaning_on: bool | None = None
    allow_download: bool | None = None
    accent_color: str | None = Field(None, pattern=r"^#[0-9a-fA-F]{6}$")


class CloneCreate(CloneFields):
    """Without a slug, one is made from the name."""

    name: str = Field(..., min_length=1, max_length=80)


@router.get("/clones", response=CloneList)
def list_clones(request: MemberRequest, page: Query[Page], q: str = "") -> dict[str, Any]:
    found = Clone.objects.listed_for(request.user).search(q)
    return {"items": list(found[page.offset : page.offset + page.limit]), "count": found.count()}


@router.post("/clones", response={201: CloneOut})
def create_clone(request: MemberRequest, payload: CloneCreate) -> Status[Clone]:
    """Experts only; to others there is nothing here."""
    if not request.user.is_expert:
        raise Http404
    fields = payload.dict(exclude_none=True)
    fields.setdefault("slug", slugify(payload.name) or "clone")
    return Status(201, save_clone(Clone(owner=request.user), fields))


@router.get("/clones/{slug}", response=CloneOut)
def get_clone(request: MemberRequest, slug: str) -> Clone:
    return get_object_or_404(Clone.objects.visible_to(request.user), slug=slug)


@router.patch("/clones/{slug}", response=CloneOut)
def change_clone(request: MemberRequest, slug: str, payload: CloneFields) -> Clone:
    clone = get_object_or_404(Clone.objects.editable_by(request.user), slug=slug)
    return save_clone(clone, payload.dict(exclude_none=True))


@router.delete("/clones/{slug}", response={204: None})
def remove_clone(request: MemberRequest, slug: str) -> Status[None]:
    """Takes documents, vectors, files and conversations along. There is no way back."""
    delete_clone(clone=get_object_or_404(Clone.objects.editable_by(request.user), slug=slug))
    return Status(204, None)


def save_clone(clone: Clone, fields: dict[str, Any]) -> Clone:
    """Raises django's ValidationError, naming the fields."""
    for name, value in fields.items():
        setattr(clone, name, value)
    clone.full_clean()
    clone.save()
    return clone
