from decimal import Decimal
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from billing.models import CostRecord, ModelPrice, SpendAccount
from billing.tests.fake_provider import FakeProvider, refusal


def run(command: str) -> str:
    out = StringIO()
    call_command(command, stdout=out, no_color=True)
    return out.getvalue()


def run_failing(command: str) -> tuple[str, str]:
    out = StringIO()
    with pytest.raises(CommandError) as caught:
        call_command(command, stdout=out, no_color=True)
    return out.getvalue(), str(caught.value)


@pytest.mark.django_db(transaction=True)
def test_check_ai_is_content_when_everything_answers(provider: FakeProvider) -> None:
    said = run("check_ai")
    assert provider.base_url in said
    assert "embedding dimensions: 4" in said
    assert said.count("trial call: answered") == 3
    assert set(CostRecord.objects.values_list("purpose", flat=True)) == {"check"}


@pytest.mark.django_db(transaction=True)
def test_check_ai_names_a_model_that_the_key_cannot_use(provider: FakeProvider) -> None:
    provider.models.remove("gpt-4.1")
    refuse = refusal(404, code="model_not_found")
    provider.rule = lambda body: refuse if body["model"] == "gpt-4.1" else None
    said, error = run_failing("check_ai")
    assert "not in the provider's list" in said
    assert "model_not_found" in said
    assert "gpt-4.1" in error
    assert "gpt-4o-mini" not in error


@pytest.mark.django_db(transaction=True)
def test_check_ai_names_a_model_without_a_price(provider: FakeProvider) -> None:
    ModelPrice.objects.filter(model="gpt-4o-mini").delete()
    said, error = run_failing("check_ai")
    assert "price: unknown" in said
    assert "gpt-4o-mini" in error


@pytest.mark.django_db(transaction=True)
def test_check_ai_notices_vectors_of_another_length(provider: FakeProvider, settings: Any) -> None:
    provider.vector_length = 3
    said, error = run_failing("check_ai")
    assert "not 4 numbers long" in said
    assert "text-embedding-3-large" in error


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("quick_retries")
def test_check_ai_says_what_to_do_when_nobody_is_there(provider: FakeProvider, settings: Any) -> None:
    settings.OPENAI_BASE_URL = "http://user:sk-secret@127.0.0.1:9/v1"
    said, error = run_failing("check_ai")
    assert said.splitlines()[0] == "Provider: http://127.0.0.1:9/v1"
    assert said.count("Check OPENAI_BASE_URL and the network.") == 4  # the list, and each of three models
    assert "sk-secret" not in said
    assert "gpt-4.1, gpt-4o-mini, text-embedding-3-large" in error


@pytest.mark.django_db(transaction=True)
def test_check_ai_says_that_the_key_is_refused(provider: FakeProvider) -> None:
    provider.replies = [refusal(401, code="invalid_api_key")] * 3
    said, _ = run_failing("check_ai")
    assert said.count("Check OPENAI_API_KEY") == 3
    assert "sk-secret" not in said


@pytest.mark.django_db(transaction=True)
def test_check_ai_says_that_it_is_offline(prices: None) -> None:
    said = run("check_ai")
    assert said.startswith("Offline mode")
    assert "embedding dimensions: 256" in said


@pytest.mark.django_db
def test_reconcile_costs_agrees_with_an_empty_ledger() -> None:
    assert "agree on 0 records" in run("reconcile_costs")


@pytest.mark.django_db
def test_reconcile_costs_shows_what_differs() -> None:
    SpendAccount.objects.create(scope="user", owner_id=7, day="2026-03-01", settled_usd=Decimal("1.5"))
    said, error = run_failing("reconcile_costs")
    assert said.splitlines()[1].split()[:5] == ["2026-03-01", "user", "7", "1.5000000000", "0.0000000000"]
    assert error.startswith("1 accounts differ")
