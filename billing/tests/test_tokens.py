import pydantic
import pytest
import tiktoken

from billing.calls import ChatMessage
from billing.tokens import count_chat_tokens, count_schema_tokens, count_tokens, encoding_name_for


@pytest.mark.parametrize(
    ("model", "encoding"),
    [
        ("gpt-4.1", "o200k_base"),
        ("gpt-4o-mini-2024-07-18", "o200k_base"),
        ("gpt-5", "o200k_base"),
        ("gpt-4-turbo", "cl100k_base"),
        ("text-embedding-3-large", "cl100k_base"),
        ("local-extractive", "o200k_base"),
        ("text-davinci-003", "o200k_base"),
        ("a-model-of-tomorrow", "o200k_base"),
    ],
)
def test_each_model_has_its_own_vocabulary(model: str, encoding: str) -> None:
    assert encoding_name_for(model) == encoding


@pytest.mark.parametrize(
    "text", ["", "Hello, world!", "日本語のテキスト", "🙂" * 50, "<|endoftext|> is text", "\ud800"]
)
def test_text_is_counted_as_the_model_counts_it(text: str) -> None:
    expected = len(tiktoken.get_encoding("o200k_base").encode(text, disallowed_special=()))
    assert count_tokens(text, model="gpt-4.1") == expected


def test_special_tokens_count_as_the_text_that_they_are() -> None:
    assert count_tokens("<|endoftext|>", model="gpt-4.1") > 1


def test_chat_counts_what_the_wrapping_costs() -> None:
    messages = [ChatMessage("system", "Be kind."), ChatMessage("user", "Hello")]
    texts = count_tokens("Be kind.", model="gpt-4.1") + count_tokens("Hello", model="gpt-4.1")
    assert count_chat_tokens(messages, model="gpt-4.1") == texts + 2 * (3 + 1) + 3


def test_schema_is_counted() -> None:
    class Answer(pydantic.BaseModel):
        topic: str

    assert count_schema_tokens(Answer, model="gpt-4.1") > 10
