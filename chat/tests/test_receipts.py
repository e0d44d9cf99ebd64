"""Every answer leaves a receipt that says how it came about; who reads transcripts may read and replay it."""

from uuid import UUID

import pytest
from django.test import Client
from django.urls import reverse

from billing.models import CostRecord, Purpose
from chat.models import AnswerReceipt, ChatSession, Message
from chat.turns import start_turn, wait_for_answer
from cloneai.accounts.models import AuditEntry, User
from cloneai.threads import run_in_thread
from knowledge.models import Document

pytestmark = pytest.mark.django_db(transaction=True)
QUESTION = "How long does the pepper soup simmer?"


@pytest.fixture(autouse=True)
def _prices() -> None:
    from billing.prices import seed_prices

    seed_prices()


async def ask(session: ChatSession, question: str = QUESTION) -> Message:
    started = await start_turn(session=session, content=question)
    return await wait_for_answer(answer_id=started.answer_id, timeout_seconds=30)


def receipt_url(message_id: UUID) -> str:
    return reverse("admin:chat_receipt", args=[message_id])


async def test_receipt_tells_how_the_answer_came_about(
    transactional_db, session: ChatSession, material: Document
):
    answer = await ask(session)
    receipt = await run_in_thread(AnswerReceipt.objects.get, message=answer)
    assert (receipt.question, receipt.query) == (QUESTION, QUESTION)
    best = receipt.passages[0]
    assert (best["is_kept"], best["number"]) == (True, 1)
    assert "twenty-five minutes" in best["excerpt"]
    assert best["relevance"] >= receipt.floor
    assert [part["role"] for part in receipt.prompt] == ["system", "user"]
    assert "<passages>" in receipt.prompt[0]["content"]
    assert receipt.claims[0]["is_supported"]
    assert receipt.timings_ms["search"] <= receipt.timings_ms["first_text"] <= receipt.timings_ms["total"]


async def test_answer_without_the_model_has_a_receipt_too(
    transactional_db, session: ChatSession, material: Document
):
    answer = await ask(session, "Zyzzyva quux?")
    receipt = await run_in_thread(AnswerReceipt.objects.get, message=answer)
    assert (receipt.prompt, receipt.claims) == ([], [])
    assert not any(passage["number"] for passage in receipt.passages)


async def test_reviewers_read_and_replay_and_others_see_nothing(
    transactional_db, session: ChatSession, material: Document, reviewer: User, expert: User, member: User
):
    answer = await ask(session)

    def visit() -> None:
        url = receipt_url(answer.pk)
        client = Client()
        client.force_login(reviewer)
        page = client.get(url).content.decode()
        assert QUESTION in page
        assert "&lt;passages&gt;" in page
        replayed = client.post(url)
        assert replayed.status_code == 200
        assert "With today’s settings" in replayed.content.decode()
        paid = CostRecord.objects.get(purpose=Purpose.EVALUATION)
        assert (paid.user_id, paid.message_id) == (reviewer.pk, None)
        actions = set(AuditEntry.objects.filter(actor=reviewer).values_list("action", flat=True))
        assert {"receipt.view", "receipt.replay"} <= actions
        for person in (expert, member):
            other = Client()
            other.force_login(person)
            assert other.get(url).status_code in (302, 404)
        transcript = client.get(reverse("admin:chat_chatsession_change", args=[session.pk]))
        assert url in transcript.content.decode()

    await run_in_thread(visit)
