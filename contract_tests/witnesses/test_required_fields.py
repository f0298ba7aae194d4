"""A client requires of an answer only what a document shows in it; only a strict client holds it to the contract."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, get_args

import httpx2
import pytest
from pydantic import BaseModel

from bananastand.clients import errors
from client_calls import CASES, CLIENTS, Case
from contracts import contract, operation, resolve
from sample_values import sample
from witness_fields import fields, witnessed
from witnesses import GATEWAY, Witness, content_of, headers_of, plain, read_with, witnesses

KEY = "at_r0123456789abcdef0123456789abcdef"
PROVIDERS = tuple(CLIENTS)
ANY_JSON = ("banana-native.warmup_project", "banana-native.call_project", "fal-queue.run", "fal-queue.result")
BY_STATE = ("fal-queue.submit", "fal-queue.status")  # what the contract requires there differs from state to state


def answer_with(content: bytes, headers: dict[str, str]) -> httpx2.MockTransport:
    return httpx2.MockTransport(lambda request: httpx2.Response(200, content=content, headers=headers))


def models_in(value: Any) -> Iterator[BaseModel]:
    """Every model in a result."""
    if isinstance(value, BaseModel):
        yield value
        value = [getattr(value, name) for name in value.model_fields_set]
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from models_in(item)


def models_of(kind: Any) -> Iterator[type[BaseModel]]:
    """Every class of models in the type of a result."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        yield kind
        for field in kind.model_fields.values():
            yield from models_of(field.annotation)
    for part in get_args(kind):
        yield from models_of(part)


def requests_of(provider: str) -> Iterator[tuple[str, Any]]:
    """The name and the type of the result of each operation."""
    for case in CASES:
        if case.provider == provider:
            builder = getattr(CLIENTS[provider][0], case.operation).__wrapped__
            yield case.operation, builder(*case.required).result


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_required_field_is_in_a_witness_that_is_no_guess(provider: str) -> None:
    seen: set[tuple[type[BaseModel], str]] = set()
    for witness in witnesses():
        if witness.provider == provider and witness.kind != "code":
            for method in witness.methods:
                transport = answer_with(content_of(witness), headers_of(witness))
                for model in models_in(read_with(witness, method, "sync", transport)):
                    seen |= {(base, name) for base in type(model).__mro__ for name in model.model_fields_set}
    required = {
        (model, name)
        for _, result in requests_of(provider)
        for model in models_of(result)
        for name, field in model.model_fields.items()
        if field.is_required()
    }

    assert sorted(f"{model.__name__}.{name}" for model, name in required - seen) == []


@pytest.mark.parametrize("provider", [name for name in PROVIDERS if name != "fal-queue"])
def test_a_field_of_a_contract_that_no_witness_shows_is_inferred(provider: str) -> None:
    """The contract of fal's queue is no document's: it is transcribed from fal's published ones, field by field."""
    shown_places = witnessed(provider)

    assert shown_places <= fields(provider).keys()
    assert [
        place for place, field in fields(provider).items() if place not in shown_places and not field.inferred
    ] == []


# By the contract -------------------------------------------------------------------------------------------------

JSON_CASES = [
    case
    for case in CASES
    if "application/json"
    in resolve(
        contract(case.provider),
        next(
            value
            for status, value in operation(contract(case.provider), case.operation).spec["responses"].items()
            if status[0] in "23"
        ),
    ).get("content", {})
]


def changed(document: Any, schema: Any, value: Any) -> Iterator[tuple[str, Any]]:
    """A full answer without one of the fields that the contract requires, or with a word that it does not know."""
    schema = resolve(document, schema)
    for word in ("allOf", "anyOf", "oneOf"):
        for part in schema.get(word, ()):
            yield from changed(document, part, value)
    if isinstance(value, dict):
        for name in schema.get("required", ()):
            if name in value:
                yield f"without {name}", {key: item for key, item in value.items() if key != name}
        for name, child in schema.get("properties", {}).items():
            if name in value:
                for text, item in changed(document, child, value[name]):
                    yield f"{name}: {text}", {**value, name: item}
    if isinstance(value, list) and value:
        for text, item in changed(document, schema.get("items", {}), value[0]):
            yield f"0: {text}", [item, *value[1:]]
    if "enum" in schema and isinstance(value, str):
        yield "an unknown word", "unheard-of"


def answers_of(case: Case) -> Iterator[tuple[str, bytes]]:
    """The changed answers of an operation, with what was changed; of the gateway's envelope nothing."""
    document = contract(case.provider)
    spec = operation(document, case.operation).spec
    success = resolve(document, next(value for status, value in spec["responses"].items() if status[0] in "23"))
    schema = success["content"]["application/json"]["schema"]
    body = sample(document, schema, full=True)
    for text, other in changed(document, schema, body):
        if case.provider not in GATEWAY or text.startswith("result: "):
            yield text, json.dumps(other).encode()


@pytest.mark.parametrize("case", [case for case in JSON_CASES if str(case) not in ANY_JSON + BY_STATE], ids=str)
def test_only_a_strict_client_holds_an_answer_to_the_contract(case: Case) -> None:
    unread: list[str] = []
    for text, content in answers_of(case):
        transport = answer_with(content, {"content-type": "application/json"})
        client = CLIENTS[case.provider][0]
        with client(KEY, admin_key=KEY, strict=True, transport=transport) as strict:
            try:
                getattr(strict, case.operation)(*case.required)
                unread.append(text)
            except errors.APIResponseError:
                pass
        if text.endswith("an unknown word"):
            with client(KEY, admin_key=KEY, transport=transport) as lenient:
                assert "unheard-of" in json.dumps(plain(getattr(lenient, case.operation)(*case.required)))

    assert unread == []


def test_a_witness_of_a_later_version_is_refused_by_a_strict_client_alone() -> None:
    (witness,) = [item for item in witnesses() if "every status" in item.source]
    transport = answer_with(content_of(witness), headers_of(witness))

    assert read_with(witness, "list_instances", "sync", transport).instances[0].status == "init"
    with (
        CLIENTS["falai"][0](KEY, strict=True, transport=transport) as strict,
        pytest.raises(errors.APIResponseError, match=r"instances\.0\.status: Input should be one of 'provisioning'"),
    ):
        strict.list_instances()


def test_the_wait_for_an_active_instance_ends_with_fals_own_word() -> None:
    witness = Witness("falai", "", "", (), {"id": "inst_1", "status": "ready"}, None)
    transport = answer_with(content_of(witness), headers_of(witness))

    assert read_with(witness, "wait_for_instance", "sync", transport).status == "ready"
