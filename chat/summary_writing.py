"""Writing a summary: in one call when the conversation fits the context, else part by part and then as a whole.

Enter at `write_structured_summary`. Lists are put together in code: the first part's first entry and the last part's
last one are always among them, and no action item loses its message. Only prose is asked of the model once more.
"""

import re
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel

from billing.metering import Payer, complete_structured
from billing.model_choice import Complexity, Task, choose_model
from billing.models import Purpose
from chat.languages import guess_language
from chat.memory_rules import normalise, read_statement
from chat.models import Message, Role, SessionSummary, SummaryType
from chat.prompts import build_summary_messages
from chat.summary_schemas import SCHEMAS, ActionItem, ActionItems, BriefSummary, DetailedSummary, Overall
from chat.titles import first_title
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
LEAST_TELLING_WORDS = 2
SENTENCE_END = re.compile(r"(?<=[.!?…])\s+(?=\S)|(?<=[。！？])(?=.)")

T = TypeVar("T", bound=BaseModel)


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
        self._lines = [
            Line(number=number, speaker=SPEAKERS[Role(message.role)], text=message.content)
            for number, message in enumerate(messages, start=1)
        ]
        own = " ".join(message.content for message in messages if message.role == Role.USER)
        self._language = guess_language(own)
        self._questions = [message.content for message in messages if message.role == Role.USER]

    def split(self) -> list[list[Line]]:
        room = room_for_transcript(output_tokens=MAX_SUMMARY_TOKENS, rules_tokens=RULES_TOKENS)
        return split_windows(self._lines, model=self._model, limit_tokens=room)

    async def ask(self, schema: type[T], *, task: str, lines: Sequence[Line]) -> T:
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
        return result.value

    async def reduce(self, parts: Sequence[Any]) -> BaseModel:
        """One summary of the parts', in their order; all are of the summary's schema."""
        if self._summary_type == SummaryType.ACTION_ITEMS:
            return ActionItems(
                action_items=merge([part.action_items for part in parts], most=MOST["action_items"])
            )
        if self._summary_type == SummaryType.BRIEF:
            return await self.ask(BriefSummary, task="brief", lines=_tell([part.summary for part in parts]))
        told = [_describe_part(part) for part in parts]
        overall = await self.ask(Overall, task="overall", lines=_tell(told))
        lists = {
            name: merge([getattr(part, name) for part in parts], most=most) for name, most in MOST.items()
        }
        lists["main_topics"] = name_both_ends(lists["main_topics"], questions=self._questions)
        return DetailedSummary(**lists, overall_assessment=overall.overall_assessment)


def merge(parts: Sequence[Sequence[Any]], *, most: int) -> list[Any]:
    """At most `most` entries in the order of the parts, none twice; first come the parts' ends, then all in turn.

    The first entry of the first part and the last one of the last part are always kept.
    """
    places = {(0, 0), (len(parts) - 1, len(parts[-1]) - 1)} & {
        (part, index) for part, entries in enumerate(parts) for index in range(len(entries))
    }
    seen = {_key(parts[part][index]) for part, index in places}
    for index in range(max((len(entries) for entries in parts), default=0)):
        for part, entries in enumerate(parts):
            if len(places) >= most:
                break
            if index < len(entries) and (part, index) not in places and _key(entries[index]) not in seen:
                places.add((part, index))
                seen.add(_key(entries[index]))
    return [parts[part][index] for part, index in sorted(places)]


def name_both_ends(topics: Sequence[str], *, questions: Sequence[str]) -> list[str]:
    """The topics, with what the member came with and asked last, should none of them speak of it.

    Models name what is said most often, and a long conversation's first and last subject may be said once.
    """
    asked = [_last_sentence(text) for text in questions]
    telling = [text for text in asked if len(read_statement(text).stems) >= LEAST_TELLING_WORDS]
    named = list(topics)
    if telling and not _is_named(telling[0], named):
        named.insert(0, first_title(telling[0]))
    if telling and not _is_named(telling[-1], named):
        named.append(first_title(telling[-1]))
    return named


def _is_named(text: str, topics: Sequence[str]) -> bool:
    said = read_statement(text).stems
    return any(said & read_statement(topic).stems for topic in topics)


def _last_sentence(text: str) -> str:
    """People give the background first and then ask."""
    return SENTENCE_END.split(text.strip())[-1]


def link_messages(data: dict[str, Any], messages: Sequence[Message]) -> dict[str, Any]:
    """Gives each action item the id of its message; one whose message cannot be found is dropped."""
    if "action_items" in data:
        found = [(item, _find_source(item, messages)) for item in data["action_items"]]
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


def _key(entry: Any) -> str:
    return normalise(entry.description if isinstance(entry, ActionItem) else str(entry))


def _tell(texts: Sequence[str]) -> list[Line]:
    return [Line(number=number, speaker="EXPERT", text=text) for number, text in enumerate(texts, start=1)]


def _describe_part(part: Any) -> str:
    topics = "; ".join(part.main_topics)
    steps = "; ".join(item.description for item in part.action_items)
    return f"Topics: {topics}. {part.overall_assessment} " + (f"To do: {steps}." if steps else "")
