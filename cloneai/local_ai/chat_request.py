"""Reading and validating the body of `/v1/chat/completions`, by OpenAI's rules and wording."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cloneai.local_ai.catalogue import Catalogue
from cloneai.local_ai.errors import LocalAiError

ROLES = ("developer", "system", "user", "assistant", "tool", "function")
MAX_STOPS = 4


@dataclass(frozen=True)
class ChatMessage:
    """One message of the request; text parts are joined with line breaks."""

    role: str
    content: str


@dataclass(frozen=True)
class ChatRequest:
    """A valid request. `schema` is the wanted JSON schema, `{}` for any object, None for prose."""

    model: str
    messages: tuple[ChatMessage, ...]
    stream: bool
    include_usage: bool
    max_tokens: int | None
    stop: tuple[str, ...]
    schema: Mapping[str, Any] | None

    @property
    def instructions(self) -> str:
        """The text of all system and developer messages."""
        return "\n\n".join(item.content for item in self.messages if item.role in ("system", "developer"))

    @property
    def user_texts(self) -> tuple[str, ...]:
        """The text of all user messages, oldest first."""
        return tuple(item.content for item in self.messages if item.role == "user")


def read_chat_request(*, payload: Mapping[str, Any], catalogue: Catalogue) -> ChatRequest:
    """Validate a request's JSON; raises `LocalAiError` as OpenAI would refuse it."""
    model = payload.get("model")
    if not isinstance(model, str) or not model:
        raise LocalAiError("you must provide a model parameter")
    catalogue.check_model(model=model, kind="chat")
    messages = _read_messages(payload.get("messages"))
    stream = _read_flag(payload, "stream")
    _check_number(payload, "temperature", low=0, high=2)
    _check_number(payload, "top_p", low=0, high=1)
    if payload.get("n") not in (None, 1):
        raise LocalAiError("Invalid value for 'n': this provider gives one choice.", param="n")
    if payload.get("tool_choice") == "required" or isinstance(payload.get("tool_choice"), dict):
        raise LocalAiError("This model cannot call tools.", param="tool_choice")
    return ChatRequest(
        model=model,
        messages=messages,
        stream=stream,
        include_usage=_read_include_usage(payload.get("stream_options"), stream=stream),
        max_tokens=_read_max_tokens(payload),
        stop=_read_stop(payload.get("stop")),
        schema=_read_schema(payload.get("response_format"), messages=messages),
    )


def _read_messages(value: object) -> tuple[ChatMessage, ...]:
    if value is None:
        raise LocalAiError(
            "Missing required parameter: 'messages'.", param="messages", code="missing_required_parameter"
        )
    if not isinstance(value, list):
        raise LocalAiError(
            "Invalid type for 'messages': expected an array of objects.",
            param="messages",
            code="invalid_type",
        )
    if not value:
        raise LocalAiError(
            "Invalid 'messages': empty array. Expected an array with minimum length 1, "
            "but got an empty array instead.",
            param="messages",
            code="empty_array",
        )
    return tuple(_read_message(item, where=f"messages[{index}]") for index, item in enumerate(value))


def _read_message(item: object, *, where: str) -> ChatMessage:
    if not isinstance(item, dict):
        raise LocalAiError(
            f"Invalid type for '{where}': expected an object.", param=where, code="invalid_type"
        )
    role = item.get("role")
    if role is None:
        raise LocalAiError(
            f"Missing required parameter: '{where}.role'.",
            param=f"{where}.role",
            code="missing_required_parameter",
        )
    if role not in ROLES:
        supported = ", ".join(f"'{name}'" for name in ROLES)
        raise LocalAiError(
            f"Invalid value: '{role}'. Supported values are: {supported}.",
            param=f"{where}.role",
            code="invalid_value",
        )
    content = item.get("content")
    if isinstance(content, str):
        return ChatMessage(role=role, content=content)
    if isinstance(content, list):
        return ChatMessage(role=role, content="\n".join(_read_part(part, where=where) for part in content))
    if content is None and role == "assistant":
        return ChatMessage(role=role, content="")
    raise LocalAiError(
        f"Invalid value for 'content': expected a string, got "
        f"{'null' if content is None else 'another type'}.",
        param=f"{where}.content",
    )


def _read_part(part: object, *, where: str) -> str:
    if isinstance(part, dict) and part.get("type") in ("text", "refusal"):
        text = part.get(str(part["type"]))
        if isinstance(text, str):
            return text
    raise LocalAiError(
        "Invalid content part: this model reads text only.", param=f"{where}.content", code="invalid_value"
    )


def _read_flag(payload: Mapping[str, Any], name: str) -> bool:
    value = payload.get(name)
    if value is not None and not isinstance(value, bool):
        raise LocalAiError(f"Invalid type for '{name}': expected a boolean.", param=name, code="invalid_type")
    return bool(value)


def _read_include_usage(value: object, *, stream: bool) -> bool:
    if value is None:
        return False
    if not stream:
        raise LocalAiError(
            "The 'stream_options' parameter is only allowed when 'stream' is enabled.", param="stream_options"
        )
    if not isinstance(value, dict):
        raise LocalAiError(
            "Invalid type for 'stream_options': expected an object.",
            param="stream_options",
            code="invalid_type",
        )
    return bool(value.get("include_usage"))


def _read_max_tokens(payload: Mapping[str, Any]) -> int | None:
    old, new = payload.get("max_tokens"), payload.get("max_completion_tokens")
    if old is not None and new is not None:
        raise LocalAiError(
            "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported.",
            code="invalid_parameter_combination",
        )
    name, value = ("max_tokens", old) if new is None else ("max_completion_tokens", new)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int):
        raise LocalAiError(
            f"Invalid type for '{name}': expected an integer.", param=name, code="invalid_type"
        )
    if value < 1:
        raise LocalAiError(
            f"Invalid '{name}': integer below minimum value. Expected a value >= 1, but got {value}.",
            param=name,
            code="integer_below_min_value",
        )
    return value


def _read_stop(value: object) -> tuple[str, ...]:
    stops = [value] if isinstance(value, str) else value or []
    if (
        not isinstance(stops, list)
        or len(stops) > MAX_STOPS
        or not all(isinstance(stop, str) for stop in stops)
    ):
        raise LocalAiError(f"Invalid 'stop': expected a string or at most {MAX_STOPS} strings.", param="stop")
    return tuple(stop for stop in stops if stop)


def _check_number(payload: Mapping[str, Any], name: str, *, low: float, high: float) -> None:
    value = payload.get(name)
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise LocalAiError(f"Invalid type for '{name}': expected a number.", param=name, code="invalid_type")
    if not low <= value <= high:
        raise LocalAiError(
            f"Invalid '{name}': expected a value between {low} and {high}, but got {value}.",
            param=name,
            code="decimal_out_of_range",
        )


def _read_schema(value: object, *, messages: tuple[ChatMessage, ...]) -> Mapping[str, Any] | None:
    if value is None:
        return None
    kind = value.get("type") if isinstance(value, dict) else None
    if kind == "text":
        return None
    if kind == "json_object":
        if not any("json" in message.content.lower() for message in messages):
            raise LocalAiError(
                "'messages' must contain the word 'json' in some form, to use 'response_format' of type "
                "'json_object'.",
                param="messages",
            )
        return {}
    if kind != "json_schema":
        raise LocalAiError(
            f"Invalid value: '{kind}'. Supported values are: 'json_object', 'json_schema', and 'text'.",
            param="response_format.type",
            code="invalid_value",
        )
    named = value.get("json_schema") if isinstance(value, dict) else None
    if not isinstance(named, dict) or not named.get("name"):
        raise LocalAiError(
            "Missing required parameter: 'response_format.json_schema.name'.",
            param="response_format.json_schema.name",
            code="missing_required_parameter",
        )
    schema = named.get("schema")
    if not isinstance(schema, dict):
        raise LocalAiError(
            "Missing required parameter: 'response_format.json_schema.schema'.",
            param="response_format.json_schema.schema",
            code="missing_required_parameter",
        )
    return schema
