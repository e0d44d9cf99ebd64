"""A person's conversations as Markdown that reads well in any editor."""

from collections.abc import Iterator

from django.db.models import Prefetch
from django.utils.text import slugify

from chat.models import ChatSession, Citation, Message, Role, SessionSummary, SummaryStatus
from cloneai.accounts.models import User

SLUG_CHARS = 50
CLOSED = (
    "This clone is no longer open to you: its expert now lets in only people with an invitation. "
    "The conversation is here, and can no longer be opened on the pages."
)


def write_conversations(*, person: User) -> Iterator[tuple[str, str]]:
    """File name and text of each conversation, oldest first; three queries a conversation."""
    sessions = ChatSession.objects.filter(user=person).with_is_open(person)
    for session in sessions.select_related("clone").order_by("created_at").iterator():
        is_closed = person.is_active and not session.is_open  # type: ignore[attr-defined]
        yield _name_file(session), _write_conversation(session, is_closed=is_closed)


def _name_file(session: ChatSession) -> str:
    slug = slugify(str(session))[:SLUG_CHARS].strip("-")
    return (
        "-".join(part for part in (f"{session.created_at:%Y-%m-%d}", slug, session.pk.hex[:8]) if part)
        + ".md"
    )


def _write_conversation(session: ChatSession, *, is_closed: bool) -> str:
    citations = Citation.objects.filter(is_cited=True).only("message", "number", "title", "page")
    messages = (
        session.messages.filter(is_current=True)
        .order_by("created_at")
        .only("session", "role", "content", "created_at", "rating", "rating_comment")
        .prefetch_related(Prefetch("citations", citations))
    )
    parts = [
        f"# {session}",
        f"With {session.clone.name}, an AI clone. Begun on {session.created_at:%d %B %Y at %H:%M} UTC.",
    ]
    if is_closed:
        parts.append(CLOSED)
    parts += [_write_message(message, clone_name=session.clone.name) for message in messages]
    ready = session.summaries.filter(status=SummaryStatus.READY).order_by("created_at")
    parts += [_write_summary(summary) for summary in ready]
    return "\n\n".join(parts) + "\n"


def _write_message(message: Message, *, clone_name: str) -> str:
    speaker = "You" if message.role == Role.USER else clone_name
    parts = [f"## {speaker}, {message.created_at:%Y-%m-%d %H:%M}", message.content or "(no text)"]
    if cited := message.citations.all():
        parts.append("\n".join(f"- [{source.number}] {source.title}, page {source.page}" for source in cited))
    if message.rating:
        rating = f"Your rating: {message.get_rating_display()}."
        parts.append(f"{rating} {message.rating_comment}".strip())
    return "\n\n".join(parts)


def _write_summary(summary: SessionSummary) -> str:
    return f"## {summary.get_summary_type_display()} summary\n\n{summary.summary_text}"
