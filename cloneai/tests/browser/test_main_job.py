"""The main job, as its users do it: upload, ready, ask, open the source; and what staff see afterwards."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from cloneai.local_ai.testing import FakeProvider
from cloneai.tests.browser.conftest import Product, ask, log_in, start_conversation

NOTES = """# The lighthouse of Grissa

The lighthouse of Grissa was built in 1871 and stands forty-one metres tall. Its lamp was last lit by hand in 1954.

# The ferry

The ferry to the island leaves at a quarter past nine, and the crossing takes fifty minutes.
"""


def upload_and_wait(page: Page, *, product: Product, path: Path) -> None:
    page.goto(f"{product.url}/admin/knowledge/document/add/")
    page.get_by_label("Clone").select_option("Mara Lindqvist")
    page.set_input_files("input[type=file]", str(path))
    page.get_by_role("button", name="Upload").click()
    page.wait_for_url(re.compile("/admin/knowledge/document/(?!add)"))
    row = page.get_by_role("row").filter(has_text=path.stem.capitalize())
    expect(row.get_by_text("Ready")).to_be_visible(timeout=60_000)  # without a reload


def walk(*, open_page: Callable[..., Page], product: Product, path: Path) -> None:
    path.write_text(NOTES)
    expert = open_page()
    log_in(expert, product=product, email="expert@example.com")
    upload_and_wait(expert, product=product, path=path)
    member = open_page()
    log_in(member, product=product, email="member@example.com")
    start_conversation(member, product=product, slug="mara")
    ask(member, "How tall is the lighthouse of Grissa?")
    answer = member.locator("article").last
    expect(answer.locator("a.cite").first).to_be_visible()
    expect(answer).to_contain_text("forty-one metres")
    answer.locator("a.cite").first.click()
    expect(member.locator("[data-passage]")).to_contain_text("stands forty-one metres tall")


def test_upload_in_the_admin_answers_in_the_chat_with_its_source(
    product: Product, open_page: Callable[..., Page], tmp_path: Path
) -> None:
    walk(open_page=open_page, product=product, path=tmp_path / "harbour.md")


def test_the_same_pages_work_with_a_provider_over_http(
    product_over_http: Product, http_provider: FakeProvider, open_page: Callable[..., Page], tmp_path: Path
) -> None:
    walk(open_page=open_page, product=product_over_http, path=tmp_path / "harbour.md")
    asked = [sent for sent in http_provider.requests_to("/chat/completions") if sent.json.get("stream")][-1]
    assert asked.headers["authorization"] == "Bearer sk-test-secret"
    embedded = http_provider.requests_to("/embeddings")[-1]
    assert (embedded.json["model"], embedded.json["dimensions"]) == ("text-embedding-3-large", 1536)


def test_a_scan_fails_with_its_cure_and_a_duplicate_is_refused(
    product: Product, open_page: Callable[..., Page], tmp_path: Path
) -> None:
    page = open_page()
    log_in(page, product=product, email="expert@example.com")
    broken, twice = tmp_path / "broken.pdf", tmp_path / "twice.txt"
    broken.write_bytes(b"%PDF-1.7\nthis is no PDF at all")
    twice.write_text("The same words, uploaded twice, are refused the second time.")
    page.goto(f"{product.url}/admin/knowledge/document/add/")
    page.set_input_files("input[type=file]", [str(broken), str(twice)])
    page.get_by_role("button", name="Upload").click()
    row = page.get_by_role("row").filter(has_text="Broken")
    expect(row.get_by_text("Failed")).to_be_visible(timeout=60_000)
    expect(row).to_contain_text("damaged")
    page.goto(f"{product.url}/admin/knowledge/document/add/")
    page.set_input_files("input[type=file]", str(twice))
    page.get_by_role("button", name="Upload").click()
    expect(page.get_by_text(re.compile("already", re.I)).first).to_be_visible()


def test_without_javascript_a_member_asks_and_reads_the_source(
    product: Product, open_page: Callable[..., Page]
) -> None:
    page = open_page(java_script_enabled=False)
    log_in(page, product=product, email="member@example.com")
    start_conversation(page, product=product, slug="mara")
    page.fill("textarea[name=content]", "How often should I hold one-on-ones?")
    page.get_by_role("button", name=re.compile("send", re.I)).click()
    expect(page.locator("a.cite").first).to_be_visible(timeout=20_000)
    page.locator("a.cite").first.click()
    expect(page.locator("mark").first).to_contain_text("one-on-one")
    expect(page.locator("[data-passage]")).to_be_in_viewport()


@pytest.mark.parametrize("width", [360, 1280])
def test_a_source_s_page_opens_at_its_passage(
    product: Product, open_page: Callable[..., Page], width: int
) -> None:
    page = open_page(viewport={"width": width, "height": 640})
    log_in(page, product=product, email="member@example.com")
    start_conversation(page, product=product, slug="mara")
    ask(page, "How often should I hold one-on-ones?")
    chips = page.locator("a.source-chip")
    expect(chips.first).to_be_visible()
    for address in chips.evaluate_all("links => links.map(link => link.href)"):
        for opened in (address, address.removesuffix("#passage")):
            page.goto("about:blank")
            page.goto(opened)
            expect(page.locator("[data-passage]")).to_be_in_viewport()
            assert page.locator("[data-passage]").bounding_box()["y"] > 60  # type: ignore[index]  # below the bar


def test_back_on_a_phone_closes_the_source_and_stays(
    product: Product, open_page: Callable[..., Page]
) -> None:
    page = open_page(viewport={"width": 360, "height": 740})
    log_in(page, product=product, email="member@example.com")
    start_conversation(page, product=product, slug="mara")
    address = page.url
    ask(page, "How often should I hold one-on-ones?")
    panel, cite = page.locator("[data-source-panel]"), page.locator("article a.cite").first
    expect(page.get_by_text("Offline mode", exact=True)).to_be_visible()
    for _time in range(2):
        cite.click()
        expect(panel).to_be_visible()
        page.evaluate("document.querySelector('[data-source-title]').textContent = 'x'.repeat(200)")
        close = panel.get_by_role("button", name="Close the source")
        assert close.bounding_box()["x"] < 360 - 24  # type: ignore[index]
        page.go_back()
        expect(panel).to_be_hidden()
        assert page.url == address
    cite.click()
    expect(panel).to_be_visible()
    panel.get_by_role("button", name="Close the source").click()
    expect(panel).to_be_hidden()
    expect(page).to_have_url(address)
    assert page.evaluate("history.state") is None


def test_ending_a_session_leaves_a_summary_that_a_reviewer_finds(
    product: Product, open_page: Callable[..., Page]
) -> None:
    member = open_page()
    log_in(member, product=product, email="member@example.com")
    start_conversation(member, product=product, slug="mara")
    ask(member, "How can I hand over work without losing track of it?")
    expect(member.locator("article a.cite").first).to_be_visible()
    session_id = re.search(r"/chat/([0-9a-f-]{36})/", member.url)[1]  # type: ignore[index]
    member.goto(f"{product.url}/chat/{session_id}/")
    member.evaluate(
        """id => { const form = document.querySelector(`form[action$="/chat/${id}/end/"]`); form.submit(); }""",
        session_id,
    )
    member.wait_for_url(re.compile("/summary/"))
    expect(member.get_by_text(re.compile("main topics|topics", re.I)).first).to_be_visible(timeout=60_000)
    reviewer = open_page()
    log_in(reviewer, product=product, email="reviewer@example.com")
    reviewer.goto(f"{product.url}/admin/chat/chatsession/{session_id}/change/")
    expect(reviewer.get_by_text("hand over work without losing track").first).to_be_visible()
    reviewer.goto(f"{product.url}/admin/chat/sessionsummary/")
    expect(reviewer.get_by_text("Mara Lindqvist").first).to_be_visible()


def test_the_archive_of_a_person_appears_without_a_reload(
    product: Product, open_page: Callable[..., Page], signed_in: Callable[..., dict[str, object]]
) -> None:
    page = open_page(storage_state=signed_in(product, "member"))
    page.goto(f"{product.url}/account/data/")
    page.get_by_role("button", name="Prepare").click()
    page.evaluate("window.isOld = true")
    expect(page.get_by_role("link", name="Download the archive")).to_be_visible(timeout=60_000)
    assert page.evaluate("window.isOld")


@pytest.mark.parametrize("path", ["/", "/c/mara/", "/accounts/login/", "/accounts/signup/"])
def test_public_pages_fit_a_phone(path: str, product: Product, open_page: Callable[..., Page]) -> None:
    page = open_page(viewport={"width": 360, "height": 740})
    page.goto(product.url + path)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


def test_distress_shows_where_somebody_listens_at_once_and_for_good(
    product: Product, open_page: Callable[..., Page], signed_in: Callable[..., dict[str, object]]
) -> None:
    page = open_page(storage_state=signed_in(product, "member"))
    start_conversation(page, product=product)
    ask(page, "I can’t go on living like this, I want to die.")
    own = page.locator("article.is-user").last
    help_lines = page.locator(".help-lines")
    expect(own.locator(".help-lines")).to_be_visible()
    expect(help_lines).to_have_count(1)
    page.reload()
    expect(own.locator(".help-lines")).to_be_visible()
    expect(help_lines).to_have_count(1)
