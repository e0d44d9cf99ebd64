"""The job that turns a conversation into memories: the model proposes, `chat.memory_keeping` keeps what may be kept.

Enter at `extract_memories`. Only the member's own messages are sent; what the clone said is used for one thing alone,
to recognise its words when the member repeats them.
"""

import asyncio
import logging
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from django.conf import settings
from pydantic import BaseModel

from billing.metering import MeteredCallError, Payer, complete_structured, embed_texts
from billing.model_choice import Task, choose_model
from billing.models import Purpose
from chat.memories import cosine
from chat.memory_keeping import Proposal, Source, keep, may_learn
from chat.memory_models import Memory, MemoryKind
from chat.memory_prompts import build_extraction_messages
from chat.memory_rules import Finding
from chat.models import ChatSession, Role
from chat.windows import Line, room_for_transcript, split_windows

logger = logging.getLogger(__name__)

MAX_OUTPUT_TOKENS = 1500
RULES_TOKENS = 1600  # the rules, the schema, and up to `MAX_KNOWN` known memories
MAX_KNOWN = 40
EMBEDDED_AT_A_TIME = 200
TEMPERATURE = 0.2
LEAST_WORDS = 4


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
    if session is None or not may_learn(session):
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


def _payer(session: ChatSession) -> Payer:
    return Payer(user_id=session.user_id, clone_id=session.clone_id, session_id=session.pk)
