"""What a member thinks of an answer, and what follows from it."""

from django.db import transaction

from chat.gaps import record_gap, withdraw_dislike
from chat.models import GapReason, Message


@transaction.atomic
def save_feedback(*, answer: Message, rating: int | None, comment: str) -> None:
    """Saves both; an answer that did not help shows the expert a gap, until the rating is taken back."""
    answer.rating, answer.rating_comment = rating, comment
    answer.save(update_fields=["rating", "rating_comment"])
    if rating == -1:
        record_gap(answer=answer, reason=GapReason.DISLIKED)
    else:
        withdraw_dislike(answer=answer)
