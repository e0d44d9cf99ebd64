"""What of a web page is not its text: menus, the site's footer and side column, and what is hidden."""

import re
from collections.abc import Mapping

# What may have a footer or an aside of its own, which then belongs to its text.
SECTIONS = frozenset({"article", "main", "section", "blockquote", "figure", "details"})

_VOID = frozenset(
    {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param", "source", "track", "wbr"}
)  # fmt: skip
_TAGS = frozenset({"nav", "footer", "aside", "dialog"})  # all others say it by an attribute
_NEVER_HIDDEN = frozenset({"html", "body", "main", "article"})  # scripts show them once the page has loaded
_PANELS = frozenset({"tabpanel", "region"})  # hidden until somebody opens them, but part of the text
_HIDING_STYLE = re.compile(
    r"(?:^|;)\s*(?:display\s*:\s*none|visibility\s*:\s*hidden)\s*(?:!\s*important\s*)?(?:;|$)", re.IGNORECASE
)
_MAIN = re.compile(r"<(?:main|article)\b|\brole\s*=\s*[\"']?main\b", re.IGNORECASE)


def has_main_text(*, html: str) -> bool:
    """Whether the page says where its own text is, so that a side column outside of that is the site's."""
    return _MAIN.search(html) is not None


def is_surrounding(
    *, tag: str, attributes: Mapping[str, str | None], is_in_section: bool, has_main: bool
) -> bool:
    """Whether the element that begins with `tag` is not the page's text. `is_in_section`: within one of SECTIONS."""
    if tag in _VOID or not (attributes or tag in _TAGS):
        return False
    role = (attributes.get("role") or "").strip().lower()
    if tag == "nav" or role == "navigation" or _is_hidden(tag, role, attributes):
        return True
    if is_in_section:
        return False
    is_side_column = tag == "aside" or role == "complementary"
    return tag == "footer" or role == "contentinfo" or (is_side_column and has_main)


def _is_hidden(tag: str, role: str, attributes: Mapping[str, str | None]) -> bool:
    if tag in _NEVER_HIDDEN or role in _PANELS:
        return False
    if "hidden" in attributes:
        return (attributes["hidden"] or "").strip().lower() != "until-found"
    if tag == "dialog":
        return "open" not in attributes
    return _HIDING_STYLE.search(attributes.get("style") or "") is not None
