"""What tokens cost: the arithmetic, and the prices that a new installation begins with."""

from dataclasses import dataclass
from datetime import date
from decimal import ROUND_CEILING, ROUND_HALF_UP, Decimal
from typing import Any

from django.conf import settings

from billing.calls import Usage
from billing.models import ModelPrice, Reservation

PRECISION = Decimal("0.0000000001")
MILLION = Decimal(1_000_000)
SEEDED_FROM = date(2024, 1, 1)
SEED_SOURCE = "genai-prices 0.2.3, standard tier"


@dataclass(frozen=True, slots=True)
class TokenPrice:
    """US dollars per million tokens."""

    input_usd: Decimal
    cached_input_usd: Decimal
    output_usd: Decimal


def price_of(row: ModelPrice | Reservation) -> TokenPrice:
    """The three figures of a price, or of the reservation that remembered it."""
    return TokenPrice(row.input_usd_per_million, row.cached_input_usd_per_million, row.output_usd_per_million)


def configured_models() -> list[str]:
    """The models that the settings name, each once."""
    names = ("GPT_4_MODEL", "GPT_4_MINI_MODEL", "FUNCTION_CALLING_MODEL", "EMBEDDING_MODEL")
    return list(dict.fromkeys(getattr(settings, name) for name in names))


def cost_usd(*, usage: Usage, price: TokenPrice) -> Decimal:
    """What these tokens cost, to the ten-billionth of a dollar."""
    fresh = usage.input_tokens - usage.cached_input_tokens
    total = (
        fresh * price.input_usd
        + usage.cached_input_tokens * price.cached_input_usd
        + usage.output_tokens * price.output_usd
    )
    return (total / MILLION).quantize(PRECISION, rounding=ROUND_HALF_UP)


def worst_cost_usd(*, input_tokens: int, max_output_tokens: int, price: TokenPrice) -> Decimal:
    """The most that a call can cost: nothing cached, the whole output used, rounded up."""
    total = input_tokens * price.input_usd + max_output_tokens * price.output_usd
    return (total / MILLION).quantize(PRECISION, rounding=ROUND_CEILING)


# Model: input, cached input, output, in US dollars per million tokens. A model without a price for cached
# input gets the one for input. Dearer tiers for very long contexts are left out: our contexts are shorter.
SEED_PRICES: dict[str, tuple[str, str, str]] = {
    "gpt-4-turbo": ("10", "10", "30"),
    "gpt-4.1": ("2", "0.5", "8"),
    "gpt-4.1-mini": ("0.4", "0.1", "1.6"),
    "gpt-4.1-nano": ("0.1", "0.025", "0.4"),
    "gpt-4o": ("2.5", "1.25", "10"),
    "gpt-4o-mini": ("0.15", "0.075", "0.6"),
    "gpt-5": ("1.25", "0.125", "10"),
    "gpt-5-mini": ("0.25", "0.025", "2"),
    "gpt-5-nano": ("0.05", "0.005", "0.4"),
    "gpt-5.1": ("1.25", "0.125", "10"),
    "gpt-5.2": ("1.75", "0.175", "14"),
    "gpt-5.4": ("2.5", "0.25", "15"),
    "gpt-5.4-mini": ("0.75", "0.075", "4.5"),
    "gpt-5.4-nano": ("0.2", "0.02", "1.25"),
    "o3": ("2", "0.5", "8"),
    "o3-mini": ("1.1", "0.55", "4.4"),
    "o4-mini": ("1.1", "0.275", "4.4"),
    "text-embedding-3-large": ("0.13", "0.13", "0"),
    "text-embedding-3-small": ("0.02", "0.02", "0"),
    "text-embedding-ada-002": ("0.1", "0.1", "0"),
    "local-extractive": ("0", "0", "0"),
    "local-wordllama-256": ("0", "0", "0"),
}


def seed_prices(*, price_model: Any = ModelPrice) -> None:
    """Writes the first prices; rows that exist are left alone. A migration hands its own `price_model` in."""
    price_model.objects.bulk_create(
        [
            price_model(
                model=model,
                valid_from=SEEDED_FROM,
                input_usd_per_million=Decimal(prices[0]),
                cached_input_usd_per_million=Decimal(prices[1]),
                output_usd_per_million=Decimal(prices[2]),
                source="This machine: free" if model.startswith("local-") else SEED_SOURCE,
            )
            for model, prices in SEED_PRICES.items()
        ],
        ignore_conflicts=True,
    )
