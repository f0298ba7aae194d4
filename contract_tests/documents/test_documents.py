"""Every example of the documents on Banana.dev and fal.ai fits the contract transcribed from them."""

from __future__ import annotations

import json
import re
import pytest
from contracts import contract, errors, operations, request_errors
from examples import cites, declared, documented_operations, operation_of
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


@pytest.mark.parametrize("provider", PROVIDERS)
def test_all_examples_of_a_document_are_stored(provider: str):
    assert {kind: len(snippets(provider, kind)) for kind in COUNTS[provider]} == COUNTS[provider]


@pytest.mark.parametrize("example", every("curl"), ids=str)
def test_a_curl_is_a_request_of_its_operation(example: Snippet):
    request, found = read_curl(example.text), operation_of(example)
    assert (request.host, request.provider) == ("api.lowcodeapi.com", example.provider)
    assert (request.path, request.method.lower()) == (found.path, found.method)
    assert request.query["api_token"] == "YOUR_API_TOKEN"
    assert request_errors(found, request.query, request.body) == []


@pytest.mark.parametrize("example", every("url"), ids=str)
def test_an_address_is_that_of_its_operation(example: Snippet):
    if example.operation is None:
        assert CONTRACTS[example.provider]["servers"][0]["url"] + "/" == example.text
        return
    request, found = read_url(example.text), operation_of(example)
    assert (request.host, request.provider, request.path) == ("api.lowcodeapi.com", example.provider, found.path)
    needed = {parameter["name"] for parameter in found.parameters if parameter.get("required")} | {"api_token"}
    assert needed <= request.query.keys()


@pytest.mark.parametrize("example", every("json"), ids=str)
def test_a_json_body_is_one_its_operation_takes(example: Snippet):
    found = operation_of(example)
    assert errors(found.document, found.body, json.loads(example.text)) == []


@pytest.mark.parametrize("example", every("path"), ids=str)
def test_a_section_is_an_operation(example: Snippet):
    method, path = re.findall(r"`([^`]+)`", example.text)
    found = operation_of(example)
    assert (found.method, found.path) == (method.lower(), path)


@pytest.mark.parametrize("example", every("parameter"), ids=str)
def test_a_row_of_a_table_is_a_parameter(example: Snippet):
    match = PARAMETER.fullmatch(example.text)
    assert match is not None
    name, kind, required = match.groups()
    if name == "api_token":
        assert CONTRACTS[example.provider]["components"]["securitySchemes"]["api_token"]["in"] == example.place
        assert not operation_of(example).anonymous
        return
    parameter, needed = declared(operation_of(example), name, example.place)
    assert needed == (required != "No")
    assert cites(parameter["x-source"], example)
    if parameter.get("x-confidence") == "contradictory":
        assert "type" not in parameter
    else:
        assert parameter["type"] == ("integer" if kind == "number" else kind)


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
def test_an_operation_called_documented_has_a_section_or_an_example(provider: str):
    in_document = {snippet.operation for snippet in snippets(provider, "curl", "path")}
    only_in_examples = {"get_analytics", "monitor_instance"} if provider == "falai" else set[str]()
    assert in_document == documented_operations(provider) | only_in_examples
