"""The search by words: which live passages of a clone hold the question's words, and how well; enter at `search_words`.

Words are joined by OR; each counts by its rarity among the clone's live passages (the idf of BM25) and by how often it
stands in a passage. It needs no vector, so it runs while the question is being embedded. One statement.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from cloneai.database.prepared import prepared_cursor

MAX_TERMS = 64

# Who holds a word is asked of the index `chunk_words_by_clone`, written as it is there, which tells without reading a
# row. The clone is one of its words; its number is not asked for besides, because the planner, while it has no
# statistics of a new clone, would read all of the clone's passages instead. Reading a passage's lexemes is the dear
# part: the best by presence alone are found first, and of those each is unpacked once (`setweight` changes nothing:
# no lexeme has another weight) and weighed. How many rows are wanted stands in the statement: where that is open, a
# plan looks dearer than it is, and none is kept.
_STATEMENT = r"""
WITH terms AS MATERIALIZED (
    SELECT ordinality AS number, ('''' || replace(replace(lexeme, '\', '\\'), '''', '''''') || '''')::tsquery AS term
    FROM unnest(to_tsvector(%(language)s::regconfig, %(query)s::text)) WITH ORDINALITY LIMIT {max_terms:d}
), hits AS MATERIALIZED (
    SELECT chunk.id, terms.number, power(chunk.token_count::float, 0.33::float) AS length
    FROM terms JOIN knowledge_chunk chunk
      ON (chunk.search_vector || array_to_tsvector(ARRAY['clone ' || chunk.clone_id::text]))
         @@ (terms.term && %(own)s::tsquery)
    WHERE chunk.is_live
), held AS MATERIALIZED (
    SELECT number, count(*) AS passages FROM hits GROUP BY number
), live AS MATERIALIZED (
    SELECT count(*) AS passages FROM knowledge_chunk WHERE clone_id = %(clone)s AND is_live
), idf AS MATERIALIZED (
    SELECT number, term, ln(1 + (live.passages - coalesce(held.passages, 0) + 0.5)
                                / (coalesce(held.passages, 0) + 0.5))::float AS weight
    FROM terms CROSS JOIN live LEFT JOIN held USING (number)
    ORDER BY number
), likely AS MATERIALIZED (
    SELECT hits.id, min(hits.length) AS length FROM hits JOIN idf USING (number)
    GROUP BY hits.id ORDER BY sum(idf.weight) / min(hits.length) DESC, hits.id LIMIT 4 * {depth:d}
), unpacked AS MATERIALIZED (
    SELECT likely.id, likely.length, setweight(chunk.search_vector, 'D') AS lexemes
    FROM likely JOIN knowledge_chunk chunk USING (id)
), weighed AS MATERIALIZED (
    SELECT id, length, (SELECT sum(ts_rank('{{1,1,1,1}}', unpacked.lexemes, idf.term) * idf.weight) FROM idf)
                       / (SELECT sum(weight) FROM idf) AS share
    FROM unpacked
), best AS MATERIALIZED (
    SELECT id, share FROM weighed ORDER BY share / length DESC, id LIMIT {depth:d}
)
SELECT (SELECT array_agg(term::text) FROM idf), (SELECT array_agg(weight) FROM idf),
       (SELECT array_agg(id) FROM best), (SELECT array_agg(share) FROM best)"""


@dataclass(frozen=True, slots=True)
class WordHits:
    """`chunk_ids` hold most of the question's words, best first; `shares[n]` is the word share of `chunk_ids[n]`.

    `terms[n]` is a word of the question as a tsquery, `weights[n]` what it counts for: for other passages' shares.
    """

    terms: Sequence[str] = ()
    weights: Sequence[float] = ()
    chunk_ids: Sequence[int] = ()
    shares: Sequence[float] = ()


def search_words(*, clone_id: int, language: str, query: str, depth: int) -> WordHits:
    """Up to `depth` live passages of the clone. One query."""
    with prepared_cursor() as cursor:
        cursor.execute(
            _STATEMENT.format(depth=depth, max_terms=MAX_TERMS),
            {
                "clone": clone_id,
                "own": f"'clone {clone_id:d}'",
                "language": language,
                "query": query,
            },
        )
        terms, weights, chunk_ids, shares = cursor.fetchone()
    return WordHits(terms=terms or (), weights=weights or (), chunk_ids=chunk_ids or (), shares=shares or ())
