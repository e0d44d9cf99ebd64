"""The proof that a ready document is found: questions made from its own passages, searched for as members would.

`probe_document` is the job's work. recall@5 is the share of the questions whose passage is among the first five. Under
`LEAST_RECALL` the document is hard to find, and says why.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from django.conf import settings
from pydantic import BaseModel, Field

from billing.metering import ChatMessage, MeteredCallError, Payer, complete_structured
from billing.model_choice import Complexity, Task, choose_model
from billing.models import Purpose
from cloneai.threads import run_in_thread
from knowledge.models import Chunk, Document
from knowledge.prompts_probes import PROBE_INSTRUCTIONS, fence_excerpts
from knowledge.retrieval import SearchResult, search_passages

PROBES = 5
FIRST = 5
LEAST_RECALL = 0.6
EXCERPT_CHARS = 1500
KEYWORDS = 6

_WORDS = re.compile(r"[^\W\d_]{3,}")
_SENTENCES = re.compile(r"(?<=[.!?])\s+|\n{2,}")


class ProbeQuestions(BaseModel):
    """One question for each excerpt, in their order."""

    questions: list[str] = Field(max_length=PROBES)


@dataclass(frozen=True, slots=True)
class Probe:
    """A question and the passage that it was made from."""

    question: str
    chunk: Chunk


@dataclass(frozen=True, slots=True)
class ProbeReport:
    """`found` of `asked` questions led to their passage; `note` says why that is too few, "" when it is not."""

    asked: int
    found: int
    note: str


async def probe_document(*, document: Document) -> ProbeReport | None:
    """Ask and search; None when there is nothing to ask or the provider or a budget stands in the way.

    One metered call makes the questions (offline they are made of a passage's rarest words), one search each.
    """
    chunks = await run_in_thread(_spread_chunks, document=document)
    payer = Payer(user_id=document.uploaded_by_id, clone_id=document.clone_id, document_id=document.pk)
    try:
        probes = await _make_probes(chunks=chunks, payer=payer)
        results = [
            await search_passages(clone=document.clone, query=probe.question, payer=payer, limit=FIRST)
            for probe in probes
        ]
    except MeteredCallError:
        return None
    if not probes:
        return None
    missed = [
        (probe, result)
        for probe, result in zip(probes, results, strict=True)
        if not _is_found(probe=probe, result=result)
    ]
    found = len(probes) - len(missed)
    is_hard = found < LEAST_RECALL * len(probes)
    note = _explain(document=document, missed=[result for _probe, result in missed]) if is_hard else ""
    return ProbeReport(asked=len(probes), found=found, note=note)


def _spread_chunks(*, document: Document) -> list[Chunk]:
    """Up to `PROBES` live passages, from the beginning to the end."""
    ids = list(
        Chunk.objects.filter(document=document, is_live=True).order_by("index").values_list("pk", flat=True)
    )
    step = max(1, len(ids) / PROBES)
    chosen = [ids[int(number * step)] for number in range(min(PROBES, len(ids)))]
    return list(Chunk.objects.filter(pk__in=chosen).order_by("index").defer("search_vector"))


async def _make_probes(*, chunks: Sequence[Chunk], payer: Payer) -> list[Probe]:
    if settings.AI_OFFLINE:
        questions = make_keyword_questions(texts=[chunk.content for chunk in chunks])
    else:
        excerpts = fence_excerpts([chunk.content[:EXCERPT_CHARS] for chunk in chunks])
        result = await complete_structured(
            payer=payer,
            purpose=Purpose.EVALUATION,
            model=choose_model(task=Task.DOCUMENT_PROCESSING, complexity=Complexity.SIMPLE),
            messages=[ChatMessage("system", PROBE_INSTRUCTIONS), ChatMessage("user", excerpts)],
            schema=ProbeQuestions,
            max_output_tokens=400,
            temperature=0.2,
        )
        questions = result.value.questions
    pairs = zip(questions, chunks, strict=False)
    return [Probe(question=question, chunk=chunk) for question, chunk in pairs if question.strip()]


def make_keyword_questions(*, texts: Sequence[str]) -> list[str]:
    """For each text its words that are rarest among all the texts, from its sentence that has most of them."""
    frequency = Counter(word for text in texts for word in set(_words(text)))
    questions = []
    for text in texts:
        sentences = [
            sentence for sentence in _SENTENCES.split(text) if len(_words(sentence)) >= KEYWORDS // 2
        ]
        best = max(
            sentences, default=text, key=lambda each: sum(1 / frequency[word] for word in set(_words(each)))
        )
        rarest = sorted(dict.fromkeys(_words(best)), key=lambda word: (frequency[word], -len(word)))[
            :KEYWORDS
        ]
        questions.append(" ".join(word for word in dict.fromkeys(_words(best)) if word in rarest))
    return questions


def _words(text: str) -> list[str]:
    return _WORDS.findall(text.lower())


def _is_found(*, probe: Probe, result: SearchResult) -> bool:
    """Whether one of the first passages is of the probed one's place."""
    return any(
        passage.document_id == probe.chunk.document_id
        and passage.start_char < probe.chunk.end_char
        and probe.chunk.start_char < passage.end_char
        for passage in result.passages[:FIRST]
    )


def _explain(*, document: Document, missed: Sequence[SearchResult]) -> str:
    """What stood before the passages that were not found: nothing, other documents, or other places of this one."""
    first = [result.passages[0] for result in missed if result.passages]
    others = Counter(passage.document_title for passage in first if passage.document_id != document.pk)
    if len(first) * 2 < len(missed):
        return (
            "Questions made from its own text find nothing in it. It may consist of tables, numbers or single "
            "words, or of text that was badly recognised: look at the text, and upload running sentences."
        )
    if sum(others.values()) * 2 >= len(first):
        title, _count = others.most_common(1)[0]
        return (
            f"Other documents stand before it, most of all “{title}”. If both say the same, delete one of them; "
            "if not, give this one headings and words of its own."
        )
    return (
        "Its passages resemble each other so much that a question finds another place of it. Remove what repeats, or "
        "divide it by headings."
    )
