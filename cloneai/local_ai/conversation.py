"""What the last message asks, read together with what went before it."""

from __future__ import annotations

import re
from collections.abc import Sequence

from cloneai.local_ai.language import content_words, is_question_word

_LEANING = re.compile(
    r"^(?:and|but|so|or|then|also|why|how so|really|what about|how about|what else|which one|for example|"
    r"like what)\b"
    r"|\b(?:it|its|they|them|their|that|this|those|these|he|she|him|her|one|ones|there|then|more|else|"
    r"same|other|instead)\b"
    r"|\b(?:continue|go on|elaborate|example|first|second|third|last|latter|former)\b",
    re.IGNORECASE,
)
_MORE = re.compile(
    r"\b(?:more|else|continue|go on|elaborate|further|expand|detail|details|another)\b", re.IGNORECASE
)
MAX_LEANING_WORDS = 5


def subject_words(text: str) -> list[str]:
    """Return the words of a text that name its subject."""
    return [word for word in content_words(text) if not is_question_word(word)]


def leans_on_earlier(*, text: str) -> bool:
    """Tell whether a question is short and refers to something said before."""
    subjects = subject_words(text)
    return not subjects or (len(subjects) <= MAX_LEANING_WORDS and _LEANING.search(text.strip()) is not None)


def wants_more(*, text: str) -> bool:
    """Tell whether a message asks to go on about the same thing ("tell me more")."""
    return len(subject_words(_MORE.sub(" ", text))) == 0 and _MORE.search(text) is not None


def earlier_subject(*, user_texts: Sequence[str]) -> str:
    """Return the earlier question that the last one leans on, or nothing when it stands alone."""
    *earlier, last = user_texts
    if not leans_on_earlier(text=last):
        return ""
    found: list[str] = []
    for text in reversed(earlier):
        if subject_words(text):
            found.insert(0, text)
            if not leans_on_earlier(text=text):
                break  # this one stands alone: it names the subject
        if len(found) == 3:
            break
    return " ".join(found)
