"""What does cutting cost beyond the bare encoding, and do its passages hold the answers as well as fixed-size ones?

Speed: made text and both vocabularies, in turns. Recall: questions whose answers are marked by character spans
(`CHUNKING_DATA`, the folder `../shared/data/chunking` by default, skipped where it is absent); the share of the marked
characters that the first passages hold, cosine by the local embeddings of what the product embeds. Ours end at
sentences and so are shorter than their limit: they are compared with slices of their own mean length in tokens.
"""

import csv
import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.harness import FOLDER, Result
from benchmarks.ingestion_setup import make_text

if TYPE_CHECKING:
    from knowledge.chunking import TextChunk

PROMISED = 1.5
ROUNDS = 7
DATA = Path(os.environ.get("CHUNKING_DATA", FOLDER.parent.parent / "shared" / "data" / "chunking"))
SIZES = ((1000, 200, 5), (400, 80, 5), (200, 40, 5))  # tokens, overlap, passages looked at
Span = tuple[int, int]


def run() -> Result:
    speeds = [measure_speed(encoding) for encoding in ("cl100k_base", "o200k_base")]
    rows: list[tuple[object, ...]] = [
        (f"seconds, {name}", f"{bare:.3f}", f"{ours:.3f}", f"{ours / bare:.2f}")
        for name, bare, ours in speeds
    ]
    recalls = [measure_recall(*size) for size in SIZES] if DATA.is_dir() else []
    rows += [
        (
            f"recall at {tokens}/{overlap} tokens, {k} passages",
            f"{fixed:.3f}",
            f"{ours:.3f}",
            f"{ours / fixed:.2f}",
        )
        for (tokens, overlap, k), (fixed, ours) in zip(SIZES, recalls, strict=False)
    ]
    ratio = max(ours / bare for _name, bare, ours in speeds)
    return Result(
        name="chunking",
        question="what does cutting cost, and do its passages hold the answers?",
        ratio=ratio,
        ratio_of="cutting / bare tiktoken encoding of the same text, the worse of two vocabularies",
        is_good=ratio <= PROMISED and all(ours >= fixed for fixed, ours in recalls),
        columns=("", "bare or fixed", "ours", "ratio"),
        rows=rows,
        notes=() if recalls else (f"{DATA.name}: not here, so recall was not measured.",),
        figures={"recall": recalls},
    )


def measure_speed(encoding_name: str) -> tuple[str, float, float]:
    """Medians of rounds in turns, in seconds of processor time, the vocabulary loaded before."""
    import tiktoken

    from knowledge.chunking import DocumentText, chunk_text

    document = DocumentText(text=make_text(1, words=60_000), page_starts=((0, 1),))
    encoding = tiktoken.get_encoding(encoding_name)
    chunk_text(document=document, encoding_name=encoding_name)
    bare, ours = [], []
    for _ in range(ROUNDS):
        started = time.process_time()
        encoding.encode(document.text, disallowed_special=())
        middle = time.process_time()
        chunk_text(document=document, encoding_name=encoding_name)
        bare.append(middle - started)
        ours.append(time.process_time() - middle)
    return encoding_name, float(np.median(bare)), float(np.median(ours))


def measure_recall(tokens: int, overlap: int, k: int) -> tuple[float, float]:
    """The mean share of the marked characters that the best passages hold: of fixed-size ones, and of ours."""
    from knowledge.embedding import embedded_text

    found: dict[str, list[float]] = {"fixed": [], "ours": []}
    for corpus, questions in read_questions().items():
        text = (DATA / f"{corpus}.md").read_text()
        vectors = embed([question for question, _spans in questions])
        chunks = cut_ours(text, tokens=tokens, overlap=overlap)
        mean_tokens = round(sum(chunk.token_count for chunk in chunks) / len(chunks))
        fixed = cut_fixed(text, tokens=mean_tokens, overlap=overlap)
        ours = [(chunk.start_char, chunk.end_char) for chunk in chunks]
        texts = [embedded_text(headings=chunk.headings, content=chunk.content) for chunk in chunks]
        for way, spans, embedded in (
            ("fixed", fixed, [text[start:end] for start, end in fixed]),
            ("ours", ours, texts),
        ):
            scores = vectors @ embed(embedded).T
            for row, (_question, marked) in zip(scores, questions, strict=True):
                best = [spans[index] for index in np.argsort(-row)[:k]]
                found[way].append(share_held(marked, best))
    return float(np.mean(found["fixed"])), float(np.mean(found["ours"]))


def read_questions() -> dict[str, list[tuple[str, list[Span]]]]:
    questions: dict[str, list[tuple[str, list[Span]]]] = {}
    with (DATA / "questions.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            spans = [(part["start_index"], part["end_index"]) for part in json.loads(row["references"])]
            questions.setdefault(row["corpus_id"], []).append((row["question"], spans))
    return {corpus: asked for corpus, asked in questions.items() if (DATA / f"{corpus}.md").exists()}


def cut_fixed(text: str, *, tokens: int, overlap: int) -> list[Span]:
    """Slices of exactly so many tokens."""
    import tiktoken

    encoding = tiktoken.get_encoding("cl100k_base")
    _text, offsets = encoding.decode_with_offsets(encoding.encode(text, disallowed_special=()))
    offsets.append(len(text))
    starts = range(0, max(1, len(offsets) - 1 - overlap), tokens - overlap)
    return [(offsets[start], offsets[min(start + tokens, len(offsets) - 1)]) for start in starts]


def cut_ours(text: str, *, tokens: int, overlap: int) -> "list[TextChunk]":
    from knowledge.chunking import DocumentText, chunk_text

    return chunk_text(
        document=DocumentText(text=text, page_starts=((0, 1),)),
        encoding_name="cl100k_base",
        max_tokens=tokens,
        overlap_tokens=overlap,
    )


def embed(texts: Sequence[str]) -> "np.ndarray[tuple[int, int], np.dtype[np.float32]]":
    from cloneai.local_ai.embedding import embed_texts

    return np.asarray(embed_texts(texts=texts), dtype=np.float32)


def share_held(marked: Sequence[Span], spans: Sequence[Span]) -> float:
    held = set[int]().union(*(range(*span) for span in spans))
    wanted = set[int]().union(*(range(*span) for span in marked))
    return len(wanted & held) / len(wanted) if wanted else 1.0
