"""Cited sentences are checked against their passages: by words, by sense, by numbers."""

import asyncio

import pytest

from billing.metering import Payer
from billing.models import CostRecord, Purpose
from chat.claims import Claim, check_claims, mark_support, unsupported_rate
from chat.models import Citation
from chat.tests.made_passages import make_passage
from clones.models import Clone

SOUP = "The soup needs four red peppers, one onion and a litre of stock. Simmer it for 25 minutes."


def check(clone: Clone, text: str, content: str = SOUP) -> tuple[Claim, ...]:
    return asyncio.run(
        check_claims(
            text=text,
            passages=[make_passage(content)],
            numbers={1: 1},
            clone=clone,
            payer=Payer(user_id=None, clone_id=clone.pk),
        )
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("You need four red peppers and one onion [1].", True),
        ("Simmer the soup for 25 minutes [1].", True),
        ("Simmer the soup for 45 minutes [1].", False),  # the number stands nowhere
        ("Elephants remember every waterhole in Namibia [1].", False),
    ],
)
@pytest.mark.django_db(transaction=True)
def test_words_and_numbers_decide(clone: Clone, text: str, expected: bool):
    (claim,) = check(clone, text)
    assert claim.is_supported is expected
    assert claim.cosine is None


SHEET = (
    "Answer all six questions in writing. If the sheet is longer than a page, you are preparing a trial.\n\n"
    "1. What happened, that a camera would have seen?\n2. What effect did it have, on whom?\n"
    "3. What should be different, and from when?\n4. What is my own part in it?\n"
    "5. What may the other person say, feel or fear?\n6. What will I do if nothing changes?\n\n"
    "A word on question 6. It is for you. You do not open with consequences, but you must know them."
)


@pytest.mark.django_db(transaction=True)
def test_sentences_far_apart_in_the_passage_are_found_one_by_one(clone: Clone):
    first = "If the sheet is longer than a page, you are preparing a trial."
    last = "You do not open with consequences, but you must know them"
    (claim,) = check(clone, f"{first} {last} [1].", SHEET)
    assert claim.is_supported
    for wrong in ("Then show the paper to your lawyer", "Elephants remember every waterhole"):
        (claim,) = check(clone, f"{first} {last}. {wrong} [1].", SHEET)
        assert not claim.is_supported


@pytest.fixture
def offline(clone: Clone, settings) -> Clone:
    from billing.prices import seed_prices

    seed_prices()
    clone.embedding_model = settings.EMBEDDING_MODEL
    clone.embedding_dimensions = settings.EMBEDDING_DIMENSIONS
    clone.save()
    return clone


@pytest.mark.django_db(transaction=True)
def test_sense_decides_where_words_do_not(transactional_db: None, offline: Clone):
    content = "Give feedback within two days of the moment. Describe what you saw and what it caused."
    (same,) = check(
        offline, "Feedback should be given within two days after the moment happened, soon [1].", content
    )
    assert same.is_supported
    (other,) = check(offline, "Give the plants in the office garden water in summer evenings [1].", content)
    assert not other.is_supported
    assert CostRecord.objects.filter(purpose=Purpose.CHECK).count() <= 2


@pytest.mark.django_db
def test_lead_ins_and_small_statements_claim_nothing(clone: Clone):
    (claim,) = check(clone, "Here is what my material says about this:\n\nYou need four red peppers [1].")
    assert claim.statement == "You need four red peppers"
    assert check(clone, "Yes [1].") == ()


def test_rate_and_marks():
    claims = [
        Claim(statement="a b c", number=1, is_supported=True, share=1.0),
        Claim(statement="d e f", number=2, is_supported=False, share=0.0),
    ]
    citations = [Citation(number=number) for number in (1, 2, 3)]
    mark_support(citations=citations, claims=claims)
    assert [one.is_supported for one in citations] == [True, False, None]
    assert unsupported_rate(claims) == 0.5
    assert unsupported_rate([]) == 0.0
