"""What the tables of prices, the ledger and its daily sums share."""

from typing import Any

from django.db import models


class UsdField(models.DecimalField[Any, Any]):
    """US dollars, NUMERIC(18,10): up to 99 million, exact to a ten-billionth."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"max_digits": 18, "decimal_places": 10, **kwargs})


class Purpose(models.TextChoices):
    CHAT = "chat", "Answer"
    QUERY_EMBEDDING = "query_embedding", "Search"
    DOCUMENT_EMBEDDING = "document_embedding", "Document vectors"
    CLEANING = "cleaning", "Text cleaning"
    SUMMARY = "summary", "Session summary"
    TITLE = "title", "Session title"
    REWRITE = "rewrite", "Question rewriting"
    EXPANSION = "expansion", "Query expansion"
    MEMORY = "memory", "Memory"
    EVALUATION = "evaluation", "Evaluation"
    CHECK = "check", "Configuration check"


class Outcome(models.TextChoices):
    SUCCESS = "success", "Success"
    STOPPED = "stopped", "Stopped"
    FAILED = "failed", "Failed"
    ABANDONED = "abandoned", "Process died"
