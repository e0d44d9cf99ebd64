"""Search finds the right passage, only in the clone's own live documents, and knows when there is none."""

import asyncio
import itertools
from decimal import Decimal
from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.db import connection, transaction

from billing.metering import MeteredCallError, Payer
from billing.models import CostRecord, Purpose
from billing.tests.fake_provider import FakeProvider, Handler
from clones.models import Clone
from knowledge.candidates import find_candidates
from knowledge.embedding import EmbeddingModel
from knowledge.leases import claim_document
from knowledge.models import Chunk, ChunkEmbedding, Document, DocumentPage
from knowledge.relevance import MOST_RELEVANT
from knowledge.retrieval import SearchResult, search_passages
from knowledge.tests.conftest import MEETINGS, SLEEP, SOURDOUGH, ingest, store
from knowledge.tests.made_documents import make_pdf
from knowledge.uploads import delete_document, replace_document, retry_document
from knowledge.word_search import search_words

pytestmark = pytest.mark.django_db(transaction=True)

QUESTION = "How cool should my bedroom be?"


@pytest.fixture(autouse=True)
def _prices(prices: None) -> None:
    """Every search here is metered."""


@pytest.fixture
def library(clone: Clone) -> Clone:
    for name, text in {"sleep.txt": SLEEP, "meetings.txt": MEETINGS, "bread.txt": SOURDOUGH}.items():
        ingest(store(clone=clone, text=text, name=name))
    clone.refresh_from_db()
    return clone


def search(clone: Clone, query: str, *, limit: int = 5) -> SearchResult:
    payer = Payer(user_id=clone.owner_id, clone_id=clone.pk)
    return asyncio.run(search_passages(clone=clone, query=query, payer=payer, limit=limit))


@pytest.mark.parametrize(
    ("question", "title"),
    [
        (QUESTION, "Sleep"),
        ("What must I write before a meeting?", "Meetings"),
        ("How often do I feed a starter?", "Bread"),
        ("temperature for baking a loaf in a pot", "Bread"),
    ],
)
def test_the_right_passage_comes_first(library: Clone, question: str, title: str):
    result = search(library, question)
    best = result.passages[0]
    assert (best.document_title, best.rank, result.is_lexical_only) == (title, 1, False)
    assert result.quality.status in ("fair", "good", "excellent")
    assert result.quality.chunk_count == len(result.passages)


def test_passage_carries_its_place_and_both_figures(library: Clone):
    best = search(library, QUESTION).passages[0]
    chunk = Chunk.objects.get(pk=best.chunk_id)
    page = DocumentPage.objects.get(document=best.document_id)
    assert page.text[best.start_char : best.end_char] == best.content
    assert (best.page, best.page_end, best.document_version) == (1, 1, chunk.version)
    assert 0 < best.similarity_score <= 1
    assert 0 < best.lexical_rank <= 1
    assert best.relevance == MOST_RELEVANT  # its words, its sense and its best sentences all fit


@pytest.mark.parametrize("question", ["Who won the football world cup in 1974?", "kubernetes ingress yaml"])
def test_question_outside_the_material_finds_nothing(library: Clone, question: str):
    result = search(library, question)
    assert result.passages == ()
    assert (result.quality.status, result.quality.chunk_count, result.quality.diversity) == (
        "no_context",
        0,
        0,
    )
    assert result.quality.score < result.floor


def test_what_lies_below_the_floor_is_still_shown_as_dropped(library: Clone):
    result = search(library, "Who won the sleep world cup in 1974?", limit=2)
    assert len(result.passages) + len(result.dropped) == 2
    assert [one.rank for one in (*result.passages, *result.dropped)] == [1, 2]


def test_expert_s_threshold_replaces_the_calibrated_floor(library: Clone):
    library.similarity_threshold = 1.0
    assert search(library, "sleep").quality.status == "no_context"
    library.similarity_threshold = 0.0
    result = search(library, "sleep")
    assert len(result.passages) == 3  # whatever was found, also what speaks of something else


@pytest.mark.parametrize("query", ["", "   ", "?!", "' | & ! :* \\ <-> (", "\x00"])
def test_query_without_words_is_harmless(library: Clone, query: str):
    result = search(library, query)
    assert result.quality.chunk_count == len(result.passages)


def test_clone_without_documents_finds_nothing_and_calls_nobody(clone: Clone):
    result = search(clone, QUESTION)
    assert (result.passages, result.quality.status) == ((), "no_context")
    assert not CostRecord.objects.exists()


def test_clone_loaded_before_its_first_document_searches_by_vectors(clone: Clone):
    ingest(store(clone=clone, text=SLEEP))
    assert clone.embedding_model == ""
    assert search(clone, QUESTION).is_lexical_only is False


def test_each_search_is_one_metered_embedding(library: Clone):
    search(library, QUESTION)  # sentences that are read for the first time are embedded too, and remembered
    records = CostRecord.objects.filter(purpose=Purpose.QUERY_EMBEDDING)
    first = records.count()
    search(library, QUESTION)
    assert records.count() == first + 1
    assert {(record.clone, record.user) for record in records} == {(library, library.owner)}


def test_another_clone_s_passages_are_never_found(library: Clone, other_clone: Clone):
    ingest(store(clone=other_clone, text="The secret canary sings in the cellar at noon. " * 3))
    other_clone.refresh_from_db()
    assert search(other_clone, "Where does the canary sing?").passages
    found = search(library, "Where does the secret canary sing at noon?")
    everything = (*found.passages, *found.dropped)
    assert not any("canary" in passage.content for passage in everything)


def test_deleted_document_no_longer_answers(library: Clone):
    delete_document(document=Document.objects.get(title="Sleep"))
    result = search(library, QUESTION)
    assert not any("bedroom" in one.content for one in (*result.passages, *result.dropped))
    assert not ChunkEmbedding.objects.filter(chunk__content__contains="bedroom").exists()


def test_old_version_answers_until_the_new_one_is_published(library: Clone):
    document = Document.objects.get(title="Sleep")
    new_text = SLEEP.replace("eighteen", "sixteen")
    replace_document(document=document, file=ContentFile(new_text.encode()), file_name="sleep.txt")
    assert "eighteen" in search(library, QUESTION).passages[0].content
    ingest(document)
    result = search(library, QUESTION)
    assert "sixteen" in result.passages[0].content
    assert not any("eighteen" in one.content for one in (*result.passages, *result.dropped))


def test_unpublished_passages_are_not_found(clone: Clone, provider: FakeProvider):
    """Chunks and some vectors are there, but the version is not live."""
    document = store(clone=clone, text=SLEEP)
    provider.replies = [lambda handler, body: handler.send_json({"error": {"message": "no"}}, status=400)]
    ingest(document)
    assert Chunk.objects.exists()
    result = search(clone, QUESTION)
    assert (result.passages, result.dropped) == ((), ())


def test_provider_that_fails_leaves_a_search_by_words(clone: Clone, provider: FakeProvider):
    ingest(store(clone=clone, text=SLEEP))
    clone.refresh_from_db()

    def fail(handler: Handler, body: dict) -> None:
        handler.send_json({"error": {"message": "down"}}, status=500)

    provider.replies = [fail] * 20
    result = search(clone, QUESTION)
    assert result.is_lexical_only
    assert "bedroom" in result.passages[0].content
    assert result.passages[0].similarity_score == 0


def test_vectors_of_a_provider_that_is_gone_are_not_asked_for(library: Clone, provider: FakeProvider):
    """The clone's vectors are the local model's; the provider now is another."""
    result = search(library, QUESTION)
    assert result.is_lexical_only
    assert "bedroom" in result.passages[0].content
    assert provider.requests == []


def test_search_beyond_the_budget_is_refused(library: Clone, provider: FakeProvider):
    Clone.objects.update(embedding_model="text-embedding-3-large", embedding_dimensions=4)
    library.refresh_from_db()
    library.owner.daily_cost_limit_usd = Decimal(0)
    library.owner.save()
    with pytest.raises(MeteredCallError) as error:
        search(library, QUESTION)
    assert error.value.error_type == "budget_exceeded"
    assert provider.requests == []


def test_overlapping_neighbours_share_no_text_and_keep_true_pages(clone: Clone):
    clone.chunk_tokens, clone.chunk_overlap_tokens = 120, 60
    clone.save()
    sentences = [
        f"Sleeping habit number {number} is about the bedroom and its window." for number in range(40)
    ]
    pages = [" ".join(sentences[start : start + 10]) for start in range(0, 40, 10)]
    document = ingest(store(clone=clone, text=make_pdf(*pages), name="habits.pdf"))
    starts = sorted(DocumentPage.objects.values_list("start_char", "number"))
    text = "\n\n".join(DocumentPage.objects.order_by("number").values_list("text", flat=True))
    passages = search(clone, "sleeping habits bedroom window", limit=20).passages
    assert len(passages) > 3
    spans = sorted((one.start_char, one.end_char) for one in passages)
    assert all(end <= start for (_, end), (start, _) in itertools.pairwise(spans))
    for one in passages:
        assert text[one.start_char : one.end_char] == one.content
        assert one.page == max(number for start, number in starts if start <= one.start_char)
        assert one.page_end == max(number for start, number in starts if start < one.end_char)
    assert document.page_count == 4


def test_limit_is_kept(library: Clone):
    library.similarity_threshold = 0.0
    assert len(search(library, "sleep meeting bread", limit=2).passages) == 2


def test_document_processed_again_answers_all_the_while(library: Clone):
    document = Document.objects.get(title="Sleep")
    retry_document(document=document)
    claim_document(document_id=document.pk)
    assert "bedroom" in search(library, QUESTION).passages[0].content


def test_words_are_looked_up_among_the_clone_s_own_passages_alone(library: Clone):
    """The statement's expression must be the index's, to the letter; else every clone's passages are read."""
    statements: list[tuple[str, Any]] = []

    def note(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        statements.append((sql, params))
        return execute(sql, params, many, context)

    with connection.execute_wrapper(note):
        search_words(clone_id=library.pk, language="english", query=QUESTION, depth=5)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            "SELECT indexname FROM pg_indexes WHERE tablename = 'knowledge_chunk' AND indexdef LIKE '%%(clone_id)%%'"
            " AND indexname <> 'chunk_words_by_clone'"
        )
        for (name,) in cursor.fetchall():  # a table this small is read by any index; this is undone
            cursor.execute(f'DROP INDEX "{name}"')
        cursor.execute("SET LOCAL enable_seqscan = off")
        sql, params = statements[-1]
        cursor.execute(f"EXPLAIN {sql}", params)
        plan = "\n".join(line for (line,) in cursor.fetchall())
        transaction.set_rollback(True)
    assert "Bitmap Index Scan on chunk_words_by_clone" in plan
    assert f"clone {library.pk}" in plan


def test_passages_found_by_their_sense_alone_have_their_words_weighed_too(library: Clone):
    """With room for one passage by words, the others' shares are those that they have with room for all."""
    model = EmbeddingModel(name=library.embedding_model, dimensions=library.embedding_dimensions)
    vector = [1.0] * model.dimensions

    def shares(depth: int) -> dict[int, tuple[float, float]]:
        words = search_words(
            clone_id=library.pk, language="english", query="meeting bedroom starter", depth=depth
        )
        assert len(words.chunk_ids) == depth
        found = find_candidates(clone_id=library.pk, words=words, vector=vector, model=model, depth=5)
        return {one.chunk_id: (one.word_share, one.word_rank) for one in found}

    few, all_of_them = shares(1), shares(3)
    assert few.keys() == all_of_them.keys()
    for chunk_id, figures in few.items():
        assert figures == pytest.approx(all_of_them[chunk_id])
        assert min(figures) > 0
