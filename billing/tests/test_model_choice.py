from typing import Any

import pytest

from billing.model_choice import Complexity, Task, chat_complexity, choose_model

SMALL, LARGE, SHAPED, VECTORS = "small", "large", "shaped", "vectors"


@pytest.fixture(autouse=True)
def models(settings: Any) -> None:
    settings.GPT_4_MINI_MODEL = SMALL
    settings.GPT_4_MODEL = LARGE
    settings.FUNCTION_CALLING_MODEL = SHAPED
    settings.EMBEDDING_MODEL = VECTORS


@pytest.mark.parametrize(
    ("task", "simple", "medium", "complex_"),
    [
        (Task.CHAT, SMALL, LARGE, LARGE),
        (Task.SUMMARIZATION, SMALL, SMALL, LARGE),
        (Task.DOCUMENT_PROCESSING, SMALL, LARGE, LARGE),
        (Task.EMBEDDINGS, VECTORS, VECTORS, VECTORS),
        (Task.STRUCTURED, SHAPED, SHAPED, SHAPED),
    ],
)
def test_table_of_task_and_complexity(task: Task, simple: str, medium: str, complex_: str) -> None:
    chosen = [choose_model(task=task, complexity=complexity) for complexity in Complexity]
    assert chosen == [simple, medium, complex_]


@pytest.mark.parametrize(
    ("task", "context_tokens", "expected"),
    [
        (Task.CHAT, 16_000, SMALL),
        (Task.CHAT, 16_001, LARGE),
        (Task.SUMMARIZATION, 16_001, LARGE),
        (Task.EMBEDDINGS, 100_000, VECTORS),
    ],
)
def test_long_context_takes_the_large_model(task: Task, context_tokens: int, expected: str) -> None:
    assert choose_model(task=task, complexity=Complexity.SIMPLE, context_tokens=context_tokens) == expected


def test_override_wins_except_for_embeddings() -> None:
    assert choose_model(task=Task.CHAT, override="own") == "own"
    assert choose_model(task=Task.STRUCTURED, override="own") == "own"
    assert choose_model(task=Task.EMBEDDINGS, override="own") == VECTORS


@pytest.mark.parametrize(
    ("question", "history_turns", "passages", "expected"),
    [
        ("Hello!", 0, 0, Complexity.SIMPLE),
        ("Thanks, that helps.", 5, 0, Complexity.SIMPLE),
        ("Thanks, that helps.", 6, 0, Complexity.MEDIUM),
        ("Hello!", 0, 3, Complexity.MEDIUM),
        ("How do I begin a feedback talk?", 0, 5, Complexity.MEDIUM),
        (" ".join(["word"] * 13), 0, 0, Complexity.MEDIUM),
        (" ".join(["word"] * 81), 0, 0, Complexity.COMPLEX),
        ("Why does that work?", 0, 0, Complexity.COMPLEX),
        ("Compare the two models", 0, 4, Complexity.COMPLEX),
        ("Is it hard? Is it worth it?", 0, 4, Complexity.COMPLEX),
        ("Whyever not", 0, 0, Complexity.SIMPLE),
    ],
)
def test_chat_turn_is_graded_by_the_stated_rules(
    question: str, history_turns: int, passages: int, expected: Complexity
) -> None:
    assert chat_complexity(question=question, history_turns=history_turns, passages=passages) == expected
