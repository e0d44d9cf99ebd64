"""Does a strict clone answer what its documents do not say? 100 such questions of the demo, and those it can answer.

Each goes through a turn of a conversation, offline. "From thin air" is an answer with a statement that no passage bears
out: one without a source, or one that `chat.claims` does not find in the passage that it names. `nearest` are answers
that quote the nearest passages and say themselves that these do not answer the question.
"""

import asyncio
import json
import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

from benchmarks.harness import Result

OUTCOMES = ("refused", "nearest", "answered", "thin air")
MOST_REFUSED = 0.10
SAYS_SO = re.compile(r"does not answer this head-on|nothing that answers this exactly")


def run() -> Result:
    from benchmarks.corpora import QUESTIONS, everyday_corpora, load

    corpus = next(iter(everyday_corpora()))
    clone = load(corpus=corpus, chunk_tokens=1000, overlap_tokens=200)
    missing = json.loads((QUESTIONS / "unanswerable.json").read_text())
    sets: dict[str, list[str]] = {}
    for row in missing:
        sets.setdefault(f"not in the documents: {row['kind']}", []).append(row["question"])
    sets |= {f"in the documents: {name}": [one.text for one in asked] for name, asked in corpus.sets.items()}
    counts = {name: asyncio.run(_ask_all(clone, questions)) for name, questions in sets.items()}
    plain = counts["in the documents: plain"]
    refused = plain["refused"] / plain.total()
    nowhere = sum((found for name, found in counts.items() if name.startswith("not")), Counter[str]())
    return Result(
        name="grounding",
        question="what does a strict clone say to what stands in no document, and to what does?",
        ratio=nowhere["thin air"] / nowhere.total(),
        ratio_of="answers from thin air / questions that no document answers (promised: 0)",
        is_good=not nowhere["thin air"] and refused <= MOST_REFUSED,
        columns=("questions", "number", *OUTCOMES),
        rows=[(name, found.total(), *(found[one] for one in OUTCOMES)) for name, found in counts.items()],
        notes=(
            f"Refused of the plain questions that it can answer: {refused:.3f} (at most {MOST_REFUSED}).",
        ),
    )


async def _ask_all(clone: Any, questions: Sequence[str]) -> Counter[str]:
    """Outcomes; every question in a conversation of its own."""
    from chat.models import ChatSession
    from chat.turn_beginning import save_question
    from chat.turn_records import load_turn
    from chat.turns import write_answer
    from cloneai.threads import run_in_thread

    found: Counter[str] = Counter()
    for question in questions:
        session = await run_in_thread(ChatSession.objects.create, clone=clone, user_id=clone.owner_id)
        started = await run_in_thread(
            save_question, session=session, content=question, client_message_id=None
        )
        await write_answer(started.task)
        answer = await run_in_thread(load_turn, answer_id=started.answer_id)
        outcome = await run_in_thread(_judge, answer, clone)
        found[outcome] += 1
        if outcome == "thin air":
            print("From thin air:", question, flush=True)
    return found


def _judge(answer: Any, clone: Any) -> str:
    text = " ".join(answer.content.split())
    cited = [one for one in answer.citations.all() if one.is_cited]
    if not cited:
        return "refused" if text == " ".join(clone.no_answer_text.split()) else "thin air"
    if any(one.is_supported is False for one in cited) or not answer.receipt.claims:
        return "thin air"
    return "nearest" if SAYS_SO.search(text) else "answered"
