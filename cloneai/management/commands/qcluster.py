"""`manage.py qcluster`: django-q2's, which first loads what its workers need, before they are forked off it.

So they share it: four workers take less memory than two that load for themselves, and one that takes a dead one's place
is at work at once.
"""

import gc
from typing import Any

from django.conf import settings
from django_q.management.commands.qcluster import Command as ClusterCommand

from billing.metering import load_client
from billing.tokens import encoding_name_for
from knowledge.chunking import count_tokens


class Command(ClusterCommand):
    def handle(self, *args: Any, **options: Any) -> None:
        load_for_workers()
        super().handle(*args, **options)


def load_for_workers() -> None:
    """The jobs' modules, the provider's client, the embedding model's vocabulary. Opens nothing, starts no thread."""
    from knowledge import tasks  # noqa: F401  (what it imports is what counts)

    load_client()
    count_tokens(text="warm", encoding_name=encoding_name_for(settings.EMBEDDING_MODEL))
    gc.collect()
    gc.freeze()  # a worker that collects must not touch, and so copy, what it shares
