"""Documents and search over the JSON API. Experts reach their own clones' material only."""

from typing import Any, Literal, cast
from uuid import UUID

from django.http import HttpRequest
from django.shortcuts import get_object_or_404
from ninja import Field, File, Form, Query, Router, Schema, Status, UploadedFile
from ninja.errors import HttpError

from billing.metering import Payer
from cloneai.accounts.admin_access import record_action
from cloneai.accounts.models import User
from cloneai.threads import run_in_thread
from clones.api import Page
from clones.models import Clone
from knowledge.models import Document
from knowledge.retrieval import MAX_LIMIT, Passage, SearchResult, search_passages
from knowledge.uploads import create_document, delete_document, retry_document

router = Router()


class DocumentOut(Schema):
    id: UUID
    clone: str = Field(alias="clone.slug")
    title: str
    file_name: str
    status: str
    stage_done: int
    stage_total: int
    error_code: str
    error_message: str
    warnings: list[str]
    page_count: int
    chunk_count: int
    token_count: int
    probe_count: int
    probes_found: int
    probe_note: str
    similar_document_id: UUID | None


class DocumentList(Schema):
    items: list[DocumentOut]
    count: int


class ResultOut(Schema):
    chunk_id: int
    document_id: UUID
    document_title: str
    page: int
    page_end: int
    start_char: int
    end_char: int
    content: str
    similarity_score: float
    lexical_rank: float
    relevance: float
    rank: int


class QualityOut(Schema):
    score: float
    status: str
    chunk_count: int
    diversity: int


class SearchOut(Schema):
    """`results` is what an answer may use; `dropped` came next but is not relevant enough.

    The best result must reach `floor`; those after it are used down to half of it, or with a threshold of the
    clone's own down to that.
    """

    results: list[ResultOut]
    retrieval_quality: QualityOut
    query_used: str
    dropped: list[ResultOut]
    floor: float
    is_lexical_only: bool


@router.post("/clones/{slug}/documents", response={202: DocumentOut})
def upload_document(
    request: HttpRequest,
    slug: str,
    file: File[UploadedFile],
    title: Form[str] = "",
    is_cleaning_on: Form[Literal["true", "false"]] = "true",
) -> Status[Document]:
    """Takes a file; it is processed in the background. 409 for bytes that the clone has already."""
    clone = find_clone(request, slug)
    document = create_document(
        clone=clone,
        file=file,
        file_name=file.name or "",
        title=title,
        uploaded_by=cast(User, request.user),
        is_cleaning_on=is_cleaning_on == "true",
    )
    return Status(202, document)


@router.get("/clones/{slug}/documents", response=DocumentList)
def list_documents(request: HttpRequest, slug: str, page: Query[Page]) -> dict[str, Any]:
    found = Document.objects.filter(clone=find_clone(request, slug)).select_related("clone")
    return {"items": found[page.offset : page.offset + page.limit], "count": found.count()}


@router.get("/documents/{uuid:document_id}", response=DocumentOut)
def get_document(request: HttpRequest, document_id: UUID) -> Document:
    return find_document(request, document_id)


@router.delete("/documents/{uuid:document_id}", response={204: None})
def remove_document(request: HttpRequest, document_id: UUID) -> Status[None]:
    """Takes pages, passages, vectors and the file along. Citations keep their quote."""
    document = find_document(request, document_id)
    record_action(
        actor=cast(User, request.user), action="document.delete", target=document, title=document.title,
        clone=document.clone_id, way="api",
    )  # fmt: skip
    delete_document(document=document)
    return Status(204, None)


@router.post("/documents/{uuid:document_id}/retry", response={202: DocumentOut})
def retry(request: HttpRequest, document_id: UUID) -> Status[Document]:
    """Processes a failed document again, or a ready one with the clone's settings of today."""
    document = find_document(request, document_id)
    retry_document(document=document)
    return Status(202, document)


@router.get("/clones/{slug}/search", response=SearchOut)
async def search(
    request: HttpRequest,
    slug: str,
    q: str = Query(..., min_length=1),  # type: ignore[type-arg]
    limit: int = Query(10, ge=1, le=MAX_LIMIT),  # type: ignore[type-arg]
) -> dict[str, Any]:
    """What the clone would answer from, with scores: the same search as the chat's."""
    if not q.strip():
        raise HttpError(422, "Give a question to search for.")
    clone = await run_in_thread(find_clone, request, slug)
    payer = Payer(user_id=request.user.pk, clone_id=clone.pk)
    return describe_search(await search_passages(clone=clone, query=q, payer=payer, limit=limit))


def find_clone(request: HttpRequest, slug: str) -> Clone:
    """A clone that this person may edit. Raises Http404."""
    return get_object_or_404(Clone.objects.editable_by(request.user), slug=slug)


def find_document(request: HttpRequest, document_id: UUID) -> Document:
    """A document that this person may edit. Raises Http404."""
    documents = Document.objects.editable_by(request.user).select_related("clone")
    return get_object_or_404(documents, pk=document_id)


def describe_search(result: SearchResult) -> dict[str, Any]:
    return {
        "results": [_describe(passage) for passage in result.passages],
        "retrieval_quality": result.quality.as_dict(),
        "query_used": result.query_used,
        "dropped": [_describe(passage) for passage in result.dropped],
        "floor": result.floor,
        "is_lexical_only": result.is_lexical_only,
    }


def _describe(passage: Passage) -> dict[str, Any]:
    return {name: getattr(passage, name) for name in ResultOut.model_fields}
