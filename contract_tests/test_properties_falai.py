"""Property tests of the fal.ai mock from its contracts alone: each operation, and walks along the contract's links.

All of schemathesis' checks are on. What it finds and is meant so is named here:

- LowCodeAPI answers 404 to a method it does not know, never 405 (observed).
- A window that ends before it starts is 400, and so is a time zone that does not exist; OpenAPI can say neither.
"""

from __future__ import annotations

from typing import Any
from zoneinfo import available_timezones

import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.specs.openapi.checks import positive_data_acceptance, unsupported_method
from starlette.applications import Starlette
from starlette.routing import Mount

from bananastand_mocks.falai import FalAI, FalAIUpstream
from bananastand_mocks.kernel.app import ProviderApp
from bananastand_mocks.kernel.worlds import Worlds
from bananastand_mocks.lowcodeapi.gateway import Gateway

TOKEN = "at_r0123456789abcdef0123456789abcdef"
WINDOWS = (("start_date", "end_date"), ("start", "end"))
ZONES = available_timezones()
BUDGET = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
WALKS = settings(BUDGET, max_examples=60, stateful_step_count=8)

GATEWAY, NATIVE = Gateway(FalAIUpstream()), FalAI()
WORLDS = Worlds([GATEWAY, NATIVE], kind="documents", seed=1, virtual=True)

documented = schemathesis.openapi.from_dict(GATEWAY.contract.document)
documented.app = Starlette(routes=[Mount("/falai", app=ProviderApp(GATEWAY, WORLDS, strict=True))])
native = schemathesis.openapi.from_dict(NATIVE.contract.document)
native.app = ProviderApp(NATIVE, WORLDS, strict=True)


@documented.auth()
class Token:
    def get(self, case: Any, context: Any) -> str:
        return TOKEN

    def set(self, case: Any, data: str, context: Any) -> None:
        case.query = {**(case.query or {}), "api_token": data}


@native.auth()
class Key:
    def get(self, case: Any, context: Any) -> str:
        return "Key fal-bananastand"

    def set(self, case: Any, data: str, context: Any) -> None:
        case.headers = {**(case.headers or {}), "Authorization": data}


def named(case: Any) -> list[Any]:
    """The checks that do not hold for this case, for a reason given above."""
    query = case.query or {}
    may_be_inverted = any(start in query and end in query for start, end in WINDOWS)
    unknown_zone = query.get("timezone", "UTC") not in ZONES
    return [positive_data_acceptance] if may_be_inverted or unknown_zone else []


@documented.parametrize()
@BUDGET
def test_an_operation_of_document_c(case: Any):
    case.call_and_validate(excluded_checks=[unsupported_method, *named(case)])


@native.parametrize()
@BUDGET
def test_an_operation_of_fals_own(case: Any):
    case.call_and_validate(excluded_checks=named(case))


class _Walk(documented.as_state_machine()):
    def setup(self) -> None:
        super().setup()
        WORLDS.reset(WORLDS.default)

    def validate_response(self, response: Any, case: Any, additional_checks: Any = (), **kwargs: Any) -> None:
        case.validate_response(
            response, additional_checks=additional_checks, excluded_checks=[unsupported_method, *named(case)]
        )


class _NativeWalk(native.as_state_machine()):
    def setup(self) -> None:
        super().setup()
        WORLDS.reset(WORLDS.default)

    def validate_response(self, response: Any, case: Any, additional_checks: Any = (), **kwargs: Any) -> None:
        case.validate_response(response, additional_checks=additional_checks, excluded_checks=named(case))


TestWalksOfDocumentC = _Walk.TestCase
TestWalksOfDocumentC.settings = WALKS
TestWalksOfFalsOwn = _NativeWalk.TestCase
TestWalksOfFalsOwn.settings = WALKS
