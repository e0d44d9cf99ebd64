"""What the benchmarks of ingestion share: a clone, texts, uploads, and a provider to point worker processes at."""

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from random import Random
from typing import TYPE_CHECKING

from benchmarks.harness import FOLDER

if TYPE_CHECKING:
    from clones.models import Clone
    from knowledge.models import Document

SYLLABLES = [consonant + vowel for consonant in "bdklmnrs" for vowel in "aeio"]
KEY = "sk-bench"
MODEL, DIMENSIONS = "text-embedding-3-small", 1536


def use_fake_provider(base_url: str) -> dict[str, str]:
    """Points this process at a provider; returns the environment that does so for others."""
    from django.conf import settings

    settings.AI_OFFLINE, settings.OPENAI_API_KEY, settings.OPENAI_BASE_URL = False, KEY, base_url
    settings.EMBEDDING_MODEL, settings.EMBEDDING_DIMENSIONS = MODEL, DIMENSIONS
    settings.GPT_4_MINI_MODEL = "gpt-4o-mini"
    return {
        **{key: value for key, value in os.environ.items() if key != "DATABASE_POOL"},
        "OPENAI_API_KEY": KEY,
        "OPENAI_BASE_URL": base_url,
        "EMBEDDING_MODEL": MODEL,
        "EMBEDDING_DIMENSIONS": str(DIMENSIONS),
    }


@contextlib.contextmanager
def paced_provider(*, seconds: float = 0.0) -> Iterator[str]:
    """A provider process that takes so long for embeddings; yields its address."""
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.paced_provider"],
        stdout=subprocess.PIPE,
        text=True,
        cwd=FOLDER.parent,
        env={**os.environ, "EMBEDDING_SECONDS": str(seconds)},
    )
    try:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{int(process.stdout.readline())}/v1"
    finally:
        process.kill()
        process.wait()


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


def make_pdf(text: str) -> bytes:
    """The text as a PDF of as many pages as it needs."""
    from fpdf import FPDF

    pdf = FPDF()
    pdf.set_font("helvetica", size=11)
    pdf.add_page()
    pdf.multi_cell(0, 5, text)
    return bytes(pdf.output())


def upload_all(
    *, clone: "Clone", files: Sequence[bytes], names: Sequence[str] | None = None
) -> "list[Document]":
    """Stores and queues them; what they are is found out from their bytes, so names need tell nothing."""
    from django.core.files.base import ContentFile

    from knowledge.uploads import create_document

    return [
        create_document(clone=clone, file=ContentFile(file), file_name=name, uploaded_by=clone.owner)
        for name, file in zip(names or [str(number) for number in range(len(files))], files, strict=True)
    ]


def start_cluster(environment: Mapping[str, str]) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, "manage.py", "qcluster"],
        cwd=FOLDER.parent,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def wait_for_the_end(*, until: float, look_every_seconds: float = 0.5) -> None:
    """Until every document is ready or failed, or `time.monotonic()` is `until`."""
    from knowledge.models import FINAL_STATUSES, Document

    while Document.objects.exclude(status__in=FINAL_STATUSES).exists() and time.monotonic() < until:
        time.sleep(look_every_seconds)
