"""What does cutting cost beyond the bare encoding, and do its passages hold the answers as well as fixed-size ones?

Speed: made text and both vocabularies, in turns. Recall: questions whose answers are marked by character spans
(`CHUNKING_DATA`, the folder `../shared/data/chunking` by default, skipped where it is absent); the share of the marked
characters that the first passages hold, cosine by the local embeddings of what the product embeds. Where slices happen
to begin decides over points, so limits from nine to eleven tenths of each size and several beginnings are averaged.
Ours end at sentences and so are shorter than their limit: they are compared with slices of their own mean length, and
with slices as long as the limit, which see more text.
"""

import csv
import json
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from benchmarks.harness import FOLDER, Result
from benchmarks.ingestion_setup import make_text

PROMISED = 1.5
ROUNDS = 7
DATA = Path(os.environ.get("CHUNKING_DATA", FOLDER.parent.parent / "shared" / "data" / "chunking"))
SIZES = (1000, 400, 200)  # tokens
LIMITS = (0.9, 0.95, 1.0, 1.05, 1.1)  # of the size
OVERLAP = 0.2  # of the limit
BEGINNINGS = (0.0, 0.5)  # how much of a slice the first one lacks
PASSAGES = 5
Span = tuple[int, int]
Cut = tuple[Sequence[Span], Sequence[str]]  # the spans and what is embedded of each


def run() -> Result:
    speeds = [measure_speed(encoding) for encoding in ("cl100k_base", "o200k_base")]
    rows: list[tuple[object, ...]] = [
        (f"seconds, {name}", f"{bare:.3f}", f"{ours:.3f}", f"{ours / bare:.2f}")
        for name, bare, ours in speeds
    ]
    recalls = {size: measure_recall(size) for size in SIZES} if DATA.is_dir() else {}
    rows += [
        (
            f"recall at {size} tokens, {way}",
            f"{recall[way]:.3f}",
            f"{recall['ours']:.3f}",
            ratio_of(recall, way),
        )
        for size, recall in recalls.items()
        for way in ("as long as ours", "as long as the limit")
    ]
    ratio = max(ours / bare for _name, bare, ours in speeds)
    return Result(
        name="chunking",
        question="what does cutting cost, and do its passages hold the answers?",
        ratio=ratio,
        ratio_of="cutting / bare tiktoken encoding of the same text, the worse of two vocabularies",
        is_good=ratio <= PROMISED
        and all(recall["ours"] >= recall["as long as ours"] for recall in recalls.values()),
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


def ratio_of(recall: Mapping[str, float], way: str) -> str:
    return f"{recall['ours'] / recall[way]:.3f}"


def measure_recall(size: int) -> dict[str, float]:
    """The mean share of the marked characters that the best passages hold: of ours, and of both kinds of slices."""
    found: dict[str, list[float]] = {"ours": [], "as long as ours": [], "as long as the limit": []}
    for corpus, questions in read_questions().items():
        text = (DATA / f"{corpus}.md").read_text()
        asked = embed([question for question, _spans in questions])
        for limit in (round(size * share) for share in LIMITS):
            overlap = round(limit * OVERLAP)
            ours, mean_tokens = cut_ours(text, tokens=limit, overlap=overlap)
            cuts = [("ours", ours)]
            for way, tokens in (("as long as ours", mean_tokens), ("as long as the limit", limit)):
                for beginning in BEGINNINGS:
                    first = tokens - round(beginning * (tokens - overlap))
                    cuts.append((way, cut_fixed(text, tokens=tokens, overlap=overlap, first_tokens=first)))
            for way, (spans, embedded) in cuts:
                for row, (_question, marked) in zip(asked @ embed(embedded).T, questions, strict=True):
                    best = [spans[index] for index in np.argsort(-row)[:PASSAGES]]
                    found[way].append(share_held(marked, best))
    return {way: float(np.mean(shares)) for way, shares in found.items()}


def read_questions() -> dict[str, list[tuple[str, list[Span]]]]:
    questions: dict[str, list[tuple[str, list[Span]]]] = {}
    with (DATA / "questions.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            spans = [(part["start_index"], part["end_index"]) for part in json.loads(row["references"])]
            questions.setdefault(row["corpus_id"], []).append((row["question"], spans))
    return {corpus: asked for corpus, asked in questions.items() if (DATA / f"{corpus}.md").exists()}


def cut_fixed(text: str, *, tokens: int, overlap: int, first_tokens: int) -> Cut:
    """Slices of exactly so many tokens; the first one may be shorter."""
    import tiktoken

    encoding = tiktoken.get_encoding("cl100k_base")
    _text, offsets = encoding.decode_with_offsets(encoding.encode(text, disallowed_special=()))
    offsets.append(len(text))
    last = len(offsets) - 1
    ends = [*range(first_tokens, last, tokens - overlap), last]
    spans = [(offsets[max(0, end - tokens)], offsets[end]) for end in ends[:-1]]
    spans.append((offsets[max(0, ends[-2] - overlap)] if len(ends) > 1 else 0, offsets[last]))
    return spans, [text[start:end] for start, end in spans]


def cut_ours(text: str, *, tokens: int, overlap: int) -> tuple[Cut, int]:
    """Also how many tokens a passage has in the mean."""
    from knowledge.chunking import DocumentText, chunk_text
    from knowledge.embedding import embedded_text

    chunks = chunk_text(
        document=DocumentText(text=text, page_starts=((0, 1),)),
        encoding_name="cl100k_base",
        max_tokens=tokens,
        overlap_tokens=overlap,
    )
    spans = [(chunk.start_char, chunk.end_char) for chunk in chunks]
    embedded = [embedded_text(headings=chunk.headings, content=chunk.content) for chunk in chunks]
    return (spans, embedded), round(sum(chunk.token_count for chunk in chunks) / len(chunks))


def embed(texts: Sequence[str]) -> "np.ndarray[tuple[int, int], np.dtype[np.float32]]":
    from cloneai.local_ai.embedding import embed_texts

    return np.asarray(embed_texts(texts=texts), dtype=np.float32)


def share_held(marked: Sequence[Span], spans: Sequence[Span]) -> float:
    held = set[int]().union(*(range(*span) for span in spans))
    wanted = set[int]().union(*(range(*span) for span in marked))
    return len(wanted & held) / len(wanted) if wanted else 1.0
