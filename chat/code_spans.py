"""Which parts of a text stand in code, by its runs of backticks. The one notion of it that markers go by."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

RUNS = re.compile(r"(`+)")


@dataclass(slots=True)
class CodeSpans:
    """A run of backticks opens code, the next run of the same length closes it.

    Feed a text in pieces that cut no run in two; the state goes from piece to piece.
    """

    _open_run: str = ""

    def split(self, text: str) -> Iterator[tuple[str, bool]]:
        """Parts of `text` and whether each is code; the runs themselves are."""
        for part in RUNS.split(text):
            if part.startswith("`"):
                if not self._open_run:
                    self._open_run = part
                elif part == self._open_run:
                    self._open_run = ""
                yield part, True
            elif part:
                yield part, bool(self._open_run)
