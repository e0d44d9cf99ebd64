"""What cleaning by the model costs: estimated before a document is read, and booked afterwards. US dollars."""

from decimal import Decimal

from django.conf import settings
from django.db.models import Sum

from billing.metering import Usage
from billing.model_choice import Complexity, Task, choose_model
from billing.models import CostRecord, ModelPrice, Purpose, utc_today
from billing.prices import cost_usd, price_of
from knowledge.ai_cleaning import WINDOW_TOKENS
from knowledge.models import Document

PAGE_TOKENS = 650  # a full page of English prose
INSTRUCTION_TOKENS = 120  # of each window


def estimate_cleaning_usd(*, tokens: int) -> Decimal | None:
    """What cleaning a text of so many tokens will cost; None when it is off or has no price. One query."""
    if settings.AI_OFFLINE or not settings.DOCUMENT_CLEANING:
        return None
    model = choose_model(task=Task.DOCUMENT_PROCESSING, complexity=Complexity.SIMPLE)
    row = ModelPrice.objects.valid_on(utc_today()).filter(model=model).first()
    if row is None:
        return None
    windows = -(-tokens // WINDOW_TOKENS)
    usage = Usage(
        input_tokens=tokens + windows * INSTRUCTION_TOKENS, cached_input_tokens=0, output_tokens=tokens
    )
    return cost_usd(usage=usage, price=price_of(row))


def cleaning_cost_usd(*, document: Document) -> Decimal:
    """What cleaning this document has cost so far, all its versions together."""
    records = CostRecord.objects.filter(document_id=document.pk, purpose=Purpose.CLEANING)
    return records.aggregate(total=Sum("cost_usd"))["total"] or Decimal(0)
