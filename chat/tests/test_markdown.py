"""Text to HTML: what may not get through, and what must."""

import pytest

from chat.markdown import render_markdown

PAYLOADS = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "![x](https://evil.example/pixel.png)",
    "![x](data:image/svg+xml;base64,AAAA)",
    "[x](javascript:alert(1))",
    "[x](JaVaScRiPt:alert(1))",
    "[x](java&#x09;script:alert(1))",
    "[x](&#106;avascript:alert(1))",
    "[x](vbscript:msgbox(1))",
    "[x](data:text/html,<script>alert(1)</script>)",
    "[x](//evil.example/)",
    "[x](/admin/)",
    "<javascript:alert(1)>",
    "<svg onload=alert(1)>",
    "<a href='https://ok.example' onclick=alert(1)>x</a>",
    "<style>body{display:none}</style>",
    "<iframe src=https://evil.example></iframe>",
    "<form action=https://evil.example><input name=a></form>",
    "```\n<script>alert(1)</script>\n```",
    "`<img src=x onerror=alert(1)>`",
    "[x]: javascript:alert(1)\n\n[x]",
    "| <img src=x onerror=alert(1)> |\n|---|\n| [a](javascript:alert(1)) |",
    '[x](https://ok.example "onmouseover=alert(1)")',
    "<details open ontoggle=alert(1)>",
    "<math><mtext></p><style><img src=x onerror=alert(1)>",
]


@pytest.mark.parametrize("payload", PAYLOADS)
def test_nothing_active_gets_through(payload: str) -> None:
    html = render_markdown(payload)
    from lxml import html as parser

    tree = parser.fromstring(f"<div>{html}</div>")
    for element in tree.iter():
        assert element.tag not in {
            "script",
            "img",
            "svg",
            "iframe",
            "style",
            "form",
            "input",
            "object",
            "math",
            "details",
        }
        assert not [name for name in element.attrib if name.startswith("on") or name == "style"]
        target = element.attrib.get("href")
        assert target is None or target.startswith(("http://", "https://", "mailto:"))


def test_links_leave_without_referrer_and_rank() -> None:
    html = render_markdown("[a](https://example.org/)", link_hosts=["example.org"])
    assert 'rel="noopener noreferrer nofollow ugc"' in html


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("[here](https://evil.example/login)", "here (https://evil.example/login)"),
        ("[**here**](https://evil.example/)", "<strong>here</strong> (https://evil.example/)"),
        ("<https://evil.example/a>", "https://evil.example/a"),
        ("[us](mailto:a@evil.example)", "us (mailto:a@evil.example)"),
        ("[x](https://mara.example.evil.example/)", "x (https://mara.example.evil.example/)"),
        ("[x](https://mara.example@evil.example/)", "x (https://mara.example@evil.example/)"),
        (r"[x](https://mara.example\\@evil.example/)", "x (https://mara.example%5C@evil.example/)"),
        ("[x](https://notmara.example/)", "x (https://notmara.example/)"),
    ],
)
def test_links_to_other_sites_are_text_that_shows_where_they_lead(text: str, shown: str) -> None:
    html = render_markdown(text, link_hosts=["mara.example"])
    assert "<a" not in html
    assert shown in html


@pytest.mark.parametrize(
    "address", ["https://mara.example/", "http://www.MARA.example/a?b=c", "mailto:me@mara.example"]
)
def test_links_to_sites_that_the_expert_allows_stay_links(address: str) -> None:
    assert "<a href=" in render_markdown(f"[x]({address})", link_hosts=["mara.example"])


def test_markers_with_a_source_become_links_and_others_stay_text() -> None:
    html = render_markdown("Meet weekly [1]. Or not [2].", source_urls={1: "/sources/abc/"})
    assert 'href="/sources/abc/#passage"' in html
    assert 'data-source="1"' in html
    assert "Or not [2]." in html


def test_markers_in_code_stay_text() -> None:
    html = render_markdown("`a[1]` and\n\n```\nb[1]\n```", source_urls={1: "/sources/abc/"})
    assert "<a" not in html


def test_tables_lists_and_code_blocks_are_rendered() -> None:
    html = render_markdown("| a | b |\n|---|---|\n| 1 | 2 |\n\n1. one\n2. two\n\n```python\nx = 1\n```")
    for expected in ("<table>", "<ol>", '<code class="language-python">'):
        assert expected in html
