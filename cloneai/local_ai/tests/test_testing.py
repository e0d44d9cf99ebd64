"""The tests' fake provider answers like OpenAI, records what it was asked, and fails as told."""

from __future__ import annotations

import asyncio
import json
import math
from typing import Any

import httpx2
import openai
import pytest
from openai import AsyncOpenAI

from cloneai.local_ai.faults import Fault, tokens_per_second
from cloneai.local_ai.testing import FakeProvider

HELLO: Any = [{"role": "user", "content": "hello"}]


async def read_stream(client: AsyncOpenAI) -> tuple[str, list[Any]]:
    stream = await client.chat.completions.create(
        model="gpt-4o-mini", messages=HELLO, stream=True, stream_options={"include_usage": True}
    )
    chunks = [chunk async for chunk in stream]
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices), chunks


async def read_to_the_end(stream: Any) -> None:
    async for _ in stream:
        pass


async def test_any_model_is_answered_and_recorded(
    provider: FakeProvider, provider_client: AsyncOpenAI
) -> None:
    answer = await provider_client.chat.completions.create(model="gpt-4o-mini", messages=HELLO)
    text, _ = await read_stream(provider_client)
    assert answer.model == "gpt-4o-mini"
    assert answer.choices[0].message.content == text
    assert [request.json["model"] for request in provider.requests] == ["gpt-4o-mini"] * 2
    assert provider.requests[0].headers["authorization"] == "Bearer test"
    assert len(provider.requests_to("/chat/completions")) == 2


async def test_vectors_have_the_length_that_was_asked(provider_client: AsyncOpenAI) -> None:
    asked = await provider_client.embeddings.create(
        model="text-embedding-3-large", input="x", dimensions=1536
    )
    native = await provider_client.embeddings.create(model="text-embedding-3-large", input="x")
    assert (len(asked.data[0].embedding), len(native.data[0].embedding)) == (1536, 3072)


async def test_status_comes_with_its_headers_then_all_is_well(
    provider: FakeProvider, provider_client: AsyncOpenAI
) -> None:
    provider.next(Fault(status=429, headers={"retry-after": "7"}, error_code="rate_limit_exceeded"))
    with pytest.raises(openai.RateLimitError) as error:
        await provider_client.chat.completions.create(model="m", messages=HELLO)
    assert error.value.response.headers["retry-after"] == "7"
    assert error.value.code == "rate_limit_exceeded"
    assert (await provider_client.chat.completions.create(model="m", messages=HELLO)).choices


async def test_clients_own_retries_are_seen(provider: FakeProvider) -> None:
    provider.next(
        Fault(status=500, headers={"retry-after-ms": "1"}), Fault(status=503, headers={"retry-after-ms": "1"})
    )
    async with AsyncOpenAI(api_key="test", base_url=provider.base_url, max_retries=2) as client:
        assert (await client.chat.completions.create(model="m", messages=HELLO)).choices
    assert len(provider.requests) == 3


async def test_standing_fault_stays_until_cleared(
    provider: FakeProvider, provider_client: AsyncOpenAI
) -> None:
    provider.always(Fault(status=401, path="/embeddings"))
    for _ in range(2):
        with pytest.raises(openai.AuthenticationError):
            await provider_client.embeddings.create(model="m", input="x")
    assert (await provider_client.chat.completions.create(model="m", messages=HELLO)).choices
    provider.clear()
    assert (await provider_client.embeddings.create(model="m", input="x")).data
    assert len(provider.requests) == 1


@pytest.mark.parametrize(
    "fault", [Fault(reset_after_chunks=2), Fault(malformed_after_chunks=2)], ids=["reset", "malformed"]
)
async def test_broken_stream_raises(
    provider: FakeProvider, provider_client: AsyncOpenAI, fault: Fault
) -> None:
    provider.next(fault)
    stream = await provider_client.chat.completions.create(model="m", messages=HELLO, stream=True)
    with pytest.raises((openai.OpenAIError, httpx2.HTTPError, json.JSONDecodeError)):
        await read_to_the_end(stream)


async def test_stalled_stream_times_out(provider: FakeProvider) -> None:
    provider.next(Fault(stall_after_chunks=1))
    async with AsyncOpenAI(api_key="test", base_url=provider.base_url, max_retries=0, timeout=0.3) as client:
        stream = await client.chat.completions.create(model="m", messages=HELLO, stream=True)
        with pytest.raises((openai.APITimeoutError, httpx2.TimeoutException)):
            await read_to_the_end(stream)


async def test_slow_first_byte_times_out(provider: FakeProvider) -> None:
    provider.next(Fault(delay_seconds=30))
    async with AsyncOpenAI(api_key="test", base_url=provider.base_url, max_retries=0, timeout=0.2) as client:
        with pytest.raises(openai.APITimeoutError):
            await client.chat.completions.create(model="m", messages=HELLO)


async def test_stream_can_lack_usage_and_its_end(
    provider: FakeProvider, provider_client: AsyncOpenAI
) -> None:
    provider.next(Fault(omit_usage=True, omit_done=True, finish_reason="length"))
    text, chunks = await read_stream(provider_client)
    assert text
    assert all(chunk.usage is None for chunk in chunks)
    assert chunks[-1].choices[0].finish_reason == "length"


@pytest.mark.parametrize("answer", ["", "Say [1] and [9].", "word " * 6_000], ids=["empty", "fixed", "huge"])
async def test_answer_can_be_fixed(provider: FakeProvider, provider_client: AsyncOpenAI, answer: str) -> None:
    provider.always(Fault(answer=answer))
    whole = await provider_client.chat.completions.create(model="m", messages=HELLO)
    text, _ = await read_stream(provider_client)
    assert whole.choices[0].message.content == text == answer


async def test_json_and_refusals_can_be_fixed(provider: FakeProvider, provider_client: AsyncOpenAI) -> None:
    provider.next(
        Fault(json_answer={"a": 1}), Fault(refusal="I cannot."), Fault(body=b"<html>gateway</html>")
    )
    first = await provider_client.chat.completions.create(model="m", messages=HELLO)
    second = await provider_client.chat.completions.create(model="m", messages=HELLO)
    raw = await provider_client.chat.completions.with_raw_response.create(model="m", messages=HELLO)
    assert json.loads(first.choices[0].message.content or "") == {"a": 1}
    assert (second.choices[0].message.content, second.choices[0].message.refusal) == (None, "I cannot.")
    assert raw.text == "<html>gateway</html>"


async def test_vectors_can_be_wrong_in_every_way(
    provider: FakeProvider, provider_client: AsyncOpenAI
) -> None:
    provider.next(
        Fault(embedding_count=1),
        Fault(embedding_length=7),
        Fault(nan_embeddings=True),
        Fault(zero_embeddings=True),
    )
    few, short, broken, empty = [
        (await provider_client.embeddings.create(model="m", input=["x", "y"])).data for _ in range(4)
    ]
    assert len(few) == 1
    assert [len(entry.embedding) for entry in short] == [7, 7]
    assert all(math.isnan(value) for value in broken[0].embedding)
    assert not any(empty[1].embedding)


async def test_client_that_leaves_is_counted(provider: FakeProvider) -> None:
    provider.next(tokens_per_second(2))
    async with AsyncOpenAI(api_key="test", base_url=provider.base_url) as client:
        stream = await client.chat.completions.create(model="m", messages=HELLO, stream=True)
        async for _ in stream:
            break
        await stream.close()
    for _ in range(200):
        if provider.disconnects:
            break
        await asyncio.sleep(0.02)
    assert provider.disconnects == 1
