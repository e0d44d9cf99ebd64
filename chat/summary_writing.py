"""Writing a summary: in one call when the conversation fits the context, else part by part and then as a whole.

Enter at `write_structured_summary`. Lists are put together in code: the first part's first entry and the last part's
last one are always among them, and no action item loses its message. Only prose is asked of the model once more,
with the member's first and last question beside it. What comes in a language that nobody spoke is asked for again.
"""

from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any, TypeVar

from django.conf import settings
from pydantic import BaseModel

from billing.errors import AnswerUnusable
from billing.metering import Payer, complete_structured
from billing.model_choice import Complexity, Task, choose_model
from billing.models import Purpose
from chat.languages import guess_language
from chat.memory_rules import read_statement
from chat.models import Message, Role, SessionSummary, SummaryType
from chat.prompts import build_summary_messages
from chat.summary_parts import find_end_questions, merge, name_both_ends
from chat.summary_schemas import SCHEMAS, ActionItems, BriefSummary, DetailedSummary, Overall
from chat.windows import Line, room_for_transcript, split_windows

MAX_SUMMARY_TOKENS = 1500
RULES_TOKENS = 1000  # the rules and the schema
TEMPERATURE = 0.3
SPEAKERS = {Role.USER: "MEMBER", Role.ASSISTANT: "EXPERT"}
# The most entries of each list of a summary that was put together from parts.
MOST = {
    "main_topics": 8,
    "key_insights": 8,
    "action_items": 12,
    "progress_made": 6,
    "next_steps": 6,
}
# From which share of an item's words another message is taken for its source, when the named one has none of them.
CLEARLY_SAID = 0.5
# By how much the words of a language must lead before an answer in it counts as a foreign one.
CLEARLY_IN = 2.0
MOST_ROUNDS = 8  # each leaves at most half of the parts

T = TypeVar("T", bound=BaseModel)


class ForeignAnswer(AnswerUnusable):
    """It came, twice, in a language that neither the member nor the clone spoke."""


async def write_structured_summary(
    *, summary: SessionSummary, messages: Sequence[Message], on_part: Callable[[], Any]
) -> dict[str, Any]:
    """The summary's data, every action item with `message_id`. `on_part` is awaited after each part.

    Raises MeteredCallError. One metered call, or one a part and one for the whole.
    """
    writer = _Writer(summary=summary, messages=messages)
    windows = writer.split()
    if len(windows) == 1:
        whole = await writer.ask(SCHEMAS[summary.summary_type], task=summary.summary_type, lines=windows[0])
    else:
        parts = []
        for window in windows:
            parts.append(
                await writer.ask(SCHEMAS[summary.summary_type], task=summary.summary_type, lines=window)
            )
            await on_part()
        whole = await writer.reduce(parts)
    return link_messages(whole.model_dump(mode="json"), messages)


class _Writer:
    """The calls of one summary."""

    def __init__(self, *, summary: SessionSummary, messages: Sequence[Message]) -> None:
        session = summary.session
        is_detailed = summary.summary_type == SummaryType.DETAILED
        self._summary_type = summary.summary_type
        self._expert = session.clone.name
        self._payer = Payer(user_id=session.user_id, clone_id=session.clone_id, session_id=session.pk)
        self._model = choose_model(
            task=Task.SUMMARIZATION, complexity=Complexity.COMPLEX if is_detailed else Complexity.MEDIUM
        )
        self._room = room_for_transcript(output_tokens=MAX_SUMMARY_TOKENS, rules_tokens=RULES_TOKENS)
        self._lines = [
            Line(number=number, speaker=SPEAKERS[Role(message.role)], text=message.content)
            for number, message in enumerate(messages, start=1)
        ]
        own = " ".join(message.content for message in messages if message.role == Role.USER)
        self._language = guess_language(own)
        told = " ".join(message.content for message in messages if message.role == Role.ASSISTANT)
        spoken = {guess_language(text) for text in (told, *(message.content for message in messages))}
        self._spoken = {self._language, *spoken} - {""} if self._language else set()
        self._questions = [message.content for message in messages if message.role == Role.USER]

    def split(self) -> list[list[Line]]:
        return self._split(self._lines)

    def _split(self, lines: Sequence[Line]) -> list[list[Line]]:
        return split_windows(lines, model=self._model, limit_tokens=self._room)

    async def ask(self, schema: type[T], *, task: str, lines: Sequence[Line]) -> T:
        """One answer; one in a foreign language is asked for once more, and then an error."""
        for _ in range(2):
            result = await complete_structured(
                payer=self._payer,
                purpose=Purpose.SUMMARY,
                model=self._model,
                messages=build_summary_messages(
                    expert=self._expert,
                    summary_type=task,
                    transcript="\n".join(map(str, lines)),
                    language=self._language,
                ),
                schema=schema,
                max_output_tokens=MAX_SUMMARY_TOKENS,
                temperature=TEMPERATURE,
            )
            if not self._is_foreign(result.value):
                return result.value
        raise ForeignAnswer(f"It is not in {self._language}.")

    def _is_foreign(self, answer: BaseModel) -> bool:
        """Not in offline mode, which quotes what was said and frames it in English where it knows no better."""
        if settings.AI_OFFLINE or not self._spoken:
            return False
        language = guess_language(_read_prose(answer), lead=CLEARLY_IN)
        return language not in {"", *self._spoken}

    async def reduce(self, parts: Sequence[Any]) -> BaseModel:
        """One summary of the parts', in their order; all are of the summary's schema."""
        if self._summary_type == SummaryType.ACTION_ITEMS:
            return ActionItems(
                action_items=merge([part.action_items for part in parts], most=MOST["action_items"])
            )
        if self._summary_type == SummaryType.BRIEF:
            return await self._ask_of_parts(
                BriefSummary, task="brief_of_parts", told=[part.summary for part in parts]
            )
        told = [_describe_part(part) for part in parts]
        overall = await self._ask_of_parts(Overall, task="overall", told=told)
        lists = {
            name: merge([getattr(part, name) for part in parts], most=most) for name, most in MOST.items()
        }
        lists["main_topics"] = name_both_ends(lists["main_topics"], questions=self._questions)
        return DetailedSummary(**lists, overall_assessment=overall.overall_assessment)

    async def _ask_of_parts(self, schema: type[T], *, task: str, told: Sequence[str]) -> T:
        """Prose of the parts' prose, between the member's first and last question; in rounds until it fits."""
        first, last = find_end_questions(self._questions)
        told = list(map(self._shorten, told))
        for _ in range(MOST_ROUNDS):
            windows = self._split(_frame(told, first=self._shorten(first), last=self._shorten(last)))
            if len(windows) == 1:
                break
            answers = [await self.ask(schema, task=task, lines=window) for window in windows]
            told = [self._shorten(_read_prose(answer)) for answer in answers]
        return await self.ask(schema, task=task, lines=windows[0])

    def _shorten(self, text: str) -> str:
        """At most a quarter of the context's room, so that several fit and each round leaves fewer."""
        limit_tokens = self._room // 4
        pieces = split_windows(
            [Line(number=0, speaker="EXPERT", text=text)], model=self._model, limit_tokens=limit_tokens
        )
        return " ".join(piece.text for piece in pieces[0])


def _read_prose(answer: BaseModel) -> str:
    return " ".join(_texts_of(answer.model_dump(mode="json")))


def link_messages(data: dict[str, Any], messages: Sequence[Message]) -> dict[str, Any]:
    """Gives each action item the id of its message; one whose message cannot be found is dropped."""
    if "action_items" in data:
        told = [item for item in data["action_items"] if item["description"].strip()]
        found = [(item, _find_source(item, messages)) for item in told]
        data["action_items"] = [
            {**item, "message_number": number, "message_id": str(messages[number - 1].pk)}
            for item, number in found
            if number
        ]
    return data


def _find_source(item: dict[str, Any], messages: Sequence[Message]) -> int:
    """The number of the message that the item comes from: the named one unless another clearly says it; 0 for none."""
    wanted = read_statement(item["description"]).stems
    shares = [
        len(wanted & read_statement(message.content).stems) / max(1, len(wanted)) for message in messages
    ]
    best = max(range(len(shares)), key=shares.__getitem__, default=0)
    named = item["message_number"]
    is_there = 1 <= named <= len(messages)
    if is_there and (shares[named - 1] > 0 or shares[best] < CLEARLY_SAID):
        return int(named)
    return best + 1 if shares and shares[best] >= CLEARLY_SAID else 0


def _frame(told: Sequence[str], *, first: str, last: str) -> list[Line]:
    """The parts' summaries between the member's first and last question, which may be empty."""
    said = [("MEMBER", first), *(("EXPERT", text) for text in told), ("MEMBER", last)]
    return [
        Line(number=number, speaker=speaker, text=text)
        for number, (speaker, text) in enumerate(said, start=1)
        if text
    ]


def _texts_of(value: Any) -> list[str]:
    """All texts of a structured answer, choices such as "high" included."""
    if isinstance(value, dict | list):
        inner = value.values() if isinstance(value, dict) else value
        return list(chain.from_iterable(_texts_of(one) for one in inner))
    return [value] if isinstance(value, str) else []


def _describe_part(part: Any) -> str:
    topics = "; ".join(part.main_topics)
    steps = "; ".join(item.description for item in part.action_items)
    return f"Topics: {topics}. {part.overall_assessment} " + (f"To do: {steps}." if steps else "")
