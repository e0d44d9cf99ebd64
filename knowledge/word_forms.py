"""Words and their stems by PostgreSQL's dictionaries, the very ones that the search index is built with."""

import re
from collections.abc import Iterable
from functools import lru_cache

from django.db import connection

MAX_KNOWN = 50_000

_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
# They shape a question and say little about its subject; a passage that lacks them answers no worse.
_ASKING_TEXT = """
actually advice advise answer ask asked best better call called come consider different discuss do everyone
everything example examples exactly explain find get give go good great happen happens help helpful important keep
kind know learn like long lot make making many matter mean means mention much need needs new often one ones people
person possible question questions really recommend right said say says somebody someone something suggest sure take
talk tell thing things think tip tips try type understand usually want way ways work works would
"""
ASKING_WORDS = frozenset(_ASKING_TEXT.split())

_stems: dict[tuple[str, str], str] = {}


@lru_cache(maxsize=5000)
def find_words(text: str) -> tuple[str, ...]:
    """The lower-cased words of a text, in order."""
    return tuple(match.lower().replace("’", "'") for match in _WORD.findall(text))


def stem_words(*, words: Iterable[str], language: str) -> dict[str, str]:
    """The stem of each word; "" for a stop word of the language. One query for words not seen before."""
    wanted = dict.fromkeys(words)
    unknown = [word for word in wanted if (language, word) not in _stems]
    if unknown:
        if len(_stems) + len(unknown) > MAX_KNOWN:
            _stems.clear()
            unknown = list(wanted)
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT word, coalesce((tsvector_to_array(to_tsvector(%s::regconfig, word)))[1], '') "
                "FROM unnest(%s::text[]) AS word",
                [language, unknown],
            )
            _stems.update({(language, word): stem for word, stem in cursor.fetchall()})
    return {word: _stems[(language, word)] for word in wanted}
