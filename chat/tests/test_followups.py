"""When a question leans on the conversation, and which rewriting of it is kept."""

import pytest

from billing.metering import ChatMessage, Payer
from chat.followups import is_faithful, leans, question_to_search
from cloneai.local_ai.testing import FakeProvider, Fault

HISTORY = (
    ChatMessage("user", "What is the harbour list?"),
    ChatMessage("assistant", "Three columns: landed, anchored, drifting [1]."),
)


@pytest.mark.parametrize(
    "question",
    [
        "Why?",
        "And the second one?",
        "How long does it take?",
        "What about remote teams?",
        "What if they say no?",
        "Can I do that with a large team?",
        "Tell me more",
        "Which one is better?",
        "When do I send it?",
    ],
)
def test_question_that_points_back_leans(question: str) -> None:
    assert leans(question=question, history=HISTORY)


@pytest.mark.parametrize(
    "question",
    [
        "How do I prepare a salary talk?",
        "How can I hand over work without losing track of it?",
        "Two of my people argue, what can I say to them?",
        "My best expert insults colleagues and everybody in the team is afraid of speaking to him about it?",
    ],
)
def test_question_that_names_its_subject_stands_alone(question: str) -> None:
    assert not leans(question=question, history=HISTORY)


def test_first_question_has_nothing_to_lean_on() -> None:
    assert not leans(question="And the second one?", history=())


@pytest.mark.parametrize(
    ("rewriting", "question", "expected"),
    [
        ("How long may the harbour list be?", "How long may it be?", True),
        ("How long may it be for Anna?", "And for Anna, how long?", True),
        ("How long may it be?", "And for Anna, how long?", False),  # the name is lost
        ("What happens after 90 days?", "And after 90 days?", True),
        ("What happens after 9 days?", "And after 90 days?", False),  # the number is another
        ("", "Why?", False),
        ("Because " * 40, "Why?", False),
    ],
)
def test_rewriting_keeps_names_numbers_and_measure(rewriting: str, question: str, expected: bool) -> None:
    assert is_faithful(rewriting=rewriting, question=question) is expected


def payer() -> Payer:
    return Payer(user_id=None, clone_id=None)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ({"standalone_question": "How long is the harbour list?"}, "How long is the harbour list?"),
        ({"standalone_question": "x" * 500}, "How long is it?"),
        ({"other": 1}, "How long is it?"),
    ],
)
async def test_unusable_rewriting_leaves_the_question(
    provider: FakeProvider, answer: object, expected: str
) -> None:
    provider.next(Fault(path="/chat/completions", json_answer=answer))
    assert await question_to_search(question="How long is it?", history=HISTORY, payer=payer()) == expected


@pytest.mark.django_db(transaction=True)
async def test_provider_that_fails_leaves_the_question(provider: FakeProvider) -> None:
    for _ in range(5):
        provider.next(Fault(path="/chat/completions", status=500))
    assert await question_to_search(question="Why?", history=HISTORY, payer=payer()) == "Why?"


@pytest.mark.django_db(transaction=True)
async def test_question_that_stands_alone_costs_no_call(provider: FakeProvider) -> None:
    question = "How do I prepare a salary talk?"
    assert await question_to_search(question=question, history=HISTORY, payer=payer()) == question
    assert provider.requests == []
