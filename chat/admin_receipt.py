"""The receipt of an answer in the admin, and its replay with today's settings. For readers of the transcript only."""

from typing import TYPE_CHECKING
from uuid import UUID

from asgiref.sync import async_to_sync
from django.http import HttpResponseBase
from django.shortcuts import get_object_or_404

from billing.metering import MeteredCallError, Payer
from billing.models import CostRecord
from chat.markdown import render_markdown
from chat.models import AnswerReceipt
from chat.receipts import list_passages
from chat.rehearsals import Rehearsal, rehearse
from chat.turn_records import load_history
from cloneai.accounts.admin_access import StaffRequest, record_action
from cloneai.threads import release_connection

if TYPE_CHECKING:
    from chat.admin import ChatSessionAdmin


def show_receipt(
    model_admin: "ChatSessionAdmin", request: StaffRequest, message_id: UUID
) -> HttpResponseBase:
    """How the answer came about. A post answers the question again, at the viewer's cost, and changes nothing."""
    receipt = get_object_or_404(
        AnswerReceipt.objects.readable_by_staff(request.user).select_related(
            "message__reply_to", "message__session__clone"
        ),
        message=message_id,
    )
    session = receipt.message.session
    is_replay = request.method == "POST"
    record_action(
        actor=request.user,
        action="receipt.replay" if is_replay else "receipt.view",
        target=session,
        message=str(message_id),
    )
    replay, error = _replay(receipt, request) if is_replay else (None, "")
    answer = receipt.message
    return model_admin.render(
        request,
        "admin/chat/receipt.html",
        title=f"Receipt: {receipt.question[:80]}",
        session=session,
        receipt=receipt,
        answer=answer,
        answer_html=render_markdown(answer.content, link_hosts=session.clone.link_hosts),
        calls=CostRecord.objects.filter(message_id=message_id).order_by("created_at"),
        unsupported=sum(not claim["is_supported"] for claim in receipt.claims),
        replay=replay,
        replay_html=render_markdown(replay.text, link_hosts=session.clone.link_hosts) if replay else "",
        replay_passages=list_passages(search=replay.search, given=replay.given) if replay else [],
        error=error,
    )


def _replay(receipt: AnswerReceipt, request: StaffRequest) -> tuple[Rehearsal | None, str]:
    answer = receipt.message
    clone, history = answer.session.clone, load_history(answer=answer)
    release_connection()
    try:
        replay = async_to_sync(rehearse)(
            clone=clone,
            question=receipt.question,
            history=history,
            payer=Payer(user_id=request.user.pk, clone_id=clone.pk),
        )
    except MeteredCallError as failure:
        return None, failure.user_message
    return replay, ""
