"""How PostgreSQL carries out what a page asks: `explain` runs a statement that `note_statements` noted."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from django.db import connection

SORTS = ("Sort", "Incremental Sort")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One statement. `rows_read` are those that it took from each table, filtered ones included.

    `told_by_index` are the tables of which an index alone could tell what was asked.
    """

    sql: str
    rows_read: dict[str, int]
    told_by_index: frozenset[str]
    most_sorted: int
    milliseconds: float

    @property
    def most_read(self) -> int:
        return max(self.rows_read.values(), default=0)


@contextmanager
def note_statements() -> Iterator[list[tuple[str, Any]]]:
    """The SELECTs of this thread's connection, with their parameters."""
    noted: list[tuple[str, Any]] = []

    def note(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        if sql.lstrip().startswith(("SELECT", "WITH")):
            noted.append((sql, params))
        return execute(sql, params, many, context)

    with connection.execute_wrapper(note):
        yield noted


def explain(sql: str, params: Any) -> Plan:
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN (ANALYZE, TIMING OFF, BUFFERS OFF, FORMAT JSON) {sql}", params)
        found = cursor.fetchone()[0]
    top = (json.loads(found) if isinstance(found, str) else found)[0]
    rows_read: dict[str, int] = {}
    told_by_index: set[str] = set()
    most_sorted = 0
    for node in _walk(top["Plan"]):
        loops = node["Actual Loops"]
        if table := node.get("Relation Name"):
            left_out = node.get("Rows Removed by Filter", 0) + node.get("Rows Removed by Index Recheck", 0)
            rows_read[table] = rows_read.get(table, 0) + round((node["Actual Rows"] + left_out) * loops)
            if node["Node Type"] == "Index Only Scan":
                told_by_index.add(table)
        elif node["Node Type"] == "Bitmap Index Scan" and node["Index Name"]:
            pass  # its rows are those of the heap scan above it
        if node["Node Type"] in SORTS:
            most_sorted = max(
                most_sorted,
                round(sum(child["Actual Rows"] * child["Actual Loops"] for child in node["Plans"])),
            )
    return Plan(
        sql=sql,
        rows_read=rows_read,
        told_by_index=frozenset(told_by_index),
        most_sorted=most_sorted,
        milliseconds=top["Execution Time"],
    )


def _walk(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for child in node.get("Plans", ()):
        yield from _walk(child)
