"""Which models the provider knows, and what each may be asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from cloneai.local_ai.errors import LocalAiError, model_not_found

CHAT_MODEL = "local-extractive"
EMBEDDING_MODEL = "local-wordllama-256"
NATIVE_DIMENSIONS = 256
# The release of the weights; a constant, so that the answer is the same on every machine.
MODELS_CREATED_AT = 1_735_689_600

# Lengths that OpenAI's models answer with when `dimensions` is not given.
HOSTED_DIMENSIONS = {
    "text-embedding-3-large": 3072,
    "text-embedding-3-small": 1536,
    "text-embedding-ada-002": 1536,
}

Kind = Literal["chat", "embedding"]


@dataclass(frozen=True)
class Catalogue:
    """The models on offer. With `any_model`, every name is accepted, as the tests' fake provider needs."""

    any_model: bool = False

    def check_model(self, *, model: str, kind: Kind) -> None:
        """Raise `LocalAiError` unless `model` exists and does what `kind` says."""
        if self.any_model:
            return
        if model not in (CHAT_MODEL, EMBEDDING_MODEL):
            raise model_not_found(model=model)
        if kind == "chat" and model != CHAT_MODEL:
            raise LocalAiError(
                "This is not a chat model and thus not supported in the v1/chat/completions endpoint.",
                status=404,
                param="model",
            )
        if kind == "embedding" and model != EMBEDDING_MODEL:
            raise LocalAiError("You are not allowed to generate embeddings from this model", status=403)

    def dimensions_for(self, *, model: str, requested: int | None) -> int:
        """Return how long a vector of `model` is to be; raise `LocalAiError` when it cannot be that long."""
        if self.any_model:
            return requested or HOSTED_DIMENSIONS.get(model, NATIVE_DIMENSIONS)
        if requested is not None and requested > NATIVE_DIMENSIONS:
            raise LocalAiError(
                f"Invalid value for 'dimensions' = {requested}. Must be less than or equal to "
                f"{NATIVE_DIMENSIONS}.",
                param="dimensions",
            )
        return requested or NATIVE_DIMENSIONS

    def describe(self, *, model: str) -> dict[str, object]:
        """Return the model object of `/v1/models/{id}`; raise `LocalAiError` when there is none."""
        if not self.any_model and model not in (CHAT_MODEL, EMBEDDING_MODEL):
            raise model_not_found(model=model)
        return {"id": model, "object": "model", "created": MODELS_CREATED_AT, "owned_by": "cloneai"}

    def describe_all(self) -> dict[str, object]:
        """Return the list object of `/v1/models`."""
        names = [CHAT_MODEL, EMBEDDING_MODEL]
        return {"object": "list", "data": [self.describe(model=name) for name in names]}
