"""What a reader sees when the provider, the server or scripts fail; and that no answer is ever lost."""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from cloneai.local_ai.faults import Fault
from cloneai.local_ai.testing import FakeProvider
from cloneai.tests.browser.conftest import Product, ask, start_conversation
from cloneai.tests.browser.live_answers import (
    LONG_ANSWER,
    QUESTION,
    answer_slowly,
    last_answer,
    wait_for_share,
    wait_for_status,
)

PATH = "/chat/completions"
OPEN_AND_ABANDONED_CALLS = """
import json
from billing.models import CostRecord, Reservation
open_ = Reservation.objects.filter(state="open", message_key__isnull=False)
print(json.dumps([open_.count(), CostRecord.objects.filter(purpose="chat", outcome="abandoned").count()]))
"""


@pytest.mark.parametrize(
    ("fault", "status", "words"),
    [
        (
            Fault(path=PATH, status=400),
            "failed",
            "Your request couldn't be processed. Please try rephrasing.",
        ),
        (Fault(path=PATH, status=401), "failed", "Service temporarily unavailable. Please try again later."),
        (Fault(path=PATH, reset_after_chunks=1), "failed", "Connection error. Please try again."),
        (
            Fault(path=PATH, answer=LONG_ANSWER, reset_after_chunks=9),
            "interrupted",
            "interrupted before it was",
        ),
    ],
    ids=["before", "before, without a key", "during", "after"],
)
def test_a_failing_provider_is_told_and_tried_again(
    fault: Fault, status: str, words: str, page: Page, http_provider: FakeProvider
) -> None:
    http_provider.clear()
    http_provider.always(fault)
    ask(page, QUESTION)
    answer = wait_for_status(page, status)
    expect(answer.locator(".message-problem")).to_contain_text(words)
    text = answer.locator("[data-text]")
    assert len(text.inner_text()) > 20 if status == "interrupted" else text.count() == 0
    answer_slowly(http_provider, pause_seconds=0.001)
    page.get_by_role("button", name="Try again").click()
    expect(wait_for_status(page, "complete")).to_contain_text("look_at('focus')")
    assert page.locator("article.is-user").count() == 1


def test_answers_outlive_the_server(
    product_over_http: Product,
    http_provider: FakeProvider,
    open_page: Callable[..., Page],
    signed_in: Callable[..., dict[str, object]],
) -> None:
    page = open_page(storage_state=signed_in(product_over_http, "member"))
    for end in (product_over_http.stop, product_over_http.kill_web_process):
        start_conversation(page, product=product_over_http)
        answer_slowly(http_provider, pause_seconds=0.08)
        ask(page, QUESTION)
        wait_for_share(page, 0.2)
        page.wait_for_timeout(2500)  # texts are saved every two seconds
        seen = len(last_answer(page).locator("[data-text]").inner_text())
        end()
        expect(page.get_by_text("Reconnecting…")).to_be_visible()
        page.locator("textarea[name=content]").fill("meanwhile")
        product_over_http.start()
        answer = last_answer(page)
        expect(answer).to_have_attribute("data-status", re.compile("interrupted|complete"), timeout=60_000)
        was_killed = end == product_over_http.kill_web_process
        assert product_over_http.run_code(OPEN_AND_ABANDONED_CALLS) == [0, int(was_killed)]
        assert len(answer.locator("[data-text]").inner_text()) > seen / 2
        expect(page.get_by_text("Reconnecting…")).to_be_hidden()
        expect(page.locator("textarea[name=content]")).to_have_value("meanwhile")
        answer_slowly(http_provider, pause_seconds=0.001)
        if answer.get_attribute("data-status") == "interrupted":
            page.get_by_role("button", name="Try again").click()
        expect(wait_for_status(page, "complete")).to_contain_text("look_at('focus')")
    books = product_over_http.manage("reconcile_costs")
    assert books.returncode == 0, books.stdout


def test_without_scripts_an_answer_is_stopped_rated_and_edited(
    product_over_http: Product,
    http_provider: FakeProvider,
    open_page: Callable[..., Page],
    signed_in: Callable[..., dict[str, object]],
) -> None:
    answer_slowly(http_provider, pause_seconds=0.2)
    page = open_page(java_script_enabled=False, storage_state=signed_in(product_over_http, "member"))
    start_conversation(page, product=product_over_http)
    page.fill("textarea[name=content]", QUESTION)
    page.get_by_role("button", name="Send").click()
    page.get_by_role("button", name="Stop", exact=True).click()
    answer = last_answer(page)
    expect(answer.locator(".message-problem")).to_contain_text("You stopped this answer.", timeout=15_000)
    answer_slowly(http_provider, pause_seconds=0.001)
    page.get_by_role("button", name="Answer again").click()
    expect(last_answer(page).locator("table").first).to_be_visible()  # the page refreshes itself meanwhile
    page.get_by_role("button", name="This was not helpful").click()
    expect(page.get_by_role("button", name="This was not helpful")).to_have_attribute("aria-pressed", "true")
    page.locator(".feedback-comment summary").click()
    page.fill("textarea[name=comment]", "Too long.")
    page.get_by_role("button", name="Save comment").click()
    expect(page.locator(".feedback-comment summary")).to_have_text("Your comment")
    page.get_by_role("link", name="Edit your message and ask again").click()
    page.fill("textarea[name=content]", "And how do I prepare one?")
    page.get_by_role("button", name="Ask again").click()
    page.wait_for_url(re.compile("/chat/"))
    expect(page.locator("article.is-user [data-text]")).to_have_text("And how do I prepare one?")
    expect(page.locator("nav.versions").first).to_be_visible()
    page.get_by_role("link", name="Earlier version").click()
    expect(page.locator("article.is-user [data-text]")).to_have_text(QUESTION)
