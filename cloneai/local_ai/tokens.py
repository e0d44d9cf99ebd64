"""Token counts as OpenAI's models count them. Units: tokens of the named encoding."""

from __future__ import annotations

import functools
import os
from collections.abc import Sequence
from pathlib import Path

import tiktoken

VOCABULARIES = Path(__file__).resolve().parent.parent / "vocabularies"
# OpenAI's chat format adds this many tokens to each message, and to the answer's opening.
TOKENS_PER_MESSAGE = 3
TOKENS_PER_REPLY = 3


@functools.lru_cache(maxsize=4)
def load_encoding(name: str) -> tiktoken.Encoding:
    """Load an encoding from the vocabularies of this project; takes about half a second the first time."""
    os.environ.setdefault("TIKTOKEN_CACHE_DIR", str(VOCABULARIES))
    return tiktoken.get_encoding(name)


def encoding_for(*, model: str) -> tiktoken.Encoding:
    """Return the encoding of a model: `cl100k_base` for OpenAI's embedding models, else `o200k_base`."""
    return load_encoding("cl100k_base" if model.startswith("text-embedding-") else "o200k_base")


def count_tokens(*, text: str, model: str) -> int:
    """Count the tokens of `text`; text that looks like a special token counts as ordinary text."""
    return len(encoding_for(model=model).encode_ordinary(text))


def decode_tokens(*, tokens: Sequence[int], model: str) -> str:
    """Turn token ids back into text; raises `KeyError` or `OverflowError` for ids that do not exist."""
    return encoding_for(model=model).decode(list(tokens))


def truncate_to_tokens(*, text: str, limit_tokens: int, model: str) -> tuple[str, bool]:
    """Return the first `limit_tokens` tokens of `text` and whether anything was cut off."""
    encoding = encoding_for(model=model)
    tokens = encoding.encode_ordinary(text)
    if len(tokens) <= limit_tokens:
        return text, False
    # A token may end inside a character: the broken bytes are dropped.
    return encoding.decode(tokens[:limit_tokens], errors="ignore"), True
