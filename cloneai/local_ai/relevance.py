"""How well each unit of the passages answers a question: static embeddings, word by word and as a whole.

Scores run from 0 to about 1.2; the weights were fitted on questions whose answers are marked in the text.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cloneai.local_ai.embedding import Vectors, embed_texts
from cloneai.local_ai.forms import rate_cue, rate_form
from cloneai.local_ai.language import content_words, is_question_word, stem
from cloneai.local_ai.prompt import Passage
from cloneai.local_ai.sentences import Unit, split_units

# A word counts as related from this cosine on; unrelated English words stay below it.
RELATED_WORDS = 0.46
COVERAGE_WEIGHT = 0.6
SIMILARITY_WEIGHT = 0.4
CONTEXT_WEIGHT = 0.45
QUESTION_WORD_WEIGHT = 0.25
NUMBER_WEIGHT = 1.5
# What a sentence says still colours the next one of its paragraph, this much less with each step.
FADING = 0.75

Placed = tuple[Unit, Passage, int]


@dataclass(frozen=True)
class Question:
    """What is asked: the text, and how much each word of it weighs (stem by stem, 0 to 1 before idf)."""

    text: str
    words: tuple[str, ...]
    weights: tuple[float, ...]
    context: str = ""


@dataclass(frozen=True, eq=False)
class Candidate:
    """A unit of a passage with its score.

    `matches`, 0 to 1, says how well it speaks of each word of the question; `vector` has length 1.
    """

    unit: Unit
    passage: Passage
    position: int
    score: float
    matches: Vectors
    vector: Vectors
    words: int


@dataclass(frozen=True, eq=False)
class Scored:
    """All units in reading order; what each word of the question weighs (adds up to 1); the question's vector."""

    candidates: tuple[Candidate, ...]
    word_weights: Vectors
    asked: Vectors


def read_question(*, text: str, earlier: str = "") -> Question:
    """Weigh the words of a question; `earlier` is what a follow-up leans on, and counts for less."""
    weights: dict[str, float] = {}
    words: dict[str, str] = {}
    for source, factor in ((text, 1.0), (earlier, 0.6)):
        for word in content_words(source):
            key = stem(word)
            kind = (
                QUESTION_WORD_WEIGHT if is_question_word(word) else NUMBER_WEIGHT if word.isdigit() else 1.0
            )
            weight = factor * kind
            if weight > weights.get(key, 0.0):
                weights[key], words[key] = weight, word
    return Question(text=text, words=tuple(words.values()), weights=tuple(weights.values()), context=earlier)


def score_units(*, question: Question, passages: Sequence[Passage]) -> Scored:
    """Score every unit of the passages. One embedding batch for units, one for words."""
    placed = [
        (unit, passage, position)
        for passage in passages
        for position, unit in enumerate(split_units(text=passage.text))
    ]
    texts = [unit.text for unit, _, _ in placed]
    asked, vectors = _embed(question, texts)
    similarities = _inherit_from_questions(placed, vectors @ asked)
    matches, weights = _match_words(question, texts)
    matches = _inherit_from_questions(placed, matches)
    lifted = np.maximum(matches, CONTEXT_WEIGHT * _surroundings(placed, matches)) @ weights
    candidates = [
        Candidate(
            unit=unit,
            passage=passage,
            position=position,
            score=float(
                (COVERAGE_WEIGHT * lifted[row] + SIMILARITY_WEIGHT * max(similarities[row], 0.0))
                * rate_form(text=unit.text)
                + rate_cue(question=question.text, text=unit.text)
            ),
            matches=matches[row],
            vector=vectors[row],
            words=len(unit.text.split()),
        )
        for row, (unit, passage, position) in enumerate(placed)
    ]
    return Scored(candidates=tuple(candidates), word_weights=weights, asked=asked)


def _embed(question: Question, texts: list[str]) -> tuple[Vectors, Vectors]:
    """Return the question's vector, coloured by what a follow-up leans on, and one for each text."""
    vectors = embed_texts(texts=[question.text, question.context or question.text, *texts])
    asked = vectors[0] + (0.5 * vectors[1] if question.context else 0.0)
    unit: Vectors = (asked / np.linalg.norm(asked)).astype(np.float32)
    return unit, vectors[2:]


def _match_words(question: Question, texts: list[str]) -> tuple[Vectors, Vectors]:
    """Return (units, question words) matches of 0 to 1, and the words' weights, which add up to 1."""
    per_text = [content_words(text) for text in texts]
    counts = Counter(key for words in per_text for key in {stem(word) for word in words})
    vocabulary = sorted({word for words in per_text for word in words})
    matches = np.zeros((len(texts), max(len(question.words), 1)), dtype=np.float32)
    if not question.words or not vocabulary:
        return matches, np.full(matches.shape[1], 1 / matches.shape[1], dtype=np.float32)
    rows = {word: row for row, word in enumerate(vocabulary)}
    vectors = embed_texts(texts=[*vocabulary, *question.words])
    related = vectors[: len(vocabulary)] @ vectors[len(vocabulary) :].T
    related = np.where(related >= RELATED_WORDS, related, 0.0) * 0.9
    stems = [stem(word) for word in question.words]
    for row, word in enumerate(vocabulary):
        for column, key in enumerate(stems):
            if stem(word) == key:
                related[row, column] = 1.0
    for row, words in enumerate(per_text):
        if words:
            matches[row] = related[[rows[word] for word in words]].max(axis=0)
    idf = [math.log(1 + len(texts) / (1 + counts[key])) for key in stems]
    weights = np.array(
        [weight * value for weight, value in zip(question.weights, idf, strict=True)], dtype=np.float32
    )
    return matches, (weights / weights.sum()).astype(np.float32)


def _surroundings(placed: Sequence[Placed], matches: Vectors) -> Vectors:
    """Return, unit by unit, what its surroundings say: heading, the sentences before it, the question it answers."""
    around = np.zeros_like(matches)
    heading = np.zeros(matches.shape[1], dtype=np.float32)
    for row, (unit, _, position) in enumerate(placed):
        if position == 0:
            heading = np.zeros_like(heading)
        else:
            before, same_block = matches[row - 1], placed[row - 1][0].block == unit.block
            around[row] = (
                np.maximum(before, FADING * around[row - 1]) if same_block or unit.kind == "item" else before
            )
            if placed[row - 1][0].kind == "heading":
                around[row] = heading
        around[row] = np.maximum(around[row], heading)
        if unit.kind == "heading":
            heading = matches[row]
    return around


def _inherit_from_questions(placed: Sequence[Placed], values: Vectors) -> Vectors:
    """Lift what follows a question in the text (an FAQ) towards the question's own value, less with each sentence."""
    lifted = values.copy()
    for row, (unit, passage, _) in enumerate(placed):
        if not unit.text.endswith("?"):
            continue
        for distance, follower in enumerate(range(row + 1, min(row + 4, len(placed)))):
            after, its_passage, _ = placed[follower]
            if its_passage is not passage or after.kind == "heading" or after.text.endswith("?"):
                break
            lifted[follower] = np.maximum(lifted[follower], values[row] * (0.9, 0.7, 0.5)[distance])
    return lifted
