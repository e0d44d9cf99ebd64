"""Web logins of a person. Sessions have no foreign key: the person's number stands in their signed content."""

from typing import Any

from django.contrib.auth import SESSION_KEY
from django.contrib.sessions.models import Session
from django.db.models import QuerySet

ROWS_AT_A_TIME = 2000


def find_logins(person_id: int) -> QuerySet[Any]:
    """The person's sessions, expired ones too. Reads every session of the installation once, at the call."""
    sessions = Session.objects.only("session_key", "session_data").iterator(chunk_size=ROWS_AT_A_TIME)
    keys = [row.session_key for row in sessions if row.get_decoded().get(SESSION_KEY) == str(person_id)]
    return Session.objects.filter(pk__in=keys)
