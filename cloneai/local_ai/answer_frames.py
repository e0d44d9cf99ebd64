"""What stands around the quotations of an extractive answer, in the language of the question."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from cloneai.local_ai.language import find_words
from cloneai.local_ai.tongues import ENGLISH, FRENCH, GERMAN, ITALIAN, RUSSIAN, SPANISH, TONGUES, read_tongue


@dataclass(frozen=True, kw_only=True)
class Frames:
    """`closest` says that what follows is only the nearest; `under` takes a heading, `help_with` a list of subjects."""

    lead_ins: tuple[str, ...]
    closest: tuple[str, ...]
    nothing: tuple[str, ...]
    under: str
    help_with: str


_ENGLISH = Frames(
    lead_ins=(
        "Here is what my material says about this:",
        "This is how I put it in my material:",
        "I have written about this:",
        "From my material:",
        "This is what I tell people:",
    ),
    closest=(
        "My material does not answer this head-on, but this comes closest:",
        "I have nothing that answers this exactly. The nearest I have written is this:",
    ),
    nothing=(
        "My material does not cover that, so I would rather not guess.",
        "I have nothing on that in my material, and I do not want to make something up.",
        "That is not in my material, so I cannot give you an answer I could stand behind.",
    ),
    under="Under “{}”:",
    help_with="I can help with {}.",
)
_OTHERS = {
    GERMAN: Frames(
        lead_ins=("Dazu steht in meinen Unterlagen:", "Darüber habe ich geschrieben:"),
        closest=("Genau das beantworten meine Unterlagen nicht, aber das kommt dem am nächsten:",),
        nothing=("Dazu steht nichts in meinen Unterlagen, und raten möchte ich nicht.",),
        under="Unter „{}“:",
        help_with="Helfen kann ich bei {}.",
    ),
    FRENCH: Frames(
        lead_ins=("Voici ce que disent mes documents à ce sujet :", "J’ai écrit à ce sujet :"),
        closest=("Mes documents n’y répondent pas exactement ; voici ce qui s’en approche le plus :",),
        nothing=("Mes documents n’en parlent pas, et je préfère ne rien inventer.",),
        under="Sous « {} » :",
        help_with="Je peux aider sur {}.",
    ),
    SPANISH: Frames(
        lead_ins=("Esto dice mi material al respecto:", "He escrito sobre esto:"),
        closest=("Mi material no lo responde exactamente, pero esto es lo más cercano:",),
        nothing=("Mi material no trata de eso, y prefiero no inventar nada.",),
        under="En «{}»:",
        help_with="Puedo ayudar con {}.",
    ),
    ITALIAN: Frames(
        lead_ins=("Ecco che cosa dice il mio materiale:", "Ne ho scritto così:"),
        closest=("Il mio materiale non risponde esattamente a questo, ma ecco ciò che più si avvicina:",),
        nothing=("Il mio materiale non ne parla, e preferisco non inventare nulla.",),
        under="Sotto «{}»:",
        help_with="Posso aiutare su {}.",
    ),
    RUSSIAN: Frames(
        lead_ins=("Вот что об этом сказано в моих материалах:", "Я писал об этом так:"),
        closest=("Точного ответа в моих материалах нет, но ближе всего вот это:",),
        nothing=("В моих материалах об этом ничего нет, а гадать я не хочу.",),
        under="В разделе «{}»:",
        help_with="Я могу помочь с темами: {}.",
    ),
}

_CLOSEST = tuple(opening for frames in (_ENGLISH, *_OTHERS.values()) for opening in frames.closest)


def says_only_nearest(*, text: str) -> bool:
    """Tell whether an answer of this provider opens by saying that what it quotes is only the nearest."""
    return text.lstrip().startswith(_CLOSEST)


def frames_for(*, question_text: str, quoted: str = "") -> Frames:
    """The frames in the question's language; where its few words do not tell, in that of what is quoted."""
    counted = Counter(find_words(question_text))
    hits = [sum(counted[word] for word in tongue.small_words) for tongue in TONGUES]
    if hits.count(max(hits)) == 1:
        tongue = TONGUES[hits.index(max(hits))]
    else:
        tongue = read_tongue(texts=[quoted]) if quoted else ENGLISH
    return _OTHERS.get(tongue, _ENGLISH)
