"""Structured answers are valid against their schema, whatever it says, and hold what was really said."""

from __future__ import annotations

import json
from enum import StrEnum
from typing import Annotated, Any, Literal

import pytest
from openai import AsyncOpenAI
from pydantic import BaseModel, Field

from cloneai.local_ai.catalogue import CHAT_MODEL, Catalogue
from cloneai.local_ai.chat_request import read_chat_request
from cloneai.local_ai.replies import write_reply

TRANSCRIPT = """<transcript>
[m11] MEMBER: Hi! I'm a nurse and I work night shifts. I have two kids.
[m12] EXPERT: Hello! I am Mara's AI clone.
[m13] MEMBER: I want to sleep better by Christmas. How long may a nap be?
[m14] EXPERT: From my material:

Naps on ordinary days should stay under twenty-five minutes &amp; end before 3 p.m. [4]
You should wear dark glasses on the way home today. [4]
[m15] MEMBER: I prefer short answers. I've already stopped drinking coffee. I will try the dark glasses.
[m16] EXPERT: Keep a sleep diary for one week. [3]
[m17] MEMBER: What about melatonin? Let's talk about it next time.
</transcript>"""


class Effort(StrEnum):
    SMALL = "small"
    MEDIUM = "medium"
    LARGE = "large"


class Action(BaseModel):
    description: str
    priority: Literal["high", "medium", "low"]
    estimated_effort: Effort
    message_number: int = Field(ge=1)
    message_id: str | None


class Detailed(BaseModel):
    summary: str
    main_topics: list[str]
    key_insights: list[str]
    action_items: list[Action]
    progress_made: list[str]
    next_steps: list[str]
    overall_assessment: str


class Insight(BaseModel):
    kind: Literal[
        "user_preferences", "user_goals", "progress_indicators", "context_to_remember", "expertise_interests",
        "follow_up_topics",
    ]  # fmt: skip
    content: str
    message_id: str


class Insights(BaseModel):
    insights: list[Insight]


class Node(BaseModel):
    name: str
    child: Node | None


class Odd(BaseModel):
    node: Node
    exactly: Literal["this"]
    short: Annotated[str, Field(max_length=12)]
    long: Annotated[str, Field(min_length=500)]
    three: Annotated[list[str], Field(min_length=3, max_length=3)]
    share: Annotated[float, Field(gt=0, lt=1)]
    even: Annotated[int, Field(ge=7, multiple_of=2)]
    flag: bool
    either: int | str | None
    level: Literal[1, 2]
    anything: dict[str, str]


class Queries(BaseModel):
    queries: list[str]


class Query(BaseModel):
    query: str


class Title(BaseModel):
    title: str


def fill(content: str, schema: type[BaseModel], *, system: str = "") -> Any:
    """Ask for `schema` and return the validated answer."""
    messages = [{"role": "system", "content": system}, {"role": "user", "content": content}]
    named = {"name": "answer", "strict": True, "schema": schema.model_json_schema()}
    payload = {"model": CHAT_MODEL, "messages": messages,
               "response_format": {"type": "json_schema", "json_schema": named}}  # fmt: skip
    return schema.model_validate_json(
        write_reply(request=read_chat_request(payload=payload, catalogue=Catalogue())), strict=True
    )


def reply(content: str, **changes: Any) -> str:
    payload = {"model": CHAT_MODEL, "messages": [{"role": "user", "content": content}], **changes}
    return write_reply(request=read_chat_request(payload=payload, catalogue=Catalogue()))


def test_detailed_summary_holds_what_was_said() -> None:
    summary = fill(TRANSCRIPT, Detailed)
    assert "How long may a nap be?" in summary.summary
    assert any("nap" in topic for topic in summary.main_topics)
    assert (
        "Naps on ordinary days should stay under twenty-five minutes & end before 3 p.m."
        in summary.key_insights
    )
    assert summary.progress_made == ["I've already stopped drinking coffee."]
    assert len(summary.next_steps) == 3
    assert "nap" in summary.overall_assessment


def test_action_items_come_from_both_sides_with_their_messages() -> None:
    actions = {item.description: item for item in fill(TRANSCRIPT, Detailed).action_items}
    assert actions["Keep a sleep diary for one week."].message_number == 16
    assert actions["I will try the dark glasses."].message_id == "m15"
    assert actions["You should wear dark glasses on the way home today."].priority == "high"
    assert actions["You should wear dark glasses on the way home today."].estimated_effort is Effort.SMALL
    assert not any(text.endswith("?") for text in actions)


def test_insights_come_from_the_member_only_and_name_their_message() -> None:
    found = {(item.kind, item.content): item.message_id for item in fill(TRANSCRIPT, Insights).insights}
    assert found["user_preferences", "I prefer short answers."] == "m15"
    assert found["user_goals", "I want to sleep better by Christmas."] == "m13"
    assert found["context_to_remember", "I'm a nurse and I work night shifts."] == "m11"
    assert found["follow_up_topics", "What about melatonin?"] == "m17"
    assert set(found.values()) <= {"m11", "m13", "m15", "m17"}


def test_what_a_member_asks_about_is_no_interest_of_theirs() -> None:
    asked = "[m1] MEMBER: How many copies did the game sell?\n[m2] MEMBER: When is the lighthouse lit?"
    assert not [item for item in fill(asked, Insights).insights if item.kind == "expertise_interests"]
    said = f"{asked}\n[m3] MEMBER: I am really interested in old lighthouses."
    (interest,) = [item for item in fill(said, Insights).insights if item.kind == "expertise_interests"]
    assert (interest.content, interest.message_id) == ("I am really interested in old lighthouses.", "m3")


def test_schema_with_every_kind_of_limit_is_met() -> None:
    odd = fill(TRANSCRIPT, Odd)
    assert odd.even == 8
    assert len(odd.three) == 3


def test_empty_conversation_still_gives_a_valid_answer() -> None:
    summary = fill("MEMBER: hi", Detailed)
    assert summary.action_items == []
    assert summary.summary


def test_query_expansion_gives_other_phrasings() -> None:
    asked = "How do I stop my baby from waking at night?"
    found = fill(f'Given this user query: "{asked}"\n\nGenerate 2-3 alternative phrasings', Queries).queries
    assert 2 <= len(found) <= 3
    assert any("infant" in text for text in found)
    assert any("baby waking night" in text for text in found)
    assert asked not in found


def test_follow_up_is_rewritten_to_stand_alone() -> None:
    talk = "MEMBER: How many hours of sleep do toddlers need?\nEXPERT: 11 to 14. [5]\nMEMBER: And what about teenagers?"
    rewritten = fill(talk, Query, system="Rewrite the follow-up as a stand-alone question.").query
    assert "teenagers" in rewritten
    assert "sleep" in rewritten
    alone = fill(
        "MEMBER: How are naps timed?\nMEMBER: Which flour makes the best sourdough bread?", Query
    ).query
    assert alone == "Which flour makes the best sourdough bread?"


@pytest.mark.parametrize(
    "talk",
    ["MEMBER: hi\nMEMBER: How long does bulk fermentation take at 20 degrees?", "MEMBER: Naps?", "MEMBER: hello",
     TRANSCRIPT],
)  # fmt: skip
def test_titles_have_three_to_six_words(talk: str) -> None:
    structured = fill(talk, Title).title
    plain = reply(f"Write a title for this conversation.\n{talk}")
    assert 3 <= len(structured.split()) <= 6
    assert 3 <= len(plain.split()) <= 6


def test_json_object_answers_what_the_prompt_names() -> None:
    answer = json.loads(
        reply(
            f"Give main topics and action items as JSON.\n{TRANSCRIPT}",
            response_format={"type": "json_object"},
        )
    )
    assert set(answer) == {"main_topics", "action_items"}
    assert set(answer["action_items"][0]) == {"description", "priority", "estimated_effort"}


def test_brief_summary_in_prose_has_two_to_three_sentences() -> None:
    text = reply(f"Provide a brief 2-3 sentence summary of this conversation.\n{TRANSCRIPT}")
    assert "How long may a nap be?" in text
    assert 2 <= text.count("”") <= 3


def test_cleaning_returns_the_text_alone() -> None:
    order = "Clean and normalize the following text extracted from a document.\n\n<text>\nA  bro-\nken  line.\n</text>"
    assert reply(f"{order}\nReturn only the cleaned text.") == "A broken line."


def test_orders_behind_a_transcript_are_not_part_of_it() -> None:
    talk = "MEMBER: How do I hire?\nEXPERT: Ask for a work sample.\n\nProvide a structured response in JSON format."
    assert "JSON" not in fill(talk, Detailed).model_dump_json()


async def test_structured_answer_that_is_cut_says_so(local_client: AsyncOpenAI) -> None:
    answer = await local_client.chat.completions.create(
        model=CHAT_MODEL,
        messages=[{"role": "user", "content": TRANSCRIPT}],
        max_tokens=10,
        response_format={
            "type": "json_schema",
            "json_schema": {"name": "d", "schema": Detailed.model_json_schema()},
        },
    )
    assert answer.choices[0].finish_reason == "length"
