"""How often is the right passage among the first five, offline, and what does the search refuse?

Sets that the retriever was tuned with are marked so; "held out" ones were written beforehand and are only measured.
The demo's sets need nothing but the checkout, the others the folder SHARED_DATA. `SIZE=400` measures smaller passages.
"""

import asyncio
import os

from benchmarks.harness import Result

PROMISED = 0.97
LIMIT = 5
TUNED = {"paraphrased", "everyday, development"}


def run() -> Result:
    from benchmarks.corpora import SIZES, everyday_corpora, load, public_corpora

    wanted = int(os.environ.get("SIZE", "1000"))
    rows: list[tuple[object, ...]] = []
    plain: list[float] = []
    for tokens, overlap in (size for size in SIZES if size[0] == wanted):
        for corpus in (*everyday_corpora(), *public_corpora()):
            clone = load(corpus=corpus, chunk_tokens=tokens, overlap_tokens=overlap)
            for name, questions in corpus.sets.items():
                found, refused, first = asyncio.run(_ask(clone, questions))
                if name in ("plain", "marked"):
                    plain.append(found)
                rows.append(
                    (
                        corpus.name,
                        name + (" (tuned with)" if name in TUNED else ""),
                        len(questions),
                        f"{found:.3f}",
                        f"{first:.3f}",
                        f"{refused:.3f}",
                    )
                )
    return Result(
        name="recall",
        question=f"offline, at {wanted} tokens a passage: is the right passage among the first {LIMIT}?",
        ratio=sum(plain) / len(plain),
        ratio_of=f"recall@{LIMIT}, mean of the sets in the documents' own words (promised: {PROMISED})",
        is_good=sum(plain) / len(plain) >= PROMISED,
        columns=("corpus", "questions", "number", f"recall@{LIMIT}", "recall@1", "refused"),
        rows=rows,
    )


async def _ask(clone: object, questions: object) -> tuple[float, float, float]:
    """Shares of questions: right passage in the first five, nothing found, right passage first."""
    from billing.metering import Payer
    from knowledge.retrieval import search_passages

    found = refused = first = 0
    for question in questions:  # type: ignore[attr-defined]
        payer = Payer(user_id=None, clone_id=clone.pk)  # type: ignore[attr-defined]
        result = await search_passages(clone=clone, query=question.text, payer=payer, limit=LIMIT)  # type: ignore[arg-type]
        right = [
            question.is_answered_by(content=one.content, start=one.start_char, end=one.end_char)
            for one in result.passages
        ]
        found, refused = found + any(right), refused + (not right)
        first += bool(right) and right[0]
    number = len(questions)  # type: ignore[arg-type]
    return found / number, refused / number, first / number
