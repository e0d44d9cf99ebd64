"""Own pages of one document in the admin: status, text, passages, replacement. Others: `admin_upload`, `admin_check`.

Each takes the ModelAdmin, which decides what this person sees, and the request.
"""

from typing import TYPE_CHECKING
from uuid import UUID

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpResponseBase, HttpResponseNotAllowed, JsonResponse
from django.shortcuts import redirect
from django.template.loader import render_to_string

from cloneai.accounts.admin_access import StaffRequest
from knowledge.admin_forms import ReplaceForm
from knowledge.earlier_versions import keep_earlier_version
from knowledge.errors import UploadRefused
from knowledge.models import Chunk, Document, DocumentPage
from knowledge.uploads import replace_document, retry_document

if TYPE_CHECKING:
    from knowledge.admin import DocumentAdmin

PAGES_SHOWN = 10
PASSAGES_SHOWN = 20
MAX_POLLED = 200


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


def keep_earlier(model_admin: "DocumentAdmin", request: StaffRequest, document_id: UUID) -> HttpResponseBase:
    """Gives a replacement up that has failed."""
    document: Document = model_admin.find_or_404(request, str(document_id))
    if request.method != "POST":
        return HttpResponseNotAllowed(["POST"])
    try:
        kept = keep_earlier_version(document=document)
    except UploadRefused as refusal:
        messages.error(request, refusal.message)
    else:
        messages.success(request, f"The earlier version is kept: {kept.file_name}.")
    return redirect(document.get_absolute_url())


def _is_uuid(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True
