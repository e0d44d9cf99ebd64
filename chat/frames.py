"""WebSocket frames, to the letter of `docs/contracts.md`, and the channel names that they travel by."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from decimal import Decimal
from itertools import pairwise
from typing import Any
from uuid import UUID

from django.db.models import prefetch_related_objects
from django.template.loader import render_to_string
from django.utils.safestring import SafeString

from billing.reports import session_cost_usd
from chat.budget import find_budget_notice
from chat.markdown import Block, MarkdownStream, join_blocks, render_markdown
from chat.models import Citation, Message, MessageStatus
from chat.transcripts import attach_versions, shown_with_answers
from chat.versions import find_versions

Frame = dict[str, Any]

FINAL_STATUS = {
    MessageStatus.COMPLETE: "complete",
    MessageStatus.STOPPED: "stopped",
    MessageStatus.INTERRUPTED: "interrupted",
    MessageStatus.FAILED: "interrupted",
}
NO_CONTEXT = {"score": 0.0, "status": "no_context", "chunk_count": 0, "diversity": 0}


def session_group(session_id: UUID | str) -> str:
    """Every socket of a session listens here."""
    return f"session.{UUID(str(session_id)).hex}"


def answer_group(answer_id: UUID | str) -> str:
    """The writer of an answer listens here, for `stop` and `replay`."""
    return f"answer.{UUID(str(answer_id)).hex}"


def usd(amount: Decimal) -> str:
    """Eight places, as the contract has it."""
    return f"{amount:.8f}"


def user_message_frame(message: Message) -> Frame:
    """`help`, for the page: where somebody listens, when the member speaks of distress."""
    frame: Frame = {
        "type": "user_message",
        "message_id": str(message.pk),
        "client_message_id": str(message.client_message_id) if message.client_message_id else None,
        "content": message.content,
    }
    if message.is_distress:
        frame["help"] = render_to_string("chat/_help_lines.html")
    return frame


def start_frame(*, answer_id: UUID, reply_to: UUID | None) -> Frame:
    return {"type": "ai_response_start", "message_id": str(answer_id), "reply_to": str(reply_to)}


def chunk_frame(*, answer_id: UUID, seq: int, content: str, blocks: Sequence[Block] = ()) -> Frame:
    """`blocks`, for the page: the HTML of the Markdown blocks that this text finishes, each sent once."""
    frame: Frame = {
        "type": "ai_response_chunk",
        "message_id": str(answer_id),
        "seq": seq,
        "content": content,
        "is_complete": False,
    }
    if blocks:
        frame["blocks"] = [asdict(block) for block in blocks]
    return frame


def error_frame(
    *, error_type: str, message: str, retry_after: int | None = None, message_id: UUID | str | None = None
) -> Frame:
    return {
        "type": "error",
        "error_type": error_type,
        "message": message,
        "retry_after": retry_after,
        "message_id": str(message_id) if message_id else None,
    }


def title_frame(*, session_id: UUID, title: str) -> Frame:
    """The conversation has a better name now."""
    return {"type": "session_title", "session_id": str(session_id), "title": title}


def missed_frames(*, answer: Message, after_seq: int) -> list[Frame]:
    """The frames of a stored answer behind `after_seq`, cut where they were cut when they were first sent.

    Queries the citations.
    """
    urls = find_source_urls(list(answer.citations.all()))
    rendering = MarkdownStream(link_hosts=answer.session.clone.link_hosts)
    frames = []
    for seq, (start, end) in enumerate(pairwise([0, *answer.chunk_ends])):
        content = answer.content[start:end]
        blocks = rendering.push(content, source_urls=urls)
        if seq > after_seq:
            frames.append(chunk_frame(answer_id=answer.pk, seq=seq, content=content, blocks=blocks))
    return frames


def describe_sources(citations: list[Citation]) -> list[dict[str, Any]]:
    return [
        {
            "number": citation.number,
            "title": citation.title,
            "page": citation.page,
            "similarity_score": round(citation.similarity_score, 4),
            "chunk_id": str(citation.chunk_id or ""),
            "url": citation.get_absolute_url(),
            "is_supported": citation.is_supported,
        }
        for citation in citations
    ]


def describe_answer(answer: Message) -> dict[str, Any]:
    """A finished answer as both the socket and the JSON API give it; queries its citations and the session's cost."""
    citations = list(answer.citations.all())
    return {
        "message_id": str(answer.pk),
        "html": render_answer(answer, citations),
        "sources": describe_sources(citations),
        "retrieval_quality": answer.retrieval_quality or NO_CONTEXT,
        "model": answer.model,
        "tokens_used": answer.tokens_used,
        "input_tokens": answer.input_tokens,
        "output_tokens": answer.output_tokens,
        "cost": usd(answer.cost_usd),
        "session_cost": usd(session_cost_usd(answer.session_id)),
        "processing_time_ms": answer.processing_time_ms,
        "rag_enabled": answer.context_chunks_used > 0,
        "context_chunks_used": answer.context_chunks_used,
        "status": FINAL_STATUS[MessageStatus(answer.status)],
    }


def final_frame(answer: Message) -> Frame:
    """The last frame of an answer.

    For the page: `rendered` is the whole message as the page shows it, `budget` the notice at the composer.
    """
    session = answer.session
    attach_versions(answer, find_versions(session_id=session.pk))
    prefetch_related_objects([answer], *shown_with_answers())
    described = describe_answer(answer)
    return {
        "type": "ai_response_chunk",
        "seq": len(answer.chunk_ends),
        "content": "",
        "is_complete": True,
        "full_response": answer.content,
        **described,
        "rendered": render_to_string(
            "chat/_message.html",
            {
                "message": answer,
                "session": session,
                "clone": session.clone,
                "rendered_html": described["html"],
            },
        ),
        "budget": render_to_string(
            "chat/_budget_notice.html",
            {"notice": find_budget_notice(session=session), "clone": session.clone},
        ).strip(),
    }


def find_source_urls(citations: Sequence[Citation]) -> dict[int, str]:
    """Addresses of the sources that markers name."""
    return {citation.number: citation.get_absolute_url() for citation in citations if citation.is_cited}


def render_answer(answer: Message, citations: Sequence[Citation]) -> SafeString:
    """The answer's Markdown as safe HTML, its markers linked to their sources."""
    return render_markdown(
        answer.content,
        source_urls=find_source_urls(citations),
        link_hosts=answer.session.clone.link_hosts,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningText:
    """What is saved of a running answer: the HTML of its finished blocks, and the text behind them.

    `end` is where the text ends, in UTF-16 code units as that of a block.
    """

    html: SafeString
    rest: str
    end: int


def render_running(answer: Message, citations: Sequence[Citation]) -> RunningText:
    rendering = MarkdownStream(link_hosts=answer.session.clone.link_hosts)
    blocks = rendering.push(answer.content, source_urls=find_source_urls(citations))
    units = answer.content.encode("utf-16-le", "surrogatepass")
    rest = units[2 * blocks[-1].end if blocks else 0 :]
    return RunningText(
        html=join_blocks(blocks),
        rest=rest.decode("utf-16-le", "surrogatepass").lstrip("\n"),
        end=len(units) // 2,
    )
