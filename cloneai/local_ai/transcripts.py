"""Reading a conversation out of a request: transcript lines in a message, or the messages themselves."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from cloneai.local_ai.chat_request import ChatRequest
from cloneai.local_ai.sentences import clean_inline, split_sentences
from cloneai.local_ai.smalltalk import recognise

Speaker = Literal["member", "expert"]

_LINE = re.compile(
    r"^\s*(?:\[(?P<id>[\w-]{1,40})\]\s*)?(?P<who>MEMBER|USER|CLIENT|HUMAN|EXPERT|CLONE|AI|ASSISTANT)\s*:\s*(?P<text>.*)$"
)
_ORDER = re.compile(
    r"\n\s*\n(?:Provide|Return|Focus|Respond|Extract|Answer|Write)\b[^\n]*"
    r"\b(?:json|summary|conversations?|insights|schema|topics|priority)\b[^\n]*\s*$",
    re.IGNORECASE,
)
_MEMBERS = ("MEMBER", "USER", "CLIENT", "HUMAN")
_MARKER = re.compile(r"\s*\[(?!0+\s*[,;])\d+(?:\s*[,;]\s*\d+)*\]")


@dataclass(frozen=True)
class Turn:
    """One message of a conversation. `id` is as the transcript wrote it (`m12`), or empty."""

    id: str
    speaker: Speaker
    text: str

    @property
    def number(self) -> int | None:
        """The digits of the id, if it has any."""
        digits = re.search(r"\d+", self.id)
        return int(digits.group()) if digits and not re.search(r"\d\D+\d", self.id) else None


@dataclass(frozen=True)
class Extract:
    """A sentence taken from a conversation, with the turn it stood in and what it was taken as."""

    text: str
    turn: Turn | None = None
    kind: str = ""


def read_turns(*, request: ChatRequest) -> list[Turn]:
    """Return the conversation: the last user message's transcript, or else the user and assistant messages."""
    texts = request.user_texts
    turns = parse_transcript(text=texts[-1]) if texts else []
    if turns:
        return turns
    speakers: dict[str, Speaker] = {"user": "member", "assistant": "expert"}
    return [
        Turn(id="", speaker=speakers[message.role], text=message.content)
        for message in request.messages
        if message.role in speakers and message.content.strip()
    ]


def parse_transcript(*, text: str) -> list[Turn]:
    """Read lines such as `[m12] MEMBER: text`; lines without a speaker go on with the one before.

    A closing tag (`</transcript>`) ends it; a last paragraph that is an order ("Provide … JSON") is left out.
    """
    if "<transcript>" in text:
        text = html.unescape(text)  # CloneAI escapes what stands inside its fence
    text = _ORDER.sub("", text)
    turns: list[Turn] = []
    for line in text.splitlines():
        match = _LINE.match(line)
        if match:
            speaker: Speaker = "member" if match["who"] in _MEMBERS else "expert"
            turns.append(Turn(id=match["id"] or "", speaker=speaker, text=match["text"].strip()))
        elif re.match(r"\s*</\w+>\s*$", line) and turns:
            break
        elif turns and line.strip():
            last = turns[-1]
            turns[-1] = Turn(id=last.id, speaker=last.speaker, text=f"{last.text}\n{line.strip()}")
    return turns


def split_turns(*, turns: Sequence[Turn]) -> list[Extract]:
    """Return all sentences of a conversation that say something: no small talk, no lead-ins, no markers."""
    return [
        Extract(text=sentence, turn=turn)
        for turn in turns
        if not recognise(text=turn.text)
        for line in turn.text.splitlines()
        for sentence in split_sentences(text=_plain(line))
        if len(sentence.split()) >= 3 and not sentence.endswith(":")
    ]


def _plain(line: str) -> str:
    return clean_inline(re.sub(r"^\s*(?:[-*•]|\d{1,2}[.)])\s+", "", _MARKER.sub("", line)))
