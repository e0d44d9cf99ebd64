"""Cuts Markdown into top-level blocks while it streams. Enter at `BlockSplitter`.

A block is given out once no text to come can change what it is. Where that takes real parsing (an indented code
fence near a list that may or may not hold it), nothing is cut: blocks may hold more than one construct, but no
construct is ever cut in two. Every decision depends on the text alone, not on how it arrives in pieces. The work is
linear in the text's length.
"""

import re

ITEM = re.compile(r"( {0,3})([-+*]|[0-9]{1,9}[.)])(?=([ \t]*)(\S?))(?:[ \t]|$)")
MAYBE_ITEM = re.compile(r"(?:[-+*]|[0-9]{1,9}[.)]?)\r?$")
RULE = re.compile(r" {0,3}([-*_])[ \t]*(?:\1[ \t]*){2,}$")
INDENTED = re.compile(r" {4}| {0,3}\t")
FENCE = re.compile(r"( {0,3})(?:(`{3,})[^`]*|(~{3,}).*)$")
MAX_ITEM_SPACES = 4


class BlockSplitter:
    """`push` text as it comes, then `flush`. Both give sources of blocks that are finished, in order.

    Together the sources are the text, to the character.
    """

    def __init__(self) -> None:
        self._line = ""
        self._finished: list[str] = []
        self._begin()

    def push(self, text: str) -> list[str]:
        *ended, rest = text.split("\n")
        for part in ended:
            self._add(self._line + part)
            self._line = ""
        self._line += rest
        if self._line and self._is_after_list_gap and _ends_list(self._line, is_whole=False):
            self._cut()
        return self._take()

    def flush(self) -> list[str]:
        """What is left, as one block, or none."""
        rest = "".join(self._lines) + self._line
        self._line = ""
        self._begin()
        return [rest] if rest else []

    def _begin(self) -> None:
        self._lines: list[str] = []
        self._has_text = False
        self._fence = ""  # the run that opened a fence of the top level; such a block begins with its fence
        self._may_hold_list = False  # or indented code: what a blank line does not end
        self._item_indent: int | None = (
            None  # where the content of the list's last item begins, when that is sure
        )
        self._is_unclear = False
        self._is_after_blank = False

    @property
    def _is_after_list_gap(self) -> bool:
        return self._is_after_blank and self._may_hold_list and not self._fence and not self._is_unclear

    def _cut(self) -> None:
        self._finished.append("".join(self._lines))
        self._begin()

    def _take(self) -> list[str]:
        finished, self._finished = self._finished, []
        return finished

    def _add(self, line: str) -> None:
        """A whole line, without its end."""
        body = line.removesuffix("\r")
        if self._fence:
            self._lines.append(f"{line}\n")
            if re.fullmatch(rf" {{0,3}}{self._fence[0]}{{{len(self._fence)},}}[ \t]*", body):
                self._cut()
        elif not body.strip(" \t"):
            self._lines.append(f"{line}\n")
            self._is_after_blank = True
            if self._has_text and not self._may_hold_list:
                self._cut()
        else:
            if self._is_after_list_gap and _ends_list(body, is_whole=True):
                self._cut()
            self._read(body)
            self._lines.append(f"{line}\n")
            self._has_text, self._is_after_blank = True, False

    def _read(self, body: str) -> None:
        """Learns from a line that is neither blank nor in a fence of the top level."""
        indent = len(body) - len(body.lstrip(" "))
        fence = FENCE.match(body)
        if "\r" in body:
            self._may_hold_list = self._is_unclear = True  # lines within the line
        elif fence and self._item_indent is not None and indent >= self._item_indent:
            pass  # it is the item's
        elif fence and not self._is_unclear and (not indent or not self._may_hold_list):
            if self._has_text:
                self._cut()
            self._fence = fence[2] or fence[3]
        elif fence:
            self._is_unclear = True
        else:
            self._read_item(body, indent)

    def _read_item(self, body: str, indent: int) -> None:
        """Keeps track of whether there is a list, and where its items' content begins."""
        item = ITEM.match(body)
        is_of_list = self._item_indent is not None and indent >= self._item_indent
        is_sure = self._item_indent is not None or self._is_after_blank or not self._has_text
        if INDENTED.match(body) or item:
            self._may_hold_list = True
        if is_of_list:
            return
        if (
            item
            and is_sure
            and not RULE.match(body)
            and item[4]
            and "\t" not in item[3]
            and "\t" not in item[1]
        ):
            spaces = len(item[3])
            self._item_indent = len(item[1]) + len(item[2]) + (spaces if spaces <= MAX_ITEM_SPACES else 1)
        else:
            self._item_indent = None


def _ends_list(line: str, *, is_whole: bool) -> bool:
    """After a blank line: this one belongs to no list before it. Half a line says so as soon as it is sure."""
    if line[0] in " \t\r":
        return False
    return not ITEM.match(line) and (is_whole or not MAYBE_ITEM.match(line))
