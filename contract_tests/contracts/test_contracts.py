"""The contract files: valid OpenAPI, every operation with a name and a source, every wrong request refused."""

from __future__ import annotations

import re
from typing import Any

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from contracts import FILES, Operation, contract, errors, operation, operations, resolve

CONTRACTS = {name: contract(name) for name in FILES}
EVERY = [op for document in CONTRACTS.values() for op in operations(document)]
CONFIDENCES = {"documented", "contradictory", "inferred"}


def walk(value: Any) -> Any:
    if isinstance(value, dict):
        yield value
        for item in value.values():
            yield from walk(item)
    elif isinstance(value, list):
        for item in value:
            yield from walk(item)


def without(body: dict[str, Any], key: str) -> dict[str, Any]:
    return {name: value for name, value in body.items() if name != key}


@pytest.mark.parametrize("name", FILES)
def test_the_file_is_valid_openapi(name: str):
    assert [error.message for error in OpenAPIV31SpecValidator(CONTRACTS[name]).iter_errors()] == []


@pytest.mark.parametrize("found", EVERY, ids=str)
def test_an_operation_has_an_id_or_is_an_alias_and_says_where_it_was_read(found: Operation):
    assert ("operationId" in found.spec) != ("x-alias-of" in found.spec)
    if "x-source" not in found.spec:
        assert found.spec["x-confidence"] == "inferred"
    if "operationId" in found.spec:
        assert re.fullmatch(r"[a-z]+(_[a-z]+)*", found.spec["operationId"])
    else:
        assert operation(found.document, found.spec["x-alias-of"]).method == found.method


@pytest.mark.parametrize("name", FILES)
def test_confidence_has_three_words(name: str):
    used = {node["x-confidence"] for node in walk(CONTRACTS[name]) if "x-confidence" in node}
    assert used <= CONFIDENCES
    assert "inferred" in used


@pytest.mark.parametrize("name", FILES)
def test_every_reference_and_every_link_leads_somewhere(name: str):
    document = CONTRACTS[name]
    ids = [op.spec["operationId"] for op in operations(document) if "operationId" in op.spec]
    assert len(ids) == len(set(ids))
    for node in walk(document):
        if isinstance(node.get("$ref"), str):
            assert resolve(document, node) is not None
    linked = {link["operationId"] for node in walk(document) for link in links(node)}
    assert linked <= set(ids)
    assert linked != set()


def links(value: dict[str, Any]) -> list[dict[str, Any]]:
    found = value.get("links")
    return [item for item in found.values() if "operationId" in item] if isinstance(found, dict) else []


MISSING = "A valid API token is required to access this API."
LOGGING = {"method": "GET", "status_code": 401, "message": MISSING, "path": "/", "headers": {}, "query": {}}
FAL_404 = {"error": {"type": "not_found", "message": "Resource not found"}}
FAL_404_PASSED_ON = {"message": "Error received from the falai API", "provider": "falai", "error": FAL_404}
STARTED = {"id": "a", "message": "", "created": 1684444779, "apiVersion": "January 11, 2023", "callID": "call_a"}


@pytest.mark.parametrize(
    ("name", "called", "status", "body"),
    [
        ("bananadev", "get_account", "401", {"message": MISSING, "error": {"code": 401, "logging": LOGGING}}),
        ("bananadev", "get_account", "403", {"message": "Invalid api_token", "error": {"code": 403}}),
        ("bananadev", "start_run", "400", {"message": "Unexpected end of JSON input"}),
        ("bananadev", "get_model", "404", {"message": "a", "provider": "bananadev", "error": {"message": "a"}}),
        (
            "falai",
            "get_model",
            "404",
            FAL_404_PASSED_ON,
        ),
        ("fal-native", "get_instance", "404", FAL_404),
        ("banana-native", "start_run", "200", {**STARTED, "finished": False, "modelOutputs": None}),
        ("banana-native", "check_run", "200", {**without(STARTED, "callID"), "modelOutputs": [{"image": "a"}]}),
        ("paperbanana", "get_task", "404", {"detail": "Task not found"}),
        ("paperbanana", "create_plot", "202", {"task_id": "a1b2c3d4e5f6", "status": "pending"}),
    ],
)
def test_an_answer_as_it_was_observed_fits_and_with_another_key_it_does_not(
    name: str, called: str, status: str, body: dict[str, Any]
):
    found = operation(CONTRACTS[name], called)
    response = resolve(found.document, found.spec["responses"][status])
    schema = response["content"]["application/json"]["schema"]
    assert errors(found.document, schema, body) == []
    assert errors(found.document, schema, {**body, "bogus": 1}) != []
    for key in body.keys() - {"provider"}:
        assert errors(found.document, schema, without(body, key)) != []


@pytest.mark.parametrize(
    ("name", "called", "body"),
    [
        ("bananadev", "start_run", {"modelKey": 2, "modelInputs": {}}),
        ("bananadev", "start_run", {"modelKey": "m"}),
        ("bananadev", "start_run", {"modelInputs": {}}),
        ("bananadev", "start_run", {"modelKey": "", "modelInputs": {}}),
        ("bananadev", "start_run", []),
        ("bananadev", "check_run", {"id": "a"}),
        ("bananadev", "check_run", {"id": 1, "modelKey": "m"}),
        ("bananadev", "run", {"modelKey": "m"}),
        ("bananadev", "deploy_model", {"modelKey": "m", "source": None}),
        ("bananadev", "deploy_model", {"source": "https://github.com/a/b"}),
        ("falai", "create_instance", {"name": "a"}),
        ("falai", "create_instance", {"instance_type": 1}),
        ("falai", "create_instance", {"instance_type": "a", "config": "b"}),
        ("falai", "create_instance", {"instance_type": "a", "name": 3}),
        ("falai", "batch", {"requests": []}),
        ("falai", "batch", {"requests": {}}),
        ("falai", "batch", {}),
        ("banana-native", "start_run", {"apiKey": "k", "modelKey": "m", "modelInputs": {}, "startOnly": "true"}),
        ("banana-native", "start_run", {"modelKey": "m", "modelInputs": {}}),
        ("banana-native", "check_run", {"apiKey": "k"}),
        ("banana-native", "update_project", {"maxReplicas": "2"}),
        ("banana-native", "update_project", {"idleTimeout": -1}),
        ("banana-native", "create_project", {}),
        ("banana-native", "build_project", {}),
        ("fal-native", "create_instance", {"instance_type": "gpu-1x-a10g", "ssh_key": "k"}),
        ("fal-native", "create_instance", {"instance_type": "gpu_1x_h100_sxm5", "ssh_key": ""}),
        ("fal-native", "create_instance", {"instance_type": "gpu_1x_h100_sxm5", "ssh_key": "k", "sector": "sector_1"}),
        ("fal-native", "estimate_pricing", {"estimate_type": "unit_price", "endpoints": {"a": {"call_quantity": 1}}}),
        ("paperbanana", "create_diagram", {"source_context": "a"}),
        ("paperbanana", "create_diagram", {"source_context": "a", "caption": "b", "iterations": 11}),
        ("paperbanana", "create_diagram", {"source_context": "a", "caption": "b", "output_formats": ["svg"]}),
        ("paperbanana", "create_diagram", {"source_context": "a", "caption": "b", "image_model": "dall-e"}),
        ("paperbanana", "create_diagram", {"source_context": "a", "caption": "b", "webhook_include_image": "yes"}),
        ("paperbanana", "create_diagram_from_pdf", {"pdf_base64": 1, "caption": "b"}),
        ("paperbanana", "optimize_prompt", {"description": "a", "diagram_type": "composite"}),
        ("paperbanana", "create_plot", {"data_json": {"a": [1]}, "intent": "b"}),
        ("paperbanana", "create_plot", {"data_json": "[1]", "intent": "b", "aspect_ratio": "16:10"}),
        ("paperbanana", "create_plot", {"data_json": "[1]", "intent": "b", "iterations": "3"}),
        ("paperbanana", "create_composite", {"source_task_ids": ["task_a"]}),
        ("paperbanana", "create_composite", {"source_task_ids": ["task_a", "task_b"], "layout": "2x"}),
        ("paperbanana", "create_composite", {"source_task_ids": ["task_a", "task_b"], "spacing": -1}),
        ("paperbanana", "create_composite", {"source_task_ids": ["task_a", "task_b"], "label_position": "left"}),
        ("paperbanana", "create_key", {"quota": 1}),
        ("paperbanana", "create_key", {"name": "a", "quota": 0}),
        ("paperbanana", "update_key", {"quota_remaining": -1}),
        ("paperbanana", "update_key", {"active": "no"}),
    ],
)
def test_a_wrong_body_is_refused(name: str, called: str, body: Any):
    found = operation(CONTRACTS[name], called)
    assert errors(found.document, found.body, body) != []


@pytest.mark.parametrize(
    ("name", "called", "parameter", "value"),
    [
        ("bananadev", "get_usage", "startDate", "yesterday"),
        ("bananadev", "get_usage", "endDate", "2024-02-30"),
        ("falai", "list_models", "limit", 0),
        ("falai", "list_models", "limit", "ten"),
        ("falai", "list_models", "limit", -1),
        ("falai", "list_models", "offset", -1),
        ("falai", "get_usage", "start_date", "2024"),
        ("falai", "get_analytics", "metric", "speed"),
        ("falai", "monitor_instance", "metrics", "cpu,temperature"),
        ("fal-native", "get_usage", "timeframe", "year"),
        ("fal-native", "get_usage", "bound_to_timeframe", "yes"),
        ("fal-native", "get_usage", "expand", ["everything"]),
        ("fal-native", "get_usage", "expand", ["auth_method"]),
        ("fal-native", "get_analytics", "expand", ["time_series,speed"]),
        ("fal-native", "get_analytics", "expand", ["request_count"]),
        ("fal-native", "list_models", "status", "new"),
        ("fal-native", "get_pricing", "endpoint_id", []),
        ("fal-native", "get_pricing", "endpoint_id", ["fal-ai/flux/dev"] * 51),
        ("paperbanana", "get_task_image", "format", "jpg"),
        ("paperbanana", "list_history", "page", 0),
        ("paperbanana", "list_history", "size", 101),
        ("paperbanana", "list_history", "status", "done"),
    ],
)
def test_a_wrong_parameter_is_refused(name: str, called: str, parameter: str, value: Any):
    found = operation(CONTRACTS[name], called)
    declared = next(row for row in found.parameters if row["name"] == parameter)
    assert errors(found.document, declared["schema"], value) != []
