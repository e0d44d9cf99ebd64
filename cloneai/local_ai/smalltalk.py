"""Greetings, thanks, farewells and "who are you": what needs no material, only the persona."""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence

from cloneai.local_ai.prompt import Persona

_GREETING = (
    r"(?:hi|hello|hey|hiya|howdy|greetings|good (?:morning|afternoon|evening|day)|hallo|hola|bonjour|moin)"
)
_THANKS = r"(?:thank you|thanks|thank u|thx|cheers|much appreciated|many thanks|danke|merci|gracias)"
_NAME = r"(?: (?:there|again|all|everyone|dr|doctor|coach|professor|mr|ms|mrs))*"
_FILLER = r"(?: (?:so much|very much|a lot|again|for (?:the|your|all|that|this)(?: [a-z]+){0,4}))*"
_PRAISE = (
    r"(?:(?:that|this|it) (?:was|is|'s|helps?|helped|makes sense)(?: (?:a lot|great|perfect|good|very|"
    r"really|so|helpful|"
    r"useful|clear|everything))*|great|perfect|awesome|wonderful|cool|nice|ok|okay|got it|i see|"
    r"understood|very helpful|"
    r"sounds good|makes sense)"
)
_SELF = (
    r"who (?:are|r) (?:you|u)(?: exactly)?|what are you|what do you do|what(?:'s| is) your (?:name|"
    r"background|job|work|"
    r"expertise|field|speciality|specialty|story)|what are your (?:areas of expertise|fields?|"
    r"specialities|strengths)|"
    r"(?:please )?(?:tell me (?:a bit |a little |something |more )*about (?:yourself|you)|introduce "
    r"yourself)|"
    r"what (?:can|could) (?:you|i) (?:help(?: me)?(?: with)?|do(?: for me)?|ask(?: you)?(?: about)?|talk "
    r"(?:to you )?about)|"
    r"how (?:can|could|do) you help(?: me)?|what (?:topics|subjects|things) (?:can|do) you (?:cover|"
    r"know(?: about)?|talk "
    r"about|help with)|what do you know(?: about)?|what (?:are you|is your) (?:an )?expert(?:ise)?(?: in)?|"
    r"what (?:can|should) (?:i|we) (?:talk|chat) about|help"
)
_KINDS = (
    ("human", r"(?:are|r) (?:you|u) (?:an? )?(?:(?:real|human|bot|robot|ai|machine|person|chat ?bot|"
              r"really)\s?)+"
              r"(?: or (?:an? )?(?:\w+ ?){1,3})?|am i (?:talking|speaking|chatting) (?:to|with) an? "
              r"(?:\w+ ?){1,5}"),
    ("self", _SELF),
    ("wellbeing", r"how (?:are|r) (?:you|u|things)(?: doing| today)*|how(?:'s| is) it going|what'?s up|"
                  r"how do you do|"
                  r"(?:i hope )?(?:you are|you're) (?:doing )?well"),
    ("bye", r"(?:ok(?:ay)? )?(?:bye(?: bye)?|goodbye|good bye|see (?:you|ya)(?: later| soon| next time| "
            r"tomorrow)?|"
            r"good night|take care|talk (?:to you )?(?:later|soon)|that(?:'s| is) all(?: for (?:now|"
            r"today))?|tschüss|ciao)"),
    ("thanks", rf"(?:{_PRAISE} )*{_THANKS}{_FILLER}{_NAME}(?: {_PRAISE})*|{_PRAISE}"),
    ("greeting", rf"{_GREETING}(?: {_GREETING})*{_NAME}(?: nice to meet you)?|nice to meet you"),
)  # fmt: skip
_PATTERNS = tuple((kind, re.compile(pattern)) for kind, pattern in _KINDS)
_OPENING = re.compile(
    rf"^(?:(?:{_GREETING}|{_THANKS})\b(?:[ ,]+(?:there|again|so much|very much|a lot|dr\.?|coach))*)"
    r"(?:[ ]+[A-Z][\w'’-]+){0,2}\s*[,.!:;–—-]+\s*(?=\S)",
    re.IGNORECASE,
)

# "Hello Bob": one capitalised word behind a greeting or thanks is taken for a name.
_ADDRESSED = re.compile(rf"^((?i:{_GREETING}|{_THANKS})(?: (?i:there))?),? [A-Z][\w'’-]*[.!,]*$")

_REPLIES: dict[str, Sequence[str]] = {
    "thanks": (
        "You are welcome. Is there anything else you would like to go into?",
        "Glad to help. Ask away if something else comes up.",
        "My pleasure. What would you like to look at next?",
    ),
    "bye": (
        "Goodbye, and all the best. Come back whenever a question comes up.",
        "Take care. I am here whenever you want to go on.",
    ),
    "wellbeing": (
        "I am an AI clone, so I have neither good days nor bad ones, but I am ready to help. What is on "
        "your mind?",
        "All is well on my side, as far as that can be said of an AI. How can I help you today?",
    ),
}


def strip_opening(*, text: str) -> str:
    """Drop a greeting or thanks that opens a longer message; the rest is the question."""
    rest = _OPENING.sub("", text.strip())
    return rest or text.strip()


def recognise(*, text: str, name: str = "") -> str | None:
    """Name the small talk that a whole message is; None for anything else.

    Kinds: greeting, thanks, bye, wellbeing, self, human. `name` is whom the message may address.
    """
    plain = _plain(_ADDRESSED.sub(r"\1", text.strip()))
    for word in _plain(name).split():
        plain = re.sub(rf"\s*\b{re.escape(word)}\b", "", plain).strip() or plain
    if not plain or len(plain) > 90:
        return None
    for kind, pattern in _PATTERNS:
        if pattern.fullmatch(plain):
            return kind
    opening, _, rest = plain.partition(" ")
    if rest and re.fullmatch(_GREETING, opening):
        return recognise(text=re.sub(r"^there ", "", rest))
    return None


def reply(*, kind: str, text: str, persona: Persona) -> str:
    """Answer small talk of the given kind in the persona's name; the same message always gets the same answer."""
    if kind in ("self", "human"):
        return _introduce(persona, disclose=kind == "human")
    if kind == "greeting":
        name = f" I am {persona.name}'s AI clone." if persona.name else ""
        return f"Hello!{name} {_offer(persona)}"
    return pick(options=_REPLIES[kind], seed=text)


def pick(*, options: Sequence[str], seed: str) -> str:
    """Choose one of several wordings by the seed text, the same on every machine."""
    return options[zlib.crc32(seed.strip().lower().encode("utf-8", "replace")) % len(options)]


def _introduce(persona: Persona, *, disclose: bool) -> str:
    name = persona.name or "an expert"
    parts = [f"I am the AI clone of {name}" + (f", {persona.headline}." if persona.headline else ".")]
    if disclose:
        parts.insert(0, "You are talking to an AI, not to a person.")
    if persona.background:
        parts.append(_closed(persona.background))
    parts.append(_offer(persona))
    return " ".join(parts)


def _offer(persona: Persona) -> str:
    if persona.expertise:
        areas = list(persona.expertise[:5])
        listed = areas[0] if len(areas) == 1 else f"{', '.join(areas[:-1])} and {areas[-1]}"
        return f"You can ask me about {listed}. What would you like to know?"
    return "Ask me anything that my material covers. What would you like to know?"


def _closed(text: str) -> str:
    return text if text.endswith((".", "!", "?")) else f"{text}."


def _plain(text: str) -> str:
    lowered = re.sub(r"[’`]", "'", text.strip().lower())
    return re.sub(r"\s+", " ", re.sub(r"[^\w' ]+", " ", lowered)).strip()
