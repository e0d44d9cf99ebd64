"""What members asked and the material did not answer, or only nearly: recorded at once, then joined with what means
the same.

Enter at `record_gap`, `record_api_gap` and `withdraw_dislike`; `sort_new_questions` is a job. A gap is ranked by how
many people asked it.
"""

import asyncio
import hashlib
import logging
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet

from billing.metering import MeteredCallError, Payer, embed_texts
from billing.models import Purpose
from chat.distress import speaks_of_distress
from chat.gap_models import GapQuestion, GapReason, KnowledgeGap
from chat.gap_words import ask_for_others
from chat.memories import cosine
from chat.memory_rules import normalise
from chat.models import Message
from cloneai.accounts.models import User
from clones.models import Clone

logger = logging.getLogger(__name__)

# From which cosine two questions ask for the same; see DECISIONS for the figures.
SAME_QUESTION = {"local-wordllama-256": 0.75}
DEFAULT_SAME_QUESTION = 0.70
SORTED_AT_A_TIME = 200
MAX_COMPARED = 2000
MAX_EMBEDDED_CHARS = 2000


@dataclass(frozen=True, slots=True)
class Asked:
    """An older question with its gap and vector."""

    gap_id: int
    vector: np.ndarray
    text: str


def record_gap(*, answer: Message, reason: GapReason) -> None:
    """Notes that this answer did not help. Once for an answer; one that said nothing is not also disliked.

    Words of distress are no gap in anybody's material, and not for an expert's eyes.
    """
    question = answer.reply_to
    if question is None or question.is_distress or GapQuestion.objects.filter(message=answer).exists():
        return
    _record(
        clone=answer.session.clone,
        asked_by_id=answer.session.user_id,
        question=question.content,
        query=answer.query_used,
        message=answer,
        reason=reason,
    )


def record_api_gap(
    *, clone: Clone, user: User, question: str, query: str, reason: GapReason = GapReason.UNANSWERED
) -> None:
    """A question over `/v1/` that the material did not answer; there is no conversation to point to."""
    if speaks_of_distress(question):
        return
    _record(
        clone=clone,
        asked_by_id=user.pk,
        question=question,
        query=query,
        message=None,
        reason=reason,
    )


def withdraw_dislike(*, answer: Message) -> None:
    """The rating was taken back: the question goes, and its gap with it when it was alone and is still open."""
    disliked = GapQuestion.objects.filter(message=answer, reason=GapReason.DISLIKED)
    with transaction.atomic():
        gaps = lock_gaps(list(disliked.values_list("gap", flat=True)))
        disliked.delete()
        gaps.filter(questions=None, document=None).delete()


def _record(
    *,
    clone: Clone,
    asked_by_id: int,
    question: str,
    query: str,
    message: Message | None,
    reason: GapReason,
) -> None:
    """The same words join their open gap at once; the job finds those that only mean the same.

    Words whose gap the expert has closed come back when nothing is found, not when the nearest is: that may well be
    the expert's answer.
    """
    with transaction.atomic():
        wording = hash_wording(query or question, clone_id=clone.pk)
        same = GapQuestion.objects.filter(wording=wording, gap__clone=clone)
        newest = same.filter(gap__closed_at=None).order_by("-created_at").values("gap")[:1]
        # Locked, for others may be about to join it to another one; what is gone then is not found.
        known = KnowledgeGap.objects.select_for_update(no_key=True).filter(pk__in=newest).first()
        if known is None and reason == GapReason.NEAREST and same.exclude(gap__closed_at=None).exists():
            return
        GapQuestion.objects.create(
            gap=known or KnowledgeGap.objects.create(clone=clone),
            wording=wording,
            message=message,
            asked_by_id=asked_by_id,
            reason=reason,
            question=question,
            query=query if normalise(query) != normalise(question) else "",
        )


def hash_wording(text: str, *, clone_id: int) -> str:
    """The same for the same words to the same clone, whatever their case and punctuation."""
    return hashlib.sha256(f"gap:{clone_id}:{normalise(text)}".encode()).hexdigest()


def lock_gaps(gap_ids: Sequence[int]) -> QuerySet[KnowledgeGap]:
    """Until the transaction ends no question comes into them: only then is an empty one known to be empty."""
    gaps = KnowledgeGap.objects.filter(pk__in=gap_ids)
    list(gaps.select_for_update().order_by("pk").values("pk"))
    return gaps


@transaction.atomic
def join_gaps(*, gaps: Sequence[KnowledgeGap]) -> KnowledgeGap:
    """One gap with all their questions: the answered one if there is one, else the oldest. Of one clone."""
    kept = min(gaps, key=lambda gap: (gap.document_id is None, gap.created_at))
    others = [gap.pk for gap in gaps if gap.pk != kept.pk]
    lock_gaps([gap.pk for gap in gaps])
    GapQuestion.objects.filter(gap__in=others).update(gap=kept)
    KnowledgeGap.objects.filter(pk__in=others, questions=None).delete()
    return kept


@transaction.atomic
def drop_empty_gaps() -> int:
    """Gaps whose questions are all gone, with their conversations or askers, and which nobody answered."""
    empty = KnowledgeGap.objects.filter(questions=None, document=None, answer="")
    gaps = lock_gaps(list(empty.values_list("pk", flat=True)))
    return gaps.filter(questions=None, document=None, answer="").delete()[0]


def sort_new_questions() -> int:
    """The job: embeds new questions, a request for each clone, and joins those that mean the same; returns how many.

    What cannot be embedded now is tried again at the next run.
    """
    new = GapQuestion.objects.filter(embedding_model="").select_related("gap").order_by("created_at")
    by_clone: dict[int, list[GapQuestion]] = defaultdict(list)
    for asked in new[:SORTED_AT_A_TIME]:
        by_clone[asked.gap.clone_id].append(asked)
    sorted_count = 0
    for clone_id, questions in by_clone.items():
        try:
            vectors = asyncio.run(_embed(clone_id=clone_id, questions=questions))
        except MeteredCallError as error:
            logger.warning("Knowledge gaps of clone %s are not sorted yet: %s", clone_id, error.error_type)
            continue
        sorted_count += _join(clone_id=clone_id, questions=questions, vectors=vectors)
    return sorted_count


async def _embed(*, clone_id: int, questions: Sequence[GapQuestion]) -> np.ndarray:
    result = await embed_texts(
        payer=Payer(user_id=None, clone_id=clone_id),
        purpose=Purpose.EVALUATION,
        texts=[asked.search_text[:MAX_EMBEDDED_CHARS] for asked in questions],
        model=settings.EMBEDDING_MODEL,
        dimensions=settings.EMBEDDING_DIMENSIONS,
    )
    return result.vectors


@transaction.atomic
def _join(*, clone_id: int, questions: Sequence[GapQuestion], vectors: np.ndarray) -> int:
    """Each question goes to the open gap of the nearest older one that is near enough, or stays in its own."""
    Clone.objects.select_for_update(of=("self",), no_key=True).filter(pk=clone_id).first()
    known = _load_known(clone_id=clone_id)
    is_static = settings.EMBEDDING_MODEL in SAME_QUESTION
    threshold = SAME_QUESTION.get(settings.EMBEDDING_MODEL, DEFAULT_SAME_QUESTION)
    for asked, vector in zip(questions, vectors, strict=True):
        gap_id = asked.gap_id
        if asked.gap.closed_at is None:
            alike = [
                one
                for one in known
                if cosine(vector, one.vector) >= threshold
                and not (is_static and ask_for_others(asked.search_text, one.text))
            ]
            near = max(alike, key=lambda one: cosine(vector, one.vector), default=None)
            if near is not None:
                gap_id = near.gap_id
        kept = GapQuestion.objects.filter(pk=asked.pk).update(
            gap=gap_id, embedding=vector.tolist(), embedding_model=settings.EMBEDDING_MODEL
        )
        if kept and asked.gap.closed_at is None:
            known.append(Asked(gap_id, vector, asked.search_text))
        if kept and gap_id != asked.gap_id:
            # The one it comes from may hold others with the same words: they follow.
            emptied = lock_gaps([asked.gap_id])
            GapQuestion.objects.filter(gap=asked.gap_id).update(gap=gap_id)
            emptied.filter(questions=None).delete()
    return len(questions)


def _load_known(*, clone_id: int) -> list[Asked]:
    rows = GapQuestion.objects.filter(
        gap__clone=clone_id, gap__closed_at=None, embedding_model=settings.EMBEDDING_MODEL
    )
    newest = rows.order_by("-created_at").only("gap", "embedding", "question", "query")[:MAX_COMPARED]
    return [Asked(one.gap_id, np.asarray(one.embedding, dtype=np.float32), one.search_text) for one in newest]
