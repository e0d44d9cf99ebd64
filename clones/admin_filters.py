"""Filters for lists of things that belong to a clone."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from clones.models import Clone

MAX_CHOICES = 500


class OwnCloneFilter(admin.SimpleListFilter):
    """Clones that this member of staff may see; the choices are no wider than the rows."""

    title = "clone"
    parameter_name = "clone"
    path = "clone"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        clones = Clone.objects.readable_by_staff(request.user)
        return [(str(key), name) for key, name in clones.values_list("pk", "name")[:MAX_CHOICES]]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        value = self.value()
        if not value:
            return queryset
        is_number = value.isascii() and value.isdecimal() and len(value) < 19
        return queryset.filter(**{self.path: value}) if is_number else queryset.none()


class SessionCloneFilter(OwnCloneFilter):
    """For rows that hang on a conversation."""

    path = "session__clone"
