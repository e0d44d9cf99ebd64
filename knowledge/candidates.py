"""The search's second statement: the best passages by vector, laid together with the best by words
(`knowledge.word_search`), with both figures and the text of each of them.

Exact scan: the clone's live vectors are compared one by one, found by a partial btree; at 10,000 passages
that beats an index shared by all clones in time and recall (DECISIONS 35). Large clones have an index of their own
(`knowledge.vector_index`).
"""

import uuid
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from django.db import connection, transaction

from cloneai.database.prepared import HalfVector, prepared_cursor
from knowledge.embedding import EmbeddingModel
from knowledge.vector_index import EF_SEARCH, find_index
from knowledge.word_search import WordHits

QuestionVector = npt.NDArray[np.float32] | Sequence[float]

# The distance stands in the statement once, or it would be worked out twice for each vector.
VECTORS = """
    SELECT id, 1 - distance AS similarity FROM (
        SELECT chunk_id AS id, embedding <=> %(vector)s::halfvec AS distance
        FROM knowledge_chunkembedding
        WHERE clone_id = %(clone)s AND is_live AND model = %(model)s AND dimensions = %(dimensions)s
        ORDER BY distance LIMIT {depth:d}) nearest"""
# Written like the index's own expression and predicate, values and all: of a plan that is kept, only values that stand
# in the statement tell the planner that the index holds what is asked for, and how few rows are.
_INDEXED_VECTORS = """
    SELECT id, 1 - distance AS similarity FROM (
        SELECT chunk_id AS id, (embedding::halfvec({dimensions:d})) <=> %(vector)s::halfvec({dimensions:d}) AS distance
        FROM knowledge_chunkembedding
        WHERE clone_id = {clone:d} AND is_live AND model = {model} AND dimensions = {dimensions:d}
        ORDER BY distance LIMIT {depth:d}) nearest"""
_INDEX_SETTINGS = (
    "SELECT set_config('hnsw.iterative_scan', 'strict_order', true), set_config('hnsw.ef_search', %s, true), "
    "set_config('hnsw.max_scan_tuples', '200000', true)"
)
_NO_VECTORS = "SELECT NULL::bigint AS id, NULL::float AS similarity WHERE false"

# Passages are read by their keys alone (whether they are the clone's and live is asked of what was read): the planner,
# while it knows little of a new clone, would go through all of its passages instead. Passages that the words' list
# leaves out are unpacked once and weighed here.
_STATEMENT = """
WITH vectors AS MATERIALIZED ({vectors}
), found AS MATERIALIZED (
    SELECT id, max(similarity) AS similarity, max(share) AS share
    FROM (SELECT id, similarity, NULL::float AS share FROM vectors
          UNION ALL
          SELECT id, NULL, share FROM unnest(%(ids)s::bigint[], %(shares)s::float[]) AS words (id, share)) listed
    GROUP BY id
), idf AS MATERIALIZED (
    SELECT term::tsquery AS term, weight FROM unnest(%(terms)s::text[], %(weights)s::float[]) AS asked (term, weight)
), passages AS MATERIALIZED (
    SELECT chunk.id, chunk.document_id, chunk.version, chunk.page_start, chunk.page_end, chunk.start_char,
           chunk.end_char, chunk.content, chunk.headings, chunk.clone_id, chunk.is_live, chunk.token_count,
           found.similarity, found.share,
           CASE WHEN found.share IS NULL THEN setweight(chunk.search_vector, 'D') END AS lexemes
    FROM found JOIN knowledge_chunk chunk USING (id)
), weighed AS MATERIALIZED (
    SELECT *, coalesce(share, (SELECT sum(ts_rank('{{1,1,1,1}}', passages.lexemes, idf.term) * idf.weight) FROM idf)
                              / (SELECT sum(weight) FROM idf), 0) AS word_share
    FROM passages WHERE clone_id = %(clone)s AND is_live
)
SELECT weighed.id, document_id, weighed.version, document.title, page_start, page_end, start_char, end_char, content,
       headings, {similarity}, word_share, word_share / power(weighed.token_count::float, 0.33::float)
FROM weighed
JOIN knowledge_document document ON document.id = weighed.document_id AND document.live_version = weighed.version
ORDER BY weighed.id"""
_SIMILARITY = """coalesce(similarity, (
    SELECT 1 - (other.embedding <=> %(vector)s::halfvec) FROM knowledge_chunkembedding other
    WHERE other.chunk_id = weighed.id AND other.is_live
      AND other.model = %(model)s AND other.dimensions = %(dimensions)s))"""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A live passage with its figures; see `knowledge.relevance` for their meaning."""

    chunk_id: int
    document_id: uuid.UUID
    document_version: int
    document_title: str
    page_start: int
    page_end: int
    start_char: int
    end_char: int
    content: str
    headings: tuple[str, ...]
    similarity: float | None
    word_share: float
    word_rank: float


def find_candidates(
    *,
    clone_id: int,
    words: WordHits,
    vector: QuestionVector | None,
    model: EmbeddingModel,
    depth: int,
) -> list[Candidate]:
    """Up to `depth` passages by vector, and those that the search by words found, unordered. One query.

    Without a `vector` no passage has a similarity.
    """
    has_index = vector is not None and find_index(clone_id=clone_id, model=model)
    parameters: dict[str, Any] = {
        "clone": clone_id,
        "vector": None if vector is None else HalfVector(vector),
        "model": model.name,
        "dimensions": model.dimensions,
        "ids": list(words.chunk_ids),
        "shares": list(words.shares),
        "terms": list(words.terms),
        "weights": list(words.weights),
    }
    if vector is None:
        sql = _STATEMENT.format(vectors=_NO_VECTORS, similarity="NULL::float")
    elif has_index:
        nearest = _INDEXED_VECTORS.format(
            clone=clone_id, model=_literal(model.name), dimensions=model.dimensions, depth=depth
        )
        sql = _STATEMENT.format(vectors=nearest, similarity=_SIMILARITY)
    else:
        sql = _STATEMENT.format(vectors=VECTORS.format(depth=depth), similarity=_SIMILARITY)
    with transaction.atomic() if has_index else nullcontext():
        if has_index:
            with connection.cursor() as cursor:
                cursor.execute(_INDEX_SETTINGS, [str(EF_SEARCH)])
        with prepared_cursor() as cursor:
            cursor.execute(sql, parameters)
            rows: list[tuple[Any, ...]] = cursor.fetchall()
    return [Candidate(*(*row[:9], tuple(row[9]), *row[10:])) for row in rows]


def _literal(text: str) -> str:
    """For a statement that also has placeholders."""
    return "'" + text.replace("'", "''").replace("%", "%%") + "'"
