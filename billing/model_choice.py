"""Which model does what: the guide's table of task and complexity, and the rules that grade a chat turn."""

import re
from enum import StrEnum

from django.conf import settings

# Above this many tokens of context the guide always takes the large model.
LONG_CONTEXT_TOKENS = 16_000
SMALL_TALK_WORDS = 12
LONG_QUESTION_WORDS = 80
SHORT_HISTORY_TURNS = 6

REASONING_WORDS = re.compile(
    r"\b(why|compare|comparison|versus|vs|trade-?offs?|pros and cons|difference between|step[- ]by[- ]step|"
    r"analy[sz]e|evaluate|strategy|plan for|design|derive|prove|warum|vergleiche?|pourquoi|comparer?)\b",
    re.IGNORECASE,
)


class Task(StrEnum):
    CHAT = "chat"
    SUMMARIZATION = "summarization"
    DOCUMENT_PROCESSING = "document_processing"
    EMBEDDINGS = "embeddings"
    STRUCTURED = "structured"


class Complexity(StrEnum):
    SIMPLE = "simple"
    MEDIUM = "medium"
    COMPLEX = "complex"


# The least complexity at which a task gets the large model; below it the small one does.
LARGE_MODEL_FROM = {
    Task.CHAT: (Complexity.MEDIUM, Complexity.COMPLEX),
    Task.SUMMARIZATION: (Complexity.COMPLEX,),
    Task.DOCUMENT_PROCESSING: (Complexity.MEDIUM, Complexity.COMPLEX),
}


def choose_model(
    *, task: Task, complexity: Complexity = Complexity.MEDIUM, context_tokens: int = 0, override: str = ""
) -> str:
    """The configured model for the task. `override` (a clone's own model) wins, except for embeddings.

    Embeddings keep their model whatever the context: vectors of two models cannot be compared.
    """
    if task == Task.EMBEDDINGS:
        return settings.EMBEDDING_MODEL
    if override:
        return override
    if task == Task.STRUCTURED:
        return settings.FUNCTION_CALLING_MODEL
    is_large = context_tokens > LONG_CONTEXT_TOKENS or complexity in LARGE_MODEL_FROM[task]
    return settings.GPT_4_MODEL if is_large else settings.GPT_4_MINI_MODEL


def chat_complexity(*, question: str, history_turns: int, passages: int) -> Complexity:
    """Grades a chat turn by what can be seen before it is answered.

    Complex: more than 80 words, two or more questions, or a word that asks for reasoning ("why", "compare").
    Simple: no passage was found, at most 12 words, fewer than six turns before: greetings and small talk.
    Medium: everything else, so every ordinary question about the material.
    """
    words = len(question.split())
    if words > LONG_QUESTION_WORDS or question.count("?") >= 2 or REASONING_WORDS.search(question):
        return Complexity.COMPLEX
    if passages == 0 and words <= SMALL_TALK_WORDS and history_turns < SHORT_HISTORY_TURNS:
        return Complexity.SIMPLE
    return Complexity.MEDIUM
