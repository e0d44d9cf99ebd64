"""Filters for lists of things that belong to a clone."""

from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from unfold.contrib.filters.admin import TextFilter

from clones.models import Clone

MAX_CHOICES = 50


class OwnCloneFilter(admin.SimpleListFilter):
    """Clones that this member of staff may see; the choices are no wider than the rows.

    Of many only the first by name are choices, so that a list's page does not grow with the installation; the others
    are found by `CloneNameFilter`, or by the links of their own page.
    """

    title = "clone"
    parameter_name = "clone"
    path = "clone"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        clones = Clone.objects.readable_by_staff(request.user)
        value = str(self.used_parameters.get(self.parameter_name) or "")
        chosen = Q(pk=value) if is_key(value) else Q(pk__in=())
        found = dict(clones.order_by("name", "pk").values_list("pk", "name")[:MAX_CHOICES])
        found |= dict(clones.filter(chosen).values_list("pk", "name"))
        return [(str(key), name) for key, name in found.items()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        value = self.value()
        if not value:
            return queryset
        return queryset.filter(**{self.path: value}) if is_key(value) else queryset.none()


class CloneNameFilter(TextFilter):
    """Words of the clone's name, for staff who see more clones than can be listed."""

    title = "clone's name"
    parameter_name = "clone_name"
    path = "clone"

    def __init__(self, request: HttpRequest, *arguments: Any) -> None:
        clones = Clone.objects.readable_by_staff(request.user).order_by()
        self.is_needed = clones[MAX_CHOICES : MAX_CHOICES + 1].exists()
        super().__init__(request, *arguments)

    def has_output(self) -> bool:
        return self.is_needed or bool(self.value())

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        value = self.value()
        if not value:
            return queryset
        named = Clone.objects.readable_by_staff(request.user).filter(name__icontains=value)
        return queryset.filter(**{f"{self.path}__in": named})


class SessionCloneFilter(OwnCloneFilter):
    """For rows that hang on a conversation."""

    path = "session__clone"


class SessionCloneNameFilter(CloneNameFilter):
    path = "session__clone"


def is_key(value: str) -> bool:
    """Whether it can be the number of a row."""
    return value.isascii() and value.isdecimal() and len(value) < 19
