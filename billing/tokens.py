"""Counting tokens as the model in use counts them. Nothing here touches the network or the database.

The two vocabularies that are shipped cover every current OpenAI model. Counting runs at about 7 MB a second
and gives the interpreter lock back meanwhile: count large texts in a thread.
"""

import json
from collections.abc import Iterable
from functools import lru_cache

import pydantic
import tiktoken

from billing.calls import ChatMessage

SHIPPED_ENCODINGS = frozenset({"cl100k_base", "o200k_base"})
DEFAULT_ENCODING = "o200k_base"
# OpenAI's cookbook, "How to count tokens": three a message beside its role and content, three for the reply.
TOKENS_PER_MESSAGE = 3
TOKENS_PER_REPLY = 3


@lru_cache(maxsize=256)
def encoding_name_for(model: str) -> str:
    """The model's vocabulary; `o200k_base` for models that tiktoken does not know, local ones among them."""
    try:
        name = tiktoken.encoding_name_for_model(model)
    except KeyError:
        return DEFAULT_ENCODING
    return name if name in SHIPPED_ENCODINGS else DEFAULT_ENCODING


@lru_cache(maxsize=len(SHIPPED_ENCODINGS))
def load_encoding(name: str) -> tiktoken.Encoding:
    """The vocabulary itself; takes about 0.3 s the first time."""
    encoding = tiktoken.get_encoding(name)
    # Python's copy of it, 15 to 30 MB, serves nothing but pickling; counting happens in Rust.
    encoding._mergeable_ranks.clear()
    return encoding


def count_tokens(text: str, *, model: str) -> int:
    """Tokens of a text on its own. `<|endoftext|>` and the like count as the ordinary text that they are."""
    return len(load_encoding(encoding_name_for(model)).encode_ordinary(text))


def count_chat_tokens(messages: Iterable[ChatMessage], *, model: str) -> int:
    """Input tokens of a chat request, with what its wrapping costs."""
    total = TOKENS_PER_REPLY
    for message in messages:
        total += TOKENS_PER_MESSAGE + count_tokens(message.role, model=model)
        total += count_tokens(message.content, model=model)
    return total


def count_schema_tokens(schema: type[pydantic.BaseModel], *, model: str) -> int:
    """An upper estimate of what a response schema adds to the input: its JSON text."""
    return count_tokens(json.dumps(schema.model_json_schema()), model=model)
