"""Clones over the JSON API: everybody reads what is visible, experts write their own."""

from decimal import Decimal
from typing import Annotated, Any

from django.http import Http404
from django.shortcuts import get_object_or_404
from ninja import Field, Query, Router, Schema, Status
from pydantic import Strict, StringConstraints, WithJsonSchema

from cloneai.accounts.admin_access import record_action
from cloneai.accounts.requests import MemberRequest
from clones.changes import describe_changes
from clones.deletion import delete_clone
from clones.models import HOST, Clone, Visibility
from clones.slugs import find_free_slug

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


class OwnCloneOut(CloneOut):
    """What its owner gets: every field that may be written."""

    communication_style: str
    hard_rules: list[str]
    no_answer_text: str
    link_hosts: list[str]
    temperature: float
    max_output_tokens: int
    similarity_threshold: float | None
    chunk_tokens: int
    chunk_overlap_tokens: int
    is_cleaning_on: bool
    allow_download: bool


# Tried in this order; what is public lacks fields of the first.
CloneAnswer = Annotated[OwnCloneOut | CloneOut, Field(union_mode="left_to_right")]
ABSENT: Any = None  # defaults are not checked, so that a null sent is told from nothing sent
Words = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
Host = Annotated[str, StringConstraints(max_length=120, pattern=f"^{HOST.pattern}$")]
# Without Strict, pydantic takes false for 0, "1" for 1 and "yes" for true.
Flag = Annotated[bool, Strict()]
Whole = Annotated[int, Strict()]
# Text such as "0.7" is taken too, but the document need not invite to it.
Temperature = Annotated[
    Decimal, WithJsonSchema({"type": "number", "minimum": 0, "maximum": 2, "multipleOf": 0.01})
]


class CloneFields(Schema, extra="forbid"):
    """Fields that may be written; absent ones keep their value. Only the threshold may be null: calibrated."""

    name: Words = Field(ABSENT, max_length=80)
    slug: str = Field(ABSENT, pattern=r"^[-a-zA-Z0-9_]+$", max_length=80)
    headline: str = Field(ABSENT, max_length=160)
    bio: str = Field(ABSENT, max_length=4000)
    communication_style: str = Field(ABSENT, max_length=1000)
    expertise_areas: list[Words] = Field(ABSENT, max_length=20)
    greeting: str = Field(ABSENT, max_length=600)
    starter_questions: list[Words] = Field(ABSENT, max_length=6)
    hard_rules: list[Words] = Field(ABSENT, max_length=3)
    no_answer_text: Words = Field(ABSENT, max_length=600)
    link_hosts: list[Host] = Field(ABSENT, max_length=20)
    visibility: Visibility = Field(ABSENT)
    is_strict: Flag = Field(ABSENT)
    temperature: Temperature = Field(ABSENT, ge=0, le=2, decimal_places=2)
    max_output_tokens: Whole = Field(ABSENT, ge=50, le=16_000)
    similarity_threshold: Annotated[float, Strict()] | None = Field(ABSENT, ge=0, le=1)
    chunk_tokens: Whole = Field(ABSENT, ge=100, le=4000)
    chunk_overlap_tokens: Whole = Field(ABSENT, ge=0, le=1000)
    is_cleaning_on: Flag = Field(ABSENT)
    allow_download: Flag = Field(ABSENT)
    accent_color: str = Field(ABSENT, pattern=r"^#[0-9a-fA-F]{6}$")


class CloneCreate(CloneFields):
    """Without a slug, a free one is made from the name."""

    name: Words = Field(..., max_length=80)


@router.get("/clones", response=CloneList)
def list_clones(request: MemberRequest, page: Query[Page], q: str = "") -> dict[str, Any]:
    found = Clone.objects.listed_for(request.user).search(q)
    return {"items": list(found[page.offset : page.offset + page.limit]), "count": found.count()}


@router.post("/clones", response={201: OwnCloneOut})
def create_clone(request: MemberRequest, payload: CloneCreate) -> Status[Clone]:
    """Experts only; to others there is nothing here."""
    if not request.user.is_expert:
        raise Http404
    fields = payload.dict(exclude_unset=True)
    fields.setdefault("slug", find_free_slug(name=payload.name))
    clone = save_clone(Clone(owner=request.user), fields)
    record_action(
        actor=request.user, action="clone.create", target=clone, way="api", **describe_changes(clone, fields)
    )
    return Status(201, clone)


@router.get("/clones/{slug}", response=CloneAnswer)
def get_clone(request: MemberRequest, slug: str) -> OwnCloneOut | CloneOut:
    """All that may be written for whoever may write it; others get what the profile shows."""
    clone = get_object_or_404(Clone.objects.visible_to(request.user), slug=slug)
    is_editable = Clone.objects.editable_by(request.user).filter(pk=clone.pk).exists()
    return (OwnCloneOut if is_editable else CloneOut).from_orm(clone)


@router.patch("/clones/{slug}", response=OwnCloneOut)
def change_clone(request: MemberRequest, slug: str, payload: CloneFields) -> Clone:
    clone = get_object_or_404(Clone.objects.editable_by(request.user), slug=slug)
    fields = payload.dict(exclude_unset=True)
    save_clone(clone, fields)
    record_action(
        actor=request.user, action="clone.change", target=clone, way="api", **describe_changes(clone, fields)
    )
    return clone


@router.delete("/clones/{slug}", response={204: None})
def remove_clone(request: MemberRequest, slug: str) -> Status[None]:
    """Takes documents, vectors, files and conversations along. There is no way back."""
    clone = get_object_or_404(Clone.objects.editable_by(request.user), slug=slug)
    record_action(actor=request.user, action="clone.delete", target=clone, way="api", slug=clone.slug)
    delete_clone(clone=clone)
    return Status(204, None)


def save_clone(clone: Clone, fields: dict[str, Any]) -> Clone:
    """Raises django's ValidationError, naming the fields."""
    for name, value in fields.items():
        setattr(clone, name, value)
    clone.full_clean()
    clone.save()
    return clone
