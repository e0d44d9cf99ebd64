"""Deleting a clone with all that hangs on it. Apps above register what rows alone do not take along (files)."""

from collections.abc import Callable

from django.db import transaction

from clones.models import Clone

AfterCommit = Callable[[], None]
_clean_ups: list[Callable[[Clone], AfterCommit]] = []


def register_clean_up(prepare: Callable[[Clone], AfterCommit]) -> None:
    """`prepare(clone)` runs before the rows go and returns what to do once they are gone for good."""
    if prepare not in _clean_ups:
        _clean_ups.append(prepare)


def delete_clone(*, clone: Clone) -> dict[str, int]:
    """Deletes the clone, its documents, passages, vectors, conversations and files; cost records stay.

    Returns the number of deleted rows for each model's label.
    """
    with transaction.atomic():
        for prepare in _clean_ups:
            transaction.on_commit(prepare(clone))
        return clone.delete()[1]
