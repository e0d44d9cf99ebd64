"""One place that decides what kind of request it is, and who writes the reply."""

from __future__ import annotations

import re

from cloneai.local_ai.answers import answer_from_passages, say_not_covered
from cloneai.local_ai.chat_request import ChatRequest
from cloneai.local_ai.conversation import earlier_subject, wants_more
from cloneai.local_ai.extracts import summarise
from cloneai.local_ai.prompt import read_memories, read_passages, read_persona
from cloneai.local_ai.queries import clean_request_text, find_query, make_title, rephrase, stand_alone
from cloneai.local_ai.relevance import read_question
from cloneai.local_ai.remembering import tell_memories
from cloneai.local_ai.smalltalk import recognise, reply, strip_opening
from cloneai.local_ai.structured import write_structured
from cloneai.local_ai.transcripts import parse_transcript, read_turns

_TITLE = re.compile(r"\btitle for (?:this|the following) (?:conversation|chat|session)\b", re.IGNORECASE)
_CLEANING = re.compile(r"\bclean and normali[sz]e the following text\b", re.IGNORECASE)
_REPHRASING = re.compile(r"\balternative (?:phrasings|queries|phrasing)\b", re.IGNORECASE)
_STAND_ALONE = re.compile(r"\bstand-?alone (?:question|query|search)\b", re.IGNORECASE)
_SUMMARY = re.compile(r"\bsummar(?:y|i[sz]e)\b", re.IGNORECASE)


def write_reply(*, request: ChatRequest) -> str:
    """Write the text of the answer; the same request always gets the same text."""
    if request.schema is not None:
        return write_structured(request=request)
    return _write_errand(request) or _write_chat(request)


def _write_errand(request: ChatRequest) -> str | None:
    """Do one of the platform's small jobs when the prompt asks for it; None for a chat."""
    if read_persona(instructions=request.instructions).is_given:
        return None  # a chat: its instructions are the persona's, and the member's words are no commands
    last = request.user_texts[-1] if request.user_texts else ""
    prompt = f"{request.instructions}\n{last[:600]}"
    if _CLEANING.search(prompt):
        return clean_request_text(text=last)
    if _TITLE.search(prompt):
        return make_title(turns=read_turns(request=request))
    if _REPHRASING.search(prompt):
        return "\n".join(rephrase(query=find_query(request=request)))
    if _STAND_ALONE.search(prompt):
        return stand_alone(request=request)
    if _SUMMARY.search(prompt) and parse_transcript(text=last):
        return summarise(turns=read_turns(request=request))
    return None


def _write_chat(request: ChatRequest) -> str:
    persona = read_persona(instructions=request.instructions)
    texts = tuple(text for text in request.user_texts if text.strip())
    if not texts:
        return reply(kind="greeting", text="", persona=persona)
    last = texts[-1]
    memories = read_memories(instructions=request.instructions)
    if memories is not None:
        return tell_memories(memories=memories, question=last)
    kind = recognise(text=last, name=persona.name)
    if kind is not None:
        return reply(kind=kind, text=last, persona=persona)
    asked = strip_opening(text=last)
    passages = read_passages(instructions=request.instructions)
    if not passages:
        return say_not_covered(question_text=asked, persona=persona)
    said = "\n".join(item.content for item in request.messages if item.role == "assistant")
    return answer_from_passages(
        question=read_question(text=asked, earlier=earlier_subject(user_texts=(*texts[:-1], asked))),
        passages=passages,
        persona=persona,
        already_said=said if wants_more(text=asked) else "",
    )
