"""The upload page of the document admin: many files at once, for people and for the page's script."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from django.conf import settings
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.core.files.uploadedfile import UploadedFile
from django.http import HttpResponseBase, JsonResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.html import format_html

from cloneai.accounts.admin_access import StaffRequest
from cloneai.accounts.models import User
from clones.models import Clone
from knowledge.admin_forms import UploadForm
from knowledge.errors import UploadRefused
from knowledge.uploads import create_document

if TYPE_CHECKING:
    from knowledge.admin import DocumentAdmin


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
            return JsonResponse({"results": [asdict(result) for result in results], "errors": errors})
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


def _tell(request: StaffRequest, results: Sequence[UploadResult]) -> None:
    accepted = [result.file_name for result in results if result.is_accepted]
    if accepted:
        named = ", ".join(accepted[:5]) + (" and more" if len(accepted) > 5 else "")
        messages.success(request, f"Accepted {len(accepted)} of {len(results)} files: {named}.")
    for result in results:
        if not result.is_accepted:
            link = format_html(' <a href="{}">Open the existing one</a>', result.url) if result.url else ""
            messages.error(request, format_html("{}: {}{}", result.file_name, result.message, link))
