"""Conversations over the JSON API."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from django.shortcuts import get_object_or_404
from ninja import Field, Query, Router, Schema, Status

from chat.feedback import save_feedback
from chat.frames import describe_answer
from chat.models import ChatSession, Message, MessageStatus, Role, SessionSummary
from chat.sessions import create_session, end_session, find_session, remove_session
from chat.summaries import request_summary
from chat.turn_records import AnswerFailed
from chat.turns import TurnRefused, start_turn, wait_for_answer
from cloneai.accounts.requests import MemberRequest
from cloneai.api_input import NOT_A_FLAG
from cloneai.threads import run_in_thread
from clones.api import Page
from clones.models import Clone

router = Router()

ANSWER_TIMEOUT_SECONDS = 180.0


class SessionIn(Schema):
    clone: str


class SessionOut(Schema):
    id: UUID
    clone: str = Field(alias="clone.slug")
    title: str
    created_at: datetime
    last_activity_at: datetime
    ended_at: datetime | None


class SessionList(Schema):
    items: list[SessionOut]
    count: int


class MessageOut(Schema):
    id: UUID
    role: str
    content: str
    status: str
    created_at: datetime


class SessionDetail(SessionOut):
    messages: list[MessageOut]


class MessageIn(Schema):
    session_id: UUID
    message: str
    client_message_id: UUID | None = None


class SourceOut(Schema):
    number: int
    title: str
    page: int
    similarity_score: float
    chunk_id: str
    url: str
    is_supported: bool | None


class AnswerOut(Schema):
    message_id: str
    response: str
    html: str
    sources: list[SourceOut]
    session_cost: str
    cost: str
    processing_time_ms: int
    tokens_used: int
    input_tokens: int
    output_tokens: int
    model: str
    retrieval_quality: dict[str, Any]
    rag_enabled: bool
    context_chunks_used: int
    status: str


class FeedbackIn(Schema):
    rating: Annotated[Literal[1, -1], NOT_A_FLAG]
    comment: str = Field("", max_length=2000)


class SummaryIn(Schema):
    summary_type: Literal["brief", "detailed", "action_items"] = "detailed"


class SummaryOut(Schema):
    id: UUID
    summary_type: str
    status: str
    summary_text: str
    structured_data: dict[str, Any]
    created_at: datetime


class SummaryList(Schema):
    items: list[SummaryOut]
    count: int


@router.post("/sessions", response={201: SessionOut})
def start_session(request: MemberRequest, payload: SessionIn) -> Status[ChatSession]:
    clone = get_object_or_404(Clone.objects.visible_to(request.user), slug=payload.clone)
    return Status(201, create_session(user=request.user, clone=clone))


@router.get("/sessions", response=SessionList)
def list_sessions(request: MemberRequest, page: Query[Page]) -> dict[str, Any]:
    found = ChatSession.objects.visible_to(request.user).select_related("clone")
    return {"items": list(found[page.offset : page.offset + page.limit]), "count": found.count()}


@router.get("/sessions/{uuid:session_id}", response=SessionDetail)
def get_session(request: MemberRequest, session_id: UUID) -> dict[str, Any]:
    session = find_session(user=request.user, session_id=session_id)
    messages = list(session.messages.filter(is_current=True).order_by("-created_at")[:200])[::-1]
    return {**SessionOut.from_orm(session).dict(by_alias=True), "clone": session.clone, "messages": messages}


@router.delete("/sessions/{uuid:session_id}", response={204: None})
def delete_session(request: MemberRequest, session_id: UUID) -> Status[None]:
    """Also a conversation whose clone is closed to the caller by now."""
    remove_session(user=request.user, session_id=session_id)
    return Status(204, None)


@router.post("/sessions/{uuid:session_id}/end", response=SessionOut)
def close_session(request: MemberRequest, session_id: UUID) -> ChatSession:
    """Ends the conversation; its detailed summary is written in the background."""
    session = find_session(user=request.user, session_id=session_id)
    end_session(session=session)
    return session


@router.post("/message", response=AnswerOut)
async def send_message(request: MemberRequest, payload: MessageIn) -> dict[str, Any]:
    """Sends a message and waits for the whole answer. The same `client_message_id` again gives the same answer."""
    session = await run_in_thread(find_session, user=request.user, session_id=payload.session_id)
    started = await start_turn(
        session=session,
        content=payload.message,
        client_message_id=payload.client_message_id,
    )
    try:
        answer = await wait_for_answer(answer_id=started.answer_id, timeout_seconds=ANSWER_TIMEOUT_SECONDS)
    except TimeoutError as error:
        raise TurnRefused(
            error_type="timeout",
            message="The answer is still being written; read it in the session.",
            retry_after=30,
        ) from error
    if answer.status == MessageStatus.FAILED:
        raise AnswerFailed(
            error_type=answer.error_type,
            message=answer.error_message,
            retry_after=answer.error_retry_after_seconds,
        )
    return {"response": answer.content, **await run_in_thread(describe_answer, answer)}


@router.post("/messages/{uuid:message_id}/feedback", response={200: MessageOut})
def give_feedback(request: MemberRequest, message_id: UUID, payload: FeedbackIn) -> Message:
    sessions = ChatSession.objects.visible_to(request.user)
    answers = Message.objects.select_related("reply_to", "session__clone")
    message = get_object_or_404(answers, pk=message_id, role=Role.ASSISTANT, session__in=sessions)
    save_feedback(answer=message, rating=payload.rating, comment=payload.comment)
    return message


@router.get("/sessions/{uuid:session_id}/summaries", response=SummaryList)
def list_summaries(request: MemberRequest, session_id: UUID, page: Query[Page]) -> dict[str, Any]:
    found = find_session(user=request.user, session_id=session_id).summaries.all()
    return {"items": list(found[page.offset : page.offset + page.limit]), "count": found.count()}


@router.post("/sessions/{uuid:session_id}/summaries", response={202: SummaryOut})
def ask_for_summary(request: MemberRequest, session_id: UUID, payload: SummaryIn) -> Status[SessionSummary]:
    session = find_session(user=request.user, session_id=session_id)
    return Status(202, request_summary(session=session, summary_type=payload.summary_type))
