"""Earlier versions of answers: what regenerate and edit have replaced, in the order in which they were written."""

from collections import defaultdict
from dataclasses import dataclass
from uuid import UUID

from chat.models import Message, Role


@dataclass(frozen=True, slots=True, kw_only=True)
class Versions:
    """Where an answer stands among those to the same question, or to what that question was edited from."""

    number: int
    count: int
    earlier: UUID | None
    later: UUID | None
    current: UUID


def find_versions(*, session_id: UUID) -> dict[UUID, Versions]:
    """By answer, for answers that have more than one version; one query."""
    rows = Message.objects.filter(session_id=session_id).order_by("created_at")
    messages = list(rows.values_list("pk", "role", "reply_to_id", "is_current"))
    if all(is_current for *_, is_current in messages):
        return {}
    heads = _find_heads([(pk, is_current) for pk, role, _, is_current in messages if role == Role.USER])
    answers: dict[UUID, list[UUID]] = defaultdict(list)
    for pk, role, reply_to_id, _ in messages:
        if role == Role.ASSISTANT and reply_to_id in heads:
            answers[heads[reply_to_id]].append(pk)
    return {
        pk: Versions(
            number=index + 1,
            count=len(ids),
            earlier=ids[index - 1] if index else None,
            later=ids[index + 1] if index + 1 < len(ids) else None,
            current=ids[-1],
        )
        for ids in answers.values()
        if len(ids) > 1
        for index, pk in enumerate(ids)
    }


def _find_heads(questions: list[tuple[UUID, bool]]) -> dict[UUID, UUID]:
    """For each question the one that stands in its place now: only the last can be edited, so the next current one."""
    heads: dict[UUID, UUID] = {}
    waiting: list[UUID] = []
    for pk, is_current in questions:
        waiting.append(pk)
        if is_current:
            heads |= dict.fromkeys(waiting, pk)
            waiting = []
    return heads
