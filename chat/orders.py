"""What a client may send over the socket of a conversation; see `docs/contracts.md`. Enter at `parse_order`."""

from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from cloneai.api_input import NOT_A_FLAG


class SendMessage(BaseModel):
    type: Literal["message"]
    content: str
    client_message_id: UUID | None = None


class Stop(BaseModel):
    type: Literal["stop"]
    message_id: UUID


class Regenerate(BaseModel):
    type: Literal["regenerate"]
    message_id: UUID


class Edit(BaseModel):
    type: Literal["edit"]
    message_id: UUID
    content: str


class Resume(BaseModel):
    type: Literal["resume"]
    message_id: UUID
    after_seq: Annotated[int, NOT_A_FLAG, Field(ge=-1, le=10**9)]


Order = SendMessage | Stop | Regenerate | Edit | Resume
_ORDERS: TypeAdapter[Order] = TypeAdapter(Annotated[Order, Field(discriminator="type")])


class UnknownOrder(Exception):  # noqa: N818  (what it is)
    """The frame is no JSON, or nothing that the chat knows. Its message names what is wrong, without the text."""


def parse_order(text: str) -> Order:
    """Raises UnknownOrder."""
    try:
        return _ORDERS.validate_json(text)
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join(str(part) for part in problem["loc"])
        raise UnknownOrder(f"{where}: {problem['msg']}" if where else problem["msg"]) from None
