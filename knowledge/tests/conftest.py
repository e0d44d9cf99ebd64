"""A library to upload to. Ingestion and search use several connections, so these tests commit."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from django.core.files.base import ContentFile

from billing.prices import seed_prices
from billing.tests.fake_provider import FakeProvider
from clones.models import Clone
from knowledge.ingestion import ingest_document
from knowledge.models import Document
from knowledge.uploads import create_document

SLEEP = (
    "Sleep comes before everything else. People who go to bed at the same hour every night wake up rested.\n\n"
    "Keep the bedroom cool: eighteen degrees is warm enough, and a dark room helps more than any pill.\n\n"
)
MEETINGS = (
    "A meeting without an agenda is a coffee break. Write three lines on what must be decided beforehand.\n\n"
    "End every meeting with a list of owners and dates, written down by one person and sent the same day.\n\n"
)
SOURDOUGH = (
    "Feed the sourdough starter with rye flour twice a day until it doubles within four hours.\n\n"
    "Bake the loaf in a closed pot at two hundred and forty degrees, then open the lid for the crust.\n\n"
)


@pytest.fixture(autouse=True)
def media(settings, tmp_path: Path) -> Path:
    settings.MEDIA_ROOT = tmp_path / "media"
    return settings.MEDIA_ROOT


@pytest.fixture
def prices(transactional_db: None) -> None:
    """Prices as migrated; a transactional test before this one has emptied the tables."""
    seed_prices()


@pytest.fixture
def clone(clone: Clone) -> Clone:
    """Without AI cleaning, so that the scripted provider hears of embeddings only."""
    clone.is_cleaning_on = False
    clone.save()
    return clone


@pytest.fixture
def provider(prices: None, settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeProvider]:
    """A provider over HTTP instead of the local one; its client retries without waiting."""
    monkeypatch.setattr("openai._base_client.INITIAL_RETRY_DELAY", 0.001)
    with FakeProvider() as server:
        settings.AI_OFFLINE = False
        settings.OPENAI_API_KEY = "sk-secret"
        settings.OPENAI_BASE_URL = server.base_url
        settings.EMBEDDING_MODEL = "text-embedding-3-large"
        settings.EMBEDDING_DIMENSIONS = 4
        yield server


def store(*, clone: Clone, text: str | bytes, name: str = "notes.txt") -> Document:
    content = text.encode() if isinstance(text, str) else text
    return create_document(
        clone=clone, file=ContentFile(content, name=name), file_name=name, uploaded_by=clone.owner
    )


def ingest(document: Document) -> Document:
    ingest_document(document_id=document.pk)
    document.refresh_from_db()
    return document


def stored_files(media: Path) -> list[str]:
    return sorted(path.name for path in media.rglob("*") if path.is_file())
