"""Text of models, documents and people to safe HTML: HTML off, images off, links http(s) and mailto only."""

import re
from collections.abc import Mapping
from types import MappingProxyType

import nh3
from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe
from markdown_it import MarkdownIt
from markdown_it.rules_inline import StateInline
from markdown_it.token import Token

NO_SOURCES: Mapping[int, str] = MappingProxyType({})
MARKER = re.compile(r"\[(\d{1,3})\]")
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
    """Turns a marker `[n]` that has a source into a link to it; all other brackets stay text."""
    match = MARKER.match(state.src, state.pos, state.posMax)
    if match is None or state.src[match.end() : match.end() + 1] == "(":
        return False
    number = int(match[1])
    url = state.env.get("source_urls", NO_SOURCES).get(number)
    if url is None:
        return False
    if not silent:
        token = state.push("citation", "", 0)
        token.meta = {"number": number, "url": url}
    state.pos = match.end()
    return True


def _render_citation(self: object, tokens: list[Token], index: int, options: object, env: object) -> str:
    number, url = tokens[index].meta["number"], escape(tokens[index].meta["url"])
    return f'<a class="cite" href="{url}" data-source="{number}" aria-label="Source {number}">{number}</a>'


def _build_parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": False, "breaks": True, "linkify": False}).enable(
        ["table", "strikethrough"]
    )
    parser.disable(["image", "html_block", "html_inline"])
    parser.inline.ruler.before("link", "citation", _cite)
    parser.add_render_rule("citation", _render_citation)
    return parser


_parser = _build_parser()


def render_markdown(text: str, *, source_urls: Mapping[int, str] = NO_SOURCES) -> SafeString:
    """Sanitised HTML of Markdown; markers with a source become links to it.

    `source_urls` maps a marker's number to an address of ours.
    """
    html = _parser.render(text, {"source_urls": source_urls})
    own_urls = frozenset(source_urls.values())
    clean = nh3.clean(
        html,
        tags=set(ALLOWED_TAGS),
        attributes=ALLOWED_ATTRIBUTES,
        url_schemes=ALLOWED_SCHEMES,
        link_rel="noopener noreferrer nofollow ugc",
        attribute_filter=lambda tag, name, value: _keep_link(tag, name, value, own_urls),
    )
    return mark_safe(clean)  # noqa: S308  (sanitised in the line above)


def _keep_link(tag: str, name: str, value: str, own_urls: frozenset[str]) -> str | None:
    """Relative links only to our own sources; everything else must be absolute with an allowed scheme."""
    if tag != "a" or name != "href":
        return value
    if value in own_urls or value.split(":")[0].lower() in ALLOWED_SCHEMES:
        return value
    return None
