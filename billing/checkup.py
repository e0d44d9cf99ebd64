"""Whether the configured models can be had, answer, and have a price: what `check_ai` tells.

Each model gets one real, metered call of a few tokens: a list of models does not say what a key may really do.
"""

import asyncio
from dataclasses import dataclass

from django.conf import settings

from billing.metering import (
    ChatMessage,
    MeteredCallError,
    Payer,
    Purpose,
    complete_chat,
    embed_texts,
    list_models,
)
from billing.models import ModelPrice, utc_today
from cloneai.threads import run_in_thread

NOBODY = Payer(user_id=None, clone_id=None)
# Enough for models that think before they speak.
TRIAL_OUTPUT_TOKENS = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCheck:
    """One configured model. `is_listed` is None when the provider lists none; `failure` when its call went wrong."""

    model: str
    variables: tuple[str, ...]
    is_listed: bool | None
    is_priced: bool
    failure: MeteredCallError | None
    dimensions: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkup:
    """`listing_failure` is why the provider's models are not known, if it was an error."""

    models: tuple[ModelCheck, ...]
    listing_failure: MeteredCallError | None


async def check_models() -> Checkup:
    """Checks every configured model, in the order of the settings; two calls or more, which run side by side."""
    listed: frozenset[str] = frozenset()
    listing_failure = None
    try:
        listed = await list_models()
    except MeteredCallError as error:
        listing_failure = error
    priced = await run_in_thread(_priced_models)
    checks = [
        _check_model(
            model=model,
            variables=variables,
            is_listed=model in listed if listed else None,
            is_priced=model in priced,
        )
        for model, variables in _configured_models().items()
    ]
    return Checkup(models=tuple(await asyncio.gather(*checks)), listing_failure=listing_failure)


def _configured_models() -> dict[str, tuple[str, ...]]:
    """Each model once, with the variables that name it."""
    found: dict[str, tuple[str, ...]] = {}
    for variable in ("GPT_4_MODEL", "GPT_4_MINI_MODEL", "FUNCTION_CALLING_MODEL", "EMBEDDING_MODEL"):
        model = getattr(settings, variable)
        found[model] = (*found.get(model, ()), variable)
    return found


def _priced_models() -> frozenset[str]:
    return frozenset(ModelPrice.objects.valid_on(utc_today()).values_list("model", flat=True))


async def _check_model(
    *, model: str, variables: tuple[str, ...], is_listed: bool | None, is_priced: bool
) -> ModelCheck:
    failure, dimensions = None, None
    try:
        if "EMBEDDING_MODEL" in variables:
            result = await embed_texts(
                payer=NOBODY,
                purpose=Purpose.CHECK,
                texts=["A sentence to see how long its vector is."],
                model=model,
                dimensions=settings.EMBEDDING_DIMENSIONS,
            )
            dimensions = int(result.vectors.shape[1])
        else:
            await complete_chat(
                payer=NOBODY,
                purpose=Purpose.CHECK,
                model=model,
                messages=[ChatMessage("user", "Reply with the word OK.")],
                max_output_tokens=TRIAL_OUTPUT_TOKENS,
                temperature=0,
            )
    except MeteredCallError as error:
        failure = error
    return ModelCheck(
        model=model,
        variables=variables,
        is_listed=is_listed,
        is_priced=is_priced,
        failure=failure,
        dimensions=dimensions,
    )
