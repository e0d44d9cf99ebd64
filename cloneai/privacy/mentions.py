"""Log entries that others wrote about a person's rows: who looked at a conversation, who changed the account."""

from collections.abc import Iterable

from django.contrib.admin.models import LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db.models import CharField, Q, QuerySet, TextField, Value
from django.db.models.functions import Cast, Concat

from cloneai.accounts.models import AuditEntry
from cloneai.privacy.tables import TABLES, Fate, PersonalTable

ERASED_NAME = "Erased"
# What goes with the person and may have been opened or changed by staff. Logins are found by reading all of them.
OWN_TABLES = tuple(
    table for table in TABLES if table.fate in (Fate.ERASED, Fate.ERASED_WITH_CLONES) and table.find is None
)


def find_audit_entries(*, person_id: int) -> QuerySet[AuditEntry]:
    """Entries of the audit log about rows that the person may see; reads the whole log."""
    visible = [table for table in OWN_TABLES if not table.not_exported]
    return AuditEntry.objects.filter(_has_target_in(visible, person_id=person_id))


def forget_in_logs(*, person_id: int, email: str) -> dict[str, int]:
    """Takes names and details out of what staff's actions left about the person; rows changed per table.

    Call it before the rows go: it finds the entries through them. The admin's history names a row by its text, which
    is the address of an account and the first question of a conversation.
    """
    about = Q(object_repr__icontains=email)
    for table in OWN_TABLES:
        kind = ContentType.objects.get_for_model(table.model_class)
        keys = table.rows(person_id=person_id).order_by().values(row_text=Cast("pk", TextField()))
        about |= Q(content_type=kind, object_id__in=keys)
    history = LogEntry.objects.filter(about).update(object_repr=ERASED_NAME, change_message="")
    audit = AuditEntry.objects.annotate(text=Cast("detail", TextField())).exclude(detail={})
    mentioned = audit.filter(_has_target_in(OWN_TABLES, person_id=person_id) | Q(text__icontains=email))
    changed = AuditEntry.objects.filter(pk__in=list(mentioned.values_list("pk", flat=True))).update(detail={})
    return {LogEntry._meta.label: history, AuditEntry._meta.label: changed}


def forget_vanished_rows() -> int:
    """Takes the names out of the admin's history where the named row is gone; entries changed."""
    changed = 0
    for model in {table.model_class for table in OWN_TABLES}:
        kind = ContentType.objects.get_for_model(model)
        entries = LogEntry.objects.filter(content_type=kind).exclude(object_repr=ERASED_NAME)
        named = set(entries.values_list("object_id", flat=True))
        alive = model._base_manager.filter(pk__in=named).values_list("pk", flat=True)
        vanished = named - {str(key) for key in alive}
        changed += entries.filter(object_id__in=vanished).update(object_repr=ERASED_NAME, change_message="")
    return changed


def _has_target_in(tables: Iterable[PersonalTable], *, person_id: int) -> Q:
    """`target` is "model:key", see `record_action`."""
    about = Q()
    for table in tables:
        label = Value(f"{table.model_class._meta.model_name}:")
        keys = table.rows(person_id=person_id).order_by()
        about |= Q(
            target__in=keys.values(row_text=Concat(label, Cast("pk", CharField()), output_field=CharField()))
        )
    return about
