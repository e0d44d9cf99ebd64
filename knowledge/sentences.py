"""Sentences and lines of a passage, for reading it closely."""

import re

_SENTENCE_END = re.compile(r"(?<=[.!?])\s+|\n+")


def split_sentences(*, text: str) -> list[str]:
    """The sentences and lines of a text that have more than two characters."""
    return [part.strip() for part in _SENTENCE_END.split(text) if len(part.strip()) > 2]
