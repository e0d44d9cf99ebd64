"""Putting the parts' summaries of a long conversation together in code, so that neither end is lost."""

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

from chat.memory_rules import normalise, read_statement
from chat.summary_schemas import ActionItem
from chat.titles import first_title

LEAST_TELLING_WORDS = 2
SENTENCE_END = re.compile(r"(?<=[.!?…])\s+(?=\S)|(?<=[。！？])(?=.)")


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


def find_end_questions(questions: Sequence[str]) -> tuple[str, str]:
    """What the member came with and what they asked last, a sentence each; empty where nothing says anything."""
    asked = [pick_question(text) for text in questions]
    telling = [text for text in asked if len(read_statement(text).stems) >= LEAST_TELLING_WORDS]
    return (telling[0], telling[-1]) if telling else ("", "")


def name_both_ends(topics: Sequence[str], *, questions: Sequence[str]) -> list[str]:
    """The topics, with what the member came with and asked last, should none of them speak of it.

    Models name what is said most often, and a long conversation's first and last subject may be said once.
    """
    first, last = find_end_questions(questions)
    said = Counter(stem for text in questions for stem in read_statement(text).stems)
    named = list(topics)
    if first and not _is_named(first, named, said=said):
        named.insert(0, first_title(first))
    if last and not _is_named(last, named, said=said):
        named.append(first_title(last))
    return named


def _is_named(text: str, topics: Sequence[str], *, said: Counter[str]) -> bool:
    """Whether a topic has one of the words that set this question apart: "team" is in many, "violin" in one."""
    stems = read_statement(text).stems
    rarest = min((said[stem] for stem in stems), default=0)
    telling = {stem for stem in stems if said[stem] <= rarest}
    return any(telling & read_statement(topic).stems for topic in topics)


def pick_question(text: str) -> str:
    """People give the background first and then ask: the last question of a message, else its last sentence."""
    sentences = SENTENCE_END.split(text.strip())
    asked = [sentence for sentence in sentences if sentence.rstrip().endswith(("?", "？", "؟"))]
    return (asked or sentences)[-1]


def _key(entry: Any) -> str:
    return normalise(entry.description if isinstance(entry, ActionItem) else str(entry))
