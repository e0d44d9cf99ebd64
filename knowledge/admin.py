"""Experts upload documents, follow them and check what a question finds. Own pages: `admin_upload`, `admin_pages`."""

from collections.abc import Callable
from functools import partial
from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.forms import Script
from django.http import HttpRequest, HttpResponseBase
from django.template.defaultfilters import filesizeformat
from django.template.loader import render_to_string
from django.urls import URLPattern, path
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.decorators import display

from cloneai.accounts.admin_access import EXPERT, RoleAdmin, StaffRequest, record_action
from clones.admin_filters import CloneNameFilter, OwnCloneFilter
from knowledge import admin_check, admin_pages, admin_upload
from knowledge.cleaning_costs import cleaning_cost_usd, estimate_cleaning_usd
from knowledge.models import CONCERNS, Document, DocumentQuerySet, Status
from knowledge.uploads import delete_document, retry_document


class ConcernFilter(admin.SimpleListFilter):
    """What the state of a document says that somebody should look at."""

    title = "reason for a look"
    parameter_name = "look"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [
            ("any", "Any reason"),
            ("failed", "Failed"),
            ("hard_to_find", "Hard to find"),
            ("near_copy", "Nearly the same as another"),
            ("warnings", "Read with warnings"),
        ]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        value = self.value() or ""
        found: DocumentQuerySet = queryset  # type: ignore[assignment]
        if value == "any":
            return found.with_concern()
        return found.with_concern(value) if value in CONCERNS else found


@admin.register(Document)
class DocumentAdmin(RoleAdmin):
    viewed_by = changed_by = deleted_by = added_by = (EXPERT,)
    rows = "editable_by"
    list_display = ("title", "clone", "state", "pages", "passages", "size", "created_at")
    list_select_related = ("clone",)
    list_filter = (OwnCloneFilter, CloneNameFilter, ConcernFilter, "status")
    search_fields = ("title", "file_name")
    search_help_text = "Words of a title or file name"
    actions = ("retry",)
    change_form_outer_before_template = "admin/knowledge/document/panel.html"
    fields = (
        "title",
        "clone",
        "file_name",
        "kind",
        "size",
        "tokens",
        "is_cleaning_on",
        "cleaning_cost",
        "uploader",
        "created_at",
        "ready_at",
    )
    readonly_fields = tuple(name for name in fields if name not in ("title", "is_cleaning_on"))

    class Media:
        js = (Script("admin_extra/documents.js", type="module"),)

    def get_urls(self) -> list[URLPattern]:
        pages: list[tuple[str, str, Callable[..., HttpResponseBase]]] = [
            ("status/", "document_status", admin_pages.show_status),
            ("<uuid:document_id>/text/", "document_text", admin_pages.show_text),
            ("<uuid:document_id>/passages/", "document_passages", admin_pages.show_passages),
            ("<uuid:document_id>/replace/", "document_replace", admin_pages.replace_file),
            ("<uuid:document_id>/retry/", "document_retry", admin_pages.retry),
            ("<uuid:document_id>/keep/", "document_keep", admin_pages.keep_earlier),
            ("check/<int:clone_id>/", "retrieval_check", admin_check.check_retrieval),
        ]
        own = [
            path(route, self.admin_site.admin_view(partial(view, self)), name=f"knowledge_{name}")
            for route, name, view in pages
        ]
        return own + super().get_urls()

    def add_view(
        self, request: StaffRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponseBase:
        return admin_upload.upload(self, request)

    def change_view(
        self,
        request: StaffRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponseBase:
        document = self.get_object(request, object_id)
        percent = round(100 * document.similar_share) if document else 0
        context = {**(extra_context or {}), "similar_percent": percent}
        return super().change_view(request, object_id, form_url, context)

    def delete_model(self, request: StaffRequest, obj: Document) -> None:
        record_action(
            actor=request.user, action="document.delete", target=obj, title=obj.title, clone=obj.clone_id
        )
        delete_document(document=obj)

    def delete_queryset(self, request: StaffRequest, queryset: QuerySet[Document]) -> None:
        for document in queryset:
            self.delete_model(request, document)

    @admin.action(description="Try again (failed ones)", permissions=["change"])
    def retry(self, request: StaffRequest, queryset: QuerySet[Document]) -> None:
        failed = list(queryset.filter(status=Status.FAILED))
        for document in failed:
            retry_document(document=document)
        if failed:
            self.message_user(request, f"{len(failed)} documents wait to be read again.", messages.SUCCESS)
        else:
            self.message_user(
                request, "None of these has failed, so there is nothing to retry.", messages.WARNING
            )

    @display(description="State", ordering="status")
    def state(self, document: Document) -> SafeString:
        return render_to_string("admin/knowledge/document/_state.html", {"document": document})

    @display(description="Pages", ordering="page_count")
    def pages(self, document: Document) -> SafeString:
        return _count(document, "page_count")

    @display(description="Passages", ordering="chunk_count")
    def passages(self, document: Document) -> SafeString:
        return _count(document, "chunk_count")

    @display(description="Size", ordering="size_bytes")
    def size(self, document: Document) -> str:
        return filesizeformat(document.size_bytes)

    @display(description="Uploaded by")
    def uploader(self, document: Document) -> str:
        return str(document.uploaded_by or "")  # text: experts cannot open people

    @display(description="Cost of cleaning")
    def cleaning_cost(self, document: Document) -> str:
        """What it has cost, and what reading the document again would."""
        paid = f"${cleaning_cost_usd(document=document):.4f}"
        again = estimate_cleaning_usd(tokens=document.token_count)
        is_on = document.is_cleaning_on and document.clone.is_cleaning_on
        return f"{paid} so far; about ${again:.4f} when it is read again" if again and is_on else paid

    @display(description="Tokens")
    def tokens(self, document: Document) -> str:
        return f"{document.token_count:,}"


def _count(document: Document, name: str) -> SafeString:
    """A number that the page's script refreshes."""
    return format_html(
        '<span data-document-{}="{}">{}</span>', name.replace("_", "-"), document.pk, getattr(document, name)
    )
