"""The search's one SQL statement: the best passages by vector and by words, with both figures for each of
them.

Exact scan: the clone's live vectors are compared one by one, found by a partial btree; at 10,000 passages
that beats an index shared by all clones in time and recall (see facts). Large clones have an index of their own
(`knowledge.vector_index`). Words are joined by OR; each counts
by its rarity among the clone's live passages.
"""

import uuid
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, fields
from typing import Any

from django.db import connection, transaction

from knowledge.embedding import EmbeddingModel
from knowledge.vector_index import EF_SEARCH, find_index

MAX_TERMS = 64

# Reading a passage's lexemes is the dear part: the best by presence alone are found first, then weighed. Who holds a
# word is asked of the index `chunk_words_by_clone`, written as it is there, which tells without reading a row.
_TERMS = r"""
WITH terms AS MATERIALIZED (
    SELECT lexeme, ('''' || replace(replace(lexeme, '\', '\\'), '''', '''''') || '''')::tsquery AS term
    FROM unnest(to_tsvector(%(language)s::regconfig, %(query)s)) LIMIT %(max_terms)s
), hits AS MATERIALIZED (
    SELECT chunk.id, terms.lexeme, power(chunk.token_count::float, 0.33::float) AS length
    FROM terms JOIN knowledge_chunk chunk
      ON (chunk.search_vector || array_to_tsvector(ARRAY['clone ' || chunk.clone_id::text]))
         @@ (terms.term && %(own)s::tsquery)
    WHERE chunk.clone_id = %(clone)s AND chunk.is_live
), live AS MATERIALIZED (
    SELECT count(*) AS passages FROM knowledge_chunk WHERE clone_id = %(clone)s AND is_live
), idf AS MATERIALIZED (
    SELECT terms.lexeme, terms.term,
           ln(1 + (live.passages - count(hits.id) + 0.5) / (count(hits.id) + 0.5))::float AS weight
    FROM terms CROSS JOIN live LEFT JOIN hits USING (lexeme)
    GROUP BY terms.lexeme, terms.term, live.passages
), likely AS MATERIALIZED (
    SELECT hits.id FROM hits JOIN idf USING (lexeme)
    GROUP BY hits.id ORDER BY sum(idf.weight) / min(hits.length) DESC, hits.id LIMIT 4 * %(depth)s
)"""

# The question's vector is written once, as a long literal, and read once.
_VECTORS = """, asked AS MATERIALIZED (
    SELECT %(vector)s::halfvec AS vector
), vectors AS MATERIALIZED (
    SELECT chunk_id AS id, 1 - (embedding <=> (SELECT vector FROM asked)) AS similarity
    FROM knowledge_chunkembedding
    WHERE clone_id = %(clone)s AND is_live AND model = %(model)s AND dimensions = %(dimensions)s
    ORDER BY embedding <=> (SELECT vector FROM asked) LIMIT %(depth)s
)"""
# Written like the index's own expression and predicate, so that the planner takes it.
_INDEXED_VECTORS = """, asked AS MATERIALIZED (
    SELECT %(vector)s::halfvec({dimensions:d}) AS vector
), vectors AS MATERIALIZED (
    SELECT chunk_id AS id,
           1 - ((embedding::halfvec({dimensions:d})) <=> (SELECT vector FROM asked)) AS similarity
    FROM knowledge_chunkembedding
    WHERE clone_id = %(clone)s AND is_live AND model = %(model)s AND dimensions = %(dimensions)s
    ORDER BY (embedding::halfvec({dimensions:d})) <=> (SELECT vector FROM asked) LIMIT %(depth)s
)"""
_INDEX_SETTINGS = (
    "SELECT set_config('hnsw.iterative_scan', 'strict_order', true), set_config('hnsw.ef_search', %s, true), "
    "set_config('hnsw.max_scan_tuples', '200000', true)"
)
_NO_VECTORS = ", vectors AS (SELECT NULL::bigint AS id, NULL::float AS similarity WHERE false)"

# The planner takes each of these for one row, and would compare all with all: so IN is kept from becoming a join
# (a hashed list then), and both lists are laid together by grouping.
_WORDS = """, words AS MATERIALIZED (
    SELECT chunk.id, min(hits.length) AS length,
           sum(ts_rank('{1,1,1,1}', chunk.search_vector, idf.term) * idf.weight ORDER BY lexeme)
           / (SELECT sum(weight) FROM idf) AS share
    FROM hits JOIN idf USING (lexeme) JOIN knowledge_chunk chunk USING (id)
    WHERE (hits.id IN (SELECT id FROM likely UNION ALL SELECT id FROM vectors)) IS TRUE
    GROUP BY chunk.id
), found AS MATERIALIZED (
    SELECT id, max(similarity) AS similarity, max(share) AS share, max(length) AS length
    FROM (SELECT id, similarity, NULL::float AS share, NULL::float AS length, 1 AS place FROM vectors
          UNION ALL
          SELECT id, NULL, share, length, row_number() OVER (ORDER BY share / length DESC, id) FROM words) listed
    GROUP BY id HAVING min(place) <= %(depth)s
)"""

_RESULT = """
SELECT chunk.id, chunk.document_id, chunk.version, document.title, chunk.page_start, chunk.page_end,
       chunk.start_char, chunk.end_char, chunk.content, chunk.headings, {similarity},
       coalesce(found.share, 0), coalesce(found.share / found.length, 0)
FROM found
JOIN knowledge_chunk chunk ON chunk.id = found.id AND chunk.clone_id = %(clone)s AND chunk.is_live
JOIN knowledge_document document ON document.id = chunk.document_id AND document.live_version = chunk.version
ORDER BY chunk.id"""
_SIMILARITY_OF_OTHERS = """coalesce(found.similarity, (
    SELECT 1 - (other.embedding <=> (SELECT vector FROM asked)) FROM knowledge_chunkembedding other
    WHERE other.chunk_id = chunk.id AND other.is_live
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


def vector_literal(vector: Sequence[float]) -> str:
    """As pgvector reads it. Five digits are more than the eleven bits of a `halfvec` hold."""
    return f"[{('%.5g,' * len(vector) % tuple(vector))[:-1]}]"


_COLUMNS = tuple(field.name for field in fields(Candidate))


def find_candidates(
    *,
    clone_id: int,
    language: str,
    query: str,
    vector: Sequence[float] | None,
    model: EmbeddingModel,
    depth: int,
) -> list[Candidate]:
    """Up to `depth` passages by vector and as many by words, unordered. One query.

    Without a `vector` only the words are searched and no passage has a similarity.
    """
    similarity = "NULL::float" if vector is None else _SIMILARITY_OF_OTHERS
    has_index = vector is not None and find_index(clone_id=clone_id, model=model)
    dense = _NO_VECTORS if vector is None else _VECTORS
    if has_index:
        dense = _INDEXED_VECTORS.format(dimensions=model.dimensions)
    sql = _TERMS + dense + _WORDS + _RESULT.format(similarity=similarity)
    parameters: dict[str, str | int | None] = {
        "clone": clone_id,
        "own": f"'clone {clone_id:d}'",
        "language": language,
        "query": query,
        "max_terms": MAX_TERMS,
        "vector": None if vector is None else vector_literal(vector),
        "model": model.name,
        "dimensions": model.dimensions,
        "depth": depth,
    }
    with transaction.atomic() if has_index else nullcontext(), connection.cursor() as cursor:
        if has_index:
            cursor.execute(_INDEX_SETTINGS, [str(EF_SEARCH)])
        cursor.execute(sql, parameters)
        rows: list[tuple[Any, ...]] = cursor.fetchall()
    return [Candidate(**dict(zip(_COLUMNS, row, strict=True)) | {"headings": tuple(row[9])}) for row in rows]
