"""Published prices against ours: shown, asked about, written as dated rows."""

import builtins
from datetime import date, timedelta
from decimal import Decimal
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from billing.models import ModelPrice, utc_today
from billing.price_refresh import find_changes, read_published
from billing.prices import SEED_PRICES, TokenPrice, seed_prices

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def seeded(db: None) -> None:
    seed_prices()


def refresh(*arguments: str) -> str:
    out = StringIO()
    call_command("refresh_prices", *arguments, stdout=out, no_color=True)
    return out.getvalue()


def change(model: str, price: str, **fields: Any) -> None:
    ModelPrice.objects.filter(model=model).update(input_usd_per_million=Decimal(price), **fields)


def today_of(model: str) -> ModelPrice | None:
    return ModelPrice.objects.filter(model=model, valid_from=utc_today()).first()


def test_seeded_prices_are_the_published_ones() -> None:
    comparison = find_changes(day=utc_today())
    assert comparison.changes == ()
    assert set(comparison.unchanged) == {name for name in SEED_PRICES if not name.startswith("local-")}


def test_dated_name_has_its_own_price_and_not_that_of_its_base_model() -> None:
    published = read_published(day=utc_today())
    assert published["gpt-4o-mini-2024-07-18"] == published["gpt-4o-mini"]
    assert published["gpt-4o-2024-05-13"].input_usd == 2 * published["gpt-4o"].input_usd
    assert "gpt-4o-2031-01-01" not in published


def test_price_is_that_of_the_day() -> None:
    assert read_published(day=date(2025, 6, 1))["o3"].input_usd == 10
    assert read_published(day=date(2025, 7, 1))["o3"].input_usd == 2


def test_change_is_shown_and_written_from_today_on() -> None:
    change("gpt-4o", "3", cached_input_usd_per_million=Decimal(1))
    said = refresh("--yes")
    assert "3 / 1 / 10" in said
    assert "2.5 / 1.25 / 10" in said
    row = today_of("gpt-4o")
    assert row is not None
    assert row.source.startswith("genai-prices")
    yesterday = ModelPrice.objects.find(model="gpt-4o", day=utc_today() - timedelta(days=1))
    assert yesterday is not None
    assert (row.input_usd_per_million, yesterday.input_usd_per_million) == (Decimal("2.5"), 3)


def test_dry_run_writes_nothing() -> None:
    change("gpt-4o", "3")
    assert "2.5 / 1.25 / 10" in refresh("--dry-run")
    assert today_of("gpt-4o") is None


@pytest.mark.parametrize(("answer", "is_written"), [("y", True), ("", False), ("n", False)])
def test_it_asks_before_it_writes(monkeypatch: pytest.MonkeyPatch, answer: str, is_written: bool) -> None:
    change("gpt-4o", "3")
    monkeypatch.setattr(builtins, "input", lambda question: answer)
    refresh()
    assert (today_of("gpt-4o") is not None) is is_written


def test_it_says_so_when_nobody_can_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody(question: str) -> str:
        raise EOFError

    change("gpt-4o", "3")
    monkeypatch.setattr(builtins, "input", nobody)
    with pytest.raises(CommandError, match="--yes"):
        refresh()
    assert today_of("gpt-4o") is None


@pytest.mark.parametrize(
    ("price", "fields", "remark"),
    [("30", {}, "more than 10-fold"), ("3", {"source": "our contract"}, "entered by hand")],
)
def test_doubtful_change_needs_to_be_named(price: str, fields: dict[str, Any], remark: str) -> None:
    change("gpt-4o", price, **fields)
    change("gpt-4.1", "3")
    said = refresh("--yes")
    assert remark in said
    assert "Left out: gpt-4o." in said
    assert today_of("gpt-4o") is None
    assert today_of("gpt-4.1") is not None
    refresh("gpt-4o", "--yes")
    assert today_of("gpt-4o") is not None


def test_a_model_can_be_added_by_its_name() -> None:
    refresh("gpt-4o-2024-05-13", "--yes")
    row = today_of("gpt-4o-2024-05-13")
    assert row is not None
    assert (row.input_usd_per_million, row.output_usd_per_million) == (5, 15)


def test_unpublished_model_is_an_error_when_asked_for_and_left_alone_otherwise() -> None:
    with pytest.raises(CommandError, match="Not published: gpt-unheard-of"):
        refresh("gpt-unheard-of", "--yes")
    ModelPrice.objects.create(model="our-own", input_usd_per_million=1, cached_input_usd_per_million=1)
    assert "left alone: our-own" in refresh("--yes")


def test_free_local_models_are_not_compared() -> None:
    assert "local-" not in refresh("--dry-run")


def test_published_figures_are_exact() -> None:
    figures = {type(value) for price in read_published(day=utc_today()).values() for value in _figures(price)}
    assert figures == {Decimal}


def _figures(price: TokenPrice) -> tuple[Decimal, Decimal, Decimal]:
    return price.input_usd, price.cached_input_usd, price.output_usd
