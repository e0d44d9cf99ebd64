"""What programs send, refused where it is not what it is taken for, or where the database could not keep it."""

from collections.abc import Iterator
from typing import Any

from django.http import HttpRequest
from django.utils.datastructures import MultiValueDict
from ninja.errors import HttpError
from ninja.parser import Parser
from pydantic import BeforeValidator
from pydantic_core import PydanticCustomError

UNSTORABLE = "Text must not hold NUL characters or halves of surrogate pairs."
NO_OBJECT = "The body must be a JSON object."


def _refuse_flag(value: Any) -> Any:
    """Left to itself pydantic takes true for 1 and false for 0."""
    if isinstance(value, bool):
        raise PydanticCustomError("number_type", "Input should be a number, not true or false")
    return value


# Annotates a number's type where `Strict` would refuse too much, such as 1.0 or numbers as text.
NOT_A_FLAG = BeforeValidator(_refuse_flag)


class StorableParser(Parser):
    """Both raise HttpError 422 for text that PostgreSQL refuses, and for bodies that are no object.

    A list would pass as an object of which every field is left out.
    """

    def parse_body(self, request: HttpRequest) -> dict[str, Any]:
        body = super().parse_body(request)
        if not isinstance(body, dict):
            raise HttpError(422, NO_OBJECT)
        return _check(body)

    def parse_querydict(
        self, data: MultiValueDict[str, Any], list_fields: list[str], request: HttpRequest
    ) -> dict[str, Any]:
        return _check(super().parse_querydict(data, list_fields, request))


def _check(data: dict[str, Any]) -> dict[str, Any]:
    if not all(map(_is_storable, _texts(data))):
        raise HttpError(422, UNSTORABLE)
    return data


def _texts(value: Any) -> Iterator[str]:
    """Every string in parsed JSON, keys included."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _texts(key)
            yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)


def _is_storable(text: str) -> bool:
    return "\x00" not in text and not any("\ud800" <= letter <= "\udfff" for letter in text)
