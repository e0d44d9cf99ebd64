"""Keeping what was proposed: merged with what says the same, in the place of what it contradicts, or not at all.

Enter at `keep`; `chat.memory_rules` decides, and `chat.memory_extraction` makes the proposals.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

import numpy as np
from django.conf import settings
from django.db import transaction

from chat.memories import cosine, is_paused
from chat.memory_models import Memory, MemoryState
from chat.memory_rules import (
    Finding,
    Relation,
    compare,
    find_objection,
    make_fingerprint,
    may_replace,
    read_statement,
)
from chat.models import ChatSession, Message
from cloneai.accounts.models import User

logger = logging.getLogger(__name__)

Vector = np.ndarray | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """What a conversation's memories are made of. `said` are the member's messages, numbered from 1."""

    session: ChatSession
    said: Sequence[Message]
    answers: Sequence[str]
    known: Sequence[Memory]


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """A finding with the vectors of its text and of its quote; None when they could not be had."""

    finding: Finding
    vector: Vector
    cosine_to_quote: float | None


def keep(*, source: Source, proposals: Sequence[Proposal]) -> int:
    """Stores what passes the rules, in one transaction that keeps other jobs of this person waiting."""
    session = source.session
    changed = 0
    with transaction.atomic():
        person = User.objects.select_for_update(of=("self",), no_key=True).filter(pk=session.user_id).first()
        alive = ChatSession.objects.filter(pk=session.pk).first()
        if person is None or alive is None or not may_learn(alive):
            return 0  # erased, deleted or switched off while the model was asked
        present = set(alive.messages.values_list("pk", flat=True))
        for proposal in proposals:
            objection = find_objection(
                proposal.finding,
                messages=[message.content for message in source.said],
                answers=source.answers,
                cosine_to_quote=proposal.cosine_to_quote,
            )
            if objection:
                logger.info("A proposed memory of conversation %s is not kept: %s", session.pk, objection)
                continue
            message = source.said[proposal.finding.message_number - 1]
            if message.pk in present:
                changed += _keep_one(source=source, proposal=proposal, message=message)
    return changed


def _keep_one(*, source: Source, proposal: Proposal, message: Message) -> int:
    """Merges the proposal with what says the same, or stores it in the place of what it contradicts."""
    session, finding = source.session, proposal.finding
    owned = Memory.objects.filter(user=session.user_id, clone=session.clone_id)
    fingerprint = make_fingerprint(finding.text, user_id=session.user_id, clone_id=session.clone_id)
    if owned.filter(fingerprint=fingerprint, state=MemoryState.REMOVED).exists():
        return 0
    known = sorted(
        owned.active().select_related("message"), key=lambda memory: memory.fingerprint != fingerprint
    )  # the same words first: no other may take their fingerprint
    replaced: list[Memory] = []
    for memory in known:
        similarity = _similarity(memory, proposal.vector)
        relation = compare(finding.text, memory.text, cosine=similarity)
        if memory.fingerprint == fingerprint or relation == Relation.SAME:
            return _merge(memory, finding=finding, message=message)
        is_named = _names(source.known, finding.replaces) == memory.pk
        if relation == Relation.CONTRADICTS or (
            is_named and may_replace(finding.text, memory.text, cosine=similarity)
        ):
            replaced.append(memory)
    if any(memory.message and memory.message.created_at > message.created_at for memory in replaced):
        return 0  # an old conversation that is read late does not undo what was said since
    created = Memory.objects.create(
        user_id=session.user_id,
        clone_id=session.clone_id,
        message=message,
        kind=finding.kind,
        text=finding.text,
        quote=finding.quote,
        confidence=finding.confidence,
        fingerprint=fingerprint,
        embedding=None if proposal.vector is None else proposal.vector.tolist(),
        embedding_model="" if proposal.vector is None else settings.EMBEDDING_MODEL,
    )
    Memory.objects.filter(pk__in=[memory.pk for memory in replaced]).update(
        state=MemoryState.SUPERSEDED, superseded_by=created
    )
    return 1


def _merge(memory: Memory, *, finding: Finding, message: Message) -> int:
    """Said again: in another conversation it counts as confirmed. The member's own wording is never touched."""
    is_elsewhere = memory.message is None or memory.message.session_id != message.session_id
    is_newer = memory.message is None or message.created_at >= memory.message.created_at
    says_more = read_statement(memory.text).stems < read_statement(finding.text).stems
    changes: dict[str, object] = {"confidence": max(memory.confidence, finding.confidence)}
    if is_newer:
        changes |= {"message": message, "quote": finding.quote}
    if is_elsewhere:
        changes |= {"mentions": memory.mentions + 1, "state": MemoryState.CONFIRMED}
    if says_more and memory.state == MemoryState.CANDIDATE:
        changes |= {
            "text": finding.text,
            "fingerprint": make_fingerprint(finding.text, user_id=memory.user_id, clone_id=memory.clone_id),
            "embedding": None,
            "embedding_model": "",
        }
    Memory.objects.filter(pk=memory.pk).update(**changes)
    return 1


def _names(known: Sequence[Memory], number: int) -> UUID | None:
    return known[number - 1].pk if 1 <= number <= len(known) else None


def _similarity(memory: Memory, vector: Vector) -> float | None:
    if vector is None or memory.embedding is None or memory.embedding_model != settings.EMBEDDING_MODEL:
        return None
    return cosine(vector, np.asarray(memory.embedding, dtype=np.float32))


def may_learn(session: ChatSession) -> bool:
    """Whether the member lets this conversation leave memories."""
    return session.is_remembered and not is_paused(user_id=session.user_id, clone_id=session.clone_id)
