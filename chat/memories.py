"""What a member can do with their memories, and which of them a question brings to mind.

Enter at `recall` for a turn, and at the functions named for what the member does on the memory page.
"""

import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

import numpy as np
from django.conf import settings
from django.db import transaction
from django.db.models import Q, QuerySet
from django_q.tasks import async_task

from billing.metering import MeteredCallError, Payer, embed_texts
from billing.models import Purpose
from billing.tokens import count_tokens
from chat.memory_models import (
    MAX_MEMORY_CHARS,
    Memory,
    MemoryKind,
    MemoryPause,
    MemoryQuerySet,
    MemoryState,
)
from chat.memory_rules import make_fingerprint, read_statement
from chat.models import AnswerReceipt, ChatSession
from cloneai.accounts.models import User
from cloneai.threads import run_in_thread
from clones.models import Clone

logger = logging.getLogger(__name__)

EMBEDDING_JOB = "chat.tasks.embed_memories"
MAX_RECALLED_TOKENS = 300
MAX_RECALLED = 12
MAX_CONSIDERED = 500
TOKENS_PER_LINE = 4
# From which cosine a memory has to do with a question; measured for the local vectors, published range for others.
LEAST_COSINE = {"local-wordllama-256": 0.22}
DEFAULT_LEAST_COSINE = 0.25
WORD_WEIGHT = 0.3
MEMORIES_IN_PROMPT = re.compile(r"<memories>\n.*?\n</memories>", re.DOTALL)

_ABOUT_MEMBER = re.compile(
    r"\b(?:(?:do|can|could|did) you (?:still )?(?:remember|recall|know) "
    r"(?:me\b|my\b|what i\b|that i\b|who i\b|about me)"
    r"|what (?:else )?(?:do|did|have) (?:you|i) (?:still )?(?:remember|recall|know|noted?|tell you|told you|say|said)"
    r"(?: (?:\w+ )?(?:about|of) (?:me|myself|my\b)|\W*$)"
    r"|what(?:'s| is| was) my name|who am i\b|where do i (?:live|work)|how old am i|what (?:is|are|was|were) my goals?"
    r"|was wei(?:ß|ss)t du (?:noch )?(?:über|von) mi(?:ch|r)|erinnerst du dich an mich|wie hei(?:ß|ss)e ich"
    r"|que sais-tu de moi|te souviens-tu de moi|qué sabes de mí|te acuerdas de mí)",
    re.IGNORECASE,
)


class MemoryRefused(Exception):  # noqa: N818  (what happened, as the field says it)
    """A change that cannot be made. `message` says why, to the member."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


@dataclass(frozen=True, slots=True)
class Recalled:
    """A memory that enters a prompt."""

    id: UUID
    kind: str
    text: str


def asks_about_member(question: str) -> bool:
    """A question about what the clone knows of the member: its answer stands in no document."""
    return bool(_ABOUT_MEMBER.search(question))


async def recall(*, session: ChatSession, question: str, payer: Payer) -> tuple[Recalled, ...]:
    """The member's memories that bear on the question, most relevant first, of at most 300 tokens together.

    How they like to be answered always does. Nothing when the member switched the memory off. One metered embedding
    when there are memories at all; when it fails, the words decide. Raises nothing of the provider's.
    """
    memories = await run_in_thread(load_memories, session=session)
    if not memories:
        return ()
    vector = await _embed(question, payer=payer)
    return await run_in_thread(
        choose, memories, question=question, vector=vector, asks_for_all=asks_about_member(question)
    )


def load_memories(*, session: ChatSession) -> list[Memory]:
    """The active memories that this conversation may use, newest first."""
    if not session.is_remembered:
        return []
    active = Memory.objects.active().filter(user=session.user_id, clone=session.clone_id)
    memories = list(active.order_by("-updated_at")[:MAX_CONSIDERED])
    return [] if memories and is_paused(user_id=session.user_id, clone_id=session.clone_id) else memories


def choose(
    memories: Sequence[Memory], *, question: str, vector: np.ndarray | None, asks_for_all: bool = False
) -> tuple[Recalled, ...]:
    """The relevant ones that fit the budget. With `asks_for_all` the floor does not count."""
    scored = [(_relevance(memory, question=question, vector=vector), memory) for memory in memories]
    floor = LEAST_COSINE.get(settings.EMBEDDING_MODEL, DEFAULT_LEAST_COSINE)
    usable = [
        (score, memory)
        for score, memory in scored
        if asks_for_all or score >= floor or memory.kind == MemoryKind.PREFERENCE
    ]
    usable.sort(key=lambda pair: -pair[0])
    chosen: list[Recalled] = []
    left = MAX_RECALLED_TOKENS
    for _score, memory in usable:
        tokens = count_tokens(memory.text, model=settings.GPT_4_MODEL) + TOKENS_PER_LINE
        if len(chosen) < MAX_RECALLED and tokens <= left:
            chosen.append(Recalled(id=memory.pk, kind=memory.kind, text=memory.text))
            left -= tokens
    return tuple(chosen)


def is_paused(*, user_id: int, clone_id: int) -> bool:
    return MemoryPause.objects.of(user_id=user_id, clone_id=clone_id).exists()


def pause(*, user: User, clone: Clone | None) -> None:
    """From now on this clone, or none at all, learns or uses anything of the member. What is there stays unused."""
    MemoryPause.objects.get_or_create(user=user, clone=clone)


def resume(*, user: User, clone: Clone | None) -> None:
    MemoryPause.objects.filter(user=user, clone=clone).delete()


def confirm(*, memory: Memory) -> None:
    """The member says that it is right; one that was replaced comes back, and what replaced it goes."""
    with transaction.atomic():
        locked = Memory.objects.select_for_update(of=("self",)).get(pk=memory.pk)
        if locked.state == MemoryState.SUPERSEDED:
            same = (
                _others(locked)
                .active()
                .filter(Q(pk=locked.superseded_by_id) | Q(fingerprint=locked.fingerprint))
            )
            same.update(state=MemoryState.SUPERSEDED, superseded_by=locked.pk)
        Memory.objects.filter(pk=locked.pk).update(state=MemoryState.CONFIRMED, superseded_by=None)
    memory.refresh_from_db()


def edit(*, memory: Memory, text: str) -> None:
    """The member's own wording; it counts as confirmed. Raises MemoryRefused."""
    text = " ".join(text.replace("\x00", "").split())
    if not text:
        raise MemoryRefused("A memory cannot be empty. Delete it instead.")
    if len(text) > MAX_MEMORY_CHARS:
        raise MemoryRefused(f"A memory has at most {MAX_MEMORY_CHARS} characters; yours has {len(text)}.")
    fingerprint = make_fingerprint(text, user_id=memory.user_id, clone_id=memory.clone_id)
    with transaction.atomic():
        if _others(memory).active().filter(fingerprint=fingerprint).exists():
            raise MemoryRefused("There is a memory with these words already.")
        Memory.objects.filter(pk=memory.pk).update(
            text=text,
            fingerprint=fingerprint,
            state=MemoryState.CONFIRMED,
            superseded_by=None,
            embedding=None,
            embedding_model="",
        )
        async_task(EMBEDDING_JOB, memory.user_id, memory.clone_id)  # until then the words decide
    memory.refresh_from_db()


def remove(*, memory: Memory) -> None:
    """Deletes text, words, vector and where it was used; a hash stays, so that it is not learned again."""
    forget(Memory.objects.filter(pk=memory.pk))


def forget(memories: QuerySet[Memory]) -> int:
    """As `remove`, for many; returns how many."""
    keys = list(memories.exclude(state=MemoryState.REMOVED).values_list("pk", flat=True))
    with transaction.atomic():
        _forget_in_receipts(keys)
        Memory.used_in.through.objects.filter(memory__in=keys).delete()
        Memory.objects.filter(pk__in=keys).update(
            state=MemoryState.REMOVED,
            text="",
            quote="",
            message=None,
            superseded_by=None,
            embedding=None,
            embedding_model="",
        )
    return len(keys)


def _forget_in_receipts(keys: Sequence[UUID]) -> None:
    """Staff's receipts of the answers that used them keep neither the list nor its place in the prompt."""
    for receipt in AnswerReceipt.objects.filter(message__memories__in=keys).distinct():
        receipt.memories = []
        receipt.prompt = [
            {**part, "content": MEMORIES_IN_PROMPT.sub("<memories>\n(deleted)\n</memories>", part["content"])}
            for part in receipt.prompt
        ]
        receipt.save(update_fields=["memories", "prompt"])


def _others(memory: Memory) -> MemoryQuerySet:
    return Memory.objects.filter(user=memory.user_id, clone=memory.clone_id).exclude(pk=memory.pk)


def _relevance(memory: Memory, *, question: str, vector: np.ndarray | None) -> float:
    """Cosine of question and memory, raised by the share of the memory's words that the question holds."""
    told = read_statement(memory.text).stems
    share = len(told & read_statement(question).stems) / max(1, len(told))
    if vector is None or memory.embedding is None or memory.embedding_model != settings.EMBEDDING_MODEL:
        return share
    own = np.asarray(memory.embedding, dtype=np.float32)
    return cosine(vector, own) + WORD_WEIGHT * share


def cosine(one: np.ndarray, other: np.ndarray) -> float:
    """Of two vectors; 0 when one has no length or they are of different models."""
    if one.shape != other.shape:
        return 0.0
    length = float(np.linalg.norm(one) * np.linalg.norm(other))
    return float(one @ other) / length if length else 0.0


async def _embed(question: str, *, payer: Payer) -> np.ndarray | None:
    try:
        result = await embed_texts(
            payer=payer,
            purpose=Purpose.MEMORY,
            texts=[question[:2000]],
            model=settings.EMBEDDING_MODEL,
            dimensions=settings.EMBEDDING_DIMENSIONS,
        )
    except MeteredCallError as error:
        logger.info("Memories are chosen by words: the question was not embedded (%s)", error.error_type)
        return None
    return result.vectors[0]
