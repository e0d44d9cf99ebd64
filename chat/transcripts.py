"""What a conversation page shows: a session's last messages, oldest first, in a fixed number of queries."""

from dataclasses import dataclass
from uuid import UUID

from django.db.models import Prefetch

from chat.models import ChatSession, Citation, Message, MessageStatus, Role
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


def load_transcript(*, session: ChatSession, shown: int = MESSAGES_SHOWN) -> Transcript:
    """The last `shown` current messages with their citations; two queries."""
    shown = max(MESSAGES_SHOWN, min(shown, MAX_MESSAGES_SHOWN))
    citations = Prefetch(
        "citations", Citation.objects.only("id", "message_id", "number", "title", "page", "is_cited")
    )
    newest_first = (
        session.messages.filter(is_current=True).order_by("-created_at").prefetch_related(citations)
    )
    found = list(newest_first[: shown + 1])
    messages = found[:shown][::-1]
    running = next((message for message in messages if message.is_running), None)
    earlier_shown = shown + MESSAGES_SHOWN if len(found) > shown else 0
    return Transcript(messages=messages, earlier_shown=earlier_shown, running=running)


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
