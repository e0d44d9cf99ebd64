"""Superusers' pages: people and their roles, API keys, the audit log, background jobs.

The admin's login and its page for a new password are allauth's, so that one set of limits counts the guesses.
"""

from typing import Any, NoReturn

from allauth.account.admin import EmailAddressAdmin
from allauth.account.decorators import secure_admin_login
from allauth.account.models import EmailAddress
from allauth.mfa.admin import AuthenticatorAdmin
from allauth.mfa.models import Authenticator
from django.apps import apps
from django.contrib import admin, messages
from django.contrib.auth.admin import UserAdmin
from django.contrib.auth.models import Group
from django.db import connection
from django.db.models import QuerySet
from django.forms import ModelForm
from django.http import Http404, HttpRequest, HttpResponseBase, HttpResponseRedirect
from django.shortcuts import redirect
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django_q.admin import FailAdmin, QueueAdmin, ScheduleAdmin, TaskAdmin
from django_q.models import Failure, OrmQ, Schedule, Success
from unfold.admin import ModelAdmin
from unfold.decorators import display
from unfold.forms import AdminPasswordChangeForm

from cloneai.accounts.admin_access import NOBODY, ReadOnlyAdmin, RoleAdmin, StaffRequest, record_action
from cloneai.accounts.admin_forms import PersonChangeForm, PersonCreationForm
from cloneai.accounts.admin_lists import DistinctFilter, list_distinct
from cloneai.accounts.logins import find_logins
from cloneai.accounts.models import ApiKey, AuditEntry, User

admin.site.login = secure_admin_login(admin.site.login)  # type: ignore[method-assign]
admin.site.index_title = "Overview"


def open_password_page(request: HttpRequest, extra_context: object = None) -> HttpResponseRedirect:
    return redirect("account_change_password")


admin.site.password_change = open_password_page  # type: ignore[assignment,method-assign]
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

    def user_change_password(self, request: StaffRequest, id: str, form_url: str = "") -> HttpResponseBase:
        response: HttpResponseBase = super().user_change_password(request, id, form_url)
        if request.method == "POST" and response.status_code == 302:
            person = User.objects.get(pk=id)
            record_action(actor=request.user, action="person.password", target=person)
        return response

    def save_model(self, request: StaffRequest, obj: User, form: ModelForm[User], change: bool) -> None:
        super().save_model(request, obj, form, change)
        if not obj.is_active:  # or who held a stolen cookie would be back as soon as the account is
            find_logins(obj.pk).delete()

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


# From each kind to the next, one step down the index of targets: ";" is the character behind ":".
KINDS_SQL = """
    WITH RECURSIVE found(kind) AS (
        (SELECT split_part(target, ':', 1) FROM accounts_auditentry ORDER BY target USING ~<~ LIMIT 1)
        UNION ALL SELECT (
            SELECT split_part(target, ':', 1) FROM accounts_auditentry
            WHERE target ~>=~ (kind || ';') ORDER BY target USING ~<~ LIMIT 1
        ) FROM found WHERE kind IS NOT NULL
    ) SELECT kind FROM found WHERE kind IS NOT NULL LIMIT 200
"""


class ActionFilter(DistinctFilter):
    title = parameter_name = column = "action"
    model = AuditEntry


class ActorFilter(DistinctFilter):
    title = "by"
    parameter_name = "actor"
    model, column = AuditEntry, "actor_id"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        keys = list_distinct(model=self.model, column=self.column)
        people = User.objects.filter(pk__in=keys).order_by("email").values_list("pk", "email")
        return [(str(key), email) for key, email in people]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        value = self.value()
        if not value:
            return queryset
        is_number = value.isascii() and value.isdecimal() and len(value) < 19
        return queryset.filter(actor=value) if is_number else queryset.none()


class TargetKindFilter(admin.SimpleListFilter):
    """What it was done to: clones, people, conversations …"""

    title = "kind of thing"
    parameter_name = "kind"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        models = {model._meta.model_name: model._meta.verbose_name for model in apps.get_models()}
        with connection.cursor() as cursor:
            cursor.execute(KINDS_SQL)
            found = [kind for (kind,) in cursor.fetchall() if kind]
        return sorted((kind, str(models.get(kind, kind)).capitalize()) for kind in found)

    def queryset(self, request: HttpRequest, queryset: QuerySet[AuditEntry]) -> QuerySet[AuditEntry]:
        return queryset.filter(target__startswith=f"{self.value()}:") if self.value() else queryset


@admin.register(AuditEntry)
class AuditEntryAdmin(ReadOnlyAdmin):
    """Who did what: by whom, to what kind of thing, when; a thing's own lines by searching for "clone:7"."""

    list_display = ("at", "shown_actor", "action", "shown_target", "summary")
    list_select_related = ("actor",)
    list_filter = (ActionFilter, TargetKindFilter, ActorFilter, "at")
    search_fields = ("actor__email", "action", "target")
    search_help_text = "An e-mail address, an action such as clone.change, or a thing such as clone:7"
    fields = ("at", "shown_actor", "action", "shown_target", "shown_detail")
    readonly_fields = ("shown_actor", "shown_target", "shown_detail")

    @display(description="By", ordering="actor__email")
    def shown_actor(self, entry: AuditEntry) -> str:
        return entry.actor.email if entry.actor else "A command, or somebody erased since"

    @display(description="Thing", ordering="target")
    def shown_target(self, entry: AuditEntry) -> str:
        """A link where the thing has a page here and was not deleted by this very action."""
        kind, _, key = entry.target.partition(":")
        page = next((m for m in admin.site._registry if m._meta.model_name == kind), None)
        if page is None or not key or entry.action.endswith((".delete", ".erase")):
            return entry.target
        address = reverse(f"admin:{page._meta.app_label}_{kind}_change", args=[key])
        return format_html('<a href="{}">{}</a>', address, entry.target)

    @display(description="Details")
    def summary(self, entry: AuditEntry) -> str:
        words = "; ".join(f"{name}: {_in_words(value)}" for name, value in entry.detail.items())
        return words if len(words) <= 120 else f"{words[:119]}…"

    @display(description="Details")
    def shown_detail(self, entry: AuditEntry) -> str:
        return format_html_join(
            "", "{}: {}<br>", ((name, _in_words(value)) for name, value in entry.detail.items())
        )


def _in_words(value: Any) -> str:
    """A value of an entry's details without the marks of JSON."""
    if isinstance(value, dict):
        return ", ".join(f"{name} = {_in_words(item)}" for name, item in value.items()) or "–"
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "–"
    return "–" if value in (None, "") else str(value)


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
