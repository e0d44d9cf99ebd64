"""Cleaning by a model: what is taken, what is not, and that nothing is lost on the way."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from django.core.files.base import ContentFile
from hypothesis import given
from hypothesis import strategies as st

from billing.metering import Payer
from billing.models import CostRecord, Purpose
from cloneai.accounts.models import User
from cloneai.local_ai.faults import Fault
from cloneai.local_ai.testing import FakeProvider
from clones.models import Clone
from conftest import use_provider
from knowledge.ai_cleaning import clean_with_ai, keeps_what_matters, split_windows
from knowledge.extraction import ExtractedPage
from knowledge.ingestion import ingest_document
from knowledge.models import Document, DocumentPage, Status
from knowledge.uploads import create_document

ORIGINAL = (
    "The team met Anna Berg in Oslo on 3 May 2021 to dis-\ncuss 42 open ques-\ntions "
    "about the budget of 4,200 euros."
)
MENDED = "The team met Anna Berg in Oslo on 3 May 2021 to discuss 42 open questions about the budget of 4,200 euros."


@pytest.fixture
def provider(settings: Any) -> Iterator[FakeProvider]:
    """The shared one that can be told what to answer; this folder's own speaks embeddings only."""
    with FakeProvider() as server:
        use_provider(settings, server)
        yield server


@pytest.mark.parametrize(
    ("cleaned", "is_kept"),
    [
        (MENDED, True),
        (ORIGINAL, True),
        (MENDED.replace("42", "43"), False),
        (MENDED.replace(" and", "").replace("4,200", "4200"), False),
        (MENDED.replace("Anna Berg", "somebody"), False),
        (MENDED + " In short, the meeting was a success for everybody who took part in it.", False),
        ("The team met Anna Berg in Oslo on 3 May 2021.", False),
        ("", False),
        ("I cannot help with that.", False),
    ],
)
def test_a_window_is_taken_only_when_it_kept_what_matters(cleaned: str, is_kept: bool) -> None:
    assert keeps_what_matters(original=ORIGINAL, cleaned=cleaned) is is_kept


@given(paragraphs=st.lists(st.text(alphabet="ab c.\n", min_size=1, max_size=40), max_size=8))
def test_windows_joined_are_the_text(paragraphs: list[str]) -> None:
    parts = [" ".join(part.split()) for part in paragraphs]
    text = "\n\n".join(part for part in parts if part)
    assert "\n\n".join(split_windows(text=text, model="gpt-4o-mini")) == text


def run_cleaning(pages: list[ExtractedPage]) -> Any:
    progress: list[tuple[int, int]] = []
    result = asyncio.run(
        clean_with_ai(
            pages=pages,
            payer=Payer(user_id=None, clone_id=None),
            on_progress=lambda done, total: progress.append((done, total)),
        )
    )
    assert progress[-1] == (result.windows, result.windows)
    return result


@pytest.mark.django_db(transaction=True)
def test_good_windows_are_taken_and_pages_keep_their_numbers(provider: FakeProvider) -> None:
    provider.always(Fault(path="/chat/completions", answer=MENDED))
    result = run_cleaning(
        [ExtractedPage(3, ORIGINAL), ExtractedPage(4, ""), ExtractedPage(5, "Other words here.")]
    )
    assert [page.number for page in result.pages] == [3, 4, 5]
    assert [page.text for page in result.pages] == [MENDED, "", "Other words here."]
    assert (result.windows, result.accepted) == (2, 1)
    assert CostRecord.objects.filter(purpose=Purpose.CLEANING).count() == 2


@pytest.mark.django_db(transaction=True)
def test_a_failing_model_leaves_the_text_and_says_so(
    provider: FakeProvider, clone: Clone, expert: User
) -> None:
    Clone.objects.update(is_cleaning_on=True)
    clone.refresh_from_db()
    provider.always(Fault(path="/chat/completions", status=401))
    document = create_document(
        clone=clone, file=ContentFile(ORIGINAL.encode()), file_name="a.txt", uploaded_by=expert
    )
    ingest_document(document_id=document.pk)
    document.refresh_from_db()
    assert document.status == Status.READY
    assert "AI cleaning was incomplete" in document.warnings[0]
    assert "Anna Berg" in DocumentPage.objects.get(document=document).text


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("is_on", [True, False])
def test_the_switch_of_the_clone_decides(
    is_on: bool, provider: FakeProvider, clone: Clone, expert: User
) -> None:
    Clone.objects.update(is_cleaning_on=is_on)
    clone.refresh_from_db()
    document = create_document(
        clone=clone, file=ContentFile(ORIGINAL.encode()), file_name="a.txt", uploaded_by=expert
    )
    ingest_document(document_id=document.pk)
    assert Document.objects.get().status == Status.READY
    assert bool(provider.requests_to("/chat/completions")) is is_on
