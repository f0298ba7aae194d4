"""Every example of the document on Go Bananas! fits the contract transcribed from it."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from contracts import Operation, contract, errors, operation, operations, request_errors, resolve
from curl_commands import read
from examples import operation_of
from snippets import Snippet, snippets

CONTRACT = contract("gobananas")
COUNTS = {"curl": 19, "path": 16, "parameter": 11, "response": 6, "status": 6, "header": 2, "limit": 2,
          "limit-header": 2, "url": 1, "answer": 1, "error": 1}  # fmt: skip


def every(*kinds: str) -> list[Snippet]:
    return snippets("gobananas", *kinds)


def schema_of(found: Operation, status: str) -> Any:
    return resolve(CONTRACT, found.spec["responses"][status])["content"]["application/json"]["schema"]


def test_all_examples_are_stored():
    assert {kind: len(every(kind)) for kind in COUNTS} == COUNTS


@pytest.mark.parametrize("example", every("curl"), ids=str)
def test_a_curl_is_a_request_of_its_operation(example: Snippet):
    request, found = read(example.text), operation_of(example)
    assert request.host == "gobananasai.com"
    assert request.method.lower() == found.method
    pattern = re.sub(r"\\\{\w+\\\}", ".+", re.escape(found.path))
    assert re.fullmatch(pattern, request.path)
    assert request.headers["x-api-key"] == "sk_live_xxx"
    query: Any = {name: value == "true" if name == "download" else value for name, value in request.query.items()}
    assert request_errors(found, query, request.body) == []


@pytest.mark.parametrize("example", every("path"), ids=str)
def test_a_heading_is_an_operation(example: Snippet):
    _, method, path = example.text.split()
    assert (operation_of(example).method, operation_of(example).path) == (method.lower(), re.sub(r":(\w+)", r"{\1}", path))


@pytest.mark.parametrize("example", every("parameter"), ids=str)
def test_a_row_of_a_table_is_a_parameter(example: Snippet):
    name, kind, third, fourth = (part.strip() for part in example.text.strip("|").split("|"))
    if example.place == "body":
        body = resolve(CONTRACT, operation_of(example).body)
        declared = body["properties"][name]
        assert (name in body["required"]) == (third == "Yes")
    else:
        declared = next(parameter for parameter in operation_of(example).parameters if parameter["name"] == name)
        schema = resolve(CONTRACT, declared["schema"])
        assert str(schema.get("default", "-")) == third
    assert declared["x-source"] == str(example)
    assert {**resolve(CONTRACT, declared), **resolve(CONTRACT, declared.get("schema", {}))}.get("type", kind) == kind
    assert fourth


@pytest.mark.parametrize("example", every("response"), ids=str)
def test_a_response_fits_and_with_another_key_it_does_not(example: Snippet):
    schema, body = schema_of(operation_of(example), "200"), json.loads(example.text)
    assert errors(CONTRACT, schema, body) == []
    assert errors(CONTRACT, schema, {**body, "bogus": 1}) != []
    for key in body:
        assert errors(CONTRACT, schema, {name: value for name, value in body.items() if name != key}) != []


def test_the_documented_error_is_that_of_a_missing_image():
    (example,) = every("error")
    schema = schema_of(operation(CONTRACT, "get_image"), "404")
    assert errors(CONTRACT, schema, json.loads(example.text)) == []
    assert errors(CONTRACT, schema, {"error": "Image not found"}) != []


def test_deleting_an_image_answers_204_and_nothing():
    (example,) = every("answer")
    assert "204 No Content" in example.text
    assert [response for response in operation_of(example).spec["responses"] if response.startswith("2")] == ["204"]


@pytest.mark.parametrize("example", every("status"), ids=str)
def test_a_status_is_where_it_can_be(example: Snippet):
    status = re.findall(r"\d{3}", example.text)[0]
    having = {op.spec["operationId"] for op in operations(CONTRACT) if status in op.spec["responses"]}
    if status in ("401", "429", "500"):
        assert having >= {op.spec["operationId"] for op in operations(CONTRACT) if not op.anonymous}
    assert having >= {"400": {"create_image"}, "403": {"get_file"}, "404": {"get_image"}}.get(status, set())


def test_a_429_has_the_documents_headers():
    documented = {item.text.partition(":")[0] for item in every("limit-header")}
    headers = CONTRACT["components"]["responses"]["TooManyRequests"]["headers"]
    assert headers.keys() == documented
    assert all(header["required"] for header in headers.values())


def test_an_operation_called_documented_has_a_heading():
    in_document = {outcome.operation for outcome in every("path")}
    assert in_document == {
        op.spec["operationId"] for op in operations(CONTRACT) if op.spec.get("x-confidence") != "inferred"
    }


@pytest.mark.parametrize("example", every("header"), ids=str)
def test_the_ways_to_send_a_key_are_security_schemes(example: Snippet):
    schemes = CONTRACT["components"]["securitySchemes"].values()
    assert str(example) in [scheme["x-source"] for scheme in schemes]
