"""What a summary consists of: the schemas that the model must fill. Version 1."""

from enum import StrEnum

from pydantic import BaseModel

SCHEMA_VERSION = 1


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
    summary: str


class DetailedSummary(BaseModel):
    main_topics: list[str]
    key_insights: list[str]
    action_items: list[ActionItem]
    progress_made: list[str]
    next_steps: list[str]
    overall_assessment: str


class ActionItems(BaseModel):
    action_items: list[ActionItem]


class Overall(BaseModel):
    """The last word on a conversation that was summarised in parts."""

    overall_assessment: str


SCHEMAS: dict[str, type[BaseModel]] = {
    "brief": BriefSummary,
    "detailed": DetailedSummary,
    "action_items": ActionItems,
}
