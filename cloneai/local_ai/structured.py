"""Structured answers: walk a JSON schema and fill it, so that the result is valid against it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from cloneai.local_ai.chat_request import ChatRequest
from cloneai.local_ai.fields import INSIGHT_KINDS, NOTHING, Content, choose_option, item_text
from cloneai.local_ai.transcripts import Extract

Schema = Mapping[str, Any]

MAX_DEPTH = 12
MAX_ITEMS = 30
_FORMATS = {
    "date": "2000-01-01",
    "date-time": "2000-01-01T00:00:00Z",
    "time": "00:00:00Z",
    "duration": "PT0S",
    "email": "nobody@example.com",
    "hostname": "example.com",
    "ipv4": "127.0.0.1",
    "ipv6": "::1",
    "uri": "https://example.com/",
    "uuid": "00000000-0000-4000-8000-000000000000",
}
# What a prompt without a schema may ask for, and the words it asks with.
_ASKED = {
    "summary": r"\bsummar",
    "main_topics": r"main.topics",
    "key_insights": r"key.insights",
    "action_items": r"action.items",
    "progress_made": r"progress.made",
    "next_steps": r"next.steps",
    "overall_assessment": r"overall.assessment",
    "queries": r"alternative (?:phrasings|queries)",
    "title": r"\btitle\b",
    "query": r"stand-?alone",
}


def write_structured(*, request: ChatRequest) -> str:
    """Return JSON text that is valid against the request's schema, filled from the request's conversation."""
    root: Schema = request.schema or _schema_from_prompt(request)
    walker = _Walker(root=root, content=Content(request=request))
    return json.dumps(walker.fill(root, name="", item=None, depth=0), ensure_ascii=False)


class _Walker:
    """Fills one schema; `item` is the extract that the list entry being filled is about."""

    def __init__(self, *, root: Schema, content: Content) -> None:
        self._root = root
        self._content = content

    def fill(self, schema: Schema, *, name: str, item: Extract | None, depth: int) -> Any:
        schema = self._resolve(schema, depth=depth)
        if "const" in schema:
            return schema["const"]
        if "enum" in schema:
            return self._option(schema["enum"], name=name, item=item)
        match _type_of(schema):
            case "object":
                return self._object(schema, item=item, depth=depth)
            case "array":
                return self._array(schema, name=name, item=item, depth=depth)
            case "integer" | "number" as kind:
                return _number(schema, name=name, item=item, whole=kind == "integer")
            case "boolean":
                return False
            case "null":
                return None
        return self._string(schema, name=name, item=item)

    def _resolve(self, schema: Schema, *, depth: int) -> Schema:
        """Follow references, merge `allOf`, and choose a branch of `anyOf`: a real one, or null when too deep."""
        for _ in range(MAX_DEPTH):
            if "$ref" in schema:
                rest = {key: value for key, value in schema.items() if key != "$ref"}
                schema = {**self._lookup(str(schema["$ref"])), **rest}
            elif schema.get("allOf"):
                merged: dict[str, Any] = {key: value for key, value in schema.items() if key != "allOf"}
                for part in schema["allOf"]:
                    merged = {**self._resolve(part, depth=depth), **merged}
                schema = merged
            elif schema.get("anyOf") or schema.get("oneOf"):
                branches = schema.get("anyOf") or schema["oneOf"]
                rest = {
                    key: value for key, value in schema.items() if key not in ("anyOf", "oneOf", "default")
                }
                schema = {**rest, **_branch(branches, prefer_null=depth > MAX_DEPTH // 2)}
            else:
                return schema
        return schema

    def _lookup(self, reference: str) -> Schema:
        found: Any = self._root
        for part in reference.removeprefix("#").strip("/").split("/"):
            if part:
                found = (
                    found.get(part.replace("~1", "/").replace("~0", "~"), {})
                    if isinstance(found, dict)
                    else {}
                )
        return found if isinstance(found, dict) else {}

    def _object(self, schema: Schema, *, item: Extract | None, depth: int) -> dict[str, Any]:
        properties: Mapping[str, Schema] = schema.get("properties", {})
        required = schema.get("required", [])
        names = list(properties) if depth < MAX_DEPTH else [name for name in required if name in properties]
        filled: dict[str, Any] = {}
        for name in names:
            value = properties[name]
            if item is not None and _is_nullable(value) and not _has_value(name, item):
                filled[name] = None
            else:
                filled[name] = self.fill(value, name=name, item=item, depth=depth + 1)
        return filled

    def _array(self, schema: Schema, *, name: str, item: Extract | None, depth: int) -> list[Any]:
        least, most = int(schema.get("minItems", 0)), int(schema.get("maxItems", MAX_ITEMS))
        inner: Schema = schema.get("items") or {"type": "string"}
        if depth >= MAX_DEPTH:
            chosen: list[Extract] = []
        elif item is not None:
            chosen = [item]
        else:
            chosen = self._extracts(name, inner, depth=depth)
        chosen = chosen[:most]
        if len(chosen) < least:
            spare = [extract for extract in self._content.central if extract not in chosen]
            chosen += spare[: least - len(chosen)]
        chosen += [Extract(text=NOTHING)] * (least - len(chosen))
        singular = re.sub(r"s$", "", name)
        values = [self.fill(inner, name=singular, item=extract, depth=depth + 1) for extract in chosen]
        if schema.get("uniqueItems"):
            values = [value for index, value in enumerate(values) if value not in values[:index]]
        return values

    def _extracts(self, name: str, inner: Schema, *, depth: int) -> list[Extract]:
        """Return what a list is filled with, by its name or by the kinds that its items may be of."""
        kinds = self._kinds(inner, depth=depth)
        if set(kinds) & set(INSIGHT_KINDS):
            return [extract for extract in self._content.all_insights() if extract.kind in kinds]
        known = self._content.list_of(name)
        return known if known is not None else self._content.central[:3]

    def _kinds(self, inner: Schema, *, depth: int) -> Sequence[str]:
        properties = self._resolve(inner, depth=depth).get("properties", {})
        for name in ("kind", "type", "category"):
            if name in properties:
                return [str(value) for value in self._resolve(properties[name], depth=depth).get("enum", [])]
        return []

    def _option(self, options: Sequence[Any], *, name: str, item: Extract | None) -> Any:
        texts = [option for option in options if isinstance(option, str)]
        if not texts:
            return options[0]
        return choose_option(name=name, options=texts, item=item, content=self._content)

    def _string(self, schema: Schema, *, name: str, item: Extract | None) -> str:
        if schema.get("format") in _FORMATS:
            return _FORMATS[schema["format"]]
        text = item_text(name=name, item=item) if item else self._content.text_of(name)
        limit = schema.get("maxLength")
        if isinstance(limit, int) and len(text) > limit:
            text = text[: max(limit - 1, 0)].rsplit(" ", 1)[0] + "…" if limit > 1 else text[:limit]
        return text.ljust(int(schema.get("minLength", 0)), ".")


def _type_of(schema: Schema) -> str:
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = next((option for option in kind if option != "null"), "null")
    if kind is None:
        kind = "object" if "properties" in schema else "array" if "items" in schema else "string"
    return str(kind)


def _branch(branches: Sequence[Schema], *, prefer_null: bool) -> Schema:
    nulls = [branch for branch in branches if branch.get("type") == "null"]
    others = [branch for branch in branches if branch.get("type") != "null"]
    return nulls[0] if nulls and (prefer_null or not others) else others[0]


def _is_nullable(schema: Schema) -> bool:
    kind = schema.get("type")
    branches = schema.get("anyOf") or schema.get("oneOf") or []
    return (isinstance(kind, list) and "null" in kind) or any(
        branch.get("type") == "null" for branch in branches
    )


def _has_value(name: str, item: Extract) -> bool:
    """Tell whether an extract can say anything for a nullable field."""
    if "message" in name or "turn" in name:
        return item.turn is not None and bool(item.turn.id)
    return not re.search(r"due|date|deadline|url|link", name)


def _number(schema: Schema, *, name: str, item: Extract | None, whole: bool) -> int | float:
    """Return a number within the schema's limits: a message's number, a middling confidence, else the least."""
    value: float = 0
    if item and item.turn and item.turn.number is not None and re.search(r"message|turn|source", name):
        value = item.turn.number
    elif re.search(r"confidence|score|probability|relevance", name):
        value = 0.5
    step = schema.get("multipleOf") or (1 if whole else 0)
    low, high = schema.get("minimum"), schema.get("maximum")
    if "exclusiveMinimum" in schema:
        low = schema["exclusiveMinimum"] + (step or 1e-6)
    if "exclusiveMaximum" in schema:
        high = schema["exclusiveMaximum"] - (step or 1e-6)
    value = max(value, low) if low is not None else value
    value = min(value, high) if high is not None else value
    if step:
        # the next multiple upwards, unless that is beyond the limit
        value = -(-value // step) * step
        value = value - step if high is not None and value > high else value
    return int(value) if whole else value


def _schema_from_prompt(request: ChatRequest) -> Schema:
    """Build a schema for "any JSON object": the fields that the prompt names, or else a summary."""
    prompt = "\n".join((request.instructions, *request.user_texts[-1:]))
    wanted = [name for name in INSIGHT_KINDS if name in prompt]
    wanted = wanted or [name for name, words in _ASKED.items() if re.search(words, prompt, re.IGNORECASE)]
    texts = ("summary", "overall_assessment", "title", "query")
    item = {"type": "object", "properties": {
        "description": {"type": "string"}, "priority": {"enum": ["high", "medium", "low"]},
        "estimated_effort": {"enum": ["high", "medium", "low"]}}}  # fmt: skip
    properties: dict[str, Any] = {}
    for name in wanted or ["summary"]:
        inner = item if name == "action_items" else {"type": "string"}
        properties[name] = {"type": "string"} if name in texts else {"type": "array", "items": inner}
    return {"type": "object", "properties": properties}
