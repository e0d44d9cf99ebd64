"""Words, stems and stop words: the little linguistics that choosing sentences needs."""

from __future__ import annotations

import functools
import re

WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")

_COMPOUND = re.compile(r"[^\W\d_]+(?:-[^\W\d_]+)+")

_STOP_WORDS_TEXT = """
a about above after again all also am an and any are aren't as at be because been before being below between
both but by can can't cannot could couldn't did didn't do does doesn't doing don't down during each either
else ever every few for from further get gets getting give given gives go goes going got had hadn't has
hasn't have haven't having he he's her here here's hers herself him himself his how how's however i i'd i'll
i'm i've if in into is isn't it it's its itself just let let's like ll may me might mine more most much must
my myself near no nor not of off on once one only onto or other our ours ourselves out over own per please
quite rather re really same shall she she's should shouldn't since so some such than that that's the their
theirs them themselves then there there's these they they're they've this those through thus to too under
until up upon us use used using ve very via was wasn't we we'd we'll we're we've were weren't what what's
when when's where where's which while who who's whom whose why will with within without won't would wouldn't
yes yet you you'd you'll you're you've your yours yourself der die das den dem des ein eine einen einem
einer und oder ist sind war wird werden wie was wer wo wann warum welche welcher welches für von mit auf aus
bei nach zu zum zur im am nicht auch ich du er sie es wir ihr man kann
"""
STOP_WORDS = frozenset(_STOP_WORDS_TEXT.split())

# Words that shape a question and say little about its subject.
_QUESTION_WORDS_TEXT = """
actually advice advise ask asked best better call called can come consider describe different discuss do
exactly example examples explain find good great happen happens help helpful idea important involve keep
kind know learn list long lot main make makes making many matter mean means mention mentioned need needs
number often people person possible question questions recommend recommended right said say says suggest
suggested sure take tell thing things think tip tips try type typical typically understand usually want way
ways wonder work works
"""
QUESTION_WORDS = frozenset(_QUESTION_WORDS_TEXT.split())

_SUFFIXES = (
    ("ational", "ate"), ("ization", "ize"), ("isation", "ize"), ("fulness", "ful"), ("ousness", "ous"),
    ("iveness", "ive"), ("ibility", "ible"), ("ability", "able"), ("ically", "ic"), ("ingly", ""),
    ("edly", ""), ("ments", ""), ("ment", ""), ("ness", ""), ("ations", "ate"), ("ation", "ate"),
    ("ities", "ity"), ("fully", "ful"), ("lessly", "less"), ("ising", "ize"), ("ise", "ize"),
    ("ised", "ize"), ("ies", "y"), ("ied", "y"), ("ying", "y"), ("ings", ""), ("ing", ""), ("ers", ""),
    ("er", ""), ("eed", "ee"), ("ed", ""), ("ly", ""), ("sses", "ss"), ("ches", "ch"), ("shes", "sh"),
    ("xes", "x"), ("ss", "ss"), ("us", "us"), ("is", "is"), ("s", ""),
)  # fmt: skip
_IRREGULAR = {
    "children": "child", "women": "woman", "men": "man", "people": "person", "feet": "foot",
    "teeth": "tooth", "slept": "sleep", "wrote": "write", "written": "write", "began": "begin",
    "begun": "begin", "paid": "pay", "said": "say", "told": "tell", "thought": "think",
    "taught": "teach", "bought": "buy", "sold": "sell", "kept": "keep", "left": "leave", "felt": "feel",
    "met": "meet", "lost": "lose", "won": "win", "spoke": "speak", "spoken": "speak", "chose": "choose",
    "chosen": "choose", "woke": "wake", "ate": "eat", "eaten": "eat", "drank": "drink",
    "drunk": "drink", "grew": "grow", "grown": "grow", "built": "build", "spent": "spend",
    "lent": "lend", "held": "hold", "found": "find", "made": "make", "burnt": "burn", "fought": "fight",
    "mice": "mouse", "lives": "life", "wives": "wife", "leaves": "leaf", "halves": "half",
}  # fmt: skip


def find_words(text: str) -> list[str]:
    """Return the lower-cased words of `text`, in order, without possessive endings."""
    return [re.sub(r"['’]s$", "", match.lower()) for match in WORD.findall(text)]


@functools.lru_cache(maxsize=20_000)
def stem(word: str) -> str:
    """Reduce an English word to a rough stem; other words come back nearly as they were."""
    if word in _IRREGULAR:
        word = _IRREGULAR[word]
    for suffix, replacement in _SUFFIXES:
        if word.endswith(suffix) and len(word) - len(suffix) >= 3:
            word = word[: len(word) - len(suffix)] + replacement
            break
    if len(word) > 4 and word[-1] == word[-2] and word[-1] not in "aeiouls":
        word = word[:-1]
    if len(word) > 3 and word.endswith("e"):
        word = word[:-1]
    return word[:-1] + "i" if len(word) > 3 and word.endswith("y") else word


def content_words(text: str) -> list[str]:
    """Return the words of `text` that carry its subject: no stop words, no single letters but digits.

    A compound of nothing but stop words ("one-on-one") counts as a word.
    """
    words = [
        word for word in find_words(text) if word not in STOP_WORDS and (len(word) > 1 or word.isdigit())
    ]
    compounds = (match.lower() for match in _COMPOUND.findall(text))
    return words + [
        word for word in compounds if all(part.rstrip("s") in STOP_WORDS for part in word.split("-"))
    ]


def is_question_word(word: str) -> bool:
    """Tell whether a word only shapes a question."""
    return word in QUESTION_WORDS
