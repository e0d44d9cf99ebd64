"""What genai-prices publishes against what our price list says: `find_changes`, then `apply_changes`.

genai-prices carries OpenAI's prices as data in its package, so nothing is fetched: newer prices come with a newer
version of it. A name must be published exactly as it stands. A dated name such as gpt-4o-2024-05-13 is not taken for
its base model: that one costs twice as much.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal
from importlib.metadata import version
from typing import Any

from billing.models import ModelPrice
from billing.prices import TokenPrice, configured_models, price_of

SUSPICIOUS_FACTOR = 10
PUBLISHER = "genai-prices"
LOCAL_PREFIX = "local-"


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceChange:
    """A model whose published price is not ours. `before` is None when there was none.

    `is_by_hand`: our price was typed in by somebody, who may have had a reason.
    """

    model: str
    before: TokenPrice | None
    after: TokenPrice
    is_by_hand: bool = False

    @property
    def is_suspicious(self) -> bool:
        return self.before is not None and is_suspicious(before=self.before, after=self.after)


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """`unknown` are the models that are not published, of those that were asked for."""

    changes: tuple[PriceChange, ...]
    unchanged: tuple[str, ...]
    unknown: tuple[str, ...]


def is_suspicious(*, before: TokenPrice, after: TokenPrice) -> bool:
    """True if input or output changed more than tenfold, up or down."""
    pairs = ((before.input_usd, after.input_usd), (before.output_usd, after.output_usd))
    return any(max(pair) > SUSPICIOUS_FACTOR * min(pair) for pair in pairs)


def find_changes(*, day: date, models: Sequence[str] = ()) -> Comparison:
    """Compares the given models, otherwise all that have a price or are configured; one query."""
    current = {row.model: row for row in ModelPrice.objects.valid_on(day)}
    wanted = models or sorted(
        name for name in {*current, *configured_models()} if not name.startswith(LOCAL_PREFIX)
    )
    published = read_published(day=day)
    changes, unchanged, unknown = [], [], []
    for model in wanted:
        row, after = current.get(model), published.get(model)
        before = price_of(row) if row else None
        if after is None:
            unknown.append(model)
        elif before == after:
            unchanged.append(model)
        else:
            by_hand = row is not None and not row.source.startswith(PUBLISHER)
            changes.append(PriceChange(model=model, before=before, after=after, is_by_hand=by_hand))
    return Comparison(changes=tuple(changes), unchanged=tuple(unchanged), unknown=tuple(unknown))


def apply_changes(*, changes: Iterable[PriceChange], day: date) -> None:
    """Writes each as a row that is valid from that day on; earlier days keep their price."""
    for change in changes:
        ModelPrice.objects.update_or_create(
            model=change.model,
            valid_from=day,
            defaults={
                "input_usd_per_million": change.after.input_usd,
                "cached_input_usd_per_million": change.after.cached_input_usd,
                "output_usd_per_million": change.after.output_usd,
                "source": f"{PUBLISHER} {version(PUBLISHER)}, standard tier",
            },
        )


def read_published(*, day: date) -> dict[str, TokenPrice]:
    """OpenAI's text prices of that day by every exact name of each model, at the standard tier; no network."""
    from genai_prices.data_snapshot import get_snapshot  # loads all publishers' prices

    openai = next(provider for provider in get_snapshot().providers if provider.id == "openai")
    moment = datetime.combine(day, time.min, tzinfo=UTC)
    found: dict[str, TokenPrice] = {}
    for model in openai.models:
        price = _read_price(model.get_prices(moment))
        if price is not None:
            found |= dict.fromkeys([*_exact_names(model.match), model.id], price)
    return found


def _read_price(prices: Any) -> TokenPrice | None:
    """The figures of one model; None when input is not priced by the token."""
    input_usd = _base(prices.input_mtok)
    if input_usd is None:
        return None
    cached = _base(prices.cache_read_mtok)
    return TokenPrice(
        input_usd=input_usd,
        cached_input_usd=input_usd if cached is None else min(cached, input_usd),
        output_usd=_base(prices.output_mtok) or Decimal(0),
    )


def _base(price: Any) -> Decimal | None:
    """The price of ordinary lengths: dearer tiers begin beyond our longest context."""
    base = getattr(price, "base", price)
    return None if base is None else Decimal(base)


def _exact_names(match: Any) -> list[str]:
    """The names that a rule spells out; prefixes and patterns are no names."""
    if hasattr(match, "equals"):
        return [match.equals]
    return [name for part in getattr(match, "or_", ()) for name in _exact_names(part)]
