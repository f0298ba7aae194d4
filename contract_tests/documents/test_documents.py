"""Every example of the documents on Banana.dev and fal.ai, held against the contract that was transcribed from them."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from contracts import Operation, contract, errors, operation, operations, request_errors, resolve
from snippets import Snippet, read_curl, read_url, snippets

PROVIDERS = ("bananadev", "falai")
CONTRACTS = {provider: contract(provider) for provider in PROVIDERS}
COUNTS = {
    "bananadev": {"url": 9, "curl": 10, "json": 4, "path": 8, "parameter": 13, "status": 4, "definition": 1},
    "falai": {"url": 10, "curl": 19, "json": 4, "path": 9, "parameter": 26, "status": 5, "definition": 1},
}
PARAMETER = re.compile(r"\| `(\w+)` \| (\w+) \|(?: (Yes|No) \|)?")


def every(*kinds: str) -> list[Snippet]:
    return [snippet for provider in PROVIDERS for snippet in snippets(provider, *kinds)]


def of(example: Snippet) -> Operation:
    assert example.operation is not None
    return operation(CONTRACTS[example.provider], example.operation)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_all_examples_of_a_document_are_stored(provider: str):
    assert {kind: len(snippets(provider, kind)) for kind in COUNTS[provider]} == COUNTS[provider]


@pytest.mark.parametrize("example", every("curl"), ids=str)
def test_a_curl_is_a_request_of_its_operation(example: Snippet):
    request, found = read_curl(example.text), of(example)
    assert (request.host, request.provider) == ("api.lowcodeapi.com", example.provider)
    assert (request.path, request.method.lower()) == (found.path, found.method)
    assert request.query["api_token"] == "YOUR_API_TOKEN"
    assert request_errors(found, request.query, request.body) == []


@pytest.mark.parametrize("example", every("url"), ids=str)
def test_an_address_is_that_of_its_operation(example: Snippet):
    if example.operation is None:
        assert CONTRACTS[example.provider]["servers"][0]["url"] + "/" == example.text
        return
    request, found = read_url(example.text), of(example)
    assert (request.host, request.provider, request.path) == ("api.lowcodeapi.com", example.provider, found.path)
    needed = {parameter["name"] for parameter in found.parameters if parameter.get("required")} | {"api_token"}
    assert needed <= request.query.keys()


@pytest.mark.parametrize("example", every("json"), ids=str)
def test_a_json_body_is_one_its_operation_takes(example: Snippet):
    found = of(example)
    assert errors(found.document, found.body, json.loads(example.text)) == []


@pytest.mark.parametrize("example", every("path"), ids=str)
def test_a_section_is_an_operation(example: Snippet):
    method, path = re.findall(r"`([^`]+)`", example.text)
    found = of(example)
    assert (found.method, found.path) == (method.lower(), path)


@pytest.mark.parametrize("example", every("parameter"), ids=str)
def test_a_row_of_a_table_is_a_parameter(example: Snippet):
    match = PARAMETER.fullmatch(example.text)
    assert match is not None
    name, kind, required = match.groups()
    if name == "api_token":
        assert CONTRACTS[example.provider]["components"]["securitySchemes"]["api_token"]["in"] == example.place
        assert not of(example).anonymous
        return
    declared, needed = transcribed(of(example), name, example.place)
    assert needed == (required != "No")
    assert cites(declared["x-source"], example)
    if kind == "number":
        assert resolve(CONTRACTS[example.provider], declared["schema"])["type"] == "integer"
    elif declared.get("x-confidence") == "contradictory":
        assert "type" not in declared.get("schema", declared)
    else:
        assert resolve(CONTRACTS[example.provider], declared.get("schema", declared))["type"] == kind


def transcribed(found: Operation, name: str, place: str | None) -> tuple[Any, bool]:
    """The parameter or property as the contract has it, and whether it is required."""
    if place == "body":
        declared = found.body["properties"][name]
        resolved = {**resolve(found.document, declared), **declared}
        return resolved, name in found.body["required"]
    # Path parameters travel in the query (A:96).
    declared = next(parameter for parameter in found.parameters if (parameter["name"], parameter["in"]) == (name, "query"))
    return declared, bool(declared.get("required"))


def cites(source: str, example: Snippet) -> bool:
    """Whether a source such as `A:94-96` or `A:30, A:36` holds the line of the example."""
    ranges = re.findall(rf"{example.document}:(\d+)(?:-(\d+))?", source)
    return any(int(first) <= example.lines[0] <= int(last or first) for first, last in ranges)


@pytest.mark.parametrize("example", every("status"), ids=str)
def test_a_listed_status_is_in_every_operation(example: Snippet):
    status = re.findall(r"\d{3}", example.text)[0]
    without = [
        str(op)
        for op in operations(CONTRACTS[example.provider])
        if status not in op.spec["responses"] and not op.anonymous
    ]
    assert without == []


@pytest.mark.parametrize("provider", PROVIDERS)
def test_what_the_contract_calls_documented_has_a_section_or_an_example(provider: str):
    shown = {snippet.operation for snippet in snippets(provider, "curl", "path")}
    documented = {
        op.spec["operationId"]
        for op in operations(CONTRACTS[provider])
        if "operationId" in op.spec and op.spec.get("x-confidence", "documented") == "documented"
    }
    only_in_examples = {"get_analytics", "monitor_instance"} if provider == "falai" else set[str]()
    assert shown == documented | only_in_examples
