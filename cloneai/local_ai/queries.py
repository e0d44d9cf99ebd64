"""Short rewritings: other phrasings of a query, follow-ups that stand alone, titles, cleaned text."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence

from cloneai.local_ai.chat_request import ChatRequest
from cloneai.local_ai.conversation import earlier_subject, subject_words
from cloneai.local_ai.extracts import find_topics
from cloneai.local_ai.language import content_words, find_words, stem
from cloneai.local_ai.smalltalk import recognise, strip_opening
from cloneai.local_ai.thesaurus import neighbours, synonyms
from cloneai.local_ai.transcripts import Turn, parse_transcript, split_turns

MAX_TITLE_WORDS = 6
MAX_ADDED_WORDS = 6
# With fewer words that say something, a question that somebody wants rewritten cannot stand alone.
NAMES_LITTLE = 3

_THING = re.compile(r"^what(?:'s| is| are) (?:an? |the |my |your )?((?:[\w-]+ ?){1,4})\?$", re.IGNORECASE)

_FORMS = (
    (re.compile(r"^how (?:do|can|should|could|would) (?:i|you|we|one) (.+)$", re.I), "ways to {}"),
    (re.compile(r"^why (?:do|does|did|is|are|can't|should) (.+)$", re.I), "reasons why {}"),
    (re.compile(r"^what (?:is|are) (?:an? |the )?(.+)$", re.I), "{} meaning and definition"),
    (re.compile(r"^how (?:long|much|many|often) (.+)$", re.I), "amount and duration: {}"),
    (re.compile(r"^when (?:do|should|can|is) (?:i )?(.+)$", re.I), "best time to {}"),
    (re.compile(r"^(?:can|could|should|may|do|does|is|are) (?:i |you |we )?(.+)$", re.I), "advice: {}"),
)


def find_query(*, request: ChatRequest) -> str:
    """Return the query that a request is about: tagged, quoted after a label, or the last user message itself."""
    text = request.user_texts[-1] if request.user_texts else ""
    for pattern in (
        r"<(question|query|message|follow_up|followup)>\s*(?P<text>.+?)\s*</\1>",
        r"(?:query|question|message|follow-up)\s*:\s*[\"“](?P<text>[^\"”]+)[\"”]",
        r"^\s*(?:(?:user |original |search |latest |last )*(?:query|question|message)|"
        r"follow-up(?: question)?)\s*:\s*(?P<text>.+?)\s*$",
    ):
        flags = re.DOTALL if pattern.startswith("<") else re.MULTILINE
        found = list(re.finditer(pattern, text, re.IGNORECASE | flags))
        if found:
            text = found[-1]["text"].strip()
            # CloneAI escapes what stands inside its fence.
            return html.unescape(text) if pattern.startswith("<") else text
    members = [turn.text for turn in parse_transcript(text=text) if turn.speaker == "member"]
    return members[-1] if members else text.strip()


def rephrase(*, query: str) -> list[str]:
    """Return two or three other phrasings, never the query itself: related words, and key words with them.

    A query without any related word gets another form of itself and its key words.
    """
    plain = strip_opening(text=query).rstrip(" ?!.")
    keywords = list(dict.fromkeys(subject_words(plain) or content_words(plain)))
    related = list(dict.fromkeys(other for word in keywords for other in synonyms(word=word)))
    if related:
        options = [" ".join(related), " ".join([*keywords, *related])]
    else:
        forms = (form.format(match[1]) for pattern, form in _FORMS if (match := pattern.match(plain)))
        near = [other for word in keywords for other in neighbours(word=word)]
        options = [next(forms, ""), " ".join([*keywords, *near])]
    distinct = [text for text in dict.fromkeys(options) if text.strip() and text.lower() != plain.lower()]
    return distinct or [f"{plain} explained"]


def stand_alone(*, request: ChatRequest) -> str:
    """Rewrite the last question so that it can be searched for by itself: what was asked about before is added."""
    text = request.user_texts[-1] if request.user_texts else ""
    last = find_query(request=request)
    members = [turn.text for turn in parse_transcript(text=text) if turn.speaker == "member"]
    earlier = [item for item in members if item.strip() != last] if members else list(request.user_texts[:-1])
    subject = earlier_subject(user_texts=(*earlier, last))
    if not subject and len(subject_words(last)) < NAMES_LITTLE:
        subject = next((item for item in reversed(earlier) if subject_words(item)), "")
    known = {stem(word) for word in content_words(last)}
    added = [word for word in _named_in(subject) if stem(word.lower()) not in known]
    if not added:
        return last
    return f"{last.rstrip(' ?!.')}, regarding {' '.join(added[:MAX_ADDED_WORDS])}?"


def _named_in(question: str) -> list[str]:
    """What a question is about: all words of the thing itself ("What is the harbour list?"), else the telling ones."""
    thing = _THING.match(question.strip())
    words = find_words(thing[1]) if thing else subject_words(question)
    return list(dict.fromkeys(words))


def make_title(*, turns: Sequence[Turn]) -> str:
    """Return a title of three to six words, from what the member asked first."""
    asked = [turn.text for turn in turns if turn.speaker == "member" and not recognise(text=turn.text)]
    questions = [item.text for item in split_turns(turns=turns) if item.text.endswith("?")]
    asked = [text for text in questions if any(text in said for said in asked)] or asked
    words = list(dict.fromkeys(subject_words(strip_opening(text=asked[0])) if asked else []))
    if not words:
        words = [word for topic in find_topics(turns=turns, limit=2) for word in topic.split()][:2]
    if not words:
        return "A first conversation"
    if len(words) == 1:
        return f"Questions about {words[0]}"
    if len(words) == 2:
        return f"Questions about {words[0]} and {words[1]}"
    title = " ".join(words[: MAX_TITLE_WORDS - 1])
    return title[0].upper() + title[1:]


def clean_request_text(*, text: str) -> str:
    """Return the cleaned text of a cleaning request: what `<text>` encloses, or all after the first blank line."""
    tagged = re.search(r"<text>\n?(.*)\n?</text>", text, re.DOTALL)
    if tagged:
        return clean_text(text=tagged[1])
    body = text.split("\n\n", 1)[-1]
    return clean_text(text=re.sub(r"\n\s*Return only the cleaned text.*$", "", body, flags=re.DOTALL))


def clean_text(*, text: str) -> str:
    """Normalise white space, mend hyphenation and wrapped lines; paragraphs, headings and lists stay as they are."""
    text = re.sub(r"[\u00ad\ufffe\x02][ \t]*\n?", "", text.replace("\r\n", "\n").replace("\r", "\n"))
    text = re.sub(r"[\u200b\ufeff]", "", text).replace("\u00a0", " ")
    text = re.sub(r"(?<=[^\W\d_])-[ \t]*\n[ \t]*(?=[^\W\d_A-Z])", "", text)
    paragraphs = []
    for paragraph in re.split(r"\n[ \t]*\n", text):
        lines = [re.sub(r"[ \t]+", " ", line).strip() for line in paragraph.split("\n") if line.strip()]
        paragraphs.append("\n".join(_rewrap(lines)))
    return "\n\n".join(paragraph for paragraph in paragraphs if paragraph)


def _rewrap(lines: Sequence[str]) -> list[str]:
    """Join the lines of a paragraph that were broken in mid-sentence."""
    joined: list[str] = []
    for line in lines:
        starts = re.match(r"(?:[-*•‣–—|#]|\(?\d{1,3}[.)])\s?", line)
        broken = joined and not re.search(r"[.!?:;|]$", joined[-1]) and not joined[-1].startswith("#")
        if broken and not starts and (line[0].islower() or len(joined[-1].rsplit("\n", 1)[-1]) > 50):
            joined[-1] = f"{joined[-1]} {line}"
        else:
            joined.append(line)
    return joined
