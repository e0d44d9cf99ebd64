"""Is the fused order at least as good as the better of its two lists? nDCG@10 and recall@100, offline model.

Cranfield (judged abstracts, from SHARED_DATA) and each corpus of `chunking/`, there with a passage right when it holds
half of a marked span. "bm25" is the textbook's, over the same stems, in memory.
"""

import asyncio
import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.harness import Result

DEPTH = 100
LEAST_OF_BM25 = 0.94
LEAST_GAIN = 1.02
Order = Sequence[int]
Judged = Mapping[int, float]


def run() -> Result:
    from benchmarks.corpora import SHARED_DATA

    if not SHARED_DATA.exists():
        return Result(
            name="fusion",
            question="is the fused order as good as the better list?",
            ratio=1.0,
            ratio_of="not measured: SHARED_DATA is missing",
            is_good=True,
            columns=("corpus",),
            rows=[],
        )
    rows: list[tuple[object, ...]] = []
    ratios, words_ratio, more = [], 0.0, []
    for name, clone, questions, answers in _load_all():
        scores = asyncio.run(_measure(clone, questions, answers))
        better = max(scores["dense"][0], scores["words"][0])
        ratios.append(scores["fused"][0] / better)
        more.append(scores["fused"][1] / max(scores["dense"][1], scores["words"][1]))
        if name == "cranfield":
            words_ratio = scores["words"][0] / scores["bm25"][0]
        for order, (ndcg, recall) in scores.items():
            rows.append((name, order, f"{ndcg:.3f}", f"{recall:.3f}"))
    return Result(
        name="fusion",
        question="is the fused order at least as good as the better of its two lists?",
        ratio=min(ratios),
        ratio_of="nDCG@10 fused / better list, at the worst corpus (promised: 1)",
        is_good=min(ratios) >= 1.0 and words_ratio >= LEAST_OF_BM25 and more[0] >= LEAST_GAIN,
        columns=("corpus", "order", "nDCG@10", f"recall@{DEPTH}"),
        rows=rows,
        notes=(
            f"words / BM25 on cranfield: {words_ratio:.3f} (promised: {LEAST_OF_BM25}).",
            f"recall@{DEPTH} fused / better list: {', '.join(f'{value:.3f}' for value in more)} "
            f"(promised on cranfield: {LEAST_GAIN}; the corpora of chunking/ have fewer passages: all are found).",
        ),
        figures={"ratios": ratios, "words_of_bm25": words_ratio, "recall_gains": more},
    )


def _load_all() -> Any:
    from benchmarks.corpora import load, public_corpora

    yield _load_cranfield()
    for corpus in public_corpora():
        clone = load(corpus=corpus, chunk_tokens=400, overlap_tokens=80)
        yield (
            corpus.name,
            clone,
            [one.text for one in corpus.sets["marked"]],
            _judge(clone, corpus.sets["marked"]),
        )


def _judge(clone: Any, questions: Any) -> list[Judged]:
    from knowledge.models import Chunk

    chunks = list(Chunk.objects.filter(clone=clone, is_live=True))
    return [
        {
            chunk.pk: 1.0
            for chunk in chunks
            if question.is_answered_by(content=chunk.content, start=chunk.start_char, end=chunk.end_char)
        }
        for question in questions
    ]


def _load_cranfield() -> Any:
    """One abstract is one passage; vectors are made as ingestion makes them."""
    from django.conf import settings

    from benchmarks.corpora import SHARED_DATA
    from billing.metering import Payer
    from cloneai.accounts.models import User
    from clones.models import Clone
    from knowledge.embedding import EmbeddingModel, embed_chunks, find_pending
    from knowledge.models import Chunk, ChunkEmbedding, Document, Status

    data = json.loads((SHARED_DATA / "retrieval" / "cranfield.json").read_text())
    model = EmbeddingModel(name=settings.EMBEDDING_MODEL, dimensions=settings.EMBEDDING_DIMENSIONS)
    owner, _ = User.objects.get_or_create(email="bench@example.com")
    clone = Clone.objects.create(
        owner=owner,
        name="c",
        slug="cranfield",
        embedding_model=model.name,
        embedding_dimensions=model.dimensions,
    )
    document = Document.objects.create(
        clone=clone, title="c", file_name="c", sha256="c", status=Status.READY, live_version=1, chunk_count=1
    )
    texts = [one["text"].strip() or "-" for one in data["documents"]]
    chunks = Chunk.objects.bulk_create(
        Chunk(
            document=document,
            clone=clone,
            version=1,
            index=index,
            content=text,
            start_char=0,
            end_char=len(text),
            page_start=1,
            page_end=1,
            token_count=max(1, len(text) // 5),
            is_live=True,
        )
        for index, text in enumerate(texts)
    )
    pending = find_pending(chunks=Chunk.objects.filter(clone=clone), model=model)
    asyncio.run(
        embed_chunks(
            pending=pending,
            model=model,
            payer=Payer(user_id=None, clone_id=clone.pk),
            hold=lambda passages: passages,
            on_progress=lambda stored: None,
        )
    )
    ChunkEmbedding.objects.filter(clone=clone).update(is_live=True)
    answers = [{chunks[index].pk: 1.0 for index in query["relevant"]} for query in data["queries"]]
    return "cranfield", clone, [query["query"] for query in data["queries"]], answers


async def _measure(
    clone: Any, questions: Sequence[str], answers: Sequence[Judged]
) -> dict[str, tuple[float, float]]:
    """nDCG@10 and recall@100 of each order."""
    from cloneai.threads import run_in_thread

    bm25 = await run_in_thread(Bm25, clone=clone)
    orders: dict[str, list[Order]] = {"dense": [], "words": [], "fused": [], "bm25": []}
    for question in questions:
        for name, order in (await _orders(clone, question)).items():
            orders[name].append(order)
        orders["bm25"].append(await run_in_thread(bm25.rank, question))
    return {
        name: (
            _mean([ndcg(order, judged) for order, judged in zip(found, answers, strict=True) if judged]),
            _mean([recall(order, judged) for order, judged in zip(found, answers, strict=True) if judged]),
        )
        for name, found in orders.items()
    }


async def _orders(clone: Any, question: str) -> dict[str, Order]:
    from billing.metering import Payer, embed_texts
    from billing.models import Purpose
    from cloneai.threads import run_in_thread
    from knowledge.candidates import find_candidates
    from knowledge.embedding import EmbeddingModel
    from knowledge.relevance import calibration_for, fuse_candidates
    from knowledge.word_search import search_words

    model = EmbeddingModel(name=clone.embedding_model, dimensions=clone.embedding_dimensions)
    embedded = await embed_texts(
        payer=Payer(user_id=None, clone_id=clone.pk),
        purpose=Purpose.QUERY_EMBEDDING,
        texts=[question],
        model=model.name,
        dimensions=model.dimensions,
    )
    words = await run_in_thread(
        search_words, clone_id=clone.pk, language="english", query=question, depth=DEPTH
    )
    found = await run_in_thread(
        find_candidates,
        clone_id=clone.pk,
        words=words,
        vector=embedded.vectors[0],
        model=model,
        depth=DEPTH,
    )
    fused = fuse_candidates(candidates=found, word_weight=calibration_for(model=model.name).word_weight)
    by_sense = sorted(found, key=lambda one: -(one.similarity or 0.0))
    by_words = sorted((one for one in found if one.word_rank > 0), key=lambda one: -one.word_rank)
    return {
        "dense": [one.chunk_id for one in by_sense][:DEPTH],
        "words": [one.chunk_id for one in by_words][:DEPTH],
        "fused": sorted(fused, key=lambda key: -fused[key])[:DEPTH],
    }


class Bm25:
    """The textbook's, k1 1.2 and b 0.75, over PostgreSQL's stems."""

    def __init__(self, *, clone: Any) -> None:
        from knowledge.models import Chunk

        texts = dict(Chunk.objects.filter(clone=clone, is_live=True).values_list("pk", "content"))
        self._counts = {key: Counter(_stems(text)) for key, text in texts.items()}
        self._lengths = {key: sum(counts.values()) for key, counts in self._counts.items()}
        self._mean = _mean(list(self._lengths.values()))
        self._in = Counter(stem for counts in self._counts.values() for stem in counts)

    def rank(self, question: str) -> Order:
        asked = set(_stems(question))
        scores = {key: sum(self._score(key, stem) for stem in asked) for key in self._counts}
        return sorted((key for key in scores if scores[key] > 0), key=lambda key: -scores[key])[:DEPTH]

    def _score(self, key: int, stem: str) -> float:
        count = self._counts[key][stem]
        if not count:
            return 0.0
        rarity = math.log(1 + (len(self._counts) - self._in[stem] + 0.5) / (self._in[stem] + 0.5))
        return rarity * count * 2.2 / (count + 1.2 * (0.25 + 0.75 * self._lengths[key] / self._mean))


def ndcg(order: Order, judged: Judged, k: int = 10) -> float:
    gains = sum(judged.get(key, 0.0) / math.log2(place + 2) for place, key in enumerate(order[:k]))
    ideal = sum(gain / math.log2(place + 2) for place, gain in enumerate(sorted(judged.values())[::-1][:k]))
    return gains / ideal if ideal else 0.0


def recall(order: Order, judged: Judged) -> float:
    return len(judged.keys() & set(order[:DEPTH])) / len(judged)


def _stems(text: str) -> list[str]:
    from knowledge.word_forms import find_words, stem_words

    words = find_words(text)
    stems = stem_words(words=words, language="english")
    return [stems[word] for word in words if stems[word]]


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0
