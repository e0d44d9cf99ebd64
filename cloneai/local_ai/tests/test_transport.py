"""The official client works unchanged, over either edge."""

from __future__ import annotations

from typing import Any, Literal

import httpx2
import openai
import pytest
from openai import AsyncOpenAI
from pydantic import BaseModel

from cloneai.local_ai.tests.material import chat_messages

CHAT = "local-extractive"
EMBEDDING = "local-wordllama-256"


class Verdict(BaseModel):
    summary: str
    mood: Literal["good", "bad"]
    topics: list[str]


async def test_client_embeds_a_string_and_a_list(client: AsyncOpenAI) -> None:
    one = await client.embeddings.create(model=EMBEDDING, input="a short nap")
    many = await client.embeddings.create(model=EMBEDDING, input=["a short nap", "bread"])
    assert one.data[0].embedding == many.data[0].embedding
    assert [len(entry.embedding) for entry in many.data] == [256, 256]
    assert [entry.index for entry in many.data] == [0, 1]
    assert many.usage.prompt_tokens == many.usage.total_tokens == 4


async def test_client_gets_a_cited_answer_with_usage(client: AsyncOpenAI) -> None:
    answer = await client.chat.completions.create(
        model=CHAT, messages=chat_messages(expert="sleep", question="How much melatonin should I take?")
    )
    assert "0.5 mg" in (answer.choices[0].message.content or "")
    assert (answer.choices[0].message.content or "").rstrip().endswith("[4]")
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage is not None
    assert answer.usage.prompt_tokens > 500
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens


async def test_stream_joins_to_the_whole_answer_and_ends_with_usage(client: AsyncOpenAI) -> None:
    messages = chat_messages(expert="sleep", question="How long may a nap be?")
    whole = await client.chat.completions.create(model=CHAT, messages=messages)
    stream = await client.chat.completions.create(
        model=CHAT, messages=messages, stream=True, stream_options={"include_usage": True}
    )
    chunks = [chunk async for chunk in stream]
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == whole.choices[0].message.content
    assert len(chunks) > 8
    assert chunks[-1].choices == []
    assert chunks[-1].usage == whole.usage
    assert [chunk.usage for chunk in chunks[:-1]] == [None] * (len(chunks) - 1)
    assert chunks[-2].choices[0].finish_reason == "stop"


async def test_stream_without_include_usage_has_none(client: AsyncOpenAI) -> None:
    messages = chat_messages(expert="sleep", question="hello")
    stream = await client.chat.completions.create(model=CHAT, messages=messages, stream=True)
    chunks = [chunk async for chunk in stream]
    assert all(chunk.usage is None for chunk in chunks)
    assert all(chunk.choices for chunk in chunks)


async def test_stream_can_be_left_early_and_the_client_used_again(client: AsyncOpenAI) -> None:
    messages = chat_messages(expert="sleep", question="How does sleep restriction work?")
    stream = await client.chat.completions.create(model=CHAT, messages=messages, stream=True)
    async for _ in stream:
        break
    await stream.close()
    again = await client.chat.completions.create(model=CHAT, messages=messages)
    assert "[3]" in (again.choices[0].message.content or "")


async def test_parse_gives_a_valid_model(client: AsyncOpenAI) -> None:
    answer = await client.chat.completions.parse(
        model=CHAT,
        messages=[{"role": "user", "content": "MEMBER: How do I sleep better?\nEXPERT: Keep a sleep diary."}],
        response_format=Verdict,
    )
    parsed = answer.choices[0].message.parsed
    assert parsed is not None
    assert "Keep a sleep diary." in parsed.summary


async def test_models_are_listed_and_found(client: AsyncOpenAI) -> None:
    assert [model.id async for model in client.models.list()] == [CHAT, EMBEDDING]
    assert (await client.models.retrieve(CHAT)).owned_by == "cloneai"
    with pytest.raises(openai.NotFoundError) as error:
        await client.models.retrieve("gpt-4o")
    assert error.value.code == "model_not_found"


async def test_unknown_model_is_not_found(client: AsyncOpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as error:
        await client.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": "hi"}])
    assert error.value.code == "model_not_found"
    assert error.value.type == "invalid_request_error"


async def test_chat_model_does_not_embed_nor_embedding_model_chat(client: AsyncOpenAI) -> None:
    with pytest.raises(openai.PermissionDeniedError):
        await client.embeddings.create(model=CHAT, input="x")
    with pytest.raises(openai.NotFoundError):
        await client.chat.completions.create(model=EMBEDDING, messages=[{"role": "user", "content": "hi"}])


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/chat/completions", b"{not json", 400),
        ("POST", "/chat/completions", b"[]", 400),
        ("POST", "/embeddings", b"", 400),
        ("GET", "/chat/completions", b"", 405),
        ("POST", "/images/generations", b"{}", 404),
    ],
)
async def test_every_refusal_is_an_error_object(
    client: AsyncOpenAI, method: str, path: str, body: bytes, status: int
) -> None:
    raw: httpx2.AsyncClient = client._client
    answer = await raw.request(method, f"{str(client.base_url).rstrip('/')}{path}", content=body)
    error: dict[str, Any] = answer.json()["error"]
    assert answer.status_code == status
    assert set(error) == {"message", "type", "param", "code"}
    assert error["message"]


async def test_body_beyond_the_limit_is_refused_over_http(served_url: str) -> None:
    async with httpx2.AsyncClient() as http:
        answer = await http.post(f"{served_url}/embeddings", content=b"x" * (17 * 1024 * 1024))
    assert answer.status_code == 413
    assert answer.json()["error"]["type"] == "invalid_request_error"
