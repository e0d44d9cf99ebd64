"""Words of distress and self-harm: help is shown at once, and reviewers find the conversation.

A pattern, because it must not wait for a model, cost nothing and never fail. It looks for what people say of
themselves, and errs on the side of showing help, which does no harm.
"""
# ruff: noqa: E501  (one line of phrases a language reads better than many)

import re

_PATTERNS = {
    "en": r"kill(?:ing)? my\s?self|end(?:ing)? my (?:own )?life|take my (?:own )?life|suicid(?:e|al)|want to die|wanna die"
    r"|wish i (?:was|were) dead|better off (?:dead|without me)|(?:hurt|harm|cut)(?:ting|ing)? my\s?self|self[- ]harm"
    r"|don'?t want to (?:live|be alive|wake up)|no (?:reason|point) (?:to|in) liv(?:e|ing)|can'?t go on (?:any ?more|living)",
    "de": r"(?:mich|mir) (?:selbst )?(?:umbringen|töten|das leben nehmen|etwas antun|ritzen)|bringe? mich um|selbstmord|suizid"
    r"|will (?:nicht mehr leben|sterben)|möchte (?:sterben|tot sein)|nicht mehr leben|wäre (?:ich )?(?:lieber|besser) tot",
    "fr": r"me (?:tuer|suicider|faire du mal|mutiler)|suicid(?:e|er|aire)|(?:envie de|veux) mourir|en finir avec (?:la|ma) vie"
    r"|plus envie de vivre|mettre fin à mes jours",
    "es": r"(?:matarme|suicidarme|suicid(?:io|arse)|quitarme la vida|hacerme daño|cortarme)|quiero morir(?:me)?"
    r"|no quiero (?:vivir|seguir viviendo)|acabar con mi vida",
    "it": r"(?:uccidermi|ammazzarmi|suicid(?:io|armi)|togliermi la vita|farmi del male)|voglio morire|non voglio più vivere",
    "nl": r"(?:mezelf|me(?:zelf)?) (?:doden|van kant maken|iets aandoen|snijden)|zelfmoord|wil (?:dood|niet meer leven|sterven)",
    "pt": r"me matar|suic[ií]dio|tirar (?:a )?minha vida|quero morrer|não quero (?:mais )?viver|me (?:cortar|machucar)",
    "sv": r"ta livet av mig|ta mitt liv|självmord|vill (?:dö|inte leva)|skada mig själv",
    "pl": r"zabić się|samobójstw\w*|chcę umrzeć|nie chcę (?:już )?żyć|odebrać sobie życie",
    "ru": r"убить себя|покончить с собой|самоубийств\w*|хочу умереть|не хочу (?:больше )?жить",
    "uk": r"вбити себе|накласти на себе руки|самогубств\w*|хочу померти|не хочу (?:більше )?жити",
}
_DISTRESS = re.compile(
    "|".join(rf"(?<!\w)(?:{pattern})(?!\w)" for pattern in _PATTERNS.values()), re.IGNORECASE
)
# Sayings and the subject as such: "the deadline kills me" is not matched above; these are.
_HARMLESS = re.compile(
    r"\bsuicide (?:squad|prevention|mission|note pattern)\b|\bselbstmordkommando\b", re.IGNORECASE
)


def speaks_of_distress(text: str) -> bool:
    """Whether somebody says of themselves that they are in danger; in eleven languages."""
    plain = _HARMLESS.sub(" ", " ".join(text.replace("’", "'").split()))
    return bool(_DISTRESS.search(plain))
