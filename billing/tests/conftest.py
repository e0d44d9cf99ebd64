"""A provider to call, and the seeded prices, which a transactional test before may have flushed."""

from collections.abc import Iterator
from typing import Any

import pytest

from billing.metering import ChatMessage, Payer
from billing.prices import seed_prices
from billing.tests.fake_provider import FakeProvider

MODEL = "gpt-4o-mini"
EMBEDDING_MODEL = "text-embedding-3-large"
MESSAGES = [ChatMessage("system", "You are Ada."), ChatMessage("user", "How do I give feedback?")]
NOBODY = Payer(user_id=None, clone_id=None)


@pytest.fixture
def prices(db: None) -> None:
    seed_prices()


@pytest.fixture
def provider(prices: None, settings: Any) -> Iterator[FakeProvider]:
    """A well-meaning provider that every metered call of the test reaches."""
    with FakeProvider() as server:
        settings.AI_OFFLINE = False
        settings.OPENAI_API_KEY = "sk-secret"
        settings.OPENAI_BASE_URL = server.base_url
        settings.GPT_4_MODEL = "gpt-4.1"
        settings.GPT_4_MINI_MODEL = MODEL
        settings.FUNCTION_CALLING_MODEL = "gpt-4.1"
        settings.EMBEDDING_MODEL = EMBEDDING_MODEL
        settings.EMBEDDING_DIMENSIONS = 4
        yield server
        server.hung_up.set()


@pytest.fixture
def quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    """The client waits half a second and more between its retries; tests do not."""
    monkeypatch.setattr("openai._base_client.INITIAL_RETRY_DELAY", 0.001)
