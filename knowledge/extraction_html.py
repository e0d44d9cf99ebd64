"""HTML to text: headings as "#" lines, lists, table rows; scripts and styles dropped, nothing fetched.

Works on a stream of tags, so that neither depth nor damage of the markup matters.
"""

import mmap
import re
from html.parser import HTMLParser

from knowledge.extraction_text import decode_text, one_page_document
from knowledge.extraction_types import ExtractedDocument, ExtractionLimits

_CHARSET = re.compile(
    rb"<meta[^>]{0,200}charset\s*=\s*[\"']?\s*([A-Za-z0-9_:.-]{2,40})"
    rb"|<\?xml[^>]{0,80}encoding=[\"']([A-Za-z0-9_:.-]{2,40})",
    re.IGNORECASE,
)
_CHARSET_WITHIN_BYTES = 4096
_DROPPED = frozenset(
    {"script", "style", "noscript", "template", "svg", "iframe", "object", "select", "textarea"}
)
_PARAGRAPHS = frozenset(
    {"p", "div", "section", "article", "header", "footer", "main", "nav", "aside", "blockquote", "figure"}
    | {
        "figcaption",
        "table",
        "ul",
        "ol",
        "dl",
        "form",
        "fieldset",
        "address",
        "details",
        "summary",
        "hr",
        "body",
    }
)
_LINES = frozenset({"br", "dt", "dd", "tr", "caption", "option"})
_SPACE = re.compile(r"\s+")
_MAX_LIST_DEPTH = 8


def read_html(data: bytes | mmap.mmap, limits: ExtractionLimits) -> ExtractedDocument:
    """Read a web page as one page; its title is its <title>, else its first heading."""
    text, warnings = _decode(bytes(data))
    reader = _Reader()
    reader.feed(text)
    reader.close()
    title = " ".join(reader.title_parts) or reader.first_heading
    return one_page_document(kind="html", title=title, text=reader.text(), warnings=warnings)


def _decode(raw: bytes) -> tuple[str, tuple[str, ...]]:
    """Decode by the encoding that the page states, if that holds, else by its bytes."""
    stated = _CHARSET.search(raw[:_CHARSET_WITHIN_BYTES])
    if stated is not None and not raw.startswith((b"\xff\xfe", b"\xfe\xff", b"\xef\xbb\xbf")):
        name = (stated[1] or stated[2]).decode("ascii").lower()
        try:
            return raw.decode(
                "cp1252" if name in ("iso-8859-1", "latin-1", "latin1", "us-ascii") else name
            ), ()
        except (LookupError, UnicodeError):
            pass
    return decode_text(raw)


class _Reader(HTMLParser):
    """Collects the visible text of one page."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.title_parts: list[str] = []
        self.first_heading = ""
        self._parts: list[str] = []
        self._dropping: str | None = None
        self._depth_of_dropped = 0
        self._in_title = False
        self._in_preformatted = 0
        self._heading_from: int | None = None
        self._lists: list[int | None] = []  # next number of each open list, None for bullets

    def text(self) -> str:
        lines = "".join(self._parts).split("\n")
        return re.sub(r"\n{3,}", "\n\n", "\n".join(line.rstrip() for line in lines))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if self._dropping is not None:
            self._depth_of_dropped += tag == self._dropping
            return
        if tag in _DROPPED:
            self._dropping, self._depth_of_dropped = tag, 1
        elif tag == "title" and not self._parts:
            self._in_title = True
        elif len(tag) == 2 and tag[0] == "h" and tag[1] in "123456":
            self._parts.append("\n\n" + "#" * int(tag[1]) + " ")
            self._heading_from = len(self._parts)
        elif tag == "pre":
            self._in_preformatted += 1
            self._parts.append("\n\n")
        elif tag == "li":
            self._start_item()
        elif tag in ("td", "th"):
            self._parts.append("| " if self._is_at_line_start() else " | ")
        else:
            self._start_block(tag)

    def _start_block(self, tag: str) -> None:
        if tag in ("ul", "ol"):
            self._lists.append(1 if tag == "ol" else None)
        if tag in _LINES or (tag in ("ul", "ol") and len(self._lists) > 1):
            self._parts.append("\n")
        elif tag in _PARAGRAPHS:
            self._parts.append("\n\n")

    def _start_item(self) -> None:
        number = self._lists[-1] if self._lists else None
        if number is not None:
            self._lists[-1] = number + 1
        indent = "  " * min(max(len(self._lists) - 1, 0), _MAX_LIST_DEPTH)
        self._parts.append(f"\n{indent}{'-' if number is None else f'{number}.'} ")

    def handle_endtag(self, tag: str) -> None:
        if self._dropping is not None:
            self._depth_of_dropped -= tag == self._dropping
            if self._depth_of_dropped == 0:
                self._dropping = None
        elif tag == "title":
            self._in_title = False
        elif len(tag) == 2 and tag[0] == "h" and tag[1] in "123456":
            self._end_heading()
        elif tag == "pre":
            self._in_preformatted = max(0, self._in_preformatted - 1)
            self._parts.append("\n\n")
        elif tag in ("ul", "ol"):
            if self._lists:
                self._lists.pop()
            self._parts.append("\n" if self._lists else "\n\n")
        elif tag == "tr":
            self._parts.append(" |")
        elif tag in _PARAGRAPHS:
            self._parts.append("\n\n")

    def _end_heading(self) -> None:
        if self._heading_from is not None:
            words = "".join(self._parts[self._heading_from :]).split()
            self._parts[self._heading_from :] = [" ".join(words)]
            self.first_heading = self.first_heading or " ".join(words)
            self._heading_from = None
        self._parts.append("\n\n")

    def handle_data(self, data: str) -> None:
        if self._dropping is not None:
            return
        if self._in_title:
            self.title_parts.append(data)
        elif self._in_preformatted:
            self._parts.append(data)
        else:
            text = _SPACE.sub(" ", data)
            if self._is_at_line_start() or self._parts[-1].endswith(" "):
                text = text.lstrip()
            if text:
                self._parts.append(text)

    def _is_at_line_start(self) -> bool:
        return not self._parts or self._parts[-1].endswith("\n")
