"""Whether a clone may answer, by which model, and from what."""

import pytest

from billing.metering import ChatMessage
from chat.grounding import Prompt, found_nothing, write_prompt
from chat.tests.made_passages import make_passage
from clones.models import Clone
from knowledge.retrieval import RetrievalQuality, SearchResult

QUESTION = "How long does the pepper soup simmer?"


def found(*texts: str) -> SearchResult:
    passages = tuple(make_passage(text, number=number) for number, text in enumerate(texts, start=1))
    quality = RetrievalQuality(score=0.7, status="good", chunk_count=len(texts), diversity=1)
    return SearchResult(passages=passages, quality=quality, query_used=QUESTION, is_lexical_only=False)


def prompt_for(clone: Clone, search: SearchResult | None, **changes: str) -> Prompt | None:
    return write_prompt(clone=clone, **{"question": QUESTION, "history": [], "search": search, **changes})


def test_strict_clone_has_no_prompt_without_a_passage(clone: Clone):
    assert prompt_for(clone, found()) is None
    clone.is_strict = False
    assert prompt_for(clone, found()) is not None


def test_small_talk_needs_no_passage(clone: Clone):
    assert prompt_for(clone, None, question="Hello!") is not None


def test_strict_clone_declines_when_no_passage_fits_beside_a_long_question(clone: Clone):
    search = found("simmer " * 1000)
    assert len(prompt_for(clone, search).context.passages) == 1
    assert prompt_for(clone, search, question="word " * 6500) is None
    assert prompt_for(clone, search, wishes="word " * 6500) is None


def test_clones_own_model_wins(clone: Clone):
    clone.chat_model = "gpt-4o-mini"
    assert prompt_for(clone, found("Simmer it.")).model == "gpt-4o-mini"


def test_history_stands_between_prompt_and_question(clone: Clone):
    history = [ChatMessage("user", "Good day"), ChatMessage("assistant", "Hello!")]
    messages = prompt_for(clone, found("Simmer it."), history=history).context.messages
    assert list(messages[1:]) == [*history, ChatMessage("user", QUESTION)]


@pytest.mark.parametrize(
    ("text", "passages", "numbers", "expected"),
    [
        ("Twenty-five minutes [1].", 1, {1: 1}, False),
        ("Twenty-five minutes.", 1, {}, False),
        ("{no_answer}", 1, {}, True),
        ("Sorry. {no_answer} Bye.", 1, {}, True),
        ("{no_answer} But see [1].", 1, {1: 1}, False),
        ("In general, yes.", 0, {}, True),
    ],
)
def test_answer_found_nothing_without_passages_or_by_its_own_words(
    text: str, passages: int, numbers: dict[int, int], expected: bool, clone: Clone
):
    shown = found(*["Simmer it."] * passages).passages
    said = text.replace("{no_answer}", clone.no_answer_text)
    assert (
        found_nothing(clone=clone, question=QUESTION, text=said, passages=shown, numbers=numbers) is expected
    )
