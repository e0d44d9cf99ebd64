"""Blocks while they stream: the same as in the end, wherever the text is cut, and the same as without blocks."""

from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from chat.blocks import BlockSplitter
from chat.markdown import Block, MarkdownStream, _parser, render_markdown

LINES = [
    "",
    "",
    "   ",
    "A paragraph with **bold** and `code`.",
    "continued lazily",
    "1. first [1]",
    "2. second",
    "10) tenth",
    "- item",
    "  - nested [2]",
    "  more of the item",
    "    indented code or more",
    "\tby a tab",
    "* star",
    "+",
    "-",
    "- ```",
    "* * *",
    "---",
    "===",
    "***",
    "# Heading [1]",
    "Setext",
    "| a | b |",
    "|---|:-:|",
    "- | -",
    "a | b",
    "| [1] | `|` |",
    "> quote",
    "> - in a quote",
    ">",
    "```",
    "```python",
    "````",
    "   ```",
    "  ~~~",
    "~~~",
    " ```sh",
    "x = [1] ` y",
    "def f():",
    "[ref]: https://example.org/ 'title'",
    "[ref] and [text][ref]",
    "[1](https://example.org/)",
    "<https://example.org/[1]>",
    "<div>",
    "1990 was good",
    "2020. A year",
    "**Next:** words",
    "emoji 🙂 here [2]",
    "\\[1] escaped",
    "line\rwithin",
]
LINE_ENDS = st.sampled_from(["\n", "\n", "\n", "\r\n"])
LINE = st.one_of(st.sampled_from(LINES), st.text(alphabet="ab1.-*`~#>|[]() \t\n_=", max_size=12))
MARKDOWN = st.lists(st.tuples(LINE, LINE_ENDS), max_size=14).map(
    lambda lines: "".join(line + end for line, end in lines)
)
URLS = {1: "/sources/one/", 2: "/sources/two/"}


def cut(text: str, cuts: list[int]) -> list[str]:
    edges = sorted({0, len(text), *(place % (len(text) + 1) for place in cuts)})
    return [text[start:end] for start, end in pairwise(edges)]


def stream(pieces: list[str]) -> list[Block]:
    rendering = MarkdownStream()
    blocks = [block for piece in pieces for block in rendering.push(piece, source_urls=URLS)]
    return blocks + rendering.finish(source_urls=URLS)


@given(text=MARKDOWN, cuts=st.lists(st.integers(0, 400), max_size=20))
def test_streamed_blocks_are_the_final_html(text: str, cuts: list[int]) -> None:
    blocks = stream(cut(text, cuts))
    assert "".join(block.html for block in blocks) == render_markdown(text, source_urls=URLS)
    assert [block.index for block in blocks] == list(range(len(blocks)))


@given(text=MARKDOWN)
def test_a_character_at_a_time_finishes_the_same_blocks(text: str) -> None:
    assert stream(list(text)) == stream([text])


@given(text=MARKDOWN)
@example("1. a\n   ```sh\n   x\n\n   y\n   ```\n\nend\n")
@example("- a\n ```\n\nb\n```\n")
@example("    code\n\n    more\n")
@example("- a\n\n- b\n\nc\n\n  d\n")
def test_cutting_into_blocks_changes_nothing(text: str) -> None:
    splitter = BlockSplitter()
    sources = [*splitter.push(text), *splitter.flush()]
    assert "".join(_parser.render(source) for source in sources) == _parser.render(text)


@given(text=MARKDOWN, cuts=st.lists(st.integers(0, 400), max_size=20))
def test_blocks_end_where_they_say(text: str, cuts: list[int]) -> None:
    splitter = BlockSplitter()
    sources = [source for piece in cut(text, cuts) for source in splitter.push(piece)] + splitter.flush()
    assert "".join(sources) == text
    units = [len("".join(sources[: number + 1]).encode("utf-16-le")) // 2 for number in range(len(sources))]
    assert [block.end for block in stream(cut(text, cuts))] == units


@pytest.mark.parametrize(
    ("text", "finished"),
    [
        ("One paragraph.\n\nAnother", ["One paragraph.\n\n"]),
        ("One paragraph.\n", []),
        ("# Heading\n\n", ["# Heading\n\n"]),
        ("- a\n- b\n\nT", ["- a\n- b\n\n"]),
        ("- a\n- b\n\n", []),
        ("- a\n\n  more of a\n\n", []),
        ("1. a\n\n2", []),
        ("1. a\n\n2nd", ["1. a\n\n"]),
        ("- a\n\n**", ["- a\n\n"]),
        ("```python\nx = 1\n\ny = 2\n```\n", ["```python\nx = 1\n\ny = 2\n```\n"]),
        ("```python\nx = 1\n\ny = 2\n", []),
        ("Text:\n```\nx\n", ["Text:\n"]),
        ("| a |\n|---|\n| 1 |\n\n", ["| a |\n|---|\n| 1 |\n\n"]),
        (
            "1. a\n   ```sh\n   x\n\n   y\n   ```\n2. b\n\nEnd",
            ["1. a\n   ```sh\n   x\n\n   y\n   ```\n2. b\n\n"],
        ),
    ],
)
def test_blocks_are_finished_as_soon_as_nothing_can_change_them(text: str, finished: list[str]) -> None:
    assert BlockSplitter().push(text) == finished


def test_definitions_of_links_stay_text_so_that_no_later_line_changes_an_earlier_block() -> None:
    html = render_markdown("See [the book][1].\n\n[1]: https://example.org/book")
    assert "https://example.org/book" in html
    assert "<a" not in html
