"""Finds messages by their words, through an index: `find_said`."""

from django.contrib.postgres.search import SearchQuery, SearchVector
from django.db.models import Q, QuerySet

from chat.models import Message, MessageStatus


def find_said(word: str) -> QuerySet[Message]:
    """Finished messages with a word that begins like this one, in any language: words are not reduced to stems."""
    quoted = word.replace("\\", "\\\\").replace("'", "''")
    return Message.objects.annotate(words=SearchVector("content", config="simple")).filter(
        ~Q(status=MessageStatus.STREAMING),
        words=SearchQuery(f"'{quoted}':*", search_type="raw", config="simple"),
    )
