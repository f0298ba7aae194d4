"""Property tests of the mocks, generated from their contracts: single operations, and walks along the contracts' links.

All checks of Schemathesis are on, and no response of 500 or above is allowed. These exceptions are intended:

- Behind LowCodeAPI an unknown method is 404, never 405 (observed); Banana's own API does the same here.
- Behind LowCodeAPI a & ends the path (A:26): with one in an id in the path, the 404 is LowCodeAPI's own.
- A window of usage that ends before it starts is 400, a start after today included; so is a time zone that does not
  exist. OpenAPI can say neither.
- A project that may have no replica answers 400 on its run URL, whatever it is sent.
- Banana's start and check answer every failure with 200, a wrong key and a body against the contract too.
- PaperBanana's submissions have rules that span fields and tasks: text that must be JSON, a PDF or pages of one,
  sources that exist, a layout they fit in, an image model and its resolutions. The contract can say none of them.
- PaperBanana reads numbers and booleans laxly: "3" is 3 and "yes" is true, which no schema says.
- A picture uploaded to Go Bananas! has to be one, and an `image_url` the address of one; OpenAPI can say neither.

Every run sends the same requests. PROPERTIES_SEED=7 in the environment sends others.
"""

from __future__ import annotations

import os
import re
from typing import Any
from urllib.parse import unquote
from zoneinfo import available_timezones

import numpy  # noqa: F401  drawings import it in their threads, and Hypothesis looks into one that is half imported
import schemathesis
from hypothesis import HealthCheck, seed, settings
from schemathesis.config import SchemathesisConfig
from schemathesis.specs.openapi.checks import (
    ignored_auth,
    negative_data_rejection,
    positive_data_acceptance,
    response_schema_conformance,
    unsupported_method,
)
from starlette.applications import Starlette
from starlette.routing import Mount

from bananastand_mocks.bananadev import BananaDev, BananaDevUpstream
from bananastand_mocks.falai import FalAIProvider, FalAIUpstream
from bananastand_mocks.falqueue import FalQueueProvider
from bananastand_mocks.gobananas import GoBananasProvider
from bananastand_mocks.kernel.app import ProviderApp
from bananastand_mocks.kernel.provider import Provider
from bananastand_mocks.kernel.worlds import Worlds
from bananastand_mocks.lowcodeapi.gateway import Gateway
from bananastand_mocks.paperbanana import PaperBananaProvider
from flat_painter import FlatPainter

SEED = int(os.environ["PROPERTIES_SEED"]) if "PROPERTIES_SEED" in os.environ else None
DATES = {"startDate", "endDate", "start_date", "end_date", "start", "end"}
ZONES = available_timezones()
LAX = {"iterations", "spacing", "label_font_size", "webhook_include_image", "quota", "quota_remaining", "quota_total"}
LAX |= {"active", "page", "size"}
SPANNING = ("/api/generate-from-pdf", "/api/plot", "/api/composite")
BUDGET = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
WALKS = settings(BUDGET, max_examples=60, stateful_step_count=8)


PROVIDERS = (
    Gateway(BananaDevUpstream()),
    Gateway(FalAIUpstream()),
    BananaDev(),
    FalAIProvider(),
    GoBananasProvider(FlatPainter()),
    PaperBananaProvider(),
    FalQueueProvider(),
)
WORLDS = Worlds(PROVIDERS, kind="documents", seed=1, virtual=True)


def schema_of(provider: Provider, below: str = "") -> Any:
    """What schemathesis tests; `below` is the path of the contract's server."""
    from copy import deepcopy

    # Its own copy: references are resolved in it, and what the mock compiles later would find none.
    schema = schemathesis.openapi.from_dict(deepcopy(provider.contract.document), config=SchemathesisConfig(seed=SEED))
    app = ProviderApp(provider, WORLDS, strict=True)
    if below:
        mount = Mount(below, app=app)
        mount.path_regex = re.compile(
            mount.path_regex.pattern, re.DOTALL
        )  # a line break in a path is the mock's to answer
        schema.app = Starlette(routes=[mount])
    else:
        schema.app = app
    return schema


bananadev = schema_of(PROVIDERS[0], "/bananadev")
falai = schema_of(PROVIDERS[1], "/falai")
banana_native = schema_of(PROVIDERS[2])
fal_native = schema_of(PROVIDERS[3])
gobananas = schema_of(PROVIDERS[4])
paperbanana = schema_of(PROVIDERS[5])
fal_queue = schema_of(PROVIDERS[6])


@bananadev.auth()
@falai.auth()
class Token:
    """LowCodeAPI's, in the query."""

    def get(self, case: Any, context: Any) -> str:
        return "at_r0123456789abcdef0123456789abcdef"

    def set(self, case: Any, data: str, context: Any) -> None:
        case.query = {**(case.query or {}), "api_token": data}


@banana_native.auth()
class BananaKey:
    """Banana's, in its header."""

    def get(self, case: Any, context: Any) -> str:
        return "11111111-1111-1111-1111-111111111111"

    def set(self, case: Any, data: str, context: Any) -> None:
        case.headers = {**(case.headers or {}), "X-Banana-API-Key": data}


@fal_native.auth()
@fal_queue.auth()
class FalKey:
    """fal's, after the word Key."""

    def get(self, case: Any, context: Any) -> str:
        return "Key fal-bananastand"

    def set(self, case: Any, data: str, context: Any) -> None:
        case.headers = {**(case.headers or {}), "Authorization": data}


@gobananas.auth()
class GoBananasKey:
    """Go Bananas!', in its header."""

    def get(self, case: Any, context: Any) -> str:
        return "sk_live_bananastand"

    def set(self, case: Any, data: str, context: Any) -> None:
        case.headers = {**(case.headers or {}), "X-API-Key": data}


@paperbanana.auth()
class PaperBananaKey:
    """PaperBanana's API key, the admin's below /api/admin."""

    def get(self, case: Any, context: Any) -> str:
        admin = case.operation.path.startswith("/api/admin/")
        return f"Bearer {'admin-bananastand' if admin else 'pb_' + '0' * 32}"

    def set(self, case: Any, data: str, context: Any) -> None:
        case.headers = {**(case.headers or {}), "Authorization": data}


def named(case: Any) -> list[Any]:
    """The checks that do not hold for this case, for a reason given above."""
    query, path = case.query or {}, case.operation.path
    excluded: list[Any] = []
    if "Authorization" not in (case.headers or {}):
        excluded.append(unsupported_method)
    if DATES & query.keys() or query.get("timezone", "UTC") not in ZONES or path.startswith("/run/"):
        excluded.append(positive_data_acceptance)
    if any("&" in unquote(str(value)) for value in (case.path_parameters or {}).values()):
        excluded.append(response_schema_conformance)
    if path.startswith(("/start/", "/check/")):
        excluded += [negative_data_rejection, ignored_auth]
    body = case.body if isinstance(case.body, dict) else {}
    if path.startswith("/api/") and LAX & (body.keys() | query.keys()):
        excluded.append(negative_data_rejection)
    spanning = path in SPANNING or (path == "/api/generate" and {"image_model", "image_resolution"} & body.keys())
    if spanning or path.endswith(("/upload", "/upload-for-editing")):
        excluded.append(positive_data_acceptance)
    return excluded


def holds(case: Any) -> None:
    """Send it to a world that begins anew, so that a failure can be had again."""
    WORLDS.reset(WORLDS.default)
    case.call_and_validate(excluded_checks=named(case))


@bananadev.parametrize()
@BUDGET
def test_an_operation_of_document_a(case: Any):
    holds(case)


@falai.parametrize()
@BUDGET
def test_an_operation_of_document_c(case: Any):
    holds(case)


@banana_native.parametrize()
@BUDGET
def test_an_operation_of_bananas_own(case: Any):
    holds(case)


@fal_native.parametrize()
@BUDGET
def test_an_operation_of_fals_own(case: Any):
    holds(case)


@fal_queue.parametrize()
@BUDGET
def test_an_operation_of_fals_queue(case: Any):
    holds(case)


@gobananas.parametrize()
@BUDGET
def test_an_operation_of_document_b(case: Any):
    holds(case)


@paperbanana.parametrize()
@BUDGET
def test_an_operation_of_document_d(case: Any):
    holds(case)


def walks(schema: Any) -> Any:
    """A test case that walks along the links, each walk in a world that begins anew."""

    class Walk(schema.as_state_machine()):
        def setup(self) -> None:
            super().setup()
            WORLDS.reset(WORLDS.default)

        def validate_response(self, response: Any, case: Any, additional_checks: Any = (), **kwargs: Any) -> None:
            case.validate_response(response, additional_checks=additional_checks, excluded_checks=named(case))

    Walk.TestCase.settings = WALKS
    if SEED is not None:
        seed(SEED)(Walk)
    return Walk.TestCase


TestWalksOfDocumentA = walks(bananadev)
TestWalksOfDocumentC = walks(falai)
TestWalksOfBananasOwn = walks(banana_native)
TestWalksOfFalsOwn = walks(fal_native)
TestWalksOfFalsQueue = walks(fal_queue)
TestWalksOfDocumentD = walks(paperbanana)
TestWalksOfDocumentB = walks(gobananas)
