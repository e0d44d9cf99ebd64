"""A conversation in the browser: what is asked, seen, stopped, written anew and edited, however the page is treated."""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Browser, Page, expect

from cloneai.local_ai.testing import FakeProvider
from cloneai.tests.browser.conftest import Product, ask, start_conversation
from cloneai.tests.browser.live_answers import (
    LONG_ANSWER,
    QUESTION,
    answer_slowly,
    html_of,
    last_answer,
    wait_for_share,
    wait_for_status,
)

WIDE_ANSWER = f"""Wide things [1].

{"| a rather wide column " * 8}|
{"|---" * 8}|

```
{"x" * 300}
```

{"unbroken" * 40}"""


@pytest.fixture(scope="session")
def undisturbed(
    product_over_http: Product,
    http_provider: FakeProvider,
    browser: Browser,
    signed_in: Callable[..., dict[str, object]],
) -> str:
    """HTML of the long answer for a reader who did nothing but wait."""
    answer_slowly(http_provider, pause_seconds=0.005)
    context = browser.new_context(storage_state=signed_in(product_over_http, "member"))
    page = context.new_page()
    start_conversation(page, product=product_over_http)
    ask(page, QUESTION)
    html = html_of(wait_for_status(page, "complete"))
    context.close()
    return html


def test_a_first_visit_ends_in_a_first_answer(
    product_over_http: Product, http_provider: FakeProvider, open_page: Callable[..., Page]
) -> None:
    answer_slowly(http_provider, pause_seconds=0.001)
    page = open_page()
    page.goto(product_over_http.url)
    page.get_by_role("link", name="Mara Lindqvist").click()
    page.get_by_role("link", name="Sign up to start a conversation").click()
    page.get_by_label(re.compile("e-?mail", re.IGNORECASE)).fill("first-visit@example.com")
    page.get_by_label("Password", exact=True).fill("a long enough passphrase")
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Start a conversation").click()
    starter = page.locator("button.starter").first
    question = starter.inner_text()
    starter.click()
    answer = wait_for_status(page, "complete")
    expect(page.locator("article.is-user")).to_contain_text(question)
    expect(answer.locator("a.cite").first).to_be_visible()
    expect(answer.get_by_role("heading", name="Sources")).to_be_visible()
    expect(page.locator("[data-title]")).not_to_have_text("New conversation")


LEFT_OPEN = """
from chat.models import ChatSession, SessionSummary
from cloneai.accounts.models import User
from clones.models import Clone
member, mara = User.objects.get(email="member@example.com"), Clone.objects.get(slug="mara")
earlier = ChatSession.objects.create(clone=mara, user=member)
items = [{"description": "Ask Kim."}, {"description": "Write the agenda."}]
SessionSummary.objects.create(session=earlier, status="ready", structured_data={"action_items": items})
print('"done"')
"""


@pytest.mark.parametrize("start", ["Write the agenda", "I start leading"])
def test_every_way_to_begin_asks_over_the_socket_and_goes_when_asked(
    start: str, page: Page, http_provider: FakeProvider, product_over_http: Product
) -> None:
    product_over_http.run_code(LEFT_OPEN)
    page.reload()
    page.evaluate("window.isSamePage = true")
    answer_slowly(http_provider, pause_seconds=0.001)
    line = page.locator(".open-items li, .starters").filter(has_text=start)
    line.locator("button[name=content]").first.click()
    wait_for_status(page, "complete")
    assert page.evaluate("window.isSamePage")
    expect(page.locator(".open-items, .starters")).to_have_count(0)


@pytest.mark.parametrize("shares", [(0.1,), (0.5,), (0.9,), (0.1, 0.5, 0.9)])
def test_an_answer_that_was_reloaded_is_the_undisturbed_one(
    shares: tuple[float, ...], page: Page, http_provider: FakeProvider, undisturbed: str
) -> None:
    answer_slowly(http_provider)
    ask(page, QUESTION)
    for share in shares:
        wait_for_share(page, share)
        page.reload()
    assert html_of(wait_for_status(page, "complete")) == undisturbed
    page.reload()
    assert html_of(wait_for_status(page, "complete")) == undisturbed
    assert len(page.locator("article.is-assistant:not(.is-greeting)").all()) == 1


def test_a_connection_that_is_lost_and_found_misses_nothing(
    page: Page, http_provider: FakeProvider, undisturbed: str
) -> None:
    answer_slowly(http_provider)
    ask(page, QUESTION)
    wait_for_share(page, 0.2)
    page.evaluate("dispatchEvent(new Event('offline'))")
    expect(page.get_by_text("You are offline")).to_be_visible()
    page.context.set_offline(True)
    page.wait_for_timeout(500)
    page.context.set_offline(False)
    expect(page.get_by_text("You are offline")).to_be_hidden()
    assert html_of(wait_for_status(page, "complete")) == undisturbed


def test_who_was_signed_out_while_away_is_told(page: Page) -> None:
    """A socket that is refused before it opens has no close code that a browser would tell."""
    page.context.clear_cookies()
    page.evaluate("dispatchEvent(new Event('online'))")
    expect(page.get_by_text("You have been signed out.")).to_be_visible()
    expect(page.get_by_role("link", name="Sign in").last).to_be_visible()


def test_two_tabs_show_the_same_stream(page: Page, http_provider: FakeProvider, undisturbed: str) -> None:
    answer_slowly(http_provider, pause_seconds=0.08)
    other = page.context.new_page()
    other.goto(page.url)
    other.wait_for_timeout(300)
    ask(page, QUESTION)
    for tab in (page, other):
        wait_for_share(tab, 0.3)
    third = page.context.new_page()  # joins in the middle
    third.goto(page.url)
    for tab in (page, other, third):
        assert html_of(wait_for_status(tab, "complete")) == undisturbed
        assert len(tab.locator("article.is-user").all()) == 1


def test_stop_keeps_what_was_said(page: Page, http_provider: FakeProvider) -> None:
    answer_slowly(http_provider)
    ask(page, QUESTION)
    wait_for_share(page, 0.2)
    page.get_by_role("button", name="Stop the answer").click()
    answer = wait_for_status(page, "stopped")
    expect(answer).to_contain_text("You stopped this answer.")
    said = answer.locator("[data-text]").inner_text()
    assert 20 < len(said) < len(LONG_ANSWER) * 0.8
    page.reload()
    assert wait_for_status(page, "stopped").locator("[data-text]").inner_text() == said
    answer_slowly(http_provider, pause_seconds=0.001)
    page.get_by_role("button", name="Answer again").click()
    expect(wait_for_status(page, "complete")).to_contain_text("focus next time")


def test_an_answer_written_anew_leaves_the_earlier_one_to_read(
    page: Page, http_provider: FakeProvider
) -> None:
    answer_slowly(http_provider, pause_seconds=0.001)
    ask(page, QUESTION)
    first = html_of(wait_for_status(page, "complete"))
    http_provider.always(None)
    page.get_by_role("button", name="Answer again").click()
    expect(page.get_by_role("img", name="Version 2 of 2")).to_be_visible()
    second = html_of(wait_for_status(page, "complete"))
    assert second != first
    page.get_by_role("link", name="Earlier version").click()
    expect(page.get_by_role("img", name="Version 1 of 2")).to_be_visible()
    assert html_of(last_answer(page)) == first
    page.get_by_role("link", name="Later version").click()
    expect(page.get_by_role("img", name="Version 2 of 2")).to_be_visible()
    assert html_of(last_answer(page)) == second


def test_an_edited_question_is_answered_instead(page: Page, http_provider: FakeProvider) -> None:
    answer_slowly(http_provider, pause_seconds=0.001)
    ask(page, QUESTION)
    wait_for_status(page, "complete")
    question = page.locator("article.is-user")
    question.hover()
    edit = page.get_by_role("link", name="Edit your message and ask again")
    expect(edit).to_have_attribute(
        "href", f"/chat/messages/{question.get_attribute('data-message-id')}/edit/"
    )
    field = page.locator("textarea[name=content]")
    field.fill("Half a thought")
    edit.click()
    expect(field).to_have_value(QUESTION)
    page.keyboard.press("Escape")
    expect(field).to_have_value("Half a thought")
    edit.click()
    ask(page, "How do I give feedback?")
    expect(field).to_have_value("Half a thought")
    expect(page.locator("article.is-user [data-text]")).to_have_text("How do I give feedback?")
    wait_for_status(page, "complete")
    expect(page.get_by_role("img", name="Version 2 of 2")).to_be_visible()
    page.reload()
    expect(page.locator("article.is-user [data-text]")).to_have_text("How do I give feedback?")


def test_a_draft_outlives_a_reload_and_a_sent_message_does_not_come_back(
    page: Page, http_provider: FakeProvider
) -> None:
    answer_slowly(http_provider, pause_seconds=0.001)
    field = page.locator("textarea[name=content]")
    field.fill("Half a thought")
    page.reload()
    expect(field).to_have_value("Half a thought")
    page.keyboard.press("Control+End")
    field.press("Enter")
    wait_for_status(page, "complete")
    page.reload()
    expect(field).to_have_value("")


def test_the_page_follows_only_a_reader_at_its_end(page: Page, http_provider: FakeProvider) -> None:
    answer_slowly(http_provider)
    ask(page, QUESTION)
    wait_for_share(page, 0.5)
    page.wait_for_function("() => scrollY > 100")
    page.mouse.move(600, 400)
    page.mouse.wheel(0, -40)  # a line is enough
    page.wait_for_timeout(300)
    stayed_at = page.evaluate("scrollY")
    wait_for_status(page, "complete")
    assert page.evaluate("scrollY") == stayed_at
    page.get_by_role("button", name="Latest").click()
    page.wait_for_function("() => document.documentElement.scrollHeight - innerHeight - scrollY < 5")


def test_one_announcement_for_each_answer(page: Page, http_provider: FakeProvider) -> None:
    answer_slowly(http_provider)
    page.evaluate(
        """() => {
            window.said = [];
            const region = document.querySelector("[data-announcer]");
            new MutationObserver(() => said.push(region.textContent)).observe(region, { childList: true });
        }"""
    )
    ask(page, QUESTION)
    wait_for_share(page, 0.3)
    assert last_answer(page).get_attribute("aria-busy") == "true"
    assert (
        page.evaluate("[...document.querySelectorAll('article [aria-live], article [role=status]')].length")
        == 0
    )
    wait_for_status(page, "complete")
    said = page.evaluate("said")
    assert len(said) == 1
    assert said[0].startswith("Mara Lindqvist answered. Hold a one-on-one every week")


def test_a_phone_shows_wide_answers_without_scrolling_sideways(
    product_over_http: Product,
    http_provider: FakeProvider,
    open_page: Callable[..., Page],
    signed_in: Callable[..., dict[str, object]],
) -> None:
    answer_slowly(http_provider, pause_seconds=0.001, answer=WIDE_ANSWER)
    page = open_page(
        viewport={"width": 360, "height": 740},
        has_touch=True,
        is_mobile=True,
        storage_state=signed_in(product_over_http, "member"),
    )
    start_conversation(page, product=product_over_http)
    page.locator("textarea[name=content]").tap()
    page.keyboard.type(QUESTION)
    page.get_by_role("button", name="Send").tap()
    wait_for_status(page, "complete")
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    for button in page.locator(".message-actions .icon-button:visible, .composer-button:visible").all():
        box = button.bounding_box()
        assert box is not None
        assert min(box["width"], box["height"]) >= 24  # WCAG 2.2, 2.5.8


def test_a_phone_shows_an_endless_title_without_scrolling_sideways(
    product_over_http: Product, open_page: Callable[..., Page], signed_in: Callable[..., dict[str, object]]
) -> None:
    """Such as the address of a page that was asked about."""
    page = open_page(
        viewport={"width": 360, "height": 740}, storage_state=signed_in(product_over_http, "member")
    )
    start_conversation(page, product=product_over_http)
    session = page.url
    page.goto(f"{product_over_http.url}/chat/")
    page.locator(".session-row details.menu > summary").first.click()
    page.get_by_label("Title").first.fill("x" * 120)
    page.get_by_role("button", name="Rename").first.click()
    expect(page.locator(".session-row h2").first).to_have_text("x" * 120)
    for address in (page.url, session, f"{session}summary/"):
        page.goto(address)
        assert page.evaluate("document.documentElement.scrollWidth") <= 360, address


def tab_to(page: Page, selector: str, *, back: bool = False) -> None:
    """Presses Tab until what has the focus fits; it must be plain to see on the way."""
    for _press in range(60):
        page.keyboard.press("Shift+Tab" if back else "Tab")
        outline = page.evaluate(
            """() => {
                const element = document.activeElement;
                const box = element.getBoundingClientRect();
                const isMarked = (style) => style.outlineStyle !== "none" || style.boxShadow !== "none";
                const around = [null, "::after"].map((part) => getComputedStyle(element, part));
                const frame = element.closest(".composer-box, form.search, .card");
                if (frame) around.push(getComputedStyle(frame));
                return element === document.body || (box.width > 0 && around.some(isMarked));
            }"""
        )
        described = page.evaluate("document.activeElement.outerHTML.slice(0, 200)")
        assert outline, f"the focus does not show on {described}"
        if page.evaluate("selector => document.activeElement.matches(selector)", selector):
            return
    pytest.fail(f"Tab never came to {selector}")


def test_everything_works_by_keyboard(
    product_over_http: Product,
    http_provider: FakeProvider,
    open_page: Callable[..., Page],
    signed_in: Callable[..., dict[str, object]],
) -> None:
    answer_slowly(http_provider)
    page = open_page(storage_state=signed_in(product_over_http, "member"))
    page.goto(product_over_http.url)
    tab_to(page, ".skip-link")
    page.keyboard.press("Enter")
    tab_to(page, ".card a")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile("/c/mara/"))
    tab_to(page, "form[action$='/chat/'] button")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile(r"/chat/[0-9a-f-]{36}/"))
    tab_to(page, "textarea[name=content]")
    page.keyboard.type(QUESTION)
    page.keyboard.press("Enter")
    wait_for_share(page, 0.1)
    tab_to(page, "[data-stop]")
    page.keyboard.press("Enter")
    wait_for_status(page, "stopped")
    expect(page.locator("textarea[name=content]")).to_be_focused()
    answer_slowly(http_provider, pause_seconds=0.001)
    tab_to(page, "form[data-regenerate] button", back=True)
    page.keyboard.press("Enter")
    wait_for_status(page, "complete")
    tab_to(page, "a.cite", back=not page.evaluate("document.activeElement === document.body"))
    page.keyboard.press("Enter")
    panel = page.locator("[data-source-panel]")
    expect(panel.locator("[data-source-title]")).to_be_focused()
    page.keyboard.press("Escape")
    expect(panel).to_be_hidden()
    assert page.evaluate("document.activeElement.matches('a.cite')")
    tab_to(page, "button[name=rating][value='-1']")
    page.keyboard.press("Space")
    comment = page.locator("textarea[name=comment]").last
    expect(comment).to_be_focused()
    page.keyboard.type("The page number is missing.")
    tab_to(page, ".feedback-comment button")
    page.keyboard.press("Enter")
    expect(page.locator(".feedback-comment summary").last).to_have_text("Your comment")
    tab_to(page, ".menu summary", back=True)
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="End and summarise")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name="End and summarise")).to_be_hidden()
