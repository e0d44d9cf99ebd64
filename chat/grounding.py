"""What an answer rests on, the same for a conversation and for a completion over `/v1/`.

In order: `find_material`, `write_prompt`, and after the answer `find_gap` or `found_nothing`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from billing.metering import ChatMessage, Payer
from billing.model_choice import Task, chat_complexity, choose_model
from chat.context import AnswerContext, build_context, is_small_talk
from chat.followups import question_to_search
from chat.gap_models import GapReason
from chat.memories import Recalled, asks_about_member
from chat.memory_prompts import build_memory_block
from cloneai.local_ai.answer_frames import says_only_nearest
from clones.models import Clone
from knowledge.prompt_preview import PromptPreview
from knowledge.retrieval import Passage, SearchResult, search_passages


@dataclass(frozen=True, slots=True)
class Prompt:
    """Which model is asked, and what."""

    model: str
    context: AnswerContext


async def find_material(
    *, clone: Clone, question: str, history: Sequence[ChatMessage], payer: Payer
) -> SearchResult | None:
    """Searches the clone's passages for the question, or for what it means after `history` (oldest first).

    None for small talk and for questions about the member, whose answers stand in no passage. Raises MeteredCallError.
    """
    if is_small_talk(question) or asks_about_member(question):
        return None
    query = await question_to_search(question=question, history=history, payer=payer)
    return await search_passages(clone=clone, query=query, payer=payer)


def write_prompt(
    *,
    clone: Clone,
    question: str,
    history: Sequence[ChatMessage],
    search: SearchResult | None,
    wishes: str = "",
    memories: Sequence[Recalled] = (),
) -> Prompt | None:
    """Chooses the model and fills its context. Counts tokens, so call it in a thread.

    None: a strict clone has no passage to answer from, and says its "no answer" text without a model.
    """
    passages = search.passages if search else ()
    model = choose_model(
        task=Task.CHAT,
        complexity=chat_complexity(
            question=question, history_turns=len(history) // 2, passages=len(passages)
        ),
        override=clone.chat_model,
    )
    context = build_context(
        clone=clone,
        model=model,
        question=question,
        history=history,
        passages=passages,
        wishes=wishes,
        memory_block=build_memory_block(
            name=clone.name,
            memories=[memory.text for memory in memories],
            is_asked_for=asks_about_member(question),
        ),
    )
    if clone.is_strict and search is not None and not context.passages:
        return None
    return Prompt(model=model, context=context)


def preview_prompt(clone: Clone, question: str, search: SearchResult) -> PromptPreview | None:
    """For the retrieval check: the prompt of a conversation that begins with `question`."""
    needs_none = is_small_talk(question) or asks_about_member(question)
    prompt = write_prompt(clone=clone, question=question, history=(), search=None if needs_none else search)
    if prompt is None:
        return None
    return PromptPreview(
        model=prompt.model,
        messages=prompt.context.messages,
        numbers={passage.chunk_id: number for number, passage in enumerate(prompt.context.passages, start=1)},
        input_tokens=prompt.context.input_tokens,
    )


def found_nothing(
    *, clone: Clone, question: str, text: str, passages: Sequence[Passage], numbers: dict[int, int]
) -> bool:
    """No passage was good enough, or the answer says so in the clone's own "no answer" words."""
    says_so = not numbers and _holds_no_answer_text(clone=clone, text=text)
    needs_none = is_small_talk(question) or asks_about_member(question)
    return not needs_none and (not passages or says_so)


def find_gap(
    *, clone: Clone, question: str, text: str, passages: Sequence[Passage], numbers: dict[int, int]
) -> GapReason | None:
    """What the answer leaves to be wished for; None when it answers, as far as can be told from its words.

    An answer that cites passages and says that these do not answer the question has only the nearest to give: in the
    clone's own "no answer" words, or in those of offline mode. Others that a model finds are not recognised.
    """
    if found_nothing(clone=clone, question=question, text=text, passages=passages, numbers=numbers):
        return GapReason.UNANSWERED
    is_nearest = says_only_nearest(text=text) or _holds_no_answer_text(clone=clone, text=text)
    return GapReason.NEAREST if numbers and is_nearest else None


def _holds_no_answer_text(*, clone: Clone, text: str) -> bool:
    return " ".join(clone.no_answer_text.split()) in " ".join(text.split())
