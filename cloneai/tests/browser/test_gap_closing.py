"""A gap from question to citation, as its people see it: asked, not answered, answered in the admin, answered now."""

import re
from collections.abc import Callable

from playwright.sync_api import Page, expect

from cloneai.tests.browser.conftest import Product, ask, log_in, start_conversation

QUESTION = "Which musical instrument does Mara play on Sundays?"
ANSWER = (
    "Mara plays the cello on Sundays, in a small orchestra in Gothenburg, and never practises on Mondays."
)


def test_the_expert_closes_a_gap_and_the_asker_gets_the_answer(
    product: Product, open_page: Callable[..., Page]
) -> None:
    member = open_page()
    log_in(member, product=product, email="member@example.com")
    start_conversation(member, product=product, slug="mara")
    ask(member, QUESTION)
    answer = member.locator("article.is-assistant").last
    expect(answer).to_contain_text("I have not written anything about that")
    expert = open_page()
    log_in(expert, product=product, email="expert@example.com")
    expert.goto(f"{product.url}/admin/chat/knowledgegap/")
    expert.get_by_role("link", name=QUESTION).click()
    expert.fill("textarea[name=answer]", ANSWER)
    expert.get_by_role("button", name=re.compile("Save as a document", re.I)).click()
    after = expert.locator("article").filter(has_text=QUESTION)
    expect(after.get_by_text("Answered now")).to_be_visible(timeout=90_000)  # the page follows by itself
    expect(after).to_contain_text("cello on Sundays")
    after.get_by_role("link", name=re.compile("^Answer: ")).click()
    expect(expert.get_by_text("small orchestra in Gothenburg").first).to_be_visible()
    member.goto(f"{product.url}/chat/")
    row = member.locator(".answered-now").filter(has_text=QUESTION)
    expect(row.get_by_text("Answered now")).to_be_visible()
    row.get_by_role("button", name="Ask again").click()
    cite = member.locator("article a.cite").first
    expect(cite).to_be_visible()
    cite.click()
    expect(member.locator("[data-passage]").first).to_contain_text("cello")
