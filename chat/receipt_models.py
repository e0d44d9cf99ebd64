"""The receipt of an answer; see `chat.receipts`."""

from typing import Self

from django.contrib.auth.models import AnonymousUser
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.utils import timezone

from chat.models import ChatSession, Message
from cloneai.accounts.models import User


class AnswerReceiptQuerySet(models.QuerySet["AnswerReceipt"]):
    def readable_by_staff(self, user: User | AnonymousUser) -> Self:
        """It holds the prompt, and so the conversation: for those who may read the transcript."""
        return self.filter(message__session__in=ChatSession.objects.readable_by_staff(user))


class AnswerReceipt(models.Model):
    """How an answer came about, as it was when it was written. Staff only; its costs are the ledger's records.

    `passages` are those found, best first: kept ones and ones below the floor, `number` the one they had in the prompt.
    `memories` are what was known of the member and told to the model. `claims` are the cited statements and whether
    their passages bear them out.
    """

    message = models.OneToOneField(Message, on_delete=models.CASCADE, related_name="receipt")
    question = models.TextField()
    query = models.TextField(blank=True)
    phrasings = ArrayField(models.TextField(), default=list)
    floor = models.FloatField(default=0.0)
    is_lexical_only = models.BooleanField(default=False)
    expansion_cost_usd = models.DecimalField(max_digits=18, decimal_places=10, default=0)
    passages = models.JSONField(default=list)
    memories = models.JSONField(default=list)
    prompt = models.JSONField(default=list)
    claims = models.JSONField(default=list)
    timings_ms = models.JSONField(default=dict)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    objects = AnswerReceiptQuerySet.as_manager()

    def __str__(self) -> str:
        return f"Receipt of {self.message_id}"

    @property
    def is_rewritten(self) -> bool:
        """Whether something else than the member's own words was searched for."""
        return bool(self.query) and " ".join(self.question.split()) != self.query
