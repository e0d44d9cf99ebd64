"""What a conversation page shows: a session's last messages, oldest first, in a fixed number of queries."""

from dataclasses import dataclass
from uuid import UUID

from django.db.models import Prefetch

from chat.models import ChatSession, Citation, Memory, Message, MessageStatus, Role
from chat.versions import Versions, find_versions
from clones.models import Clone

MESSAGES_SHOWN = 100
MAX_MESSAGES_SHOWN = 5000
PLACEHOLDER_ID = UUID(int=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Transcript:
    """`earlier_shown` is the `?show=` that reveals the next older messages, 0 when all are there."""

    messages: list[Message]
    earlier_shown: int
    running: Message | None


def load_transcript(
    *, session: ChatSession, shown: int = MESSAGES_SHOWN, version: UUID | None = None
) -> Transcript:
    """The last `shown` current messages with their citations, memories and versions; four queries.

    `version` is an answer that another one has replaced: it is shown in that one's place, with its question.
    """
    shown = max(MESSAGES_SHOWN, min(shown, MAX_MESSAGES_SHOWN))
    newest_first = (
        session.messages.filter(is_current=True)
        .order_by("-created_at")
        .prefetch_related(*shown_with_answers())
    )
    found = list(newest_first[: shown + 1])
    versions = find_versions(session_id=session.pk)
    messages = found[:shown][::-1]
    if version in versions and version != versions[version].current:
        messages = _show_version(messages, version=version, current=versions[version].current)
    for message in messages:
        attach_versions(message, versions)
    running = next((message for message in messages if message.is_running), None)
    earlier_shown = shown + MESSAGES_SHOWN if len(found) > shown else 0
    return Transcript(messages=messages, earlier_shown=earlier_shown, running=running)


def attach_versions(message: Message, versions: dict[UUID, Versions]) -> None:
    """`message.versions` is what `_message_versions.html` shows."""
    message.versions = versions.get(message.pk)  # type: ignore[attr-defined]


def shown_with_answers() -> tuple[Prefetch[str], Prefetch[str]]:
    """What `_message.html` shows under an answer: its citations and memories."""
    return _citations(), _memories()


def _citations() -> Prefetch[str]:
    return Prefetch(
        "citations",
        Citation.objects.only(
            "id",
            "message_id",
            "number",
            "title",
            "page",
            "similarity_score",
            "chunk_id",
            "is_cited",
            "is_supported",
        ),
    )


def _memories() -> Prefetch[str]:
    return Prefetch("memories", Memory.objects.only("id", "text"))


def _show_version(messages: list[Message], *, version: UUID, current: UUID) -> list[Message]:
    """Puts an earlier answer and its question where the current ones are."""
    earlier = (
        Message.objects.select_related("reply_to").prefetch_related(*shown_with_answers()).get(pk=version)
    )
    now = next((message for message in messages if message.pk == current), None)
    if now is None or earlier.reply_to is None:
        return messages
    instead = {now.pk: earlier, now.reply_to_id: earlier.reply_to}
    return [instead.get(message.pk, message) for message in messages]


def placeholder_messages(*, session: ChatSession) -> dict[str, Message]:
    """Unsaved messages that the page renders as patterns: the script fills in the id and the text."""
    return {
        "placeholder_question": Message(id=PLACEHOLDER_ID, session=session, role=Role.USER),
        "placeholder_answer": Message(
            id=PLACEHOLDER_ID, session=session, role=Role.ASSISTANT, status=MessageStatus.STREAMING
        ),
    }


def session_title(*, session: ChatSession, clone: Clone) -> str:
    return session.title or f"Conversation with {clone.name}"
