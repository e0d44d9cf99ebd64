"""Documents: from an uploaded file to passages, and from a question to passages. Modules by what they are for:

- what an expert does with files: `uploads` (enter here), `earlier_versions`, `stored_files`, `file_names`
- a document's way: `ingestion` (enter here), `leases`, `drafting`, `version_text`, `publication`
- reading files: `extraction`, and its processes and kinds of file in the files named after it
- from pages to passages: `cleaning`, `ai_cleaning`, `cleaning_costs`, `chunking`, `chunking_boundaries`,
  `chunking_tokens`
- vectors: `embedding`, `reembedding`, `vector_index`, `vector_cache`
- a search: `retrieval` (enter here), `word_search`, `candidates`, `relevance`, `passages`, `overlaps`
- a second, closer look: `second_look`, `expansion`, `close_reading`, `sentences`, `word_forms`, `prompts`
- proofs and audits: `probes`, `prompts_probes`, `similarity`, `orphans`
- edges: `admin` and the files named after it, `prompt_preview`, `api`, `tasks`
- tables: `models`; what can go wrong: `errors`
"""
