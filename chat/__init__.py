"""Conversations: what members ask, what clones answer, and what remains of it. Modules by what they are for:

- a turn: `turns` (enter here), `turn_beginning`, `turn_ending`, `turn_records`, `drafts`, `titles`, `versions`
- what an answer rests on: `grounding`, `context`, `prompts`, `followups`, `calibration`
- what it says, checked: `citations`, `claims`, `support`, `distress`
- how it is shown while it is written: `streaming`, `frames`, `source_keeping`, `markdown`, `blocks`, `code_spans`
- the socket: `consumers`, `frame_sequence`, `orders`, `socket_guard`, `socket_access`, `socket_limits`, `socket_watch`
- pages: `views`, `turn_views`, `transcripts`, `transcript_search`, `sources`, `source_text`, `downloads`, `budget`,
  `forms`
- programs: `api`, `memory_api`, `openai_api` with `openai_format` and `completions`
- ends of conversations: `sessions`, `settling`, `summaries`, `summary_writing`, `summary_parts`, `summary_schemas`,
  `summary_views`, `windows`, `languages`, `open_items`
- memory: `memories`, `memory_extraction`, `memory_keeping`, `memory_rules`, `memory_prompts`, `memory_views`,
  `small_words`
- knowledge gaps: `gaps`, `gap_words`, `gap_closing`, `feedback`
- for staff: `admin` and the files named after it, `flags`, `receipts`, `session_reports`
- judging a clone: `rehearsals`, `evaluation`, `evaluation_questions`, `evaluation_metrics`
- tables: `models` and the files named after it; jobs: `tasks`
"""
