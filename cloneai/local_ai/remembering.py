"""What is remembered of a member, told when the member asks."""

from __future__ import annotations

from collections.abc import Sequence

from cloneai.local_ai.conversation import subject_words
from cloneai.local_ai.language import stem

_WHERE = "You can see, correct and delete it on the page “What clones remember”."


def tell_memories(*, memories: Sequence[str], question: str) -> str:
    """List the memories that share a word with the question; all of them when none does."""
    if not memories:
        return f"I do not remember anything about you yet. {_WHERE}"
    asked = _stems(question)
    fitting = [memory for memory in memories if asked & _stems(memory)] or memories
    listed = "\n".join(f"- {memory}" for memory in fitting)
    return f"I remember this from our earlier conversations, in your words:\n\n{listed}\n\n{_WHERE}"


def _stems(text: str) -> set[str]:
    return {stem(word) for word in subject_words(text)}
