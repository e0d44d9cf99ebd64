"""Moves a clone to another embedding model: vectors beside the live ones, then one atomic switch.

Queries are answered by the old vectors all the while. Interrupted work resumes at the first passage without a
vector of the new model.
"""

from collections.abc import Sequence

from billing.metering import Payer
from cloneai.threads import run_in_thread
from clones.models import Clone
from knowledge.embedding import EmbeddingModel, embed_chunks, find_pending
from knowledge.models import Chunk
from knowledge.publication import switch_embedding_model

# Documents that became ready meanwhile may lack the new vectors; each round supplies those.
MAX_ROUNDS = 5


async def reembed_clone(*, clone: Clone, model: EmbeddingModel) -> int:
    """Embed the clone's live passages by `model` and switch to it; returns how many vectors were made.

    Raises MeteredCallError or IngestionError when a request failed (what was done stays), and RuntimeError
    when new documents kept arriving faster than they could be embedded.
    """
    made = 0
    payer = Payer(user_id=None, clone_id=clone.pk)
    for _round in range(MAX_ROUNDS):
        live = Chunk.objects.filter(clone=clone, is_live=True)
        pending = await run_in_thread(find_pending, chunks=live, model=model)
        await embed_chunks(
            pending=pending, model=model, payer=payer, hold=_hold_existing, on_progress=_no_progress
        )
        made += len(pending)
        if await run_in_thread(switch_embedding_model, clone_id=clone.pk, model=model):
            return made
    raise RuntimeError("Documents keep arriving; run the command again when the uploads are done.")


def _hold_existing(passages: Sequence[Chunk]) -> Sequence[Chunk]:
    """Those that nobody deleted while the provider was asked; the locks keep them until their vectors are written."""
    rows = Chunk.objects.select_for_update(no_key=True).filter(pk__in=[passage.pk for passage in passages])
    existing = frozenset(rows.values_list("pk", flat=True))
    return [passage for passage in passages if passage.pk in existing]


def _no_progress(stored: int) -> None:
    """The command reports at its end."""
