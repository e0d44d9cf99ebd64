"""Whether the words of two questions allow them to ask for the same, for vectors that do not hear the difference."""

from chat.small_words import EMPTY_WORDS, SHAPING_WORDS
from cloneai.local_ai.language import find_words, stem
from cloneai.local_ai.thesaurus import synonyms


def ask_for_others(one: str, other: str) -> bool:
    """Each names something that the other does not, nor anything alike: to give feedback, and to receive it."""
    first, second = _read_words(one), _read_words(other)
    return bool(_left_over(first, second) and _left_over(second, first))


def _read_words(text: str) -> set[str]:
    return {word for word in find_words(text) if word not in EMPTY_WORDS and word not in SHAPING_WORDS}


def _left_over(words: set[str], others: set[str]) -> set[str]:
    alike = {stem(word) for word in others} | {stem(like) for word in others for like in synonyms(word=word)}
    return {word for word in words if stem(word) not in alike}
