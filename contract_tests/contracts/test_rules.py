"""Every rule of the contracts on requests: a value at the limit is accepted, one beyond it is refused.

`contract_rules` reads the rules from the contracts, and each rule is a parameter here, so none is without a test.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from contract_requests import ContractRequest, sender_of, valid_request, with_value
from contract_rules import NUMBERS, Rule, rules, schema_of
from contracts import FILES, contract, operation, resolve
from refusals import refused
from sample_values import sample

EVERY = [rule for name in FILES for rule in rules(name)]
WRONG = {"string": 5, "integer": "x", "number": "x", "boolean": "maybe", "array": 5, "object": "x", "null": {}}


def of(*keywords: str) -> list[Any]:
    return [
        pytest.param(rule, id=str(rule)[:120]) for rule in EVERY if rule.keyword in keywords and str(rule) not in APART
    ]


# What is no mistake of its own in a rule: see the tests named beside them.
APART: dict[str, str] = {
    str(rule): "test_claims_falai/test_claims_bananadev: a place left out of the query is written null, as observed"
    for rule in EVERY
    if rule.provider in ("bananadev", "falai") and rule.keyword == "required" and rule.place != "body"
}


@pytest.mark.parametrize("rule", of(*NUMBERS))
def test_a_numeric_limit_is_kept_and_not_exceeded(rule: Rule) -> None:
    schema = schema_of(rule)
    least = rule.keyword.startswith("min")
    inside, outside = (of_size(rule, schema, rule.value + step) for step in (0, -1 if least else 1))

    request = valid_request(rule.provider, rule.operation)
    if rule.place in request.path and outside == "":
        assert not routed(with_value(request, rule.place, rule.path, outside))
    elif outside is not None and not (outside == [] and rule.place != "body"):  # none in the address is no list at all
        assert refused(with_value(request, rule.place, rule.path, outside), rule)
    if inside is not None and f"{rule.operation} {rule.path}" not in BEYOND:
        assert not refused(with_value(request, rule.place, rule.path, inside))


# What is long enough is not yet the address of a picture, or a part that was put.
BEYOND = {"complete_multipart_upload ('parts',)", "upload_image ('image_url',)", "upload_for_editing ('image_url',)"}


def routed(request: ContractRequest) -> bool:
    """Whether there is such an address at all; a redirect leads to another."""
    return sender_of(request.provider)(request).status_code not in (307, 404, 405)


def of_size(rule: Rule, schema: Any, size: Any) -> Any:
    """Returns a value of this size, or None if there is none."""
    found = operation(contract(rule.provider), rule.operation)
    if rule.keyword in ("minimum", "maximum"):
        return size
    if size < 0:
        return None
    if rule.keyword in ("minLength", "maxLength"):
        return ("https://example.com/" + "x" * size)[:size] if schema.get("format") == "uri" else "x" * size
    items = schema.get("items", {})
    texts = resolve(found.document, items).get("type") == "string"
    return [f"t{i}" if texts else i + 1 if resolve(found.document, items).get("type") == "integer" else
            sample(found.document, items, full=False) for i in range(size)]  # fmt: skip


@pytest.mark.parametrize("rule", of("enum", "const", "pattern", "format"))
def test_a_value_outside_a_choice_or_pattern_is_refused(rule: Rule) -> None:
    wrong = "2024-13-45" if rule.keyword == "format" else " " if rule.value == r"\S" else "~no such~"
    request = valid_request(rule.provider, rule.operation)
    if rule.path == ("sector",):
        request.body["instance_type"] = "gpu_8x_h100_sxm5"  # the one kind that has sectors

    assert refused(with_value(request, rule.place, rule.path, wrong), rule)
    if rule.place == "expand":  # a list of choices, one of which is right
        assert refused(with_value(request, rule.place, rule.path, f"{rule.value.split('(')[1].split('|')[0]},{wrong}"))


@pytest.mark.parametrize("rule", of("enum"))
def test_each_choice_is_accepted(rule: Rule) -> None:
    """A choice may be refused for a reason beside it (a model that has no such resolution), but not as unknown."""
    assert rule.value
    for choice in rule.value:
        send, request = sender_of(rule.provider), valid_request(rule.provider, rule.operation)
        send.reset()
        if rule.path == ("sector",):
            request.body["instance_type"] = "gpu_8x_h100_sxm5"  # the one kind that has sectors
        answer = send(with_value(request, rule.place, rule.path, choice))
        if answer.status_code >= 300:
            assert rule.provider == "paperbanana", (choice, answer.text)
            assert "must be one of" not in answer.text, choice


@pytest.mark.parametrize("rule", of("type"))
def test_a_value_of_another_type_is_refused(rule: Rule) -> None:
    kinds = [rule.value] if isinstance(rule.value, str) else rule.value
    if rule.place != "body" and {"string", "array"} & set(kinds):
        return  # what comes in the address is text
    wrong = next(value for kind, value in WRONG.items() if kind not in kinds and type(value) not in fitting(kinds))
    if rule.place == "body" and not rule.path and operation_takes_any(rule):
        wrong = "a word"

    request = valid_request(rule.provider, rule.operation)
    assert refused(with_value(request, rule.place, rule.path, wrong), rule)
    if rule.place == "body" and not rule.path:
        assert refused(
            with_value(request, rule.place, rule.path, [request.body])
        )  # an array is JSON's other kind of body


def fitting(kinds: list[str]) -> tuple[type, ...]:
    types = {"string": str, "integer": int, "number": int, "boolean": bool, "array": list, "object": dict}
    return tuple(types[kind] for kind in kinds if kind in types)


def operation_takes_any(rule: Rule) -> bool:
    return rule.value == "object"


@pytest.mark.parametrize("rule", of("required"))
def test_a_missing_required_field_is_refused(rule: Rule) -> None:
    request = valid_request(rule.provider, rule.operation)
    if rule.place != "body":
        query = {name: value for name, value in request.query.items() if name != rule.place}
        assert refused(replace(request, query=query), rule)
        return
    body = json.loads(json.dumps(request.body))
    holder = body
    for key in rule.path:
        holder = holder[0] if key == "[]" else holder[key]
    del holder[rule.value]
    assert refused(replace(request, body=body), rule)


@pytest.mark.parametrize("rule", of("default"))
def test_a_default_is_the_same_as_leaving_the_field_out(rule: Rule) -> None:
    """The response and the data of the world are equal with the default and without the field."""
    request = valid_request(rule.provider, rule.operation)
    default = str(rule.value).lower() if isinstance(rule.value, bool) and rule.place != "body" else rule.value

    assert outcome(request) == outcome(with_value(request, rule.place, rule.path, default))


def outcome(request: ContractRequest) -> Any:
    send = sender_of(request.provider)
    send.reset()
    answer = send(request)
    assert answer.status_code < 300, answer.text
    tables = json.loads(json.dumps(send.world.tables))
    for row in tables.get("paperbanana.tasks", {}).values():
        del row["input_params"]  # the request as it came
    return answer.content if request.operation != "get_health" else None, tables
