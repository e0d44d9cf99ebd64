"""HTML to text: scripts and styles dropped, nothing fetched; `extraction_html_text` writes what stands there.

Works on a stream of tags, so that neither depth nor damage of the markup matters. What is not the page's text but its
surroundings (menus, the site's footer, what is hidden) is set aside, and read only when there is nothing else.
"""

import mmap
import re
from html.parser import HTMLParser

from knowledge.extraction_html_surroundings import SECTIONS, has_main_text, is_surrounding
from knowledge.extraction_html_text import HtmlText
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
_LINE_OF_TEXT = re.compile(r"^(?!#).*\w", re.MULTILINE)  # more than a heading


def read_html(data: bytes | mmap.mmap, limits: ExtractionLimits) -> ExtractedDocument:
    """Read a web page as one page; its title is its <title>, else its first heading."""
    html, warnings = _decode(bytes(data))
    reader = _Reader(has_main=has_main_text(html=html))
    reader.feed(html)
    reader.close()
    text = reader.text()
    title = " ".join(reader.title_parts) or reader.first_heading
    return one_page_document(kind="html", title=title, text=text, warnings=warnings)


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
    """Leads the tags and words of one page to its text, to what is set aside, or nowhere."""

    def __init__(self, *, has_main: bool) -> None:
        super().__init__(convert_charrefs=True)
        self.title_parts: list[str] = []
        self._in_title = False
        self._has_main = has_main
        self._page = HtmlText()
        self._open_sections = 0
        self._surroundings: list[HtmlText] = []
        self._aside_tag: str | None = None  # of the element that is being set aside
        self._aside_depth = 0
        self._dropped_tag: str | None = None
        self._dropped_depth = 0

    @property
    def first_heading(self) -> str:
        return next((text.first_heading for text in self._texts if text.first_heading), "")

    @property
    def _texts(self) -> list[HtmlText]:
        return [self._page, *self._surroundings]

    def text(self) -> str:
        """The page's text, also with its surroundings when it has nothing but headings.

        What began as surroundings and never ends is text: the file has lost an end tag.
        """
        if self._aside_tag is not None:
            self._page.append_text(self._surroundings.pop())
            self._aside_tag = None
        text = self._page.text()
        return (
            text
            if _LINE_OF_TEXT.search(text)
            else "\n\n".join(part.text().strip("\n") for part in self._texts)
        )

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if self._dropped_tag is not None:
            self._dropped_depth += tag == self._dropped_tag
            return
        if tag in _DROPPED:
            self._dropped_tag, self._dropped_depth = tag, 1
        elif self._aside_tag is not None:
            self._aside_depth += tag == self._aside_tag
            self._surroundings[-1].start(tag, dict(attrs))
        elif tag == "title" and not self._page.has_begun:
            self._in_title = True
        else:
            self._start(tag, dict(attrs))

    def _start(self, tag: str, attributes: dict[str, str | None]) -> None:
        is_in_section = self._open_sections > 0
        if is_surrounding(
            tag=tag, attributes=attributes, is_in_section=is_in_section, has_main=self._has_main
        ):
            self._page.part_before(tag)
            self._aside_tag, self._aside_depth = tag, 1
            self._surroundings.append(HtmlText())
        else:
            self._open_sections += tag in SECTIONS
            self._page.start(tag, attributes)

    def handle_endtag(self, tag: str) -> None:
        if self._dropped_tag is not None:
            self._dropped_depth -= tag == self._dropped_tag
            if self._dropped_depth == 0:
                self._dropped_tag = None
        elif tag == "title":
            self._in_title = False
        elif self._aside_tag is not None:
            self._aside_depth -= tag == self._aside_tag
            if self._aside_depth == 0:
                self._aside_tag = None
            else:
                self._surroundings[-1].end(tag)
        else:
            self._open_sections = max(0, self._open_sections - (tag in SECTIONS))
            self._page.end(tag)

    def handle_data(self, data: str) -> None:
        if self._dropped_tag is not None:
            return
        if self._in_title:
            self.title_parts.append(data)
        elif self._aside_tag is not None:
            self._surroundings[-1].add(data)
        else:
            self._page.add(data)
