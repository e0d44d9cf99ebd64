"""`/v1/embeddings`: validation, limits and wire form. Vectors come from `embedding`."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

import numpy as np

from cloneai.local_ai.catalogue import Catalogue
from cloneai.local_ai.embedding import embed_texts, resize_vectors
from cloneai.local_ai.errors import LocalAiError
from cloneai.local_ai.tokens import count_tokens, decode_tokens

# OpenAI's published limits of one request.
MAX_INPUTS = 2048
MAX_INPUT_TOKENS = 8192
MAX_REQUEST_TOKENS = 300_000


def create_embeddings(*, payload: Mapping[str, Any], catalogue: Catalogue) -> dict[str, object]:
    """Answer one embeddings request; raises `LocalAiError`. CPU-bound: call it off the event loop."""
    model = payload.get("model")
    if not isinstance(model, str) or not model:
        raise LocalAiError("you must provide a model parameter")
    catalogue.check_model(model=model, kind="embedding")
    encoding_format = payload.get("encoding_format") or "float"
    if encoding_format not in ("float", "base64"):
        raise LocalAiError(
            f"Invalid value: '{encoding_format}'. Supported values are: 'float' and 'base64'.",
            param="encoding_format",
        )
    dimensions = catalogue.dimensions_for(model=model, requested=_read_dimensions(payload.get("dimensions")))
    texts, token_counts = _read_inputs(payload.get("input"), model=model)
    vectors = resize_vectors(vectors=embed_texts(texts=texts), dimensions=dimensions)
    total_tokens = sum(token_counts)
    return {
        "object": "list",
        "data": [
            {
                "object": "embedding",
                "index": index,
                "embedding": _encode(vector, encoding_format=encoding_format),
            }
            for index, vector in enumerate(vectors)
        ],
        "model": model,
        "usage": {"prompt_tokens": total_tokens, "total_tokens": total_tokens},
    }


def _read_dimensions(value: object) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int):
        raise LocalAiError("Invalid type for 'dimensions': expected an integer.", param="dimensions")
    if value < 1:
        raise LocalAiError(
            f"Invalid value for 'dimensions' = {value}. Must be greater than or equal to 1.",
            param="dimensions",
        )
    return value


def _read_inputs(value: object, *, model: str) -> tuple[list[str], list[int]]:
    """Return the texts to embed and how many tokens each has."""
    inputs = _as_list(value)
    if len(inputs) > MAX_INPUTS:
        raise LocalAiError(
            f"Invalid 'input': array too long. Expected an array with maximum length {MAX_INPUTS}, "
            f"but got an array with length {len(inputs)} instead.",
            param="input",
            code="array_above_max_length",
        )
    read = [_read_one(item, model=model) for item in inputs]
    for _, tokens in read:
        if tokens > MAX_INPUT_TOKENS:
            raise LocalAiError(
                f"This model's maximum context length is {MAX_INPUT_TOKENS} tokens, however you requested "
                f"{tokens} "
                "tokens. Please reduce your prompt.",
                param="input",
            )
    total = sum(tokens for _, tokens in read)
    if total > MAX_REQUEST_TOKENS:
        raise LocalAiError(
            f"Requested {total} tokens, max {MAX_REQUEST_TOKENS} tokens per request",
            error_type="max_tokens_per_request",
            code="max_tokens_per_request",
        )
    return [text for text, _ in read], [tokens for _, tokens in read]


def _as_list(value: object) -> list[object]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, list) and value:
        return [value] if _is_token_array(value) else value
    raise _bad_input()


def _read_one(item: object, *, model: str) -> tuple[str, int]:
    if isinstance(item, str) and item:
        return item, count_tokens(text=item, model=model)
    if isinstance(item, list) and item and _is_token_array(item):
        try:
            return decode_tokens(tokens=item, model=model), len(item)
        except (KeyError, OverflowError, ValueError) as error:
            raise LocalAiError("Invalid 'input': unknown token id.", param="input") from error
    raise _bad_input()


def _is_token_array(value: list[Any]) -> bool:
    return all(isinstance(item, int) and not isinstance(item, bool) for item in value)


def _bad_input() -> LocalAiError:
    return LocalAiError(
        "'$.input' is invalid. Please check the API reference for the accepted forms: a non-empty string, "
        "or a non-empty array of non-empty strings or of token arrays.",
        param="input",
    )


def _encode(vector: Any, *, encoding_format: str) -> object:
    if encoding_format == "base64":
        return base64.b64encode(np.asarray(vector, dtype="<f4").tobytes()).decode("ascii")
    return [float(value) for value in vector]
