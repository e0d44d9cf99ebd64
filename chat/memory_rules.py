"""What may become a memory, and how a new one stands to those there are. Pure functions; the model only proposes.

Enter at `find_objection` and `compare`. Cosines are those of the configured embedding model, -1 to 1; None where one
is missing. `chat.small_words` knows six languages; others get by with cosines, names and numbers.
"""

import hashlib
import re
import unicodedata
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum

from chat.memory_models import MAX_MEMORY_CHARS
from chat.small_words import EMPTY_WORDS, NEGATIONS, NUMBER_WORDS

LEAST_CONFIDENCE = 0.5
LEAST_QUOTE_WORDS = 3
LEAST_COSINE_TO_QUOTE = 0.25
SAME_COSINE = 0.93
LEAST_COSINE_TO_REPLACED = 0.3
ECHO_WORDS = 5

_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
_DIGITS = re.compile(r"\d+(?:[.,:]\d+)*")
_NAME = re.compile(r"(?<=[\w,;:] )[A-ZÄÖÜÉ][\w'’-]+")
_SECRET = re.compile(
    r"(?:\d[ -]?){9,}|\b(?:password|passwort|passcode|pin(?: code)?|cvc|iban|contraseña|mot de passe|wachtwoord)\b"
    r"|\bsk-\w{8,}",
    re.IGNORECASE,
)
_OFF_THE_RECORD = re.compile(
    r"\b(?:do(?:n'?t| not) remember|forget (?:this|that|it|what i)|off the record|keep this between us"
    r"|merk dir das nicht|vergiss das|ne (?:retiens|retenez) pas|oublie[zs]? (?:ça|cela)|no recuerdes|olvida esto"
    r"|non ricordare|onthoud dit niet|vergeet dit)\b",
    re.IGNORECASE,
)
# What a person has one of at a time: the same slot with another value is a correction.
_SLOTS = (
    ("home", re.compile(r"\b(?:lives?|living|moved|relocated|based|wohn(?:e|t)|leb(?:e|t)|habite|vivo)\b.{0,12}?"
                        r"\b(?:in|to|near|nach|à|en|a)\b")),
    ("name", re.compile(r"\b(?:my|the member's) name is\b|\bich hei(?:ß|ss)e\b|\bje m'appelle\b|\bme llamo\b")),
    ("age", re.compile(r"\b\d{1,3} (?:years old|jahre alt|ans|años)\b")),
    ("job", re.compile(r"\b(?:works?|working|arbeite[t]?|travaille|trabajo) (?:as|als|comme|como)\b")),
    ("employer", re.compile(r"\b(?:works?|working|arbeite[t]?|travaille|trabajo) (?:for|at|bei|chez|para)\b")),
    ("length of answers", re.compile(
        r"\b(?:short|brief|concise|long|longer|shorter|detailed|thorough|kurze|knappe|lange|ausführliche|courtes|"
        r"longues|détaillées|cortas|largas)\s+(?:answers?|replies|explanations?|antworten|réponses|respuestas)\b")),
)  # fmt: skip
_CALLED = re.compile(r"\b(\w+)(?:'s name is| is (?:called|named)| heißt| s'appelle| se llama)\b")


class Relation(StrEnum):
    """How a new statement stands to an old one."""

    SAME = "same"
    CONTRADICTS = "contradicts"
    OTHER = "other"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What the model proposes. `message_number` is the n of [mn]; `replaces` that of a known memory, 0 for none."""

    kind: str
    text: str
    quote: str
    message_number: int
    confidence: float
    replaces: int = 0


@dataclass(frozen=True, slots=True)
class Statement:
    """What is compared of a text: stems of the words that say something, its numbers, whether it negates."""

    stems: frozenset[str]
    numbers: frozenset[str]
    is_negated: bool


def normalise(text: str) -> str:
    """Words alone, in lower case: how a quote is looked for, whatever its quotation marks and blanks."""
    return " ".join(_words(text))


def make_fingerprint(text: str, *, user_id: int, clone_id: int) -> str:
    """A hash of the statement's words for this person and clone; the same for another order or punctuation."""
    words = " ".join(sorted(_words(text)))
    return hashlib.sha256(f"memory:{user_id}:{clone_id}:{words}".encode()).hexdigest()


def is_off_the_record(message: str) -> bool:
    """The member asks not to be remembered in this message."""
    return bool(_OFF_THE_RECORD.search(message))


def find_objection(
    finding: Finding, *, messages: Sequence[str], answers: Collection[str], cosine_to_quote: float | None
) -> str:
    """Why this is no memory, as a short reason for the log; empty when it is one.

    `messages` are the member's, in the order of their numbers from 1; `answers` is what the clone said.
    """
    if not 1 <= finding.message_number <= len(messages):
        return "no such message"
    message, quote = messages[finding.message_number - 1], normalise(finding.quote)
    if not finding.text.strip() or len(finding.text) > MAX_MEMORY_CHARS:
        return "empty or too long"
    if finding.text.rstrip().endswith("?"):
        return "a question"
    if finding.confidence < LEAST_CONFIDENCE:
        return "not sure enough"
    if len(quote.split()) < LEAST_QUOTE_WORDS or f" {quote} " not in f" {normalise(message)} ":
        return "not the member's words"
    if is_off_the_record(message):
        return "off the record"
    if _SECRET.search(finding.text) or _SECRET.search(finding.quote):
        return "looks like a secret"
    if len(quote.split()) >= ECHO_WORDS and any(
        f" {quote} " in f" {normalise(answer)} " for answer in answers
    ):
        return "the clone's words, repeated"
    if not _is_supported(finding.text, message=message, quote=finding.quote, cosine=cosine_to_quote):
        return "says more than its quote"
    return ""


def compare(new: str, old: str, *, cosine: float | None = None) -> Relation:
    """The relation of two statements of one member by their words; sure cases only, the model judges the others."""
    one, other = read_statement(new), read_statement(old)
    same_subject = one.stems == other.stems and bool(one.stems)
    if same_subject and one.is_negated != other.is_negated:
        return Relation.CONTRADICTS
    if same_subject and one.numbers != other.numbers and one.numbers and other.numbers:
        return Relation.CONTRADICTS
    if same_subject and one.numbers == other.numbers:
        return Relation.SAME
    if one.is_negated != other.is_negated:
        return Relation.OTHER
    is_part = one.stems < other.stems or other.stems < one.stems
    if is_part and one.numbers == other.numbers and len(one.stems & other.stems) > 1:
        return Relation.SAME
    if find_slot(new) and find_slot(new) == find_slot(old):
        return Relation.CONTRADICTS
    if one.numbers != other.numbers:
        return Relation.OTHER
    is_close = cosine is not None and cosine >= SAME_COSINE
    return Relation.SAME if is_close and _names(new) == _names(old) else Relation.OTHER


def may_replace(new: str, old: str, *, cosine: float | None) -> bool:
    """Whether the model's word that `new` replaces `old` is believed: they must have something in common."""
    shared = read_statement(new).stems & read_statement(old).stems
    return bool(shared) or (cosine is not None and cosine >= LEAST_COSINE_TO_REPLACED)


def read_statement(text: str) -> Statement:
    words = _words(text)
    told = [word for word in words if word not in EMPTY_WORDS and word not in NEGATIONS]
    numbers = {word for word in told if word in NUMBER_WORDS or word.isdigit()}
    return Statement(
        stems=frozenset(_stem(word) for word in told if word not in numbers),
        numbers=frozenset(numbers),
        is_negated=any(word in NEGATIONS or word.endswith(("n't", "n’t")) for word in words),
    )


def find_slot(text: str) -> str:
    """What the statement fills in of a person (home, job, a pet's name); empty when nothing known."""
    plain = " ".join(text.casefold().split())
    if called := _CALLED.search(plain):
        return f"name of {called[1]}"
    return next((slot for slot, pattern in _SLOTS if pattern.search(plain)), "")


def _is_supported(text: str, *, message: str, quote: str, cosine: float | None) -> bool:
    """Names and numbers of the text stand in the message, and it has a word in common with its quote or is close."""
    said = normalise(message)
    figures = _DIGITS.findall(text)
    if any(normalise(name) not in said for name in _names(text)) or any(
        figure not in _DIGITS.findall(message) for figure in figures
    ):
        return False
    shared = read_statement(text).stems & read_statement(quote).stems
    return bool(shared) or (cosine is not None and cosine >= LEAST_COSINE_TO_QUOTE)


def _names(text: str) -> set[str]:
    return {name.casefold() for name in _NAME.findall(text)}


def _words(text: str) -> list[str]:
    plain = unicodedata.normalize("NFKC", text).casefold().replace("’", "'")
    return _WORD.findall(plain)


def _stem(word: str) -> str:
    """The first six letters, without a plural's or a third person's ending: enough for one person's statements."""
    for ending in ("ing", "ed", "es", "s"):
        if len(word) - len(ending) > 3 and word.endswith(ending):
            word = word[: -len(ending)]
            break
    return word[:6]
