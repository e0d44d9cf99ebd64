"""What a summary consists of: the schemas that the model must fill. Version 1."""

from enum import StrEnum
from typing import Annotated

from pydantic import AfterValidator, BaseModel

SCHEMA_VERSION = 1


def _refuse_blank(text: str) -> str:
    if not text.strip():
        raise ValueError("nothing was written")
    return text


def _drop_blank(texts: list[str]) -> list[str]:
    return [text for text in texts if text.strip()]


# Checked here and not in the schema that the model is given: not every provider takes a least length.
Prose = Annotated[str, AfterValidator(_refuse_blank)]
Entries = Annotated[list[str], AfterValidator(_drop_blank)]


class Priority(StrEnum):
    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


class Effort(StrEnum):
    SMALL = "small"
    MEDIUM = "medium"
    LARGE = "large"


class ActionItem(BaseModel):
    """Something to do. `message_number` is the n of the transcript's [mn] that it came from."""

    description: str
    priority: Priority
    estimated_effort: Effort
    message_number: int


class BriefSummary(BaseModel):
    summary: Prose


class DetailedSummary(BaseModel):
    main_topics: Entries
    key_insights: Entries
    action_items: list[ActionItem]
    progress_made: Entries
    next_steps: Entries
    overall_assessment: Prose


class ActionItems(BaseModel):
    action_items: list[ActionItem]


class Overall(BaseModel):
    """The last word on a conversation that was summarised in parts."""

    overall_assessment: Prose


SCHEMAS: dict[str, type[BaseModel]] = {
    "brief": BriefSummary,
    "detailed": DetailedSummary,
    "action_items": ActionItems,
}
