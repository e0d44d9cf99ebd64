"""Text of models, documents and people to safe HTML: HTML off, images off, links http(s) and mailto only.

Links lead to our own sources, and to the sites that the clone's expert allows (`link_hosts`). The address of any other
stands behind its words as text: a document or a question must not be able to put a link of its own on the page.

HTML is made block by block, for a whole text by `render_markdown` as for one that still grows by `MarkdownStream`, so
that a reader who saw an answer being written sees the very same in the end. Link reference definitions, which would
let a later line change an earlier block, are therefore off.
"""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from urllib.parse import urlsplit

import nh3
from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe
from markdown_it import MarkdownIt
from markdown_it.rules_core import StateCore
from markdown_it.rules_inline import StateInline
from markdown_it.token import Token

from chat.blocks import BlockSplitter
from chat.code_spans import CodeSpans

NO_SOURCES: Mapping[int, str] = MappingProxyType({})
MARKER = re.compile(r"\[([0-9]{1,3})\](?!\()")
# Where a source's page opens, without a script too.
PASSAGE = "#passage"
# A private character after the bracket tells a source's marker from the same digits in code.
SIGN = "\ue000"
SIGNED_MARKER = re.compile(rf"\[{SIGN}([0-9]{{1,3}})\]")
SIGNS = re.compile(rf"{SIGN}|%EE%80%80")
ALLOWED_TAGS = frozenset(
    {"p", "br", "hr", "strong", "em", "s", "a", "code", "pre", "blockquote", "ul", "ol", "li"}
    | {"h1", "h2", "h3", "h4", "h5", "h6", "table", "thead", "tbody", "tr", "th", "td"}
)
ALLOWED_ATTRIBUTES = {
    "a": {"href", "title", "class", "data-source", "aria-label"},
    "code": {"class"},
    "ol": {"start"},
    "th": {"class"},
    "td": {"class"},
}
ALLOWED_SCHEMES = {"http", "https", "mailto"}


def _cite(state: StateInline, silent: bool) -> bool:
    """Turns a signed marker into a link to its source; all other brackets stay text."""
    match = SIGNED_MARKER.match(state.src, state.pos, state.posMax)
    if match is None:
        return False
    if not silent:
        number = int(match[1])
        token = state.push("citation", "", 0)
        token.meta = {"number": number, "url": state.env["source_urls"][number]}
    state.pos = match.end()
    return True


def _render_citation(self: object, tokens: list[Token], index: int, options: object, env: object) -> str:
    number, url = tokens[index].meta["number"], escape(tokens[index].meta["url"])
    return f'<a class="cite" href="{url}{PASSAGE}" data-source="{number}" aria-label="Source {number}">{number}</a>'


def _unlink(state: StateCore) -> None:
    """Turns links to other sites than the allowed ones into text that shows their address."""
    for block in state.tokens:
        if block.children:
            block.children = list(_without_links(block.children, link_hosts=state.env.get("link_hosts", ())))


def _without_links(tokens: Sequence[Token], *, link_hosts: Collection[str]) -> Iterator[Token]:
    address, words = "", ""
    for token in tokens:
        if token.type == "link_open" and not _may_link(str(token.attrs["href"]), link_hosts=link_hosts):
            address, words = str(token.attrs["href"]), ""
        elif token.type == "link_close" and address:
            if words != address:
                yield Token("text", "", 0, content=f" ({address})")
            address = ""
        else:
            words += token.content
            yield token


def _may_link(address: str, *, link_hosts: Collection[str]) -> bool:
    """Whether the address is on one of the sites, or on a part of one (`www.` and the like)."""
    try:
        parts = urlsplit(address)
        host = parts.path.rpartition("@")[2] if parts.scheme == "mailto" else parts.hostname or ""
    except ValueError:
        return False
    host = host.lower()
    return parts.scheme in ALLOWED_SCHEMES and any(
        host == allowed or host.endswith(f".{allowed}") for allowed in link_hosts
    )


def _build_parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": False, "breaks": True, "linkify": False}).enable(
        ["table", "strikethrough"]
    )
    parser.disable(["image", "html_block", "html_inline", "reference"])
    parser.inline.ruler.before("link", "citation", _cite)
    parser.core.ruler.push("unlink", _unlink)
    parser.add_render_rule("citation", _render_citation)
    return parser


_parser = _build_parser()


@dataclass(frozen=True, slots=True)
class Block:
    """A finished block. `end` is where it ends in the text, in UTF-16 code units: what JavaScript counts."""

    index: int
    html: SafeString
    end: int


class MarkdownStream:
    """HTML of a text that grows. The blocks of `push` and `finish` together are `render_markdown` of the text.

    `source_urls` maps a marker's number to an address of ours; it must hold the numbers of all markers so far, and
    a number's address never changes.
    """

    def __init__(self, *, link_hosts: Collection[str] = ()) -> None:
        self._link_hosts = link_hosts
        self._splitter = BlockSplitter()
        self._code = CodeSpans()
        self._count = 0
        self._end = 0

    def push(self, text: str, *, source_urls: Mapping[int, str] = NO_SOURCES) -> list[Block]:
        """The blocks that `text` finishes; often none."""
        return [self._render(source, source_urls) for source in self._splitter.push(text)]

    def finish(self, *, source_urls: Mapping[int, str] = NO_SOURCES) -> list[Block]:
        return [self._render(source, source_urls) for source in self._splitter.flush()]

    def _render(self, source: str, source_urls: Mapping[int, str]) -> Block:
        # A block ends with a line, the last one with the text.
        parts = [*self._code.push(source.replace(SIGN, "\ufffd")), *self._code.flush()]
        signed = "".join(
            part if is_code else MARKER.sub(lambda marker: _sign(marker, source_urls), part)
            for part, is_code in parts
        )
        self._end += len(source.encode("utf-16-le", "surrogatepass")) // 2
        block = Block(index=self._count, html=self._to_html(signed, source_urls), end=self._end)
        self._count += 1
        return block

    def _to_html(self, source: str, source_urls: Mapping[int, str]) -> SafeString:
        html = _parser.render(source, {"source_urls": source_urls, "link_hosts": self._link_hosts})
        own_urls = frozenset(f"{url}{PASSAGE}" for url in source_urls.values())
        clean = nh3.clean(
            SIGNS.sub("", html),
            tags=set(ALLOWED_TAGS),
            attributes=ALLOWED_ATTRIBUTES,
            url_schemes=ALLOWED_SCHEMES,
            link_rel="noopener noreferrer nofollow ugc",
            attribute_filter=lambda tag, name, value: _keep_link(tag, name, value, own_urls),
        )
        return mark_safe(clean)  # noqa: S308  (sanitised in the line above)


def _sign(marker: re.Match[str], source_urls: Mapping[int, str]) -> str:
    return f"[{SIGN}{marker[1]}]" if int(marker[1]) in source_urls else marker[0]


def render_markdown(
    text: str, *, source_urls: Mapping[int, str] = NO_SOURCES, link_hosts: Collection[str] = ()
) -> SafeString:
    """Sanitised HTML of Markdown; markers outside code that have a source become links to it.

    `source_urls` maps a marker's number to an address of ours. Links to other sites than `link_hosts` become text.
    """
    stream = MarkdownStream(link_hosts=link_hosts)
    blocks = [*stream.push(text, source_urls=source_urls), *stream.finish(source_urls=source_urls)]
    return join_blocks(blocks)


def join_blocks(blocks: Sequence[Block]) -> SafeString:
    return SafeString("".join(block.html for block in blocks))


def _keep_link(tag: str, name: str, value: str, own_urls: frozenset[str]) -> str | None:
    """Relative links only to our own sources; everything else must be absolute with an allowed scheme."""
    if tag != "a" or name != "href":
        return value
    if value in own_urls or value.split(":")[0].lower() in ALLOWED_SCHEMES:
        return value
    return None
