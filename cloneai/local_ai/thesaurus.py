"""Everyday words that may stand for one another: a list by hand, then WordLlama's nearest whole words.

Groups are for searching, not for writing: a neighbour need not fit the sentence, it may stand in the text that
answers it.
"""

from __future__ import annotations

import functools
import re

import numpy as np

from cloneai.local_ai.embedding import Vectors, load_model
from cloneai.local_ai.language import STOP_WORDS, stem

# From this cosine on, two whole words of the vocabulary are close enough to search for one as the other.
CLOSE_WORDS = 0.5
MAX_NEIGHBOURS = 4

# Words and short phrases of a like sense, groups between bars.
_GROUPS_TEXT = """
begin start launch open commence | stop quit end finish cease | continue go on keep | improve better
progress | increase raise grow rise more | reduce lower decrease cut less | change alter adjust switch | try
attempt test | problem issue difficulty trouble obstacle | mistake error wrong fault slip | solve fix repair
resolve cure | buy purchase acquire | sell market | cost price expense fee charge | cheap affordable
inexpensive | expensive costly dear | money pay salary wage income earn raise | budget finance funds | save
spare | debt loan credit owe | tax taxes | rich wealthy billionaire millionaire | poor poverty | boss
manager leader lead supervisor superior chief | employee worker staff report person people | colleague
coworker peer teammate | team group crew squad unit | job role position post work occupation | career
profession | company firm business organisation corporation | hire recruit employ applicant candidate
interview | fire dismiss sack let go lay off terminate probation notice | resign quit leave step down |
promote promotion advance career | new hire newcomer starter beginner novice joiner | meeting conversation
talk one-on-one session discussion | talk speak say tell conversation | chat talk | one-to-one one-on-one |
ask question request inquire | answer reply respond response | explain describe clarify | write note record
document log | letter mail email message note | read study | list sheet page form | feedback criticism
criticise praise comment review appraisal | praise appreciation compliment thank recognise | criticise
criticism correct correction complain | complain complaint grumble | apologise apology sorry | goal aim
objective target purpose | plan strategy schedule prepare | prepare preparation ready | decide decision
choose | choice option alternative | vote ballot elect election | agree agreement consent | object objection
oppose refuse disagree | refuse decline reject turn down no | accept approve | promise commit commitment |
rule principle agreement charter policy | law act legislation bill | allowed may permit permitted | forbid
ban prohibit | duty responsibility task obligation | task assignment to-do item action | delegate hand over
give away pass on assign entrust handover | deputy substitute stand-in | deadline due date time | urgent
pressing critical | late delay tardy lateness punctual | early soon quick | often frequent frequently
regular every weekly daily | long duration minutes hours | quick fast rapid speed | slow slowly | busy
overloaded workload hours | tired exhausted burn out weary fatigue | rest break pause recover | holiday
vacation leave off | sleep asleep nap doze bed night | insomnia sleepless awake | stress pressure strain
burden | worry anxiety anxious fear afraid nervous | sad unhappy upset cry tears grief | angry anger rage
mad furious | happy glad joy | calm quiet relax | lonely isolation alone | confident confidence self-assured
believe | doubt unsure impostor insecure | shy introvert quiet silent | silent silence quiet say nothing |
loud noisy | rude insult mock offend | fight quarrel conflict dispute argue argument | mediate reconcile |
friend mate pal buddy friendship | trust honest honesty open truth | lie dishonest deceive | fair unfair
just justice equal | help support assist aid | advise advice counsel | teach train coach instruct lesson
education | learn practise practice exercise | school class kindergarten preschool | student pupil |
university college degree | child kid children baby girl boy daughter son | teenager adolescent youth | baby
infant newborn | parent mother father mom dad | husband wife spouse partner | family relatives household |
old elderly senior aged older | young younger youth junior | pensioner retiree senior retired | pension
retirement social security | doctor physician medical clinic hospital | medicine drug pill medication
prescription | illness disease sick ill condition | pain ache hurt injury | hurt injure injured wound | die
death dead died killed | born birth birthplace | exercise workout training sport | food meal diet eat feed |
drink alcohol bar | cook bake recipe | house home flat apartment housing | landlord rent tenant | mortgage
home loan | build construct construction built erect | building tower house | room space office | road
street highway route | car vehicle automobile auto | travel trip journey | ship boat vessel | town city
place | country nation state | war battle fight military army | soldier troops troop army | weapon gun arms
ammunition | attack assault invade invasion | captain commander officer | surrender give up hand over |
enemy foe opponent | leader president head chief | parliament congress senate lawmaker | judge court justice
| paint painting picture drawing illustration art | painter artist illustrator | draw design sketch | song
tune music single track | sing singer vocal choir | film movie video | book novel publish publication | game
play match | win victory winner won | lose loss defeat lost | player athlete | goalkeeper goalie goaltender
keeper | coach trainer | team club | season year | soccer football | animal species | fish ray shark | size
big large wide long grow | tall high height | deep depth | thick thickness | weight heavy | live habitat
inhabit found | danger dangerous threat risk threatened hazard | safe safety protect secure | guard protect
defend | harm damage hurt | customer client buyer guest | service serve | product goods item | company
factory plant | make produce manufacture create | invent create | presentation talk speech present keynote |
speech address | slide deck | meeting minutes protocol | agenda topics order | result outcome success
achieve achievement | success successful win | fail failure unsuccessful | measure number metric figure
count | number amount figure quantity | survey poll questionnaire | report summary update status | progress
update status | review revisit evaluate assess | performance perform achievement results | underperform weak
poor performance not good enough | strong star best brilliant | useless weak bad | toxic poisonous | smell
odour odor hygiene | computer laptop device | phone call telephone dial | camera webcam video | screen
remote online distributed virtual | remote home office distance | in person face to face meet | internet web
online | password login account | send deliver submit | get receive obtain | give hand offer provide | take
bring carry | keep hold retain | show present display | find discover locate | look see watch notice observe
| check verify control inspect | listen hear | think thinking reflect consider | remember memory recall |
forget | understand comprehend grasp | know knowledge | want wish desire like | need require must | hope
expect expectation | like enjoy love | hate dislike | important matter key essential | easy simple | hard
difficult tough challenging | good well great fine | bad poor terrible | right correct true | first initial
introductory beginning | last final end | next following then | before prior ahead | after later following |
again repeat repeatedly twice | morning breakfast | evening night | week weekly | month monthly | year
annual yearly | today now currently | soon quickly | join enter member become | leave depart exit go away |
meet see encounter | visit stop by come | stay remain | move relocate | return come back | wait pause
patience | interrupt cut off interruption talk over | disturb bother | ignore overlook | postpone put off
delay procrastinate avoid | hide conceal | share divide split | divide split agenda share | separate apart |
together jointly group | mix combine | reason cause why because | effect impact consequence result |
consequence sanction penalty | punish punishment fine | reward bonus prize | habit routine ritual practice |
method approach technique way | tool instrument device | step stage phase rung | level degree grade | sign
signal indication symptom | idea suggestion proposal propose | proposal suggestion offer | example instance
sample | trial test probation sample | story tale | word phrase sentence | joke humour | secret private
confidential | personal private | public open | official formal | HR human resources personnel | predecessor
former previous | former previous ex past | own self | stuck blocked helpless | ready prepared | alone solo
myself | everyone everybody all |
"""


@functools.cache
def _groups() -> dict[str, tuple[tuple[str, ...], ...]]:
    """The groups that each stem stands in, other words of the group only."""
    found: dict[str, list[tuple[str, ...]]] = {}
    for group in _GROUPS_TEXT.replace("\n", " ").split("|"):
        words = tuple(group.split())
        for word in words:
            if word.lower() not in STOP_WORDS:
                found.setdefault(stem(word.lower()), []).append(tuple(x for x in words if x != word))
    return {key: tuple(groups) for key, groups in found.items()}


def synonyms(*, word: str) -> list[str]:
    """Words of a like sense from the list, nearest group first; nothing for a word that is not in it."""
    groups = _groups().get(stem(word), ())
    return list(dict.fromkeys(other for group in groups for other in group))


@functools.cache
def _vocabulary() -> tuple[list[str], Vectors]:
    """The whole English-looking words among WordLlama's tokens, and their unit vectors (words, 256)."""
    model = load_model()
    words = [
        (token[1:], index)
        for token, index in model.tokenizer.get_vocab().items()
        if re.fullmatch(r"▁[a-z]{4,}", token)
    ]
    vectors = np.asarray(model.embedding, dtype=np.float32)[[index for _, index in words]]
    return [word for word, _ in words], vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@functools.lru_cache(maxsize=5000)
def neighbours(*, word: str) -> tuple[str, ...]:
    """The nearest whole words of the model's vocabulary that are no form of the word itself."""
    words, vectors = _vocabulary()
    if word not in words:
        return ()
    similarities = vectors @ vectors[words.index(word)]
    near = [words[index] for index in np.argsort(-similarities)[:20] if similarities[index] >= CLOSE_WORDS]
    others = [other for other in near if stem(other) != stem(word) and other not in STOP_WORDS]
    return tuple(others[:MAX_NEIGHBOURS])
