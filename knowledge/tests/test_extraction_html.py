"""Web pages: their own text is read, what surrounds it is not, and tables keep their heads."""

import pytest

from knowledge.extraction_html import read_html
from knowledge.extraction_types import DEFAULT_LIMITS

SITE = """<!doctype html><html><head><title>Resting</title></head><body>
<header><h1>Anna Weber</h1><nav><ul><li><a href="/">Start</a><li><a href="/shop">Shop</a></ul></nav></header>
<div role="navigation">You are here: Start</div>
<aside>Newsletter: join us</aside>
<main><article><header><h2>How to rest</h2><p>By Anna</p></header>
<nav>On this page: Sleep</nav>
<p>Rest an hour after each session.</p>
<aside>Tip: lie down.</aside>
<blockquote>Rest is work.<footer>A proverb</footer></blockquote>
<p hidden>Draft, not yet checked.</p><p style="color:red; Display : none !important">Old price</p>
<footer>Sources: my own notes.</footer></article></main>
<dialog>We use cookies</dialog>
<footer>Imprint <a href="/privacy">Privacy</a></footer></body></html>"""


def text_of(html: str) -> str:
    return read_html(html.encode(), DEFAULT_LIMITS).pages[0].text


def test_what_surrounds_a_page_is_not_its_text() -> None:
    assert text_of(SITE) == (
        "# Anna Weber\n\n## How to rest\n\nBy Anna\n\nRest an hour after each session.\n\nTip: lie down.\n\n"
        "Rest is work.\n\nA proverb\n\nSources: my own notes."
    )


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<h1>Chapters</h1><nav><ol><li>Sleep<li>Food</ol></nav>", "# Chapters\n\n1. Sleep\n2. Food"),
        ("<nav>Start</nav><div hidden>Shown by a script.</div>", "Start\n\nShown by a script."),
        ("<footer>Write to me.</footer>", "Write to me."),
    ],
)
def test_surroundings_are_read_when_nothing_else_is_there(html: str, text: str) -> None:
    assert text_of(html) == text


@pytest.mark.parametrize(
    "html",
    [
        "<nav>Start<p>The text.",  # no end tag: it would swallow the page
        "<div hidden>Start<div></div><p>The text.</p>",
        "<body hidden><p>The text.</p></body>",  # shown by a script
        "<main style='visibility:hidden'>The text.</main>",
        "<p>A</p><div role=tabpanel hidden>The text.</div>",  # shown by a click
        "<p>A</p><div hidden='until-found'>The text.</div>",
        "<p>A</p><details><summary>More</summary>The text.</details>",
        "<p>A</p><dialog open>The text.</dialog>",
        "<p>A</p><aside>The text.</aside>",  # nothing says that it stands beside the page's text
        "<p>A</p><input hidden>The text.",
        "<p>A</p></nav></footer>The text.",
    ],
)
def test_what_a_reader_may_see_is_kept(html: str) -> None:
    assert "The text." in text_of(html)


def test_navigation_gives_a_page_no_title() -> None:
    html = "<nav><h2>Menu</h2></nav><h1>Resting</h1><p>Rest.</p>"
    assert read_html(html.encode(), DEFAULT_LIMITS).title == "Resting"


@pytest.mark.parametrize(
    "head",
    [
        "<thead><tr><td>Plan<td>Month<td>Year</thead>",
        "<tr><th>Plan</th> <th><h3>Month</h3></th> <th><p>Year</p></th></tr>",
        "<caption>Prices</caption><tbody><tr><th>Plan<th>Month<th>Year",
    ],
)
def test_head_of_a_table_is_marked_as_in_markdown(head: str) -> None:
    html = f"<table>{head}<tr><th>Small</th><td><p>20</p></td><td><ul><li>200</ul></td></tr></table>"
    assert text_of(html).endswith("| Plan | Month | Year |\n| --- | --- | --- |\n| Small | 20 | - 200 |")


def test_cells_over_several_rows_and_columns_stand_at_each_of_their_places() -> None:
    html = (
        "<table><tr><th colspan=3>Prices 2026</th></tr>"
        "<tr><th rowspan=2>Plan</th><th colspan=2>Price</th></tr><tr><th>Month</th><th>Year</th></tr>"
        "<tr><td rowspan=2>Small</td><td>20</td><td>200</td></tr><tr><td>25</td><td rowspan=9>250</td></tr>"
        "<tr><td>Large</td><td>40</td></tr><tr><td colspan=3>All with tax.</td></tr></table>"
    )
    assert text_of(html) == (
        "Prices 2026\n\n| Plan | Price | Price |\n| Plan | Month | Year |\n| --- | --- | --- |\n"
        "| Small | 20 | 200 |\n| Small | 25 | 250 |\n| Large | 40 | 250 |\n| All with tax. |"
    )


def test_rows_without_a_head_get_none() -> None:
    assert text_of("<table><tr><th>Born</th><td>1970</td></tr></table>") == "| Born | 1970 |"


@pytest.mark.parametrize(
    "table",
    [
        "<table><tr><td>{}</td></tr><tr><td>Below</td></tr></table>",  # a frame
        "<table role=presentation><tr><td>{}</td><td>Below</td></tr></table>",
        "<table><tr><td><h2>News</h2>{}</td><td>Below</td></tr></table>",
        "<table><tr><td>{}<pre>x\n  y</pre></td><td>Below</td></tr></table>",
        "<table><tr><td><table><tr><td>a</td><td>b</td></tr></table>{}</td><td>Below</td></tr></table>",
    ],
)
def test_table_that_lays_a_page_out_keeps_its_paragraphs(table: str) -> None:
    text = text_of(table.format("<p>First one.</p><p>Second one.</p>"))
    assert "First one.\n\nSecond one." in text
    assert text.endswith("\n\nBelow")


def test_damaged_tables_lose_no_words() -> None:
    html = "<td>one</td></table><table>two<tr>three<td colspan=x rowspan=-1>four<table><td>five</tr></div>six"
    assert sorted(text_of(html).replace("|", "").split()) == ["five", "four", "one", "six", "three", "two"]


def test_deeply_nested_tables_are_read() -> None:
    assert "the core" in text_of("<table><tr><td>" * 20_000 + "the core" + "</table>" * 10_000)


def test_spans_that_would_fill_the_memory_are_written_once() -> None:
    row = "<tr><td colspan=50 rowspan=1000>wide</td><td>narrow</td></tr>"
    text = text_of(f"<table>{row * 3000}</table>")
    assert text.count("narrow") == 3000
    assert len(text) < 2_000_000
