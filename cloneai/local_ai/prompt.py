"""Reading the prompt that CloneAI writes: the persona and the numbered passages of the system message."""

from __future__ import annotations

import html
import re
from dataclasses import dataclass

from cloneai.local_ai.sentences import split_sentences

_PASSAGE = re.compile(r"<passage\b(?P<attributes>[^>]*)>\n?(?P<text>.*?)\n?</passage>", re.DOTALL)
_WISHES = re.compile(r"<(wishes|memories)>.*?</\1>", re.DOTALL)
_MEMORIES = re.compile(r"<memories>\n(?P<text>.*?)\n</memories>", re.DOTALL)
_ABOUT_MEMBER = re.compile(r"\bmember asks what you remember of them\b")
_ATTRIBUTE = re.compile(r'(\w+)="([^"]*)"')
_INTRODUCTION = re.compile(r"^You are (.+)$", re.MULTILINE)
_NO_ANSWER = re.compile(r"\bsay exactly this: (.+)$", re.MULTILINE)
_FIELD = re.compile(
    r"^\s*-\s*(Communication Style|Expertise|Background):\s*(.+)$", re.IGNORECASE | re.MULTILINE
)


@dataclass(frozen=True)
class Passage:
    """A numbered passage; `text` is as it stood in the document, escapes undone."""

    number: int
    title: str
    text: str


@dataclass(frozen=True)
class Persona:
    """Whom the clone speaks for; empty strings where the prompt says nothing."""

    name: str = ""
    headline: str = ""
    expertise: tuple[str, ...] = ()
    background: str = ""
    style: str = ""
    no_answer: str = ""

    @property
    def is_given(self) -> bool:
        """Whether the prompt describes anybody, as that of a chat does."""
        return bool(self.name and (self.expertise or self.background or self.style))


def read_passages(*, instructions: str) -> list[Passage]:
    """Return the passages of the system message, in their order; one without a number is left out."""
    passages: list[Passage] = []
    for match in _PASSAGE.finditer(instructions):
        attributes = dict(_ATTRIBUTE.findall(match["attributes"]))
        if attributes.get("number", "").isdigit():
            passages.append(
                Passage(
                    number=int(attributes["number"]),
                    title=html.unescape(attributes.get("title", "")),
                    text=html.unescape(match["text"]),
                )
            )
    return passages


def read_memories(*, instructions: str) -> list[str] | None:
    """Return what is remembered of the member, when the member asks for that; None for every other question."""
    prose = _PASSAGE.sub("", instructions)
    match = _MEMORIES.search(prose)
    if match is None or not _ABOUT_MEMBER.search(_WISHES.sub("", prose)):
        return None
    lines = [html.unescape(line).removeprefix("- ").strip() for line in match["text"].splitlines()]
    return [line for line in lines if line and not line.startswith("(")]


def read_persona(*, instructions: str) -> Persona:
    """Return the persona of the system message."""
    prose = _WISHES.sub("", _PASSAGE.sub("", instructions))
    fields = {name.lower(): value.strip() for name, value in _FIELD.findall(prose)}
    no_answer = _NO_ANSWER.search(prose)
    name, headline = _read_introduction(prose)
    expertise = tuple(part.strip() for part in fields.get("expertise", "").split(",") if part.strip())
    return Persona(
        name=name,
        headline=headline,
        expertise=expertise,
        background=fields.get("background", ""),
        style=fields.get("communication style", ""),
        no_answer=no_answer[1].strip() if no_answer else "",
    )


def _read_introduction(prose: str) -> tuple[str, str]:
    """Split `You are {name}, {headline}.`; the headline ends with its first sentence."""
    match = _INTRODUCTION.search(prose)
    if match is None:
        return "", ""
    sentence = split_sentences(text=match[1])[0] if match[1].strip() else ""
    name, _, headline = sentence.rstrip(".!").partition(", ")
    return name.strip(), headline.strip()
