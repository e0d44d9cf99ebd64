"""Which language a text is in, well enough to tell a model: by script, or for Latin letters by frequent words."""

import re
from collections import Counter

LEAST_HITS = 3
LEAST_LEAD = 1.2

_WORD = re.compile(r"[^\W\d_]+")
_SCRIPTS = (
    ("Chinese", re.compile(r"[\u4e00-\u9fff]")),
    ("Japanese", re.compile(r"[\u3040-\u30ff]")),
    ("Korean", re.compile(r"[\uac00-\ud7af]")),
    ("Arabic", re.compile(r"[\u0600-\u06ff]")),
    ("Hebrew", re.compile(r"[\u0590-\u05ff]")),
    ("Greek", re.compile(r"[\u0370-\u03ff]")),
    ("Hindi", re.compile(r"[\u0900-\u097f]")),
    ("Ukrainian", re.compile(r"[іїєґ]", re.IGNORECASE)),
    ("Russian", re.compile(r"[\u0400-\u04ff]")),
)
_FREQUENT = {
    "English": "the and is are was to of in that it you i my have with for not what how do on but this be can",
    "German": "der die das und ist ich nicht ein eine zu mit auf für wie was sie wir es den dem aber habe mein kann",
    "French": "le la les et est je pas un une des que qui dans pour avec vous nous mon ma mais sur ai comment ce",
    "Spanish": "el los las y es no un una que en por para con mi me se como pero del yo cómo qué tengo muy",
    "Italian": "il gli e è non un una che di per con mi mio mia come ma del della sono ho questo anche più",
    "Dutch": "de het een en is niet ik je van met voor op dat wat hoe mijn maar we heb ben kan ook naar",
    "Portuguese": "o os as e é não um uma que em por para com meu minha como mas do da eu você muito mais",
    "Swedish": "och är inte en ett jag att det som på med för hur vad min mitt men vi har kan så till",
    "Polish": "i jest nie się na z do to w że jak co mój moja ale dla czy mam być przez",
}
_WORDS = {language: frozenset(words.split()) for language, words in _FREQUENT.items()}


def guess_language(text: str, *, lead: float = LEAST_LEAD) -> str:
    """The language's English name; empty when the text is too short or undecided: the best must `lead` the second."""
    letters = sum(character.isalpha() for character in text)
    for language, script in _SCRIPTS:
        if letters and len(script.findall(text)) / letters > 0.2:
            # Japanese is written with Chinese characters too; its own ones decide.
            return "Japanese" if language == "Chinese" and _SCRIPTS[1][1].search(text) else language
    counted = Counter(word.casefold() for word in _WORD.findall(text))
    hits = sorted(
        ((sum(counted[word] for word in words), language) for language, words in _WORDS.items()), reverse=True
    )
    (best, language), (second, _) = hits[:2]
    return language if best >= LEAST_HITS and best >= lead * second else ""
