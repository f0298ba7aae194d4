"""Documents in three public shapes, served and then tested by schemathesis: its own validators judge every answer.

Left out is what a mock does on purpose: any credential is right, and what no document names may be refused with 400.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    ensure_resource_availability,
    negative_data_rejection,
    positive_data_acceptance,
    response_headers_conformance,
    response_schema_conformance,
    use_after_free,
)

from bananastand_mocks.kernel.app import ProviderApp
from bananastand_mocks.kernel.worlds import Worlds
from bananastand_mocks.openapi import OpenApiProvider

DOCUMENTS = Path(__file__).with_name("documents")
CHECKS = [
    not_a_server_error, content_type_conformance, response_schema_conformance, response_headers_conformance,
    negative_data_rejection, positive_data_acceptance, ensure_resource_availability, use_after_free,
]  # fmt: skip
BUDGET = settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
WALKS = settings(BUDGET, max_examples=20, stateful_step_count=6)
HEADERS = {"Authorization": "Bearer any", "api_key": "any"}


def schema_of(name: str) -> tuple[Any, Worlds]:
    provider = OpenApiProvider(DOCUMENTS / name)
    components = {name: part for name, part in provider.document["components"].items() if name != "securitySchemes"}
    schema, worlds = (
        schemathesis.openapi.from_dict({**provider.document, "servers": [{"url": "/"}], "components": components}),
        Worlds([provider], seed=1),
    )
    schema.app = ProviderApp(provider, worlds, strict=True)
    return schema, worlds


(petstore, pets), (forge, forges), (kitchen, _) = (
    schema_of("petstore.yaml"),
    schema_of("forge.json"),
    schema_of("kitchen.yaml"),
)


@petstore.parametrize()
@BUDGET
def test_a_flat_api_of_3_0(case: Any) -> None:
    case.call_and_validate(checks=CHECKS, headers=HEADERS)


@forge.parametrize()
@BUDGET
def test_a_nested_api_with_pages_and_envelopes(case: Any) -> None:
    case.call_and_validate(checks=CHECKS, headers=HEADERS)


@kitchen.parametrize()
@BUDGET
def test_an_api_with_what_only_3_1_has(case: Any) -> None:
    case.call_and_validate(checks=CHECKS, headers=HEADERS)


def walk(schema: Any, worlds: Worlds) -> Any:
    """Calls in an order, each with what earlier ones answered, in a new world."""

    class Walk(schema.as_state_machine()):
        def setup(self) -> None:
            worlds.reset(worlds.default)

        def get_call_kwargs(self, case: Any) -> dict[str, Any]:
            return {"headers": HEADERS}

        def validate_response(self, response: Any, case: Any, **options: Any) -> None:
            case.validate_response(response, checks=CHECKS)

    Walk.TestCase.settings = WALKS
    return Walk.TestCase


PetstoreWalk, ForgeWalk = walk(petstore, pets), walk(forge, forges)
