"""An answer that is long enough to be interrupted in, and what its reader sees of it."""

import re

from playwright.sync_api import Locator, Page, expect

from cloneai.local_ai.faults import Fault
from cloneai.local_ai.testing import FakeProvider

TOPICS = ("goals", "feedback", "meetings", "delegation", "trust", "focus")
LONG_ANSWER = "Hold a one-on-one **every week** [1]. It belongs to the *other* person.\n\n" + "\n\n".join(
    f"## About {topic}\n\nFirst listen, then ask what would help with {topic} this week.\n\n"
    f"- Write it **down**.\n- Come back to `{topic}` next time [1].\n\n"
    f"| When | What |\n|---|---|\n| Monday | {topic} |\n\n```python\nlook_at({topic!r})\n```"
    for topic in TOPICS
)
QUESTION = "How often should I hold one-on-ones?"


def answer_slowly(provider: FakeProvider, *, pause_seconds: float = 0.02, answer: str = LONG_ANSWER) -> None:
    """From now on each answer is this one, a few letters at a time."""
    provider.clear()
    provider.always(Fault(path="/chat/completions", answer=answer, chunk_delay_seconds=pause_seconds))


def last_answer(page: Page) -> Locator:
    return page.locator("article.is-assistant:not(.is-greeting)").last


def wait_for_status(page: Page, status: str, *, timeout: float = 30_000) -> Locator:
    answer = last_answer(page)
    expect(answer).to_have_attribute("data-status", status, timeout=timeout)
    return answer


def wait_for_share(page: Page, share: float) -> None:
    """Until about this share of the long answer stands on the page."""
    page.wait_for_function(
        """length => {
            const texts = document.querySelectorAll("article.is-assistant [data-text]");
            return texts.length && texts[texts.length - 1].textContent.length > length;
        }""",
        arg=share * len(LONG_ANSWER) * 0.8,  # Markdown's own signs are not shown
    )


def html_of(answer: Locator) -> str:
    """The answer's text as HTML; addresses of sources differ from answer to answer."""
    return re.sub(r"/sources/[0-9a-f-]{36}/", "/sources/…/", answer.locator("[data-text]").inner_html())
