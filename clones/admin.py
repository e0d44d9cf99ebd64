"""Experts build and look after their own clones here; superusers all of them."""

from typing import Any

from django.contrib import admin
from django.db.models import Count, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.forms import ModelForm
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.decorators import display

from cloneai.accounts.admin_access import EXPERT, RoleAdmin, StaffRequest, record_action
from cloneai.accounts.models import EXPERTS, User
from clones.admin_forms import CloneForm
from clones.changes import describe_changes
from clones.deletion import delete_clone
from clones.models import Clone, Visibility

VISIBILITY_LABELS = {"Private": "info", "Unlisted": "warning", "Public": "success"}
SUPERUSER_FIELDS = ("chat_model",)


@admin.register(Clone)
class CloneAdmin(RoleAdmin):
    viewed_by = changed_by = added_by = deleted_by = (EXPERT,)
    rows = "editable_by"
    form = CloneForm
    list_display = ("name", "headline", "shown_visibility", "document_count", "owner", "links")
    list_select_related = ("owner",)
    list_filter = ("visibility",)
    search_fields = ("name", "headline", "slug")
    prepopulated_fields = {"slug": ("name",)}
    change_form_before_template = "admin/clones/clone/links.html"
    warn_unsaved_form = True
    fieldsets = (
        (
            "Who it is",
            {"fields": ("owner", "name", "slug", "headline", "bio", "expertise_areas", "accent_color")},
        ),
        (
            "How it speaks",
            {"fields": ("communication_style", "greeting", "starter_questions", "hard_rules")},
        ),
        (
            "Who may chat with it",
            {
                "fields": ("visibility", "invited_emails", "allow_download"),
                "description": "Private clones are open to you and the people you invite.",
            },
        ),
        (
            "Answers",
            {
                "fields": (
                    "is_strict",
                    "no_answer_text",
                    "temperature",
                    "max_output_tokens",
                    "link_hosts",
                    "similarity_threshold",
                ),
                "description": "The defaults suit nearly every clone.",
            },
        ),
        (
            "Documents",
            {
                "fields": ("language", "is_cleaning_on", ("chunk_tokens", "chunk_overlap_tokens")),
                "description": "These apply to documents that are uploaded or replaced from now on.",
            },
        ),
        ("Money", {"fields": ("daily_cost_limit_usd", "chat_model")}),
    )

    def get_queryset(self, request: StaffRequest) -> QuerySet[Clone]:
        # Counted for the rows of a page alone. The documents' own module is above this one.
        documents = Clone._meta.get_field("documents").related_model._default_manager.order_by()
        counted = documents.filter(clone=OuterRef("pk")).values("clone").annotate(number=Count("pk"))
        total = Coalesce(Subquery(counted.values("number")), 0)
        return super().get_queryset(request).annotate(documents_total=total).order_by("name")

    def get_list_display(self, request: StaffRequest) -> list[str]:
        return [name for name in self.list_display if name != "owner" or request.user.is_superuser]

    def get_fieldsets(self, request: StaffRequest, obj: Clone | None = None) -> Any:
        hidden = () if request.user.is_superuser else ("owner", *SUPERUSER_FIELDS)
        return [
            (title, {**options, "fields": [name for name in options["fields"] if name not in hidden]})
            for title, options in self.fieldsets
        ]

    def get_field_queryset(
        self, db: str | None, db_field: Any, request: StaffRequest
    ) -> QuerySet[Any] | None:
        if db_field.name == "owner" and request.user.is_superuser:
            may_own = Q(is_superuser=True) | Q(groups__name=EXPERTS)
            experts = User.objects.filter(may_own, is_staff=True, is_active=True)
            # An owner who is no expert any more stays, or their clone could not be saved.
            return (
                User.objects.filter(Q(pk__in=experts) | Q(clones__isnull=False)).distinct().order_by("email")
            )
        return super().get_field_queryset(db, db_field, request)

    def get_changeform_initial_data(self, request: StaffRequest) -> dict[str, Any]:
        return {"owner": request.user.pk, **super().get_changeform_initial_data(request)}

    def save_model(self, request: StaffRequest, obj: Clone, form: ModelForm[Clone], change: bool) -> None:
        if not change and not request.user.is_superuser:
            obj.owner = request.user
        super().save_model(request, obj, form, change)
        action = "clone.change" if change else "clone.create"
        record_action(
            actor=request.user, action=action, target=obj, **describe_changes(obj, form.changed_data)
        )

    def delete_model(self, request: StaffRequest, obj: Clone) -> None:
        record_action(actor=request.user, action="clone.delete", target=obj, slug=obj.slug)
        delete_clone(clone=obj)

    def delete_queryset(self, request: StaffRequest, queryset: QuerySet[Clone]) -> None:
        for clone in queryset:
            self.delete_model(request, clone)

    @display(description="Visibility", ordering="visibility", label=VISIBILITY_LABELS)
    def shown_visibility(self, clone: Clone) -> str:
        return Visibility(clone.visibility).name.capitalize()

    @display(description="Documents", ordering="documents_total")
    def document_count(self, clone: Clone) -> int:
        return clone.documents_total  # type: ignore[attr-defined]

    @display(description="Go to")
    def links(self, clone: Clone) -> SafeString:
        documents = f"{reverse('admin:knowledge_document_changelist')}?clone={clone.pk}"
        check = reverse("admin:knowledge_retrieval_check", args=[clone.pk])
        return format_html(
            '<span class="ax-links"><a href="{}">Documents</a> <a href="{}">Retrieval check</a></span>',
            documents,
            check,
        )
