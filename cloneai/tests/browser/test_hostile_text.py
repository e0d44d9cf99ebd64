"""Sixty hostile texts in every place that text reaches a page: none is ever more than text."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page, expect

from cloneai.local_ai.testing import FakeProvider
from cloneai.tests.browser.conftest import Product, ask, start_conversation
from cloneai.tests.browser.hostile_text import CODE, PAYLOADS
from cloneai.tests.browser.live_answers import QUESTION, answer_slowly, wait_for_status

AUDIT = """allowsStyles => {
    const isActive = ({ name }) => /^on/i.test(name) || (name === "style" && !allowsStyles);
    const names = ["href", "src", "action", "formaction", "data", "srcdoc", "xlink:href"];
    const isForbidden = (text) => /^\\s*(javascript|data|vbscript):/i.test(text ?? "");
    const loaded = ({ localName, src, action, href }) => [src, action, localName === "link" && href];
    const isForeign = (address) => typeof address === "string" && address
        && new URL(address, location).host !== location.host;
    const isBad = (element) => [...element.attributes].some(isActive)
        || names.some((name) => isForbidden(element.getAttribute(name)))
        || (element.localName === "script" && !element.src && !/json/.test(element.type))
        || loaded(element).some(isForeign)
        || ["iframe", "object", "embed", "base", "marquee", "math"].includes(element.localName);
    return [...document.querySelectorAll("*")].filter(isBad).map((element) => element.outerHTML.slice(0, 200));
}"""
# Each text stands on every page of its kind (in a list, a bio, a quote); these pages have it as their title, too.
PAGES = range(0, len(PAYLOADS), 3)


class Watched:
    """Pages whose scripts, dialogs, requests and markup are watched."""

    def __init__(
        self, product: Product, open_page: Callable[..., Page], signed_in: Callable[..., Any]
    ) -> None:
        self.product, self.open_page, self.signed_in = product, open_page, signed_in
        self.problems: list[str] = []
        self.host = urlsplit(product.url).netloc

    def open(self, person: str) -> Page:
        page = self.open_page(storage_state=self.signed_in(self.product, person))
        page.context.expose_function("pwned", lambda: self.problems.append(f"a script ran on {page.url}"))
        page.on(
            "dialog", lambda dialog: (self.problems.append(f"{page.url} opened a dialog"), dialog.dismiss())
        )
        page.on("request", lambda request: self._note_request(request.url))
        return page

    def _note_request(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("data", "blob") and parts.netloc != self.host:
            self.problems.append(f"a request to {url}")

    def visit(self, page: Page, path: str) -> None:
        response = page.goto(self.product.url + path, wait_until="domcontentloaded")
        assert response is not None
        assert response.status == 200, path
        self.audit(page)

    def audit(self, page: Page) -> None:
        is_admin = urlsplit(page.url).path.startswith("/admin/")
        found = page.evaluate(AUDIT, is_admin)
        self.problems += [f"{page.url}: {markup}" for markup in found]


@pytest.fixture
def watched(
    product_over_http: Product, open_page: Callable[..., Page], signed_in: Callable[..., Any]
) -> Iterator[Watched]:
    watching = Watched(product_over_http, open_page, signed_in)
    yield watching
    assert watching.problems == []


@pytest.fixture(scope="session")
def made(product_over_http: Product) -> dict[str, Any]:
    return product_over_http.run_code(CODE)


def test_hostile_names_titles_and_sources_stay_text(watched: Watched, made: dict[str, Any]) -> None:
    assert len(set(PAYLOADS)) == 60
    page = watched.open("member")
    for number in (1, 2, 3):
        watched.visit(page, f"/?page={number}")
        watched.visit(page, f"/chat/?page={number}")
    for number in PAGES:
        watched.visit(page, f"/c/hostile-{number}/")
    watched.visit(page, f"/chat/{made['session']}/?show=200")
    expect(page.locator("article.is-user")).to_have_count(60)
    for chip in page.locator(".source-chip").all()[::6]:
        chip.click()
        expect(page.locator("[data-source-panel]")).to_be_visible()
        watched.audit(page)
    for number in PAGES:
        watched.visit(page, f"/sources/{made['sources'][number]}/")
    watched.visit(page, f"/chat/{made['ended']}/summary/")
    watched.visit(page, f"/chat/{made['ended']}/")
    page.evaluate("document.body.insertAdjacentHTML('beforeend', '<a href=javascript:x>x</a>')")
    assert len(page.evaluate(AUDIT, False)) == 1  # the audit itself works


def test_hostile_texts_stay_text_in_the_admin(watched: Watched, made: dict[str, Any], tmp_path: Path) -> None:
    reviewer = watched.open("reviewer")
    for path in (
        "/admin/chat/chatsession/",
        f"/admin/chat/chatsession/{made['session']}/change/",
        "/admin/chat/sessionsummary/",
        *(f"/admin/chat/sessionsummary/{pk}/change/" for pk in made["summaries"]),
    ):
        watched.visit(reviewer, path)
    expert = watched.open("expert")
    for path in (
        "/admin/",
        "/admin/knowledge/document/",
        "/admin/clones/clone/",
        "/admin/chat/knowledgegap/",
    ):
        watched.visit(expert, path)
    file = tmp_path / "<img src=x onerror=pwned()>.txt"
    file.write_text("Its name is the point.")
    watched.visit(expert, "/admin/knowledge/document/add/")
    expert.get_by_label("Clone").select_option(index=1)
    expert.set_input_files("input[type=file]", str(file))
    watched.audit(expert)
    expert.get_by_role("button", name="Upload").click()
    expert.wait_for_url(lambda url: "/add/" not in url)
    watched.audit(expert)


def test_hostile_answers_stay_text_while_they_stream(watched: Watched, http_provider: FakeProvider) -> None:
    page = watched.open("member")
    for answer in ("\n\n".join(PAYLOADS), " ".join(PAYLOADS)):
        answer_slowly(http_provider, pause_seconds=0.001, answer=answer)
        start_conversation(page, product=watched.product)
        ask(page, f"{QUESTION} {PAYLOADS[10]}")
        wait_for_status(page, "complete")
        watched.audit(page)
        page.reload()
        wait_for_status(page, "complete")
        watched.audit(page)
