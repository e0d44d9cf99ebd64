"""Own pages of the document admin: upload, status, text, passages, replacement. The retrieval check: `admin_check`.

Each takes the ModelAdmin, which decides what this person sees, and the request.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.core.files.uploadedfile import UploadedFile
from django.core.paginator import Paginator
from django.http import HttpResponseBase, HttpResponseNotAllowed, JsonResponse
from django.shortcuts import redirect
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.html import format_html

from cloneai.accounts.admin_access import StaffRequest
from cloneai.accounts.models import User
from clones.models import Clone
from knowledge.admin_forms import ReplaceForm, UploadForm
from knowledge.errors import UploadRefused
from knowledge.models import Chunk, Document, DocumentPage
from knowledge.uploads import create_document, replace_document, retry_document

if TYPE_CHECKING:
    from knowledge.admin import DocumentAdmin

PAGES_SHOWN = 10
PASSAGES_SHOWN = 20
MAX_POLLED = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadResult:
    """What became of one file. `url` opens the document: the new one, or the one that has the same bytes."""

    file_name: str
    is_accepted: bool
    message: str
    url: str = ""


def upload(model_admin: "DocumentAdmin", request: StaffRequest) -> HttpResponseBase:
    """Many files at once; good ones are taken even when others are refused. JSON for the page's script."""
    if not model_admin.has_add_permission(request):
        raise PermissionDenied
    is_post = request.method == "POST"
    form = UploadForm(
        request.POST if is_post else None,
        request.FILES if is_post else None,
        user=request.user,
        initial={"clone": request.GET.get("clone", "")},
    )
    wants_json = request.headers.get("Accept") == "application/json"
    results: list[UploadResult] = []
    if is_post:
        if form.is_valid():
            clone, files = form.cleaned_data["clone"], form.cleaned_data["files"]
            results = store_files(
                clone=clone,
                files=files,
                user=request.user,
                is_cleaning_on=form.cleaned_data.get("is_cleaning_on", True),
            )
        if wants_json:
            errors = [str(error) for field_errors in form.errors.values() for error in field_errors]
            return JsonResponse({"results": [_as_json(result) for result in results], "errors": errors})
        if results:
            _tell(request, results)
            if any(result.is_accepted for result in results):
                return redirect(f"{reverse('admin:knowledge_document_changelist')}?clone={clone.pk}")
    return model_admin.render(
        request,
        "admin/knowledge/document/upload.html",
        title="Upload documents",
        form=form,
        has_clones=form.has_clones,
        max_upload_bytes=settings.MAX_UPLOAD_BYTES,
    )


def store_files(
    *, clone: Clone, files: Sequence[UploadedFile[bytes]], user: User, is_cleaning_on: bool = True
) -> list[UploadResult]:
    """Gives each file to the pipeline; a refusal of one does not keep the others out."""
    results = []
    for file in files:
        name = file.name or "unnamed"
        try:
            document = create_document(
                clone=clone, file=file, file_name=name, uploaded_by=user, is_cleaning_on=is_cleaning_on
            )
        except UploadRefused as refusal:
            url = refusal.existing.get_absolute_url() if refusal.existing else ""
            results.append(UploadResult(file_name=name, is_accepted=False, message=refusal.message, url=url))
        else:
            url = document.get_absolute_url()
            results.append(UploadResult(file_name=name, is_accepted=True, message="Accepted", url=url))
    return results


def show_status(model_admin: "DocumentAdmin", request: StaffRequest) -> HttpResponseBase:
    """State of the documents named by `id`, as the page shows it; foreign and missing ones are left out."""
    keys = [key for key in request.GET.getlist("id")[:MAX_POLLED] if _is_uuid(key)]
    documents = model_admin.get_queryset(request).filter(pk__in=keys)
    return JsonResponse(
        {
            "documents": [
                {
                    "id": str(document.pk),
                    "is_final": document.is_final,
                    "page_count": document.page_count,
                    "chunk_count": document.chunk_count,
                    "html": render_to_string("admin/knowledge/document/_state.html", {"document": document}),
                }
                for document in documents
            ]
        }
    )


def show_text(model_admin: "DocumentAdmin", request: StaffRequest, document_id: UUID) -> HttpResponseBase:
    """The extracted text, page by page."""
    document: Document = model_admin.find_or_404(request, str(document_id))
    pages = DocumentPage.objects.filter(document=document, version=shown_version(document))
    return model_admin.render(
        request,
        "admin/knowledge/document/text.html",
        title=document.title,
        original=document,
        tab="text",
        page_obj=Paginator(pages, PAGES_SHOWN).get_page(request.GET.get("page")),
        empty_pages=list(pages.filter(text="").values_list("number", flat=True)[:50]),
    )


def show_passages(model_admin: "DocumentAdmin", request: StaffRequest, document_id: UUID) -> HttpResponseBase:
    """The passages that answers are made from."""
    document: Document = model_admin.find_or_404(request, str(document_id))
    chunks = Chunk.objects.filter(document=document, version=shown_version(document)).order_by("index")
    return model_admin.render(
        request,
        "admin/knowledge/document/passages.html",
        title=document.title,
        original=document,
        tab="passages",
        page_obj=Paginator(chunks.defer("search_vector"), PASSAGES_SHOWN).get_page(request.GET.get("page")),
    )


def shown_version(document: Document) -> int:
    """The version that answers come from; the first one while there is none yet."""
    return document.live_version or document.version


def replace_file(model_admin: "DocumentAdmin", request: StaffRequest, document_id: UUID) -> HttpResponseBase:
    """A new file for the same document; the old text answers until the new one is ready."""
    document: Document = model_admin.find_or_404(request, str(document_id))
    form = ReplaceForm(request.POST or None, request.FILES or None)
    if request.method == "POST" and form.is_valid():
        file = form.cleaned_data["file"]
        try:
            replace_document(document=document, file=file, file_name=file.name, uploaded_by=request.user)
        except UploadRefused as refusal:
            form.add_error("file", refusal.message)
        else:
            meanwhile = " The old text answers until it is ready." if document.live_version else ""
            messages.success(request, f"The new file is being read.{meanwhile}")
            return redirect(document.get_absolute_url())
    return model_admin.render(
        request,
        "admin/knowledge/document/replace.html",
        title=document.title,
        original=document,
        tab="replace",
        form=form,
    )


def retry(model_admin: "DocumentAdmin", request: StaffRequest, document_id: UUID) -> HttpResponseBase:
    document: Document = model_admin.find_or_404(request, str(document_id))
    if request.method != "POST":
        return HttpResponseNotAllowed(["POST"])
    try:
        retry_document(document=document)
    except UploadRefused as refusal:
        messages.error(request, refusal.message)
    else:
        messages.success(request, "The document waits to be read again.")
    return redirect(document.get_absolute_url())


def _tell(request: StaffRequest, results: Sequence[UploadResult]) -> None:
    accepted = [result.file_name for result in results if result.is_accepted]
    if accepted:
        named = ", ".join(accepted[:5]) + (" and more" if len(accepted) > 5 else "")
        messages.success(request, f"Accepted {len(accepted)} of {len(results)} files: {named}.")
    for result in results:
        if not result.is_accepted:
            link = format_html(' <a href="{}">Open the existing one</a>', result.url) if result.url else ""
            messages.error(request, format_html("{}: {}{}", result.file_name, result.message, link))


def _as_json(result: UploadResult) -> dict[str, object]:
    return {
        "file_name": result.file_name,
        "is_accepted": result.is_accepted,
        "message": result.message,
        "url": result.url,
    }


def _is_uuid(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True
