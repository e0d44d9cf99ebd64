"""Does a question that leans on the conversation find its passage as well as one that stands alone? 50 dialogues.

Each has a first question, which is answered by the demo's clone, and a follow-up. It is searched for as it was asked,
as it was rewritten (`chat.followups`), and in a wording that stands alone. `SIZE=400` cuts smaller passages.
"""

import asyncio
import json
import os
from collections.abc import Sequence
from typing import Any

from benchmarks.harness import Result

LIMIT = 5
MOST_LOST = 0.05
WORDINGS = ("as asked", "rewritten", "stand-alone")


def run() -> Result:
    from benchmarks.corpora import QUESTIONS, SIZES, everyday_corpora, load

    tokens, overlap = next(size for size in SIZES if size[0] == int(os.environ.get("SIZE", "1000")))
    clone = load(corpus=next(iter(everyday_corpora())), chunk_tokens=tokens, overlap_tokens=overlap)
    dialogues = json.loads((QUESTIONS / "dialogues.json").read_text())
    found, lost = asyncio.run(_ask_all(clone, dialogues))
    ratio = found["rewritten"] / found["stand-alone"]
    return Result(
        name="followups",
        question=f"do follow-ups find their passage among the first {LIMIT}, at {tokens} tokens a passage?",
        ratio=ratio,
        ratio_of=f"found by the rewritten question / by the stand-alone one (promised: {1 - MOST_LOST})",
        is_good=ratio >= 1 - MOST_LOST,
        columns=("searched for", "dialogues", "found"),
        rows=[(wording, len(dialogues), found[wording]) for wording in WORDINGS],
        notes=[f"Not found when rewritten: “{asked}” as “{searched}”." for asked, searched in lost],
    )


async def _ask_all(clone: Any, dialogues: Sequence[Any]) -> tuple[dict[str, int], list[tuple[str, str]]]:
    """How many each wording found, and the follow-ups that did not find theirs, with their rewriting."""
    from billing.metering import ChatMessage, Payer
    from chat.followups import question_to_search
    from chat.rehearsals import rehearse

    payer = Payer(user_id=None, clone_id=clone.pk)
    found = dict.fromkeys(WORDINGS, 0)
    lost = []
    for one in dialogues:
        first = await rehearse(clone=clone, question=one["first"], payer=payer)
        history = [ChatMessage("user", one["first"]), ChatMessage("assistant", first.text)]
        rewritten = await question_to_search(question=one["follow_up"], history=history, payer=payer)
        for wording, query in zip(WORDINGS, (one["follow_up"], rewritten, one["alone"]), strict=True):
            is_found = await _finds(clone, query, one["quotes"], payer)
            found[wording] += is_found
            if wording == "rewritten" and not is_found:
                lost.append((one["follow_up"], rewritten))
    return found, lost


async def _finds(clone: Any, query: str, quotes: Sequence[str], payer: Any) -> bool:
    from benchmarks.corpora import Question
    from knowledge.retrieval import search_passages

    wanted = Question(text=query, quotes=tuple(quotes))
    result = await search_passages(clone=clone, query=query, payer=payer, limit=LIMIT)
    return any(
        wanted.is_answered_by(content=one.content, start=one.start_char, end=one.end_char)
        for one in result.passages
    )
