"""The OpenAPI document: complete, with examples that fit its own schemas."""

from typing import Any

import pytest

from cloneai import api_schema
from cloneai.api import api

DOCUMENT: Any = api.get_openapi_schema()
OPERATIONS = {
    operation["operationId"].rpartition("_api_")[2]: operation
    for item in DOCUMENT["paths"].values()
    for operation in item.values()
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_operation_declares_its_refusals(name: str):
    responses = {str(status): answer for status, answer in OPERATIONS[name]["responses"].items()}
    assert {"401", "403", "422", "429"} <= set(responses)
    for status, answer in responses.items():
        if int(status) >= 400:
            content = answer["content"]["application/json"]
            assert content["schema"] == {"$ref": "#/components/schemas/Error"}
            assert set(content["example"]) == set(DOCUMENT["components"]["schemas"]["Error"]["properties"])


def test_what_the_tables_name_exists():
    named = {*api_schema.BY_OPERATION, *api_schema.REQUESTS, *api_schema.ANSWERS}
    assert named - set(OPERATIONS) == set()


def test_every_json_body_has_an_example():
    bodies = {
        name: operation["requestBody"]["content"]["application/json"]
        for name, operation in OPERATIONS.items()
        if "application/json" in operation.get("requestBody", {}).get("content", {})
    }
    assert bodies
    assert [name for name, body in bodies.items() if "example" not in body] == []


@pytest.mark.parametrize("name", [*api_schema.REQUESTS, *api_schema.ANSWERS])
def test_examples_have_fields_of_the_schema_and_all_required_ones(name: str):
    operation = OPERATIONS[name]
    contents = [operation.get("requestBody", {}).get("content", {}).get("application/json", {})]
    contents += [
        answer.get("content", {}).get("application/json", {}) for answer in operation["responses"].values()
    ]
    for content in contents:
        reference = content.get("schema", {}).get("$ref", "")
        if "example" in content and reference:
            schema = DOCUMENT["components"]["schemas"][reference.rpartition("/")[2]]
            assert set(content["example"]) <= set(schema["properties"]), name
            assert set(schema.get("required", [])) <= set(content["example"]), name
