"""Vectors are finite, of unit length and of the asked length; bad input is refused as OpenAI would."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import openai
import pytest
import tiktoken
from hypothesis import given, settings
from hypothesis import strategies as st
from openai import AsyncOpenAI

from cloneai.local_ai.embedding import embed_texts, load_model, resize_vectors

ROOT = Path(__file__).resolve().parents[3]
MODEL = "local-wordllama-256"


async def test_base64_and_float_give_the_same_vector(local_client: AsyncOpenAI) -> None:
    packed = await local_client.embeddings.create(model=MODEL, input="morning light")
    plain = await local_client.embeddings.create(model=MODEL, input="morning light", encoding_format="float")
    assert np.allclose(packed.data[0].embedding, plain.data[0].embedding, atol=1e-7)
    assert np.isclose(np.linalg.norm(plain.data[0].embedding), 1.0, atol=1e-5)


async def test_token_arrays_are_decoded(local_client: AsyncOpenAI) -> None:
    tokens = tiktoken.get_encoding("o200k_base").encode("morning light")
    text = await local_client.embeddings.create(model=MODEL, input="morning light")
    one = await local_client.embeddings.create(model=MODEL, input=tokens)
    many = await local_client.embeddings.create(model=MODEL, input=[tokens, tokens])
    assert one.data[0].embedding == text.data[0].embedding
    assert len(many.data) == 2
    assert many.usage.prompt_tokens == 2 * len(tokens)


async def test_related_texts_are_nearer_than_unrelated_ones(local_client: AsyncOpenAI) -> None:
    answer = await local_client.embeddings.create(
        model=MODEL,
        input=["How do I fall asleep faster?", "Tips against insomnia", "The price of copper rose"],
    )
    asked, related, unrelated = (np.array(entry.embedding) for entry in answer.data)
    assert asked @ related > asked @ unrelated + 0.2


async def test_fewer_dimensions_are_cut_and_normalised(local_client: AsyncOpenAI) -> None:
    answer = await local_client.embeddings.create(model=MODEL, input="bread", dimensions=64)
    assert len(answer.data[0].embedding) == 64
    assert np.isclose(np.linalg.norm(answer.data[0].embedding), 1.0, atol=1e-5)


@pytest.mark.parametrize(
    "arguments",
    [
        {"input": ""},
        {"input": []},
        {"input": ["fine", ""]},
        {"input": [[]]},
        {"input": [[999_999_999]]},
        {"input": "x", "dimensions": 257},
        {"input": "x", "dimensions": 0},
        {"input": "x", "encoding_format": "hex"},
        {"input": ["x"] * 2049},
        {"input": "word " * 9000},
        {"input": ["word " * 8000] * 40},
    ],
    ids=["empty", "none", "one empty", "no tokens", "unknown token", "too long a vector", "no vector",
         "unknown format", "too many", "too long a text", "too long together"],
)  # fmt: skip
async def test_bad_input_is_refused(local_client: AsyncOpenAI, arguments: dict[str, object]) -> None:
    with pytest.raises(openai.BadRequestError) as error:
        await local_client.embeddings.create(model=MODEL, **arguments)  # type: ignore[arg-type]
    assert error.value.body is not None


async def test_the_most_inputs_of_one_request_are_answered(local_client: AsyncOpenAI) -> None:
    answer = await local_client.embeddings.create(
        model=MODEL, input=[f"text {number}" for number in range(2048)]
    )
    assert [entry.index for entry in answer.data] == list(range(2048))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text(min_size=1, max_size=40), min_size=1, max_size=4))
def test_every_text_has_a_finite_unit_vector(texts: list[str]) -> None:
    vectors = embed_texts(texts=texts)
    assert vectors.shape == (len(texts), 256)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-4)


def test_text_without_tokens_has_a_vector_of_its_own_that_stays_the_same() -> None:
    first, second = embed_texts(texts=["", ""]), embed_texts(texts=[""])
    assert np.array_equal(first[0], second[0])
    assert np.isclose(np.linalg.norm(first[0]), 1.0, atol=1e-5)


def test_vectors_do_not_depend_on_their_company() -> None:
    alone = embed_texts(texts=["a nap"])[0]
    among = embed_texts(texts=["a much longer sentence about bread and butter " * 9, "a nap", "x"])[1]
    assert np.allclose(alone, among, atol=1e-5)


@pytest.mark.parametrize("dimensions", [512, 1000, 1536, 3072])
def test_longer_vectors_keep_every_similarity(dimensions: int) -> None:
    vectors = embed_texts(texts=["a nap", "sleep", "bread and butter"])
    longer = resize_vectors(vectors=vectors, dimensions=dimensions)
    assert longer.shape == (3, dimensions)
    assert np.allclose(longer @ longer.T, vectors @ vectors.T, atol=1e-5)


def test_model_is_loaded_once_for_all_threads() -> None:
    found: list[object] = []
    threads = [threading.Thread(target=lambda: found.append(load_model())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert all(model is found[0] for model in found)


def test_loading_the_model_leaves_logging_alone() -> None:
    code = (
        "import logging; from cloneai.local_ai.embedding import load_model; load_model(); "
        "root = logging.getLogger(); print(len(root.handlers), root.level == logging.WARNING)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["0", "True"]
