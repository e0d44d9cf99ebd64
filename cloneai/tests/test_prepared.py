"""Statements whose own time counts: values beside the statement, plans kept by the connection."""

from typing import Any

import numpy as np
import pytest
from django.db import DataError, connection
from django.test.utils import CaptureQueriesContext

from cloneai.database.prepared import HalfVector, prepared_cursor

pytestmark = pytest.mark.django_db

DISTANCE = "SELECT '[1,0,0]'::halfvec <=> %(vector)s::halfvec, ARRAY['a', %(word)s::text]"


def ask(vector: Any) -> Any:
    with prepared_cursor() as cursor:
        cursor.execute(DISTANCE, {"vector": HalfVector(vector), "word": "b"})
        return cursor.fetchone()


def kept_plans() -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT statement FROM pg_prepared_statements WHERE statement LIKE '%%halfvec <=>%%'")
        return [statement for (statement,) in cursor.fetchall()]


@pytest.fixture
def threshold(request: pytest.FixtureRequest) -> Any:
    connection.ensure_connection()
    before = connection.connection.prepare_threshold
    yield connection.connection
    connection.connection.prepare_threshold = before


def test_vectors_and_lists_travel_in_binary(threshold: Any) -> None:
    distance, words = ask(np.array([0, 1, 0], dtype=np.float32))
    assert (distance, words) == (1.0, ["a", "b"])


def test_connection_keeps_the_plan(threshold: Any) -> None:
    threshold.prepare_threshold = 0
    for _ in range(3):
        ask([1, 0, 0])
    assert kept_plans() == [DISTANCE.replace("%(vector)s", "$1").replace("%(word)s", "$2")]


def test_nothing_is_prepared_for_a_pooler_that_knows_no_plans(threshold: Any) -> None:
    threshold.prepare_threshold = None
    assert ask([1, 0, 0])[0] == 0.0
    assert kept_plans() == []


def test_it_counts_and_fails_like_any_other_statement(threshold: Any) -> None:
    with CaptureQueriesContext(connection) as queries:
        ask([1, 0, 0])
    assert len(queries) == 1
    with pytest.raises(DataError):
        ask([1, 0])
