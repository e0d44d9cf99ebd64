"""One place that decides what kind of request it is, and who writes the reply."""

from __future__ import annotations

from cloneai.local_ai.answers import answer_from_passages, say_not_covered
from cloneai.local_ai.chat_request import ChatRequest
from cloneai.local_ai.conversation import earlier_subject, wants_more
from cloneai.local_ai.prompt import read_passages, read_persona
from cloneai.local_ai.relevance import read_question
from cloneai.local_ai.smalltalk import recognise, reply, strip_opening


def write_reply(*, request: ChatRequest) -> str:
    """Write the text of the answer; the same request always gets the same text."""
    return _write_chat(request)


def _write_chat(request: ChatRequest) -> str:
    persona = read_persona(instructions=request.instructions)
    texts = tuple(text for text in request.user_texts if text.strip())
    if not texts:
        return reply(kind="greeting", text="", persona=persona)
    last = texts[-1]
    kind = recognise(text=last)
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
