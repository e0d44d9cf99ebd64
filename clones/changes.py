"""What the audit log keeps of a change to a clone."""

from collections.abc import Collection
from typing import Any

from clones.models import Clone

# Of these the new value is kept; of texts, which may be long and personal, only that they changed.
TELLING_FIELDS = (
    "visibility",
    "daily_cost_limit_usd",
    "chat_model",
    "owner_id",
    "slug",
    "is_strict",
    "allow_download",
)


def describe_changes(clone: Clone, fields: Collection[str]) -> dict[str, Any]:
    """`fields` are the names of those that changed."""
    values = {
        name: None if getattr(clone, name) is None else str(getattr(clone, name))
        for name in TELLING_FIELDS
        if name.removesuffix("_id") in fields
    }
    return {"fields": sorted(fields), "values": values}
