"""Extractive answers: the run of sentences that fits a question best, quoted with its marker `[n]`."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

import numpy as np

from cloneai.local_ai.answer_frames import frames_for
from cloneai.local_ai.forms import wants_figure
from cloneai.local_ai.language import find_words, stem
from cloneai.local_ai.prompt import Passage, Persona
from cloneai.local_ai.quoting import write_run
from cloneai.local_ai.relevance import Question, Scored, score_units
from cloneai.local_ai.runs import Run, rank_runs
from cloneai.local_ai.smalltalk import pick

# Fitted on questions with marked answers against questions that the passages do not answer.
FLOOR = 0.95
CONFIDENT = 1.25
# Up to this score words in common may be all that a run and the question share; then it must be about the same as well.
SURE = 1.5
ABOUT_THE_SAME = 0.35
# A single sentence that fits this well answers even where little stands around it.
STRONG_SENTENCE = 0.35
# "Tell me more" stays with a subject that was found before; the best was said then.
MORE_SHARE = 0.75
MAX_WORDS = 125
# A second passage must come this close to the first, and speak of this much more of the question.
NEAR_BEST = 0.85
NEAR_BEST_HERE = 0.7
ADDED_COVERAGE = 0.05

_LIST_QUESTION = re.compile(
    r"\b(?:what|which) (?:\w+ ){0,4}(?:steps|tips|ways|things|signs|rules|reasons|types|kinds|methods|"
    r"tools|foods|"
    r"exercises|examples|options|strategies|techniques|mistakes|stages|phases|factors|benefits|questions|"
    r"symptoms|"
    r"ingredients|principles|habits|causes)\b|\blist\b|\bname (?:some|the|three|five)|\bgive me (?:some|"
    r"\w+ tips)",
    re.IGNORECASE,
)


def answer_from_passages(
    *, question: Question, passages: Sequence[Passage], persona: Persona, already_said: str = ""
) -> str:
    """Write the answer in Markdown, or say that the material does not cover the question (then without markers)."""
    scored = score_units(question=question, passages=passages)
    ranked = rank_runs(
        scored=scored,
        question=question,
        wants_list=_LIST_QUESTION.search(question.text) is not None,
        left_out=already_said,
    )
    if not ranked or not _is_answer(ranked[0], floor=FLOOR * (MORE_SHARE if already_said else 1)):
        return say_not_covered(question_text=question.text, persona=persona)
    best = ranked[0]
    runs = [best]
    if best.score >= CONFIDENT:
        runs += _choose_second(ranked, scored=scored, question=question)
    runs.sort(key=lambda run: run.units[0].position if run.passage is best.passage else math.inf)
    quoted = " ".join(unit.unit.text for run in runs for unit in run.units)
    frames = frames_for(question_text=question.text, quoted=quoted)
    lead = pick(options=frames.lead_ins if _is_sure(best) else frames.closest, seed=question.text)
    return "\n\n".join([lead, *(write_run(run=run, under=frames.under) for run in runs)])


def _is_answer(run: Run, *, floor: float) -> bool:
    return run.score >= floor or _best_sentence(run) >= STRONG_SENTENCE


def _is_sure(run: Run) -> bool:
    return run.score >= SURE or (run.score >= CONFIDENT and run.similarity >= ABOUT_THE_SAME)


def _best_sentence(run: Run) -> float:
    return max(unit.score for unit in run.units)


def say_not_covered(*, question_text: str, persona: Persona) -> str:
    """Say honestly that the material has no answer, and what could be asked instead."""
    if persona.no_answer:
        return persona.no_answer
    frames = frames_for(question_text=question_text)
    text = pick(options=frames.nothing, seed=question_text)
    if persona.expertise:
        text += f" {frames.help_with.format(', '.join(persona.expertise[:4]))}"
    return text


def _choose_second(ranked: Sequence[Run], *, scored: Scored, question: Question) -> list[Run]:
    """Return the next best run when it adds something to the best one; at most one.

    What adds something speaks of more of the question; where a figure is asked for, a further one does, too.
    """
    best = ranked[0]
    covered = float(best.matches @ scored.word_weights)
    said = [_stems(unit.unit.text) for unit in best.units]
    figure = wants_figure(question=question.text)
    for run in ranked[1:]:
        if run.score < max(NEAR_BEST * best.score, FLOOR):
            return []
        same_passage = run.passage is best.passage
        near = NEAR_BEST_HERE if same_passage else NEAR_BEST
        if (
            best.words + run.words > MAX_WORDS
            or _best_sentence(run) < near * _best_sentence(best)
            or (run.section is best.section and not figure)
        ):
            continue
        added = float(np.maximum(run.matches, best.matches) @ scored.word_weights) - covered
        if (added >= ADDED_COVERAGE or (figure and same_passage)) and not _repeats(run, said):
            return [run]
    return []


def _repeats(run: Run, said: Sequence[frozenset[str]]) -> bool:
    """Tell whether a run says, word for word or nearly, a sentence that was said (passages overlap)."""
    for unit in run.units:
        own = _stems(unit.unit.text)
        for theirs in said:
            smaller = min(len(own), len(theirs))
            if smaller > 2 and len(own & theirs) >= 0.8 * smaller:
                return True
    return False


def _stems(text: str) -> frozenset[str]:
    return frozenset(stem(word) for word in find_words(text))
