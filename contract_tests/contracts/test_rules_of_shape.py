"""Rules of several keywords, such as one of several forms, or a field allowed only beside another.

A test compares this table with the contracts: it has all rules that `test_rules` does not try by keyword.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from contract_requests import valid_request, with_value
from contract_rules import NUMBERS, WHOLE
from contracts import FILES, contract, operations, resolve
from refusals import refused

PLAIN = {*NUMBERS, *WHOLE, "default", "properties", "items", "description", "example", "$ref"}
PLAIN |= {"x-source", "x-confidence", "x-type"}
DATES = ["2024-01-02", "2024-01-02T03:04:05Z"], ["yesterday", "2024-13-45", "2024"]
UNIT, CALLS = {"unit_quantity": 2.5}, {"call_quantity": 100}
ESTIMATES = (
    [
        {"estimate_type": "unit_price", "endpoints": {"fal-ai/flux/dev": UNIT}},
        {"estimate_type": "historical_api_price", "endpoints": {"fal-ai/flux/dev": CALLS}},
        {"estimate_type": "historical_api_price", "endpoints": {}},
    ],
    [
        {"estimate_type": "unit_price", "endpoints": {"fal-ai/flux/dev": CALLS}},
        {"estimate_type": "unit_price", "endpoints": {"fal-ai/flux/dev": {"unit_quantity": 0}}},
        {"estimate_type": "historical_api_price", "endpoints": {"fal-ai/flux/dev": {"call_quantity": 0}}},
        {"estimate_type": "guess", "endpoints": {"fal-ai/flux/dev": UNIT}},
        {"estimate_type": "unit_price"},
        {"endpoints": {"fal-ai/flux/dev": UNIT}},
    ],
)
NODE = {"instance_type": "gpu_8x_h100_sxm5", "ssh_key": "k"}
INSTANCES = (
    [NODE, {**NODE, "sector": "sector_1"}],
    [{**NODE, "instance_type": "gpu_1x_h100_sxm5", "sector": "sector_1"}],
)
BO = {"character_name": "Bo", "base_prompt": "a banana in a hat"}
CHARACTERS = [{**BO, "tags": ["a"]}], [{**BO, "tags": "a"}, {**BO, "preferred_aspect_ratio": "7:5"}]
EXPANSIONS = [["summary"], ["time_series"]], [["auth_method"], ["request_count"], ["everything"]]
SHAPES: dict[tuple[str, str, str, str], tuple[list[Any], list[Any]]] = {
    ("bananadev", "get_usage", "startDate", "anyOf"): DATES,
    ("bananadev", "get_usage", "endDate", "anyOf"): (["2099-01-02", "2099-01-02T03:04:05Z"], DATES[1]),
    ("falai", "get_usage", "start_date", "anyOf"): DATES,
    ("falai", "get_usage", "end_date", "anyOf"): (["2099-01-02", "2099-01-02T03:04:05Z"], DATES[1]),
    ("falai", "get_analytics", "start_date", "anyOf"): DATES,
    ("falai", "get_analytics", "end_date", "anyOf"): (["2099-01-02", "2099-01-02T03:04:05Z"], DATES[1]),
    ("fal-native", "get_usage", "start", "anyOf"): DATES,
    ("fal-native", "get_usage", "end", "anyOf"): (["2099-01-02", "2099-01-02T03:04:05Z"], DATES[1]),
    ("fal-native", "get_analytics", "start", "anyOf"): DATES,
    ("fal-native", "get_analytics", "end", "anyOf"): (["2099-01-02", "2099-01-02T03:04:05Z"], DATES[1]),
    ("fal-native", "get_usage", "expand", "contains"): EXPANSIONS,
    ("fal-native", "get_analytics", "expand", "contains"): (
        [["summary,request_count"], ["time_series", "p50_duration"]],
        [["summary"], *EXPANSIONS[1]],
    ),
    ("fal-native", "estimate_pricing", "body", "oneOf"): ESTIMATES,
    ("fal-native", "create_instance", "body", "if"): INSTANCES,
    ("fal-native", "create_instance", "body", "then"): INSTANCES,
    ("gobananas", "create_character", "body", "allOf"): CHARACTERS,
}


@pytest.mark.parametrize("shape", SHAPES, ids=" ".join)
def test_a_rule_that_spans_several_fields_is_kept(shape: tuple[str, str, str, str]) -> None:
    provider, name, place, _ = shape
    good, bad = SHAPES[shape]

    assert [item for item in good if refused(with_value(valid_request(provider, name), place, (), item))] == []
    assert [item for item in bad if not refused(with_value(valid_request(provider, name), place, (), item))] == []


def test_no_rule_is_without_a_test() -> None:
    assert {shape for name in FILES for shape in shapes(name)} == set(SHAPES)


def shapes(provider: str) -> Iterator[tuple[str, str, str, str]]:
    """What constrains a request by more than one keyword."""
    document = contract(provider)
    for found in operations(document):
        if "operationId" in found.spec:
            for parameter in found.parameters:
                for keyword in _keywords(document, parameter["schema"]):
                    yield provider, found.spec["operationId"], parameter["name"], keyword
            if found.body is not None:
                for keyword in _keywords(document, found.body):
                    yield provider, found.spec["operationId"], "body", keyword


def _keywords(document: Any, schema: Any, depth: int = 0) -> Iterator[str]:
    schema = resolve(document, schema)
    yield from (item for item in schema if item not in PLAIN)
    if depth < 8:
        for field in schema.get("properties", {}).values():
            yield from _keywords(document, field, depth + 1)
        if isinstance(schema.get("items"), dict):
            yield from _keywords(document, schema["items"], depth + 1)
