"""Filters for messages and summaries in templates."""

import re

from django import template
from django.utils.safestring import SafeString

from chat.frames import RunningText, render_answer, render_running
from chat.markdown import render_markdown
from chat.models import Message

register = template.Library()

MARKS = re.compile(r"\s*\[\d{1,3}\]|[*_`#|]+|^\s*(?:[-+]\s|>+)", re.MULTILINE)


@register.filter
def answer_html(message: Message) -> SafeString:
    """The answer as sanitised HTML, its markers linked to its sources."""
    return render_answer(message, list(message.citations.all()))


@register.filter
def running_text(message: Message) -> RunningText:
    """A running answer so far: finished blocks as HTML, the rest as text."""
    return render_running(message, list(message.citations.all()))


@register.filter
def preview(text: str) -> str:
    """The beginning of a message for a list: without Markdown's signs and source numbers."""
    return " ".join(MARKS.sub("", text).split())


@register.filter
def last_seq(message: Message) -> int:
    """Number of the last stream frame in the saved text; -1 when there is none yet."""
    return len(message.chunk_ends) - 1


@register.filter
def duration(minutes: int) -> str:
    """`5 h 12 min`, as the page's script writes it."""
    hours, rest = divmod(minutes, 60)
    return f"{hours} h {rest} min" if hours else f"{rest} min"


@register.filter
def markdown(text: str) -> SafeString:
    """Text of a model or a person as sanitised HTML without sources."""
    return render_markdown(text)
