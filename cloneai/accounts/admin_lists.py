"""What keeps the admin's lists as quick over a million rows as over a hundred: bounded counts, values by index."""

from typing import Any

from django.contrib import admin
from django.core.paginator import Paginator
from django.db import connection
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.utils.functional import cached_property

MOST_COUNTED = 10_000  # 200 pages: nobody leafs further, they filter
MOST_VALUES = 200


class BoundedPaginator(Paginator[Any]):
    """Counts no further than `MOST_COUNTED`: a count reads every row that it counts."""

    template_name = "admin/_bounded_pages.html"

    @cached_property
    def count(self) -> int:
        return min(self._counted, MOST_COUNTED)

    @property
    def is_bounded(self) -> bool:
        """Whether there are more than counted; those are reached by filters."""
        return self._counted > MOST_COUNTED

    @cached_property
    def _counted(self) -> int:
        return _count_just_beyond(self.object_list)  # type: ignore[arg-type]


def count_most(rows: QuerySet[Any]) -> str:
    """How many there are, for people; "10,000+" beyond `MOST_COUNTED`."""
    counted = _count_just_beyond(rows)
    return f"{MOST_COUNTED:,}+" if counted > MOST_COUNTED else f"{counted:,}"


def _count_just_beyond(rows: QuerySet[Any]) -> int:
    """At most one more than `MOST_COUNTED`, which tells that there are more."""
    return rows.order_by()[: MOST_COUNTED + 1].count()


def list_distinct(*, model: type[Model], column: str) -> list[Any]:
    """The column's values in order, one step down its index for each, however many rows have it; one query."""
    field, table = (f'"{name}"' for name in (column, model._meta.db_table))
    next_value = f"SELECT {field} FROM {table} WHERE {field} > found.value ORDER BY {field} LIMIT 1"  # noqa: S608
    sql = f"""
        WITH RECURSIVE found(value) AS (
            (SELECT {field} FROM {table} WHERE {field} IS NOT NULL ORDER BY {field} LIMIT 1)
            UNION ALL SELECT ({next_value}) FROM found WHERE value IS NOT NULL
        ) SELECT value FROM found WHERE value IS NOT NULL LIMIT %s"""  # noqa: S608 - the names are ours
    with connection.cursor() as cursor:
        cursor.execute(sql, [MOST_VALUES])
        return [value for (value,) in cursor.fetchall()]


class DistinctFilter(admin.SimpleListFilter):
    """By the values that an indexed column has; subclasses name it and the model."""

    model: type[Model]
    column: str

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(str(value), str(value)) for value in list_distinct(model=self.model, column=self.column)]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(**{self.column: self.value()}) if self.value() else queryset
