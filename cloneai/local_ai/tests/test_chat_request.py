"""Requests are checked by OpenAI's rules, and limits cut answers as they do there."""

from __future__ import annotations

from typing import Any

import openai
import pytest
import tiktoken
from openai import AsyncOpenAI

from cloneai.local_ai.tests.material import chat_messages

HELLO = [{"role": "user", "content": "hello"}]


@pytest.mark.parametrize(
    ("changes", "param"),
    [
        ({"messages": []}, "messages"),
        ({"messages": "hello"}, "messages"),
        ({"messages": [{"content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "robot", "content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "user", "content": None}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "messages[0].content"),
        ({"n": 2}, "n"),
        ({"temperature": 3}, "temperature"),
        ({"top_p": "high"}, "top_p"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_completion_tokens": 1.5}, "max_completion_tokens"),
        ({"max_tokens": 5, "max_completion_tokens": 5}, None),
        ({"stop": ["a", "b", "c", "d", "e"]}, "stop"),
        ({"stream_options": {"include_usage": True}}, "stream_options"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"response_format": {"type": "yaml"}}, "response_format.type"),
        ({"response_format": {"type": "json_object"}}, "messages"),
        ({"response_format": {"type": "json_schema", "json_schema": {"name": "x"}}},
         "response_format.json_schema.schema"),
    ],
)  # fmt: skip
async def test_bad_request_names_its_parameter(
    local_client: AsyncOpenAI, changes: dict[str, Any], param: str | None
) -> None:
    arguments: dict[str, Any] = {"model": "local-extractive", "messages": HELLO, **changes}
    with pytest.raises(openai.BadRequestError) as error:
        await local_client.chat.completions.create(**arguments)
    assert error.value.param == param


async def test_missing_model_is_refused(local_client: AsyncOpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="must provide a model"):
        await local_client.chat.completions.create(model="", messages=HELLO)  # type: ignore[arg-type]


async def test_prompt_beyond_the_context_is_refused(local_client: AsyncOpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as error:
        await local_client.chat.completions.create(
            model="local-extractive", messages=[{"role": "user", "content": "word " * 130_000}]
        )
    assert error.value.code == "context_length_exceeded"


@pytest.mark.parametrize("parameter", ["max_tokens", "max_completion_tokens"])
async def test_token_limit_cuts_the_answer(local_client: AsyncOpenAI, parameter: str) -> None:
    arguments: dict[str, Any] = {parameter: 7}
    answer = await local_client.chat.completions.create(
        model="local-extractive",
        messages=chat_messages(expert="sleep", question="How long may a nap be?"),
        **arguments,
    )  # fmt: skip
    content = answer.choices[0].message.content or ""
    assert answer.choices[0].finish_reason == "length"
    assert len(tiktoken.get_encoding("o200k_base").encode(content)) == 7
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 7


async def test_stop_ends_the_answer_before_its_text(local_client: AsyncOpenAI) -> None:
    messages = chat_messages(expert="sleep", question="How long may a nap be?")
    answer = await local_client.chat.completions.create(
        model="local-extractive", messages=messages, stop=["never there", "minutes"]
    )
    content = answer.choices[0].message.content or ""
    assert content.endswith("A nap of ninety ")
    assert answer.choices[0].finish_reason == "stop"


async def test_text_parts_and_null_assistant_content_are_read(local_client: AsyncOpenAI) -> None:
    answer = await local_client.chat.completions.create(
        model="local-extractive",
        messages=[
            {"role": "assistant", "content": None},
            {"role": "user", "content": [{"type": "text", "text": "thank you"}]},
        ],
    )
    assert answer.choices[0].message.content


async def test_special_tokens_in_a_message_are_plain_text(local_client: AsyncOpenAI) -> None:
    answer = await local_client.chat.completions.create(
        model="local-extractive", messages=[{"role": "user", "content": "What is <|endoftext|>?"}]
    )
    assert answer.choices[0].message.content


async def test_a_lone_surrogate_does_no_harm(local_client: AsyncOpenAI) -> None:
    raw = local_client._client
    answer = await raw.post(
        "http://local.invalid/v1/chat/completions",
        content=b'{"model":"local-extractive","messages":[{"role":"user","content":"odd \\ud800 text"}]}',
    )
    assert answer.status_code == 200
