"""A source's text for reading: lines that a PDF broke flow again; only the passage's surroundings are shown.

No character is lost or added: a break that the author meant gets a `<br>`; one that the page's width caused
stays a line end, which browsers show as a blank.
"""

import re
from dataclasses import dataclass
from itertools import pairwise

from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe

from chat.sources import SourceView

CONTEXT_CHARS = 1400
LONGEST_WRAPPED_LINE_CHARS = 160  # longer lines are paragraphs: that text was never wrapped
SHORT_LINE_SHARE = 0.6  # a line this much shorter than the page is wide was ended on purpose
NEW_ITEM = re.compile(r"\s*([-–—•*»›▪◦·]|\(?\d{1,3}[.)]|[a-z]\))\s")


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceText:
    """Escaped HTML. The passage is `lead_in` + `focus` + `lead_out`; `focus` is empty when it is not known.

    `is_cut` says that the page has more text than is shown.
    """

    before: SafeString
    lead_in: SafeString
    focus: SafeString
    lead_out: SafeString
    after: SafeString
    is_cut: bool


def flow_source(*, source: SourceView, is_whole: bool = False) -> SourceText:
    """The passage with about `CONTEXT_CHARS` on either side, or with all the text of its pages."""
    before, after = source.before, source.after
    if not is_whole:
        before, after = _last_part(before), _first_part(after)
    text = before + source.passage + after
    breaks = _meant_breaks(text)
    passage_start, passage_end = len(before), len(before) + len(source.passage)
    focus_start, focus_end = (passage_start + offset for offset in source.focus or (0, 0))
    return SourceText(
        before=_to_html(text, 0, passage_start, breaks),
        lead_in=_to_html(text, passage_start, focus_start, breaks),
        focus=_to_html(text, focus_start, focus_end, breaks),
        lead_out=_to_html(text, focus_end, passage_end, breaks),
        after=_to_html(text, passage_end, len(text), breaks),
        is_cut=len(before) < len(source.before) or len(after) < len(source.after),
    )


def flow_page(text: str) -> SafeString:
    """A page beside the passage's, in escaped HTML."""
    return _to_html(text, 0, len(text), _meant_breaks(text))


def _last_part(text: str) -> str:
    if len(text) <= CONTEXT_CHARS * 1.5:
        return text
    cut = re.search(r"\s", text[-CONTEXT_CHARS:])
    return text[-CONTEXT_CHARS + (cut.end() if cut else 0) :]


def _first_part(text: str) -> str:
    if len(text) <= CONTEXT_CHARS * 1.5:
        return text
    return text[: text.rfind(" ", 0, CONTEXT_CHARS) + 1] or text[:CONTEXT_CHARS]


def _meant_breaks(text: str) -> frozenset[int]:
    """Positions of the line ends that the author meant."""
    ends = [match.start() for match in re.finditer("\n", text)]
    lines = text.split("\n")
    widths = sorted(len(line) for line in lines if line.strip())
    width = widths[int(len(widths) * 0.9)] if widths else 0
    if width > LONGEST_WRAPPED_LINE_CHARS:
        return frozenset(ends)
    short = width * SHORT_LINE_SHARE
    return frozenset(
        end
        for end, (line, following) in zip(ends, pairwise(lines), strict=True)
        if len(line) < short
        or not following.strip()
        or NEW_ITEM.match(following)
        or _is_heading(line, following, short)
    )


def _is_heading(line: str, following: str, short: float) -> bool:
    """A short line without a full stop that begins after the end of a sentence."""
    is_after_sentence = line.rstrip().endswith((".", "!", "?", ".”", '."'))
    return is_after_sentence and len(following) < short and following.rstrip()[-1:] not in ".,;"


def _to_html(text: str, start: int, end: int, breaks: frozenset[int]) -> SafeString:
    parts: list[str] = []
    for position in (position for position in sorted(breaks) if start <= position < end):
        parts.append(f"{escape(text[start:position])}<br>\n")
        start = position + 1
    parts.append(escape(text[start:end]))
    return mark_safe("".join(parts))  # noqa: S308  (every piece is escaped above)
