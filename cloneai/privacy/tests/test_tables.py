"""The classification is complete and says what the models do. These tests fail when a table is forgotten."""

from collections.abc import Iterable
from typing import Any

import pytest
from django.apps import apps
from django.core.exceptions import FieldDoesNotExist
from django.db import models

from cloneai.accounts.models import User
from cloneai.privacy.tables import TABLES, WITHOUT_PERSON, Fate, PersonalTable

HINT = "Classify it in cloneai/privacy/tables.py: exported and erased, or kept with a reason."


def all_models() -> list[type[models.Model]]:
    found = apps.get_models(include_auto_created=True)
    return [model for model in found if not model._meta.proxy and model._meta.managed]


def links(model: type[models.Model]) -> list[tuple[str, type[models.Model]]]:
    """Name and target of each foreign key; through tables of many-to-many fields are models of their own."""
    fields = model._meta.concrete_fields
    return [(field.name, field.related_model) for field in fields if field.is_relation]  # type: ignore[misc]


def find_models_with_person() -> set[str]:
    """Labels of all models from which foreign keys lead to a person, over any number of steps."""
    reached: set[type[models.Model]] = {User}
    while True:
        more = {
            model
            for model in all_models()
            if model not in reached and {to for _, to in links(model)} & reached
        }
        if not more:
            return {model._meta.label for model in reached}
        reached |= more


def find_unclassified(tables: Iterable[PersonalTable]) -> set[str]:
    """Models that lead to a person, and foreign keys that name one directly, without a line.

    A way over a clone to its owner may be declared to say nothing of anybody; a foreign key to a person may not.
    """
    known = list(tables)
    missing = find_models_with_person() - {table.model for table in known} - set(WITHOUT_PERSON)
    lines = {(table.model, table.path) for table in known}
    for model in all_models():
        direct = {(model._meta.label, name) for name, to in links(model) if to is User}
        missing |= {f"{label}.{name}" for label, name in direct - lines}
    return missing


def test_every_table_that_leads_to_a_person_is_classified() -> None:
    assert find_unclassified(TABLES) == set(), HINT


@pytest.mark.parametrize("forgotten", ["chat.SessionSummary", "accounts.ApiKey", "accounts.User_groups"])
def test_a_forgotten_table_is_found(forgotten: str) -> None:
    found = find_unclassified(table for table in TABLES if table.model != forgotten)
    assert forgotten in {".".join(label.split(".")[:2]) for label in found}


def test_a_second_foreign_key_to_the_person_is_found() -> None:
    found = find_unclassified(table for table in TABLES if table.path != "uploaded_by")
    assert found == {"knowledge.Document.uploaded_by"}


def test_all_other_tables_are_named_as_being_without_a_person() -> None:
    labels = {model._meta.label for model in all_models()}
    classified = {table.model for table in TABLES}
    assert labels - classified - set(WITHOUT_PERSON) == set(), HINT
    assert set(WITHOUT_PERSON) <= labels - classified


def test_kept_rows_have_a_reason_and_names_are_unique() -> None:
    for table in TABLES:
        assert bool(table.reason) == (table.fate in (Fate.KEPT, Fate.UNLINKED)), table.name
    assert len({table.name for table in TABLES}) == len(TABLES)


def has_column(table: PersonalTable, name: str) -> bool:
    try:
        table.model_class._meta.get_field(name)
    except FieldDoesNotExist:
        return False
    return True


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_hidden_columns_exist(table: PersonalTable) -> None:
    assert [name for name in table.hidden if not has_column(table, name)] == []


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_no_password_key_or_lease_is_exported(table: PersonalTable) -> None:
    secrets = {"password", "key", "key_hash", "session_key", "session_data", "lease_token", "embedding"}
    assert table.not_exported or not secrets & set(table.columns())


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_fate_is_what_the_foreign_key_does(table: PersonalTable) -> None:
    """Rows of an erased person go by cascade; what is kept loses its link."""
    step = table.path.split("__")[0]
    if step in ("", "pk") or not has_column(table, step):
        return
    field: Any = table.model_class._meta.get_field(step)
    if not field.is_relation:
        assert table.fate == Fate.KEPT
        return
    expected = {
        Fate.ERASED: (models.CASCADE,),
        Fate.UNLINKED: (models.SET_NULL,),
        Fate.ERASED_WITH_CLONES: (models.CASCADE, models.PROTECT),
        Fate.KEPT: (),
    }
    assert field.remote_field.on_delete in expected[table.fate]
