"""What the extractive summaries know of languages other than English: their small words, how advice sounds, frames.

Enter at `read_tongue`. A summary's frames stand around quotations, so that it reads in the conversation's language.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from cloneai.local_ai.language import find_words

LEAST_HITS = 3


@dataclass(frozen=True, kw_only=True)
class Tongue:
    """`advice` finds sentences that tell to do something; None where English's own rules are used."""

    small_words: frozenset[str]
    advice: re.Pattern[str] | None
    asked: str
    at_the_end: str
    answered: str
    also_said: str
    about: str
    no_subject: str
    no_step: str
    steps: str
    joined_by: str


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


def _advice(*, phrases: str, verbs: str) -> re.Pattern[str]:
    return re.compile(rf"^(?:{verbs})\b|\b(?:{phrases})\b", re.IGNORECASE)


ENGLISH = Tongue(
    small_words=_words("""
        the and is are was to of in that it you my have with for not what how do on but this i be at your can they from
        by or if when about as
    """),
    advice=None,
    asked="The member asked:",
    at_the_end="and at the end:",
    answered="The main answer was:",
    also_said="It was also said:",
    about="The session was about {}.",
    no_subject="The session had no clear subject.",
    no_step="It left no concrete step.",
    steps="Concrete steps that it left: {}.",
    joined_by="and",
)
GERMAN = Tongue(
    small_words=_words("""
        der die das den dem des ein eine einen einem einer und oder aber ist sind war bin hat habe haben hatte ich du er
        sie es wir ihr mich mir mein meine meinem meinen meiner dein deine sich nicht kein keine zu mit auf für von vom
        bei nach seit bis aus an am im in als wie was wer wo wann warum wenn dass denn noch nur nun jetzt schon auch so
        sehr mehr wieder immer nie etwas nichts niemand niemandem alles genau damals dann da hier außer vor über unter
        kann könnte soll sollte möchte will wird werden darf muss man um zum zur ja nein
    """),
    advice=_advice(
        phrases=r"(?:du|sie|ihr|wir|man) (?:solltest|sollten|solltet|sollte|musst|müssen|müsst|muss|könntest|könnten|"
        r"könntet)|ich (?:werde|rate|empfehle|nehme mir vor)|es hilft",
        verbs=r"\w+en sie|(?:be)?schreib\w*|nimm|frag\w*|bitte|leih\w*|warte|sprich|mach\w*|geh\w*|lies|lass\w*|"
        r"probier\w*|versuch\w*|beginn\w*|fang|stell\w*|setz\w*|leg\w*|ruf\w*|plan\w*|übe|vereinbar\w*|notier\w*|gib|halte?|sag\w*",
    ),
    asked="Gefragt wurde:",
    at_the_end="und am Ende:",
    answered="Die wichtigste Antwort war:",
    also_said="Außerdem wurde gesagt:",
    about="In der Sitzung ging es um: {}.",
    no_subject="Die Sitzung hatte kein klares Thema.",
    no_step="Konkrete Schritte ergaben sich nicht.",
    steps="Konkrete Schritte, die sich ergaben: {}.",
    joined_by="und",
)
FRENCH = Tongue(
    small_words=_words("""
        le la les un une des du de d l et ou mais est sont était suis ai as a ont je tu il elle nous vous ils elles me
        te se mon ma mes ton ta tes son sa ses ce cet cette ces cela ça c qui que qu quoi dont où comment pourquoi quand
        ne n pas plus rien personne tout très aussi encore déjà alors peu moins pour par avec sans sur sous dans en au
        aux y chez si est-ce peux peut dois doit faut j'ai j'en c'est c'était qu'il l'ai m'a n'a seulement sauf jusqu'à
        depuis même
    """),
    advice=_advice(
        phrases=r"il faut|tu (?:dois|devrais|pourrais)|vous (?:devez|devriez|pourriez)|je (?:vais|te conseille|"
        r"vous conseille|recommande)",
        verbs=r"écri(?:s|vez)|envo(?:ie|yez)|essa(?:ie|yez)|prends|prenez|fais|faites|(?:parle|demande|note|commence|emprunte|"
        r"marche|laisse|garde|pose|appelle|joue|cherche)z?|choisi(?:s|ssez)|dis|dites",
    ),
    asked="La question était :",
    at_the_end="et à la fin :",
    answered="La réponse principale était :",
    also_said="Il a aussi été dit :",
    about="La séance portait sur : {}.",
    no_subject="La séance n'avait pas de sujet clair.",
    no_step="Elle n'a laissé aucune étape concrète.",
    steps="Étapes concrètes qu'elle a laissées : {}.",
    joined_by="et",
)
SPANISH = Tongue(
    small_words=_words("""
        el la los las un una unos unas de del y o pero es son era soy estoy está he ha yo tú él ella nosotros me te se
        mi mis tu tus su sus que qué quien como cómo por para con sin en a al no nada nadie todo muy también ya más
        menos cuando donde si lo le les esto eso este esta tengo puedo quiero hay porque desde hasta entre sobre
    """),
    advice=_advice(
        phrases=r"deber[ií]as?|debes|debe|tienes que|hay que|podrías|voy a|te recomiendo|le recomiendo",
        verbs=r"escrib[ea]|habl[ae]|pregunt[ae]|intent[ae]|empie[zc][ae]|tom[ae]|haz|haga|dej[ae]|pid[ea]|anot[ae]|camin[ae]|"
        r"busc[a]|di|diga|ponga|pon|llam[ae]",
    ),
    asked="La pregunta fue:",
    at_the_end="y al final:",
    answered="La respuesta principal fue:",
    also_said="También se dijo:",
    about="La sesión trató de: {}.",
    no_subject="La sesión no tuvo un tema claro.",
    no_step="No dejó ningún paso concreto.",
    steps="Pasos concretos que dejó: {}.",
    joined_by="y",
)
ITALIAN = Tongue(
    small_words=_words("""
        il lo la i gli le un uno una di del della dei e ed o ma è sono era ho ha hai io tu lui lei noi mi ti si mio mia
        miei tuo tua suo sua che chi cosa come perché quando dove non niente nessuno tutto molto anche già più meno per
        con senza su in a al nel nella da dal se questo questa quello ci ne posso devo voglio
    """),
    advice=_advice(
        phrases=r"dovresti|dovrebbe|devi|deve|bisogna|potresti|ti consiglio|le consiglio",
        verbs=r"scriv[ia]|parl[ai]|chied[ia]|prov[ai]|inizi[a]?|prend[ia]|fai|faccia|lasci[a]?|cammin[ai]|chiam[ai]|cerc[a]",
    ),
    asked="La domanda era:",
    at_the_end="e alla fine:",
    answered="La risposta principale era:",
    also_said="Si è detto anche:",
    about="La seduta riguardava: {}.",
    no_subject="La seduta non aveva un tema chiaro.",
    no_step="Non ha lasciato passi concreti.",
    steps="Passi concreti che ha lasciato: {}.",
    joined_by="e",
)
RUSSIAN = Tongue(
    small_words=_words("""
        и в во на с со к ко у о об от до из за по под над для без при не ни но а или что чтобы как когда где кто это
        этот эта эти то тот та те я ты он она оно мы вы они мне меня мной тебя тебе его её их нас нам вас вам мой моя
        моё мои моих свой своей так же ли бы уже ещё только очень всё все никому ничего кроме которая который которые
        было был была есть снова теперь тогда сейчас самых самый
    """),
    advice=_advice(
        phrases=r"(?:тебе|вам) (?:стоит|следует|нужно|надо)|советую|рекомендую",
        verbs=r"(?:запиши|напиши|возьми|попробуй|начни|поговори|спроси|сделай|позвони|сходи|выбери|оставь|ложись|вскопай|"
        r"скажи|отложи|составь|попроси|гуляй|играй|подожди)(?:те)?",
    ),
    asked="Вопрос был:",
    at_the_end="и в конце:",
    answered="Главный ответ:",
    also_said="Также было сказано:",
    about="Разговор был о следующем: {}.",
    no_subject="У разговора не было ясной темы.",
    no_step="Конкретных шагов он не оставил.",
    steps="Конкретные шаги, которые он оставил: {}.",
    joined_by="и",
)
TONGUES = (ENGLISH, GERMAN, FRENCH, SPANISH, ITALIAN, RUSSIAN)
# A sentence of a summary that is summarised again: what was asked, or what was said, without its frame.
_ASKED = re.compile("|".join(re.escape(tongue.asked) for tongue in TONGUES))
_SAID = re.compile(
    "^(?:"
    + "|".join(re.escape(frame) for tongue in TONGUES for frame in (tongue.answered, tongue.also_said))
    + r")\s*“?"
)


def read_tongue(*, texts: Iterable[str]) -> Tongue:
    """Return the language that most small words belong to; English when few do."""
    counted = Counter(word for text in texts for word in find_words(text))
    hits = [sum(counted[word] for word in tongue.small_words) for tongue in TONGUES]
    return TONGUES[hits.index(max(hits))] if max(hits) >= LEAST_HITS else ENGLISH


def unframe(text: str) -> str:
    """Return what a sentence of an earlier summary quotes; empty when it only repeats a question."""
    if _ASKED.match(text):
        return ""
    bare = _SAID.sub("", text)
    return bare if bare == text else bare.rstrip("”").strip()
