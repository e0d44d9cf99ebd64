"""Money: exact, never a float."""

import ast
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.db import IntegrityError

import billing
from billing.calls import Usage
from billing.models import ModelPrice
from billing.prices import SEED_PRICES, TokenPrice, cost_usd, seed_prices, worst_cost_usd

PRICE = TokenPrice(input_usd=Decimal("0.15"), cached_input_usd=Decimal("0.075"), output_usd=Decimal("0.6"))


def test_cost_splits_cached_input_off() -> None:
    usage = Usage(input_tokens=1000, cached_input_tokens=400, output_tokens=50)
    assert cost_usd(usage=usage, price=PRICE) == Decimal("0.00015")


def test_smallest_cost_is_not_lost() -> None:
    nano = TokenPrice(Decimal("0.0001"), Decimal("0.0001"), Decimal(0))
    assert cost_usd(usage=Usage(1, 0, 0), price=nano) == Decimal("0.0000000001")


def test_worst_cost_is_never_below_the_cost() -> None:
    price = TokenPrice(Decimal("0.00003"), Decimal("0.00001"), Decimal("0.00007"))
    for tokens in range(30):
        worst = worst_cost_usd(input_tokens=tokens, max_output_tokens=tokens, price=price)
        assert worst >= cost_usd(usage=Usage(tokens, 0, tokens), price=price)


@pytest.mark.django_db
def test_configured_defaults_have_a_price() -> None:
    seed_prices()
    defaults = {"gpt-4.1", "gpt-4o-mini", "text-embedding-3-large"}
    local = {django_settings.LOCAL_CHAT_MODEL, django_settings.LOCAL_EMBEDDING_MODEL}
    priced = dict(ModelPrice.objects.valid_on(date(2024, 6, 1)).values_list("model", "input_usd_per_million"))
    assert defaults | local <= set(priced)
    assert {priced[name] for name in local} == {0}
    assert min(priced[name] for name in defaults) > 0


@pytest.mark.django_db
def test_seeding_leaves_a_changed_price_alone() -> None:
    seed_prices()
    ModelPrice.objects.filter(model="gpt-4o").update(input_usd_per_million=99)
    seed_prices()
    assert ModelPrice.objects.get(model="gpt-4o").input_usd_per_million == 99
    assert ModelPrice.objects.count() == len(SEED_PRICES)


@pytest.mark.django_db
@pytest.mark.parametrize("wrong", [{"input_usd_per_million": -1}, {"cached_input_usd_per_million": 3}])
def test_senseless_price_is_refused_by_the_database(wrong: dict[str, Any]) -> None:
    figures = {"input_usd_per_million": 2, "cached_input_usd_per_million": 1, "output_usd_per_million": 8}
    with pytest.raises(IntegrityError):
        ModelPrice.objects.create(model="m", **{**figures, **wrong})


APPS = ("billing", "chat", "clones", "cloneai", "knowledge")
PROMETHEUS = "metrics.py"  # its gauges are floats by definition


def test_no_float_touches_money() -> None:
    """Whatever is called `…usd…`, `cost`, `price` or `amount` in any app is not annotated or made as a float."""
    offences = []
    root = Path(billing.__file__).parents[1]
    for path in [path for app in APPS for path in (root / app).rglob("*.py")]:
        if "tests" in path.parts or "migrations" in path.parts or path.name == PROMETHEUS:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.AnnAssign | ast.arg) and node.annotation is not None:
                name = ast.unparse(node.target) if isinstance(node, ast.AnnAssign) else node.arg
                is_money = any(word in name for word in ("usd", "cost", "price", "amount"))
                if is_money and "float" in ast.unparse(node.annotation):
                    offences.append(f"{path.name}: {name}")
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "float":
                argument = ast.unparse(node)
                if any(word in argument for word in ("usd", "cost", "price", "amount")):
                    offences.append(f"{path.name}: {argument}")
    assert offences == []
