"""The retrieval check of a clone: what a question finds, and what the model would be sent."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from asgiref.sync import async_to_sync
from django.http import HttpResponseBase
from django.shortcuts import get_object_or_404

from billing.metering import MeteredCallError, Payer
from cloneai.accounts.admin_access import StaffRequest
from cloneai.threads import release_connection
from clones.models import Clone
from knowledge.admin_forms import CheckForm
from knowledge.prompt_preview import PromptPreview, preview_prompt
from knowledge.relevance import KEPT_BELOW_FLOOR
from knowledge.retrieval import Passage, SearchResult, search_passages

if TYPE_CHECKING:
    from knowledge.admin import DocumentAdmin


def check_retrieval(model_admin: "DocumentAdmin", request: StaffRequest, clone_id: int) -> HttpResponseBase:
    """Searches the clone's documents as an answer would and ranks the passages. One metered search a post."""
    clone = get_object_or_404(Clone.objects.editable_by(request.user), pk=clone_id)
    form = CheckForm(request.POST or None)
    result, preview, error = None, None, ""
    if request.method == "POST" and form.is_valid():
        payer = Payer(user_id=request.user.pk, clone_id=clone.pk)
        question = form.cleaned_data["question"]
        release_connection()
        try:
            result = async_to_sync(search_passages)(clone=clone, query=question, payer=payer)
            preview = preview_prompt(clone=clone, question=question, search=result)
        except MeteredCallError as failure:
            error = failure.user_message
    return model_admin.render(
        request,
        "admin/knowledge/check.html",
        title=f"Retrieval check: {clone.name}",
        clone=clone,
        form=form,
        result=result,
        preview=preview,
        kept=_with_numbers(result.passages, preview=preview) if result else [],
        dropped=_with_numbers(result.dropped, preview=None) if result else [],
        least=_least_relevance(clone=clone, result=result) if result else None,
        error=error,
        ready_count=clone.documents.filter(live_version__isnull=False).count(),
    )


def _with_numbers(
    passages: Sequence[Passage], *, preview: PromptPreview | None
) -> list[tuple[Passage, int | None]]:
    """Each passage with the number that it has in the prompt; None for those that the model is not sent."""
    return [(passage, preview.numbers.get(passage.chunk_id) if preview else None) for passage in passages]


def _least_relevance(*, clone: Clone, result: SearchResult) -> float:
    """What a passage after the best one must reach to be used."""
    return result.floor if clone.similarity_threshold is not None else result.floor * KEPT_BELOW_FLOOR
