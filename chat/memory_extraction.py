"""The job that turns a conversation into memories: the model proposes, `chat.memory_rules` decides, this keeps.

Enter at `extract_memories`. Only the member's own messages are sent; what the clone said is used for one thing alone,
to recognise its words when the member repeats them.
"""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import numpy as np
from django.conf import settings
from django.db import transaction
from pydantic import BaseModel

from billing.metering import MeteredCallError, Payer, complete_structured, embed_texts
from billing.model_choice import Task, choose_model
from billing.models import Purpose
from chat.memories import cosine, is_paused
from chat.memory_models import Memory, MemoryKind, MemoryState
from chat.memory_prompts import build_extraction_messages
from chat.memory_rules import (
    Finding,
    Relation,
    compare,
    find_objection,
    make_fingerprint,
    may_replace,
    read_statement,
)
from chat.models import ChatSession, Message, Role
from chat.windows import Line, room_for_transcript, split_windows
from cloneai.accounts.models import User

logger = logging.getLogger(__name__)

MAX_OUTPUT_TOKENS = 1500
RULES_TOKENS = 1600  # the rules, the schema, and up to `MAX_KNOWN` known memories
MAX_KNOWN = 40
EMBEDDED_AT_A_TIME = 200
TEMPERATURE = 0.2
LEAST_WORDS = 4

Vector = np.ndarray | None


class FoundMemory(BaseModel):
    """One proposal. `replaces` is the number of a known memory, 0 for none."""

    kind: MemoryKind
    text: str
    quote: str
    message_number: int
    confidence: float
    replaces: int


class FoundMemories(BaseModel):
    memories: list[FoundMemory]


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


def extract_memories(*, session_id: UUID, since: datetime | None = None) -> int:
    """Learns from what the member wrote after `since`; returns how many memories are new or changed.

    Does nothing where the member does not want it. Raises MeteredCallError when the model cannot be asked.
    """
    source = load_source(session_id=session_id, since=since)
    if source is None:
        return 0
    changed = keep(source=source, proposals=asyncio.run(propose(source)))
    embed_stale_memories(user_id=source.session.user_id, clone_id=source.session.clone_id)
    return changed


def embed_stale_memories(*, user_id: int, clone_id: int) -> int:
    """Gives vectors to active memories whose words or whose model have changed; returns how many got one.

    One metered request when there are any. When it fails they stay as they are, and their words decide.
    """
    stale = Memory.objects.active().filter(user=user_id, clone=clone_id)
    memories = list(stale.exclude(embedding_model=settings.EMBEDDING_MODEL)[:EMBEDDED_AT_A_TIME])
    if not memories:
        return 0
    try:
        result = asyncio.run(
            embed_texts(
                payer=Payer(user_id=user_id, clone_id=clone_id),
                purpose=Purpose.MEMORY,
                texts=[memory.text for memory in memories],
                model=settings.EMBEDDING_MODEL,
                dimensions=settings.EMBEDDING_DIMENSIONS,
            )
        )
    except MeteredCallError as error:
        logger.warning("Memories stay without vectors (%s)", error.error_type)
        return 0
    embedded = 0
    for memory, vector in zip(memories, result.vectors, strict=True):
        same_words = Memory.objects.active().filter(pk=memory.pk, fingerprint=memory.fingerprint)
        embedded += same_words.update(embedding=vector.tolist(), embedding_model=settings.EMBEDDING_MODEL)
    return embedded


def load_source(*, session_id: UUID, since: datetime | None = None) -> Source | None:
    """None when there is nothing to learn from, or the member does not want it."""
    session = ChatSession.objects.select_related("clone").filter(pk=session_id).first()
    if session is None or not _may_learn(session):
        return None
    messages = session.messages.filter(is_current=True).order_by("created_at")
    said = messages.filter(role=Role.USER, is_distress=False)  # a bad hour is nobody's lasting trait
    if since is not None:
        said = said.filter(created_at__gt=since)
    own = list(said)
    if sum(len(message.content.split()) for message in own) < LEAST_WORDS:
        return None
    known = Memory.objects.active().filter(user=session.user_id, clone=session.clone_id)
    return Source(
        session=session,
        said=own,
        answers=list(messages.filter(role=Role.ASSISTANT).values_list("content", flat=True)),
        known=list(known.order_by("-updated_at")[:MAX_KNOWN]),
    )


def _may_learn(session: ChatSession) -> bool:
    return session.is_remembered and not is_paused(user_id=session.user_id, clone_id=session.clone_id)


async def propose(source: Source) -> list[Proposal]:
    """What the model would keep, with vectors. Raises MeteredCallError; without vectors the words alone decide."""
    return await _embed(source, await _ask(source))


async def _ask(source: Source) -> list[Finding]:
    """One metered call for each window of the member's words."""
    model = choose_model(task=Task.STRUCTURED)
    lines = [
        Line(number=number, speaker="MEMBER", text=message.content)
        for number, message in enumerate(source.said, start=1)
    ]
    room = room_for_transcript(output_tokens=MAX_OUTPUT_TOKENS, rules_tokens=RULES_TOKENS)
    findings: list[Finding] = []
    for window in split_windows(lines, model=model, limit_tokens=room):
        result = await complete_structured(
            payer=_payer(source.session),
            purpose=Purpose.MEMORY,
            model=model,
            messages=build_extraction_messages(
                expert=source.session.clone.name,
                transcript="\n".join(map(str, window)),
                known=[memory.text for memory in source.known],
            ),
            schema=FoundMemories,
            max_output_tokens=MAX_OUTPUT_TOKENS,
            temperature=TEMPERATURE,
        )
        findings += [_read(found) for found in result.value.memories]
    return sorted(findings, key=lambda finding: finding.message_number)


def _read(found: FoundMemory) -> Finding:
    return Finding(
        kind=found.kind.value,
        text=" ".join(found.text.replace("\x00", "").split()),
        quote=" ".join(found.quote.replace("\x00", "").split()),
        message_number=found.message_number,
        confidence=min(1.0, max(0.0, found.confidence)),
        replaces=found.replaces,
    )


async def _embed(source: Source, findings: Sequence[Finding]) -> list[Proposal]:
    """Vectors of texts and quotes in one request. Without them the words alone decide."""
    texts = [text for finding in findings for text in (finding.text or "-", finding.quote or "-")]
    try:
        result = await embed_texts(
            payer=_payer(source.session),
            purpose=Purpose.MEMORY,
            texts=texts,
            model=settings.EMBEDDING_MODEL,
            dimensions=settings.EMBEDDING_DIMENSIONS,
        )
    except MeteredCallError as error:
        logger.warning("Memories are kept without vectors (%s)", error.error_type)
        return [Proposal(finding=finding, vector=None, cosine_to_quote=None) for finding in findings]
    pairs = zip(findings, result.vectors[::2], result.vectors[1::2], strict=True)
    return [
        Proposal(finding=finding, vector=text, cosine_to_quote=cosine(text, quote))
        for finding, text, quote in pairs
    ]


def keep(*, source: Source, proposals: Sequence[Proposal]) -> int:
    """Stores what passes the rules, in one transaction that keeps other jobs of this person waiting."""
    session = source.session
    changed = 0
    with transaction.atomic():
        person = User.objects.select_for_update(of=("self",), no_key=True).filter(pk=session.user_id).first()
        alive = ChatSession.objects.filter(pk=session.pk).first()
        if person is None or alive is None or not _may_learn(alive):
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


def _payer(session: ChatSession) -> Payer:
    return Payer(user_id=session.user_id, clone_id=session.clone_id, session_id=session.pk)
