"""The demo documents' source as typed blocks. Enter at `read_manuscript`.

A manuscript is Markdown: one level-1 heading (the title), one paragraph (the subtitle), then level-2
chapters and level-3 sections with paragraphs, flat lists, tables and block quotes (set as callouts).
Anything else is refused. A line break within a paragraph is kept.
"""

from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token


class ManuscriptError(ValueError):
    """The source uses Markdown that the writers cannot set."""


@dataclass(frozen=True)
class Span:
    text: str
    bold: bool = False
    italic: bool = False


Spans = tuple[Span, ...]


@dataclass(frozen=True)
class Heading:
    level: int  # 2 = chapter, 3 = section
    text: str


@dataclass(frozen=True)
class Paragraph:
    spans: Spans


@dataclass(frozen=True)
class Callout:
    spans: Spans


@dataclass(frozen=True)
class ItemList:
    ordered: bool
    items: tuple[Spans, ...]


@dataclass(frozen=True)
class Table:
    header: tuple[Spans, ...]
    rows: tuple[tuple[Spans, ...], ...]


Block = Heading | Paragraph | Callout | ItemList | Table


@dataclass(frozen=True)
class Manuscript:
    title: str
    subtitle: str
    blocks: tuple[Block, ...]


def plain_text(spans: Spans) -> str:
    return "".join(span.text for span in spans)


def read_manuscript(*, path: Path) -> Manuscript:
    """Parses one source file. Raises `ManuscriptError` where it holds something the writers cannot set."""
    tokens = MarkdownIt("commonmark").enable("table").parse(path.read_text(encoding="utf-8"))
    blocks = _read_blocks(tokens=tokens)
    if len(blocks) < 3 or not isinstance(blocks[0], Heading) or not isinstance(blocks[1], Paragraph):
        raise ManuscriptError(f"{path.name} does not begin with a title and a subtitle")
    return Manuscript(title=blocks[0].text, subtitle=plain_text(blocks[1].spans), blocks=tuple(blocks[2:]))


def _read_blocks(*, tokens: list[Token]) -> list[Block]:
    blocks: list[Block] = []
    position = 0
    while position < len(tokens):
        token = tokens[position]
        end = _closing_index(tokens=tokens, start=position)
        inner = tokens[position + 1 : end]
        match token.type:
            case "heading_open":
                blocks.append(Heading(level=int(token.tag[1]), text=plain_text(_inline_spans(inner)[0])))
            case "paragraph_open":
                blocks.append(Paragraph(spans=_inline_spans(inner)[0]))
            case "blockquote_open":
                blocks.extend(Callout(spans=spans) for spans in _inline_spans(inner))
            case "bullet_list_open" | "ordered_list_open":
                ordered = token.type.startswith("ordered")
                blocks.append(ItemList(ordered=ordered, items=_inline_spans(inner)))
            case "table_open":
                blocks.append(_read_table(tokens=inner))
            case _:
                raise ManuscriptError(f"line {(token.map or [0])[0] + 1}: cannot set {token.type}")
        position = end + 1
    return blocks


def _closing_index(*, tokens: list[Token], start: int) -> int:
    depth = 0
    for index in range(start, len(tokens)):
        depth += tokens[index].nesting
        if depth == 0:
            return index
    raise ManuscriptError("unbalanced Markdown")


def _read_table(*, tokens: list[Token]) -> Table:
    rows: list[tuple[Spans, ...]] = []
    cells: list[Token] = []
    for token in tokens:
        if token.type == "inline":
            cells.append(token)
        elif token.type == "tr_close":
            rows.append(_inline_spans(cells))
            cells = []
    return Table(header=rows[0], rows=tuple(rows[1:]))


def _inline_spans(tokens: list[Token]) -> tuple[Spans, ...]:
    """The spans of every inline token, in order."""
    return tuple(_read_spans(token.children or []) for token in tokens if token.type == "inline")


def _read_spans(children: list[Token]) -> Spans:
    spans: list[Span] = []
    bold = italic = False
    for child in children:
        match child.type:
            case "text":
                if child.content:
                    spans.append(Span(text=child.content, bold=bold, italic=italic))
            case "softbreak":
                spans.append(Span(text="\n"))
            case "strong_open" | "strong_close":
                bold = child.nesting == 1
            case "em_open" | "em_close":
                italic = child.nesting == 1
            case _:
                raise ManuscriptError(f"cannot set inline {child.type}")
    return tuple(spans)
