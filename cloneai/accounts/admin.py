"""Superusers' pages: people and their roles, API keys, the audit log, background jobs.

The admin's login is allauth's, so that there is one login with one set of limits.
"""

from typing import Any, NoReturn

from allauth.account.admin import EmailAddressAdmin
from allauth.account.decorators import secure_admin_login
from allauth.account.models import EmailAddress
from allauth.mfa.admin import AuthenticatorAdmin
from allauth.mfa.models import Authenticator
from django.contrib import admin, messages
from django.contrib.auth.admin import UserAdmin
from django.contrib.auth.models import Group
from django.db.models import QuerySet
from django.forms import ModelForm
from django.http import Http404, HttpRequest
from django.urls import URLPattern, path
from django.utils import timezone
from django_q.admin import FailAdmin, QueueAdmin, ScheduleAdmin, TaskAdmin
from django_q.models import Failure, OrmQ, Schedule, Success
from unfold.admin import ModelAdmin
from unfold.decorators import display
from unfold.forms import AdminPasswordChangeForm

from cloneai.accounts.admin_access import NOBODY, ReadOnlyAdmin, RoleAdmin, StaffRequest, record_action
from cloneai.accounts.admin_forms import PersonChangeForm, PersonCreationForm
from cloneai.accounts.models import ApiKey, AuditEntry, User

admin.site.login = secure_admin_login(admin.site.login)  # type: ignore[method-assign]
admin.site.index_title = "Overview"
admin.site.unregister(Group)  # roles are ticked on the person


def close_shortcut(request: HttpRequest, rest: str) -> NoReturn:
    raise Http404


def extra_urls() -> list[URLPattern]:
    """Shadows Django's "view on site" redirect: it opens any row of any model by its number, whoever asks."""
    return [path("r/<path:rest>", close_shortcut)]


admin.site.extra_urls = extra_urls  # type: ignore[attr-defined]  # unfold's hook for own addresses


DjangoUserAdmin: Any = UserAdmin  # its stubs and unfold's untyped classes do not go together


@admin.register(User)
class PersonAdmin(RoleAdmin, DjangoUserAdmin, ModelAdmin):
    form = PersonChangeForm
    add_form = PersonCreationForm
    change_password_form = AdminPasswordChangeForm
    list_display = ("email", "name", "shown_roles", "is_active", "last_login", "date_joined")
    list_filter = ("is_active", "is_superuser", "groups")
    search_fields = ("email", "name")
    ordering = ("email",)
    filter_horizontal = ()
    readonly_fields = ("last_login", "date_joined")
    fieldsets = (
        (None, {"fields": ("email", "name", "password")}),
        ("Access", {"fields": ("is_active", "roles", "is_superuser")}),
        ("Money", {"fields": ("daily_cost_limit_usd",)}),
        ("Dates", {"fields": ("last_login", "date_joined")}),
    )
    add_fieldsets = (
        (None, {"fields": ("email", "name", "roles", "usable_password", "password1", "password2")}),
    )

    def get_queryset(self, request: StaffRequest) -> QuerySet[User]:
        return super().get_queryset(request).prefetch_related("groups")

    def get_form(self, request: StaffRequest, obj: User | None = None, **kwargs: Any) -> Any:
        form = super().get_form(request, obj, **kwargs)
        form.editor = request.user
        return form

    def save_related(self, request: StaffRequest, form: ModelForm[User], formsets: Any, change: bool) -> None:
        super().save_related(request, form, formsets, change)
        kept = ("daily_cost_limit_usd", "is_active", "is_superuser", "roles")  # never a password
        values = {name: str(form.cleaned_data.get(name)) for name in kept if name in form.changed_data}
        record_action(
            actor=request.user,
            action="person.save",
            target=form.instance,
            fields=form.changed_data,
            values=values,
        )

    @display(description="Roles")
    def shown_roles(self, person: User) -> str:
        names = [group.name for group in person.groups.all()]
        return ", ".join(["Superuser"] * person.is_superuser + names) or "Member"


@admin.register(ApiKey)
class ApiKeyAdmin(RoleAdmin):
    """Keys are made by their owners; here they are looked at and revoked."""

    added_by = NOBODY
    changed_by = NOBODY
    deleted_by = NOBODY
    list_display = ("name", "prefix", "user", "created_at", "last_used_at", "state")
    list_select_related = ("user",)
    list_filter = (("revoked_at", admin.EmptyFieldListFilter),)
    search_fields = ("name", "prefix", "user__email")
    fields = ("user", "name", "prefix", "scopes", "created_at", "last_used_at", "revoked_at")
    actions = ("revoke",)

    @display(description="State", label={"Usable": "success", "Revoked": "danger"})
    def state(self, key: ApiKey) -> str:
        return "Revoked" if key.revoked_at else "Usable"

    @admin.action(description="Revoke: they stop working at once")
    def revoke(self, request: StaffRequest, queryset: QuerySet[ApiKey]) -> None:
        usable = list(queryset.filter(revoked_at=None))
        for key in usable:
            record_action(actor=request.user, action="api_key.revoke", target=key, owner=key.user_id)
        ApiKey.objects.filter(pk__in=[key.pk for key in usable]).update(revoked_at=timezone.now())
        self.message_user(request, f"{len(usable)} keys revoked.", messages.SUCCESS)


@admin.register(AuditEntry)
class AuditEntryAdmin(ReadOnlyAdmin):
    list_display = ("at", "actor", "action", "target")
    list_select_related = ("actor",)
    list_filter = ("action",)
    search_fields = ("actor__email", "action", "target")
    date_hierarchy = "at"
    fields = ("at", "actor", "action", "target", "detail")


def restyle(*, model: Any, base: type[Any], **attributes: Any) -> None:
    """Registers another package's admin again in this admin's look, for superusers only."""
    admin.site.unregister(model)
    admin.site.register(model, type(f"Restyled{base.__name__}", (RoleAdmin, base, ModelAdmin), attributes))


restyle(model=EmailAddress, base=EmailAddressAdmin)
# A superuser removes the factor of somebody who lost their phone; what it is made of is shown to nobody.
restyle(
    model=Authenticator,
    base=AuthenticatorAdmin,
    added_by=NOBODY,
    changed_by=NOBODY,
    fields=("user", "type", "created_at", "last_used_at"),
    list_select_related=("user",),
)
restyle(model=Schedule, base=ScheduleAdmin)
restyle(model=Success, base=TaskAdmin, added_by=NOBODY, changed_by=NOBODY)
restyle(model=Failure, base=FailAdmin, added_by=NOBODY, changed_by=NOBODY)
restyle(model=OrmQ, base=QueueAdmin, added_by=NOBODY)
