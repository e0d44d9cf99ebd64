"""Sets a manuscript as plain UTF-8 text: underlined headings, one line a paragraph, no markup."""

from pathlib import Path

from cloneai.demo.manuscript import (
    Block,
    Callout,
    Heading,
    ItemList,
    Manuscript,
    Paragraph,
    Table,
    plain_text,
)


def write_text(*, manuscript: Manuscript, path: Path) -> None:
    title = manuscript.title.upper()
    parts = [f"{title}\n{'=' * len(title)}", manuscript.subtitle]
    parts += [_set_block(block=block) for block in manuscript.blocks]
    path.write_text("\n\n".join(parts) + "\n", encoding="utf-8", newline="\n")


def _set_block(*, block: Block) -> str:
    match block:
        case Heading(level=level, text=text):
            return f"\n{text}\n{('-' if level == 2 else '.') * len(text)}"
        case Paragraph(spans=spans) | Callout(spans=spans):
            return plain_text(spans)
        case ItemList(ordered=ordered, items=items):
            marks = [f"{number}." if ordered else "-" for number in range(1, len(items) + 1)]
            return "\n".join(f"{mark} {plain_text(item)}" for mark, item in zip(marks, items, strict=True))
        case Table(header=header, rows=rows):
            return "\n".join("\t".join(plain_text(cell) for cell in row) for row in (header, *rows))
