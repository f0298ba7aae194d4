"""A provider of animals, made up for the tests of the kernel."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import yaml

from bananastand.contracts.contract import Contract
from bananastand.contracts.errors import Problem, ProviderError
from bananastand.contracts.response import ApiResponse
from bananastand_mocks.kernel.app import ProviderApp
from bananastand_mocks.kernel.call import ApiCall
from bananastand_mocks.kernel.limits import Allowance
from bananastand_mocks.kernel.provider import Credential, Provider
from bananastand_mocks.kernel.world import World
from bananastand_mocks.kernel.worlds import Kind, Worlds

KEY = "zoo-key"

CONTRACT = yaml.safe_load("""
openapi: 3.1.0
info: {title: Zoo, version: "1"}
paths:
  /animals:
    get:
      operationId: list_animals
      parameters:
        - {name: legs, in: query, schema: {type: integer, minimum: 0}}
        - {name: tame, in: query, schema: {type: boolean}}
        - {name: name, in: query, schema: {type: array, items: {type: string}}}
        - {name: X-Colour, in: header, schema: {type: string}}
      responses:
        "200": {content: {application/json: {schema: {type: object, required: [animals]}}}}
        "400": {$ref: "#/components/responses/Error"}
        "401": {$ref: "#/components/responses/Error"}
        "429": {$ref: "#/components/responses/Error"}
    post:
      operationId: create_animal
      requestBody:
        required: true
        content: {application/json: {schema: {$ref: "#/components/schemas/NewAnimal"}}}
      responses:
        "201": {content: {application/json: {schema: {$ref: "#/components/schemas/Animal"}}}}
        "400": {$ref: "#/components/responses/Error"}
        "401": {$ref: "#/components/responses/Error"}
        "413": {$ref: "#/components/responses/Error"}
  /animals/{id}:
    get:
      operationId: get_animal
      parameters: [{name: id, in: path, required: true, x-catch-all: true, schema: {type: string}}]
      responses:
        "200": {content: {application/json: {schema: {$ref: "#/components/schemas/Animal"}}}}
        "401": {$ref: "#/components/responses/Error"}
        "404": {$ref: "#/components/responses/Error"}
        "500": {$ref: "#/components/responses/Error"}
    delete:
      operationId: delete_animal
      parameters: [{name: id, in: path, required: true, schema: {type: string}}]
      responses:
        "204": {description: Gone.}
        "401": {$ref: "#/components/responses/Error"}
  /animal:
    get:
      x-alias-of: list_animals
      responses:
        "200": {content: {application/json: {schema: {type: object}}}}
components:
  schemas:
    NewAnimal:
      type: object
      required: [name]
      additionalProperties: false
      properties:
        name: {type: string, minLength: 1}
        legs: {type: integer, minimum: 0}
        born: {type: string, format: date}
    Animal:
      type: object
      required: [id, name, legs]
      properties: {id: {type: string}, name: {type: string}, legs: {type: integer}}
  responses:
    Error: {content: {application/json: {schema: {type: object, required: [oops]}}}}
""")


UNWRITABLE = {"nan": float("nan"), "surrogate": "\ud800"}


def list_animals(world: World, parameters: dict[str, Any]) -> dict[str, Any]:
    legs = parameters.get("legs")
    return {"animals": [item for item in world.table("zoo.animals").values() if legs in (None, item["legs"])]}


def create_animal(world: World, body: dict[str, Any]) -> dict[str, Any]:
    animal = {"id": world.ids.letters(8), "name": body["name"], "legs": body.get("legs", 4)}
    world.table("zoo.animals")[animal["id"]] = animal
    world.clock.after(60, "zoo.grow", id=animal["id"])
    return animal


async def get_animal(world: World, parameters: dict[str, Any], sound: str) -> dict[str, Any]:
    if parameters["id"] == "crash":
        raise RuntimeError("a mistake of ours")
    if parameters["id"] == "breach":
        return {"id": 1}
    if parameters["id"] == "unnamed":
        raise ProviderError("a condition that the dialect does not know")
    if parameters["id"] in UNWRITABLE:
        return {"id": "x", "name": "y", "legs": UNWRITABLE[parameters["id"]], "sound": sound}
    found = world.table("zoo.animals").get(parameters["id"])
    if found is None:
        raise ProviderError("not_found", "no such animal")
    return {**found, "sound": sound}


def delete_animal(world: World, parameters: dict[str, Any]) -> ApiResponse:
    world.table("zoo.animals").pop(parameters["id"], None)
    return ApiResponse(status=204)


def grow(world: World, details: dict[str, Any]) -> None:
    world.table("zoo.animals")[details["id"]]["grown"] = world.clock.now()


STATUSES = {"unknown_route": 404, "wrong_method": 405, "malformed_json": 400, "too_deep": 400, "too_large": 413,
            "unauthorized": 401, "unknown_credential": 401, "rate_limited": 429, "violation": 400, "server_error": 500,
            "not_found": 404}  # fmt: skip


class Zoo(Provider):
    name = "zoo"
    mount = "/zoo"
    title = "Zoo"
    max_body = 1000
    endpoints: Mapping[str, Any] = {
        item.__name__: item for item in (list_animals, create_animal, get_animal, delete_animal)
    }
    events = {"zoo.grow": grow}
    resources = {"sound": "moo"}
    credentials = (Credential("zoo", KEY, lambda ids: f"zoo-{ids.letters(12)}"),)

    def __init__(self) -> None:
        self.contract = Contract(CONTRACT)

    def secret(self, call: ApiCall) -> tuple[str, str] | None:
        if "x-api-key" not in call.headers:
            raise ProviderError("unauthorized")
        return "zoo", call.headers["x-api-key"]

    def failure(self, call: ApiCall | None, problem: Problem) -> ApiResponse:
        fields = [f"{item.where} {item.field} {item.rule}" for item in problem.violations]
        status = problem.status or STATUSES[problem.condition]
        body = {"oops": problem.condition, **({"fields": fields} if fields else {})}
        return ApiResponse(body, status, self.limit_headers(problem.details["allowance"]) if status == 429 else {})

    def fill(self, world: World, kind: Kind) -> None:
        if kind == "development":
            world.table("zoo.animals")["cow"] = {"id": "cow", "name": "Berta", "legs": 4}

    def limit_headers(self, allowance: Allowance) -> dict[str, str]:
        return {"x-remaining": str(allowance.remaining)}


def app(*, strict: bool = True, **options: Any) -> ProviderApp:
    provider = Zoo()
    return ProviderApp(provider, Worlds([provider], virtual=True, seed=1, **options), strict=strict)


class Response:
    """What came back over ASGI."""

    def __init__(self, messages: list[dict[str, Any]]) -> None:
        self.status: int = messages[0]["status"]
        self.headers = {name.decode(): value.decode() for name, value in messages[0]["headers"]}
        self.content = b"".join(item.get("body", b"") for item in messages[1:])

    def json(self) -> Any:
        return json.loads(self.content)


async def ask(
    asgi: Any,
    method: str,
    target: str,
    body: Any = None,
    *,
    key: str | None = KEY,
    headers: dict[str, str] | None = None,
    chunks: list[bytes] | None = None,
) -> Response:
    """One call, over plain ASGI. A body that is not bytes goes as JSON."""
    raw = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    pieces = chunks if chunks is not None else [raw]
    sent: list[dict[str, Any]] = []
    named = {"host": "zoo.test", **({"x-api-key": key} if key else {}), **(headers or {})}
    if raw or chunks:
        named = {"content-type": "application/json", "transfer-encoding": "chunked", **named}
    path, _, query = target.partition("?")
    messages = [
        {"type": "http.request", "body": piece, "more_body": i + 1 < len(pieces)} for i, piece in enumerate(pieces)
    ]

    async def receive() -> Any:
        return messages.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "query_string": query.encode(),
        "headers": [(name.lower().encode(), value.encode()) for name, value in named.items()],
        "root_path": "",
        "scheme": "http",
    }
    await asgi(scope, receive, send)
    return Response(sent)
