"""Reads the best passages sentence by sentence, for embedding models whose vectors blur long texts.

Static word vectors say little about a passage of 700 words: its few sentences that answer drown in the rest. Two more
figures tell them apart, both of a passage's best run of sentences:
- closeness: the cosine of question and three sentences in a row, -1 to 1;
- fit: 0 to 1, how well five sentences in a row speak of the question's words. Each word counts by its rarity among the
  sentences read; by 1 where it stands there or in the passage's headings, else by the square of the nearest word's
  cosine (0.7 for those that the thesaurus counts as alike), so that "boss" is half found in "manager".
Enter at `read_closely`. Everything is compared within one search, never between searches.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
import numpy.typing as npt

from billing.metering import Payer
from cloneai.local_ai.thesaurus import synonyms
from cloneai.threads import run_in_thread
from knowledge.candidates import Candidate, QuestionVector
from knowledge.embedding import EmbeddingModel
from knowledge.relevance import ReadingWeights
from knowledge.sentences import split_sentences
from knowledge.vector_cache import embed_short_texts
from knowledge.word_forms import ASKING_WORDS, find_words, stem_words

Vectors = npt.NDArray[np.float32]
Scores = npt.NDArray[np.float64]

MOST_PASSAGES = 30
CLOSENESS_SENTENCES = 3
FIT_SENTENCES = 5
SAME_HEADING = 0.7
SAME_BY_SENSE = 0.7  # for words that the thesaurus of the local model counts as alike
MAX_SENTENCES = 3000


@dataclass(frozen=True, slots=True)
class Reading:
    """By chunk id. `scores` give the order; passages that were not read stand behind those that were."""

    scores: Mapping[int, float]
    closeness: Mapping[int, float]


@dataclass(frozen=True, slots=True)
class _Text:
    """A passage taken apart: where its sentences start in the list of all, and the words of its headings."""

    first: int
    last: int
    headings: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Material:
    """What is compared: sentences of the passages, words of the question and of the sentences, and their vectors.

    Vectors are rows: `meant` of the phrasings, the others in the order of `asked`, `spoken` and `sentences`.
    """

    sentences: Sequence[str]
    texts: Sequence[_Text]
    asked: Sequence[str]
    alike: Mapping[str, Sequence[str]]
    spoken: Sequence[str]
    stems: Mapping[str, str]
    meant: Vectors
    asked_rows: Vectors
    spoken_rows: Vectors
    sentence_rows: Vectors


async def read_closely(
    *,
    query: str,
    vector: QuestionVector,
    candidates: Sequence[Candidate],
    scores: Mapping[int, float],
    phrasings: Sequence[str],
    weights: ReadingWeights,
    language: str,
    model: EmbeddingModel,
    payer: Payer,
) -> Reading:
    """Reads the passages that `scores` puts first. Metered calls for words and sentences that are not known yet, one
    query for their stems. Raises MeteredCallError.
    """
    ordered = sorted(candidates, key=lambda one: (-scores.get(one.chunk_id, 0.0), one.chunk_id))
    read = ordered[:MOST_PASSAGES]
    material = await _gather(
        query=query, read=read, phrasings=phrasings, language=language, model=model, payer=payer
    )
    closeness = _best_closeness(material, question=np.asarray(vector, dtype=np.float32))
    figures: list[tuple[float, Sequence[float] | Scores]] = [
        (weights.similarity, [one.similarity or 0.0 for one in read]),
        (weights.words, [one.word_rank for one in read]),
        (weights.closeness, closeness),
        (weights.fit, _best_fit(material)),
    ]
    if len(material.meant):
        figures.append((weights.phrasings, _best_closeness(material, question=_mean(material.meant))))
    total = sum((weight * _standardise(values) for weight, values in figures), np.zeros(len(read)))
    behind = {one.chunk_id: -100.0 - place for place, one in enumerate(ordered)}
    return Reading(
        scores=behind | {one.chunk_id: float(score) for one, score in zip(read, total, strict=True)},
        closeness={one.chunk_id: float(value) for one, value in zip(read, closeness, strict=True)},
    )


async def _gather(
    *,
    query: str,
    read: Sequence[Candidate],
    phrasings: Sequence[str],
    language: str,
    model: EmbeddingModel,
    payer: Payer,
) -> _Material:
    sentences, texts = _take_apart(read)
    asked = _asked_words(query)
    alike = {word: synonyms(word=word) for word in asked}
    spoken = list(dict.fromkeys(word for sentence in sentences for word in find_words(sentence)))
    in_headings = [word for text in texts for word in text.headings]
    stems = await run_in_thread(
        stem_words, words=[*asked, *chain(*alike.values()), *spoken, *in_headings], language=language
    )
    asked = [word for word in asked if stems[word]] or asked
    spoken = [word for word in spoken if stems[word]]
    embedded = await embed_short_texts(
        texts=[*phrasings, *asked, *spoken, *sentences], model=model, payer=payer
    )
    meant, asked_rows, spoken_rows, sentence_rows = np.split(
        embedded, np.cumsum([len(phrasings), len(asked), len(spoken)])
    )
    return _Material(
        sentences=sentences,
        texts=texts,
        asked=asked,
        alike=alike,
        spoken=spoken,
        stems=stems,
        meant=meant,
        asked_rows=asked_rows,
        spoken_rows=spoken_rows,
        sentence_rows=sentence_rows,
    )


def _asked_words(query: str) -> list[str]:
    words = list(dict.fromkeys(find_words(query)))
    return [word for word in words if word not in ASKING_WORDS] or words


def _take_apart(read: Sequence[Candidate]) -> tuple[list[str], list[_Text]]:
    sentences: list[str] = []
    texts = []
    for one in read:
        own = split_sentences(text=one.content)[: max(MAX_SENTENCES - len(sentences), 0)]
        headings = frozenset(word for heading in one.headings for word in find_words(heading))
        texts.append(_Text(first=len(sentences), last=len(sentences) + len(own), headings=headings))
        sentences += own
    return sentences, texts


def _match_words(
    *, asked: Sequence[str], alike: Sequence[set[str]], spoken: Sequence[str], cosines: Vectors
) -> Vectors:
    """How far each word of the question (rows) is said by each word spoken (columns): 0 to 1. Words are stems."""
    matches: Vectors = np.maximum(cosines, 0)
    columns: dict[str, list[int]] = {}
    for column, stem in enumerate(spoken):
        columns.setdefault(stem, []).append(column)
    for row, (stem, others) in enumerate(zip(asked, alike, strict=True)):
        near = [column for other in others for column in columns.get(other, ())]
        matches[row, near] = np.maximum(matches[row, near], SAME_BY_SENSE)
        matches[row, columns.get(stem, [])] = 1.0
    return matches


def _best_closeness(material: _Material, *, question: Vectors) -> Scores:
    """Per passage, the cosine of its best three sentences in a row to the question."""
    best = np.zeros(len(material.texts))
    for place, text in enumerate(material.texts):
        rows = material.sentence_rows[text.first : text.last]
        if not len(rows):
            continue
        in_a_row = min(CLOSENESS_SENTENCES, len(rows))
        starts = len(rows) - in_a_row + 1
        sums = np.sum([rows[first : first + starts] for first in range(in_a_row)], axis=0)
        lengths = np.maximum(np.linalg.norm(sums, axis=1), 1e-6)
        best[place] = float((sums @ question / lengths).max())
    return best


def _best_fit(material: _Material) -> Scores:
    """Per passage, how well its best five sentences in a row speak of the question's words."""
    stems = material.stems
    asked = [stems[word] for word in material.asked]
    matches = _match_words(
        asked=asked,
        alike=[{stems[other] for other in material.alike[word]} for word in material.asked],
        spoken=[stems[word] for word in material.spoken],
        cosines=material.asked_rows @ material.spoken_rows.T,
    )
    said = _best_in_each_sentence(material, matches=matches)
    weights = np.log(1 + len(said) / (0.5 + (said >= 1.0).sum(axis=0)))
    weights /= weights.sum() or 1.0
    best = np.zeros(len(material.texts))
    for place, text in enumerate(material.texts):
        sentences = said[text.first : text.last]
        if not len(sentences):
            continue
        runs = sentences.copy()
        for later in range(1, min(FIT_SENTENCES, len(sentences))):
            np.maximum(runs[:-later], sentences[later:], out=runs[:-later])
        under = {stems[word] for word in text.headings}
        by_heading = np.array([SAME_HEADING * (stem in under) for stem in asked])
        best[place] = float((np.maximum(runs, by_heading) ** 2 @ weights).max())
    return best


def _best_in_each_sentence(material: _Material, *, matches: Vectors) -> Scores:
    """How far each sentence (rows) says each word of the question (columns): by the nearest of its words, 0 to 1."""
    columns_of = {word: column for column, word in enumerate(material.spoken)}
    spoken = [
        [columns_of[word] for word in find_words(sentence) if word in columns_of]
        for sentence in material.sentences
    ]
    said = np.zeros((len(spoken), len(matches)))
    has_words = [place for place, columns in enumerate(spoken) if columns]
    if has_words:
        starts = np.cumsum([0, *(len(spoken[place]) for place in has_words[:-1])])
        of_each_word = matches[:, list(chain.from_iterable(spoken))]
        said[has_words] = np.maximum.reduceat(of_each_word, starts, axis=1).T
    return said


def _mean(rows: Vectors) -> Vectors:
    mean = rows.mean(axis=0)
    unit: Vectors = mean / max(float(np.linalg.norm(mean)), 1e-6)
    return unit


def _standardise(values: Sequence[float] | Scores) -> Scores:
    """Differences from the mean in standard deviations; all 0 where nothing differs."""
    figures = np.asarray(values, dtype=np.float64)
    spread = float(figures.std())
    return (figures - figures.mean()) / spread if spread > 1e-9 else np.zeros(len(figures))
