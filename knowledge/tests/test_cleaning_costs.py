"""What AI cleaning will cost is said before, what it has cost after, and both come from the price list."""

from decimal import Decimal

import pytest

from billing.models import CostRecord, ModelPrice, Purpose
from billing.tests.fake_provider import USAGE, FakeProvider
from clones.models import Clone
from knowledge.ai_cleaning import WINDOW_TOKENS
from knowledge.cleaning_costs import INSTRUCTION_TOKENS, cleaning_cost_usd, estimate_cleaning_usd
from knowledge.models import Status
from knowledge.tests.conftest import SLEEP, ingest, store

pytestmark = pytest.mark.django_db(transaction=True)

MODEL = "cheap"
INPUT_USD, OUTPUT_USD = Decimal("0.5"), Decimal("2")  # a million tokens


@pytest.fixture(autouse=True)
def _priced_model(provider: FakeProvider, settings) -> None:
    settings.GPT_4_MINI_MODEL = MODEL
    ModelPrice.objects.create(
        model=MODEL,
        valid_from="2020-01-01",
        input_usd_per_million=INPUT_USD,
        cached_input_usd_per_million=INPUT_USD,
        output_usd_per_million=OUTPUT_USD,
    )


def test_estimate_counts_text_twice_and_instructions_for_each_window() -> None:
    tokens = WINDOW_TOKENS + 1
    expected = ((tokens + 2 * INSTRUCTION_TOKENS) * INPUT_USD + tokens * OUTPUT_USD) / 10**6
    assert estimate_cleaning_usd(tokens=tokens) == expected
    assert estimate_cleaning_usd(tokens=0) == 0


def test_what_is_off_or_has_no_price_is_not_estimated(settings) -> None:
    settings.DOCUMENT_CLEANING = False
    assert estimate_cleaning_usd(tokens=1000) is None
    settings.DOCUMENT_CLEANING, settings.AI_OFFLINE = True, True
    assert estimate_cleaning_usd(tokens=1000) is None
    settings.AI_OFFLINE, settings.GPT_4_MINI_MODEL = False, "unheard-of"
    assert estimate_cleaning_usd(tokens=1000) is None


def test_cost_of_a_document_is_what_its_windows_were_booked_with(clone: Clone) -> None:
    Clone.objects.update(is_cleaning_on=True)
    clone.refresh_from_db()
    cleaned, other = (ingest(store(clone=clone, text=f"{n} {SLEEP}", name=f"{n}.txt")) for n in (1, 2))
    assert {cleaned.status, other.status} == {Status.READY}
    a_window = (USAGE["prompt_tokens"] * INPUT_USD + USAGE["completion_tokens"] * OUTPUT_USD) / 10**6
    assert CostRecord.objects.filter(purpose=Purpose.CLEANING).count() == 2
    assert cleaning_cost_usd(document=cleaned) == cleaning_cost_usd(document=other) == a_window
