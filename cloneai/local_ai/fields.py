"""What fills a structured answer's fields: real content for known names, else the best fitting extract."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import cached_property

from cloneai.local_ai import extracts, queries
from cloneai.local_ai.chat_request import ChatRequest
from cloneai.local_ai.embedding import embed_texts
from cloneai.local_ai.transcripts import Extract, Turn, read_turns, split_turns

INSIGHT_KINDS = (*extracts.INSIGHT_CUES, "follow_up_topics")
NOTHING = "Nothing was said about this."

# Other names that a schema may give to what we know.
_OTHER_NAMES = {
    "main_topics": "topics main_topics_discussed key_topics tags keywords",
    "key_insights": "insights key_points highlights",
    "action_items": "actions tasks recommendations",
    "progress_made": "progress achievements",
    "next_steps": "followups follow_ups",
    "overall_assessment": "assessment",
    "summary": "overview summary_text abstract",
    "queries": "alternatives alternative_queries expanded_queries variants rephrasings search_queries",
    "query": "standalone_query standalone_question rewritten_query search_query rewritten question",
    "title": "session_title headline",
    "cleaned": "cleaned_text clean_text",
    "user_preferences": "preferences",
    "user_goals": "goals",
    "expertise_interests": "interests",
    "context_to_remember": "context",
}
_ALIASES = {other: name for name, others in _OTHER_NAMES.items() for other in others.split()}


class Content:
    """Everything that can be said about one request, worked out when a field first asks for it."""

    def __init__(self, *, request: ChatRequest) -> None:
        self.request = request

    @cached_property
    def turns(self) -> list[Turn]:
        """The conversation that the request is about."""
        return read_turns(request=self.request)

    @cached_property
    def central(self) -> list[Extract]:
        """All sentences, most telling first."""
        return extracts.rank_central(extracts=split_turns(turns=self.turns))

    @cached_property
    def _lists(self) -> dict[str, Callable[[], Sequence[Extract]]]:
        return {
            "main_topics": lambda: [Extract(text=topic) for topic in extracts.find_topics(turns=self.turns)],
            "key_insights": lambda: [item for item in self.central if _said_by(item, "expert")][:4],
            "action_items": lambda: extracts.find_actions(turns=self.turns),
            "next_steps": lambda: extracts.find_actions(turns=self.turns, limit=3),
            "progress_made": lambda: extracts.find_insights(turns=self.turns, kind="progress_indicators"),
            "queries": lambda: self._queries(),
            "summary": lambda: self.central[:3],
        }

    def list_of(self, name: str) -> list[Extract] | None:
        """Return the extracts of a known list; None when the name is not known."""
        known = _ALIASES.get(name, name)
        if known in INSIGHT_KINDS:
            return extracts.find_insights(turns=self.turns, kind=known)
        return list(self._lists[known]()) if known in self._lists else None

    def text_of(self, name: str) -> str:
        """Return the text of a field that is one string."""
        known = _ALIASES.get(name, name)
        text = self.request.user_texts[-1] if self.request.user_texts else ""
        written: dict[str, Callable[[], str]] = {
            "summary": lambda: extracts.summarise(turns=self.turns),
            "overall_assessment": lambda: extracts.assess(turns=self.turns),
            "title": lambda: queries.make_title(turns=self.turns),
            "query": lambda: queries.stand_alone(request=self.request),
            "cleaned": lambda: queries.clean_request_text(text=text),
            "text": lambda: queries.clean_request_text(text=text),
        }
        if known in written:
            return written[known]()
        listed = self.list_of(name)
        if listed is None:
            return self.best_fit(name)
        return " ".join(item.text for item in listed[:3]) or NOTHING

    def best_fit(self, name: str) -> str:
        """Return the sentence that is closest to a field's name."""
        if not self.central:
            return NOTHING
        vectors = embed_texts(texts=[re.sub(r"[_-]+", " ", name), *(item.text for item in self.central)])
        return self.central[int((vectors[1:] @ vectors[0]).argmax())].text

    def all_insights(self) -> list[Extract]:
        """Return the insights of every kind, one after the other."""
        return [
            item for kind in INSIGHT_KINDS for item in extracts.find_insights(turns=self.turns, kind=kind)
        ]

    def _queries(self) -> list[Extract]:
        query = queries.find_query(request=self.request)
        return [Extract(text=text) for text in queries.rephrase(query=query)]


def item_text(*, name: str, item: Extract) -> str:
    """Return what a string field of a list's item holds."""
    if re.search(r"(?:message|turn|source)_?(?:id|ref)|^(?:id|ref)$", name):
        return item.turn.id if item.turn else ""
    if re.search(r"(?:message|turn)_?number", name):
        return str(item.turn.number) if item.turn and item.turn.number is not None else ""
    if "priority" in name or "importance" in name or "urgency" in name:
        return extracts.priority_of(text=item.text)
    if "effort" in name:
        return extracts.effort_of(text=item.text)
    if name in ("kind", "type", "category") and item.kind:
        return item.kind
    if name in ("owner", "assignee", "who", "speaker", "said_by"):
        return item.turn.speaker if item.turn else "member"
    if name == "title":
        return " ".join(item.text.split()[:6]).rstrip(".,;:")
    return item.text


def choose_option(*, name: str, options: Sequence[str], item: Extract | None, content: Content) -> str:
    """Return the option of an enumeration that fits best."""
    if item:
        wanted = item_text(name=name, item=item)
        same = [option for option in options if option.lower() == wanted.lower()]
        if same:
            return same[0]
        scale = {"high": 0, "medium": 1, "low": 2}
        if wanted in scale and len(options) == 3:
            # small, medium, large and the like: effort rises, so the order turns
            ordered = (
                list(options) if options[0].lower() in ("high", "large", "urgent") else list(options)[::-1]
            )
            return ordered[scale[wanted]]
    about = item.text if item else " ".join(extract.text for extract in content.central[:3])
    if not about:
        return options[0]
    vectors = embed_texts(texts=[about, *(option.replace("_", " ") for option in options)])
    return options[int((vectors[1:] @ vectors[0]).argmax())]


def _said_by(item: Extract, speaker: str) -> bool:
    return item.turn is not None and item.turn.speaker == speaker
