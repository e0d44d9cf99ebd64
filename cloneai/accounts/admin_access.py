"""Who may do what in the admin: roles and the models' QuerySet methods, not Django's per-model permissions.

Every ModelAdmin of ours derives from `RoleAdmin`. Rows that a person may not see do not exist for them:
lists, choices, filters, history and change pages all start from `get_queryset`; a foreign row is a 404.
"""

from collections.abc import Sequence
from typing import Any, ClassVar, NoReturn

from django.contrib import admin
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import ERROR_FLAG, ChangeList
from django.db import DataError, models
from django.db.models import Model, QuerySet
from django.http import Http404, HttpRequest
from django.template.response import TemplateResponse
from unfold.admin import ModelAdmin

from cloneai.accounts.admin_lists import BoundedPaginator
from cloneai.accounts.models import AuditEntry, User

EXPERT = "is_expert"
REVIEWER = "is_reviewer"
Roles = tuple[str, ...] | None

SUPERUSER_ONLY: Roles = ()
NOBODY: Roles = None


class StaffRequest(HttpRequest):
    """A request that the admin's door let through: somebody is logged in. For annotations only."""

    user: User


def has_role(user: User, roles: Roles) -> bool:
    """True if one of the roles is the person's. A superuser has every role; None is nobody, not even they."""
    if roles is None or not (user.is_active and user.is_staff):
        return False
    return user.is_superuser or any(getattr(user, role) for role in roles)


def record_action(*, actor: User | None, action: str, target: Model, **detail: Any) -> None:
    """One line in the audit log; `target` is kept as "model:key", so that it outlives the row. No actor: a command."""
    label = f"{target._meta.model_name}:{target.pk}"
    AuditEntry.objects.create(actor=actor, action=action, target=label[:200], detail=detail)


class RoleAdmin(ModelAdmin):
    """A ModelAdmin whose permissions follow from role and rows.

    `viewed_by` etc. name the roles (attributes of User) beside superusers, `NOBODY` none at all; `rows` names
    the QuerySet method that lists what a person sees ("" = every row, for pages that only superusers have).
    """

    viewed_by: ClassVar[Roles] = SUPERUSER_ONLY
    changed_by: ClassVar[Roles] = SUPERUSER_ONLY
    added_by: ClassVar[Roles] = SUPERUSER_ONLY
    deleted_by: ClassVar[Roles] = SUPERUSER_ONLY
    rows: ClassVar[str] = ""
    list_filter_submit = True
    list_per_page = 50
    paginator = BoundedPaginator
    show_full_result_count = False  # a second count, of the whole table
    show_facets = admin.ShowFacets.NEVER  # a count for each choice of each filter
    view_on_site = False  # Django's redirect opens any row by its number; `accounts.admin` closes it

    def get_queryset(self, request: StaffRequest) -> QuerySet[Any]:
        found = super().get_queryset(request)
        if not has_role(request.user, self.viewed_by):
            return found.none()
        if self.rows:
            return getattr(found, self.rows)(request.user)
        return found if request.user.is_superuser else found.none()

    def lookup_allowed(self, lookup: str, value: str, request: StaffRequest) -> bool:
        """No regular expressions in addresses: one can keep PostgreSQL busy for as long as it likes."""
        return not lookup.endswith("regex") and super().lookup_allowed(lookup, value, request)

    def get_changelist_instance(self, request: StaffRequest) -> ChangeList:
        """Django shows the list unfiltered for most filters typed into the address that make no sense, but not for a
        date or number beyond what Python or PostgreSQL knows.
        """
        try:
            found = super().get_changelist_instance(request)
            if not found.query and not found.get_filters_params():
                found.full_result_count = found.result_count  # nothing is left out
            return found
        except (ValueError, ArithmeticError, DataError) as error:
            if not request.GET or ERROR_FLAG in request.GET:  # then it is no filter's fault
                raise
            raise IncorrectLookupParameters(error) from error

    def has_module_permission(self, request: StaffRequest) -> bool:
        return has_role(request.user, self.viewed_by)

    def has_view_permission(self, request: StaffRequest, obj: Model | None = None) -> bool:
        return self._may(request, self.viewed_by, obj)

    def has_change_permission(self, request: StaffRequest, obj: Model | None = None) -> bool:
        return self._may(request, self.changed_by, obj)

    def has_delete_permission(self, request: StaffRequest, obj: Model | None = None) -> bool:
        return self._may(request, self.deleted_by, obj)

    def has_add_permission(self, request: StaffRequest) -> bool:
        return has_role(request.user, self.added_by)

    def delete_model(self, request: StaffRequest, obj: Any) -> None:
        record_action(
            actor=request.user, action=f"{self.opts.model_name}.delete", target=obj, name=str(obj)[:200]
        )
        super().delete_model(request, obj)

    def delete_queryset(self, request: StaffRequest, queryset: QuerySet[Any]) -> None:
        for obj in queryset:
            self.delete_model(request, obj)

    def find_or_404(self, request: StaffRequest, object_id: str) -> Any:
        """The row, for own views; 404 when it is missing, foreign, or the key is malformed."""
        found = self.get_object(request, object_id)
        if found is None:
            raise Http404
        return found

    def render(self, request: StaffRequest, template: str, *, title: str, **context: Any) -> TemplateResponse:
        """An own page in the admin's frame."""
        return TemplateResponse(
            request,
            template,
            {**self.admin_site.each_context(request), "title": title, "media": self.media, **context},
        )

    def get_field_queryset(
        self, db: str | None, db_field: Any, request: StaffRequest
    ) -> QuerySet[Any] | None:
        """Choices of a relation: what the related model's own list shows this person."""
        related_admin = self.admin_site._registry.get(db_field.remote_field.model)
        if isinstance(related_admin, RoleAdmin):
            return related_admin.get_queryset(request)
        if request.user.is_superuser:
            return super().get_field_queryset(db, db_field, request)
        return db_field.remote_field.model._default_manager.none()

    def get_deleted_objects(
        self, objs: Sequence[Model] | QuerySet[Any], request: StaffRequest
    ) -> tuple[list[str], dict[str, int], set[str], list[str]]:
        """Counts what goes along instead of listing it: a clone may have a hundred thousand passages."""
        if any(not self.has_delete_permission(request, obj) for obj in objs):
            return [], {}, {str(self.opts.verbose_name)}, []
        counts: dict[str, int] = {str(self.opts.verbose_name_plural): len(objs)}
        protected: list[str] = []
        for relation in self.opts.related_objects:
            found = relation.related_model._base_manager.filter(**{f"{relation.field.name}__in": list(objs)})
            name = str(relation.related_model._meta.verbose_name_plural)
            if relation.on_delete is models.PROTECT:
                protected += [f"{relation.related_model._meta.verbose_name}: {row}" for row in found[:20]]
            elif relation.on_delete is models.CASCADE and (number := found.count()):
                counts[name] = counts.get(name, 0) + number
        return [str(obj) for obj in objs], counts, set(), protected

    def _may(self, request: StaffRequest, roles: Roles, obj: Model | None) -> bool:
        if not has_role(request.user, roles):
            return False
        if not isinstance(obj, self.model):
            return True
        # The admin asks many times for one page; a request's answer does not change.
        known: dict[Any, bool] = request.__dict__.setdefault("_admin_rows", {})
        key = (self.model, obj.pk)
        if key not in known:
            known[key] = self.get_queryset(request).filter(pk=obj.pk).exists()
        return known[key]

    def _get_obj_does_not_exist_redirect(self, request: StaffRequest, opts: Any, object_id: str) -> NoReturn:
        raise Http404  # Django would go to the index with a message


class ReadOnlyAdmin(RoleAdmin):
    """For what is written by the product alone: nobody adds, changes or deletes it here."""

    changed_by = NOBODY
    added_by = NOBODY
    deleted_by = NOBODY
    actions = None


def name_for_staff(*, person: User | None, viewer: User) -> str:
    """Reviewers see a member's address, experts a pseudonym but their own. "Erased" when the account is gone."""
    if person is None:
        return "Erased"
    return person.email if viewer.is_reviewer or person.pk == viewer.pk else person.pseudonym
