"""Runs as Markdown: paragraphs and lists, a marker `[n]` behind each of them."""

from __future__ import annotations

import re

from cloneai.local_ai.relevance import Candidate
from cloneai.local_ai.runs import Run

MAX_QUOTED_WORDS = 80


def write_run(*, run: Run, under: str) -> str:
    """Write a run: its prose as paragraphs, two or more items or rows that follow each other as a list.

    What nothing introduces is introduced by the heading that it stands under, in the words of `under`.
    """
    marker = f" [{run.passage.number}]"
    groups: list[list[tuple[Candidate, ...]]] = []
    for element in run.elements:
        listed = element[0].unit.kind != "prose"
        if groups and listed == (groups[-1][0][0].unit.kind != "prose"):
            groups[-1].append(element)
        else:
            groups.append([element])
    written = []
    heading = run.section.heading
    if heading is not None and groups[0][0][0].unit.kind != "prose" and len(groups[0]) > 1:
        written.append(under.format(quote_text(text=heading.unit.text, kind="heading")))
    for group in groups:
        texts = [_write_element(element) for element in group]
        if group[0][0].unit.kind != "prose" and len(group) > 1:
            written.append("\n".join(f"- {text}" for text in texts) + marker)
        else:
            written.append(" ".join(texts) + marker)
    return "\n\n".join(written)


def quote_text(*, text: str, kind: str) -> str:
    """Make a sentence fit to stand alone: show cuts, turn its own `[3]` into `(3)`, which is no marker.

    `[0, 1]` keeps its brackets: no marker begins with 0 and goes on.
    Fences of code do not survive on one line.
    """
    text = re.sub(r"\s*`{3,}\s*", " ", text).strip() or "…"
    text = re.sub(r"\[(?!0{1,3}\s*[,;])(\d[\d,;\s–-]*)\]", r"(\1)", text)
    words = text.split()
    if len(words) > MAX_QUOTED_WORDS:
        text = " ".join(words[:MAX_QUOTED_WORDS]) + " …"
    if text[0].islower() and kind == "prose":
        text = f"… {text}"
    if kind == "prose" and not re.search(r"[.!?:…。！？][\"'”’»)\]¹²³⁴-⁹]*$", text):
        text += " …"
    return re.sub(r"^([#>+*-]|\d+[.)])(?=\s)", r"\\\1", text)


def _write_element(element: tuple[Candidate, ...]) -> str:
    return " ".join(quote_text(text=item.unit.text, kind=item.unit.kind) for item in element)
