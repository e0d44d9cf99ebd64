"""What the benchmarks of ingestion share: a clone, texts, uploads, and a provider to point worker processes at."""

import os
from collections.abc import Sequence
from random import Random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from clones.models import Clone
    from knowledge.models import Document

SYLLABLES = [
    "ba",
    "be",
    "bi",
    "bo",
    "da",
    "de",
    "di",
    "do",
    "ka",
    "ke",
    "ki",
    "ko",
    "la",
    "le",
    "li",
    "lo",
    "ma",
    "me",
    "mi",
    "mo",
    "na",
    "ne",
    "ni",
    "no",
    "ra",
    "re",
    "ri",
    "ro",
    "sa",
    "se",
    "si",
    "so",
]
KEY = "sk-bench"
MODEL, DIMENSIONS = "text-embedding-3-small", 1536


def use_fake_provider(base_url: str) -> dict[str, str]:
    """Points this process at a provider; returns the environment that does so for others."""
    from django.conf import settings

    settings.AI_OFFLINE, settings.OPENAI_API_KEY, settings.OPENAI_BASE_URL = False, KEY, base_url
    settings.EMBEDDING_MODEL, settings.EMBEDDING_DIMENSIONS = MODEL, DIMENSIONS
    settings.GPT_4_MINI_MODEL = "gpt-4o-mini"
    return {
        **os.environ,
        "OPENAI_API_KEY": KEY,
        "OPENAI_BASE_URL": base_url,
        "EMBEDDING_MODEL": MODEL,
        "EMBEDDING_DIMENSIONS": str(DIMENSIONS),
        "DATABASE_POOL": "false",
    }


def make_clone(*, is_cleaning_on: bool = False) -> "Clone":
    from cloneai.accounts.models import User
    from clones.models import Clone

    owner = User.objects.create_user(email="expert@example.com", password="a long bench password")
    return Clone.objects.create(owner=owner, name="Ada Berg", slug="ada", is_cleaning_on=is_cleaning_on)


def make_text(number: int, *, words: int) -> str:
    """Sentences and paragraphs of made words, other ones for each number."""
    random = Random(number)
    sentences = []
    while words > 0:
        length = random.randint(6, 18)
        words -= length
        made = ["".join(random.choices(SYLLABLES, k=random.randint(1, 4))) for _ in range(length)]
        sentences.append(" ".join(made).capitalize() + (".\n\n" if random.random() < 0.2 else ". "))
    return f"Document {number}.\n\n" + "".join(sentences)


def upload_all(
    *, clone: "Clone", texts: Sequence[str], names: Sequence[str] | None = None
) -> "list[Document]":
    from django.core.files.base import ContentFile

    from knowledge.uploads import create_document

    return [
        create_document(clone=clone, file=ContentFile(text.encode()), file_name=name, uploaded_by=clone.owner)
        for name, text in zip(names or [f"{number}.txt" for number in range(len(texts))], texts, strict=True)
    ]
