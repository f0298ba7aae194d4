"""Shapes that are common in public documents: forms with brackets, alternatives by a discriminator, bodies of `*/*`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

import bananastand_mocks
from bananastand_mocks import RunningServer

SHOP = """
openapi: 3.0.3
info: {title: Shop, version: "1"}
paths:
  /customers:
    get:
      parameters:
        - {name: created, in: query, style: deepObject, schema: {anyOf: [{$ref: '#/components/schemas/Range'}, {type: integer}]}}
        - {name: expand, in: query, style: deepObject, schema: {type: array, items: {type: string}}}
      responses: {"200": {description: ok, content: {application/json: {schema: {type: object, properties: {n: {type: integer}}}}}}}
    post:
      requestBody:
        content:
          application/x-www-form-urlencoded:
            schema:
              type: object
              additionalProperties: false
              properties:
                address: {anyOf: [{type: object, properties: {city: {type: string}}}, {type: string, enum: ['']}]}
                lines: {type: array, items: {type: object, properties: {count: {type: integer}}}}
                metadata: {type: object, additionalProperties: {type: string}}
                tags: {type: array, items: {type: string}}
      responses: {"200": {description: ok, content: {application/json: {schema: {$ref: '#/components/schemas/Customer'}}}}}
  /customers/{id}:
    get:
      responses: {"200": {description: ok, content: {application/json: {schema: {$ref: '#/components/schemas/Customer'}}}}}
  /pets:
    post:
      requestBody: {content: {"*/*": {schema: {$ref: '#/components/schemas/Pet'}}}}
      responses: {"201": {description: ok, content: {application/json: {schema: {$ref: '#/components/schemas/Pet'}}}}}
  /pets/{id}:
    get: {responses: {"200": {description: ok, content: {application/json: {schema: {$ref: '#/components/schemas/Pet'}}}}}}
    head: {responses: {"204": {description: ok}}}
  /digest:
    get: {security: [{digest: []}], responses: {"204": {description: ok}}}
  /endless:
    get: {responses: {"200": {description: ok, content: {application/json: {schema: {$ref: '#/components/schemas/Endless'}}}}}}
  /long:
    get: {responses: {"200": {description: ok, content: {application/json: {schema: {type: array, minItems: 1000000000, items: {type: string, minLength: 1000000000}}}}}}}
  /many:
    get: {responses: {"200": {description: ok, content: {application/json: {schema: {type: object, minProperties: 1000000000}}}}}}
  /no-value:
    get: {responses: {"200": {description: ok, content: {application/json: {schema: {type: string, enum: []}}}}}}
components:
  securitySchemes: {digest: {type: http, scheme: digest}}
  schemas:
    Range: {type: object, properties: {gt: {type: integer}}, additionalProperties: false}
    Customer:
      type: object
      properties:
        id: {type: string}
        address: {type: object, properties: {city: {type: string}}}
        lines: {type: array, items: {type: object}}
        metadata: {type: object}
        tags: {type: array, items: {type: string}}
    Pet:
      oneOf: [{$ref: '#/components/schemas/Cat'}, {$ref: '#/components/schemas/Dog'}]
      discriminator: {propertyName: kind, mapping: {meow: '#/components/schemas/Cat', woof: '#/components/schemas/Dog'}}
    Base: {type: object, required: [kind], properties: {id: {type: string}, kind: {type: string}}}
    Cat: {allOf: [{$ref: '#/components/schemas/Base'}, {type: object, required: [lives], properties: {lives: {type: integer, maximum: 9}}}]}
    Dog: {allOf: [{$ref: '#/components/schemas/Base'}, {type: object, required: [barks], properties: {barks: {type: boolean}}}]}
    Endless: {type: object, required: [id, next, more], properties: {id: {type: integer}, next: {$ref: '#/components/schemas/Endless'}, more: {type: array, minItems: 2, items: {$ref: '#/components/schemas/Endless'}}}}
"""  # noqa: E501


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    path: Path = tmp_path_factory.mktemp("shapes") / "shop.yaml"
    path.write_text(SHOP)
    with bananastand_mocks.start(openapi=[path]) as running:
        yield running


@pytest.fixture
def shop(server: RunningServer) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=server.stand().endpoint("shop").base_url, timeout=60) as client:
        yield client


def test_a_form_with_brackets_is_read_as_objects_and_lists(shop: httpx2.Client) -> None:
    form = "address[city]=Rome&lines[0][count]=2&lines[1][count]=3&tags[]=a&tags[]=b&metadata[7]=x"
    headers = {"content-type": "application/x-www-form-urlencoded"}

    customer = shop.post("/customers", content=form, headers=headers).json()

    assert customer["address"]["city"] == "Rome"
    assert customer["lines"] == [{"count": 2}, {"count": 3}]
    assert (customer["tags"], customer["metadata"]["7"]) == (["a", "b"], "x")
    assert shop.post("/customers", content="address=", headers=headers).status_code == 200
    wrong = shop.post("/customers", content="lines[0][count]=two", headers=headers)
    assert (wrong.status_code, 'body.lines.0.count: "two"' in wrong.json()["detail"]) == (400, True)
    both = shop.post("/customers", content="address=x&address[city]=Rome", headers=headers)
    assert (both.status_code, "address is a text and an object" in both.json()["detail"]) == (400, True)


@pytest.mark.parametrize(
    ("query", "status"),
    [("created[gt]=5", 200), ("created=5", 200), ("created[gt]=x", 400), ("created[lt]=5", 400),
     ("expand[]=a&expand[]=b", 200), ("expand[0]=a", 200), ("created[a]=1&created[a][b]=2", 400)],
)  # fmt: skip
def test_objects_and_lists_with_brackets_in_the_query_take_their_alternatives_types(
    query: str, status: int, shop: httpx2.Client
) -> None:
    assert shop.get(f"/customers?{query}").status_code == status


@pytest.mark.parametrize("pet", [{"kind": "woof", "barks": True}, {"kind": "meow", "lives": 3}])
def test_a_created_resource_is_of_the_alternative_that_its_discriminator_names(
    pet: dict[str, object], shop: httpx2.Client
) -> None:
    created = shop.post("/pets", json=pet).json()

    assert created == {**pet, "id": created["id"]}
    assert shop.get(f"/pets/{created['id']}").json() == created


def test_a_body_of_any_type_is_checked_where_it_is_json(shop: httpx2.Client) -> None:
    assert shop.post("/pets", json={"kind": "woof"}).status_code == 400
    assert shop.post("/pets", content="text", headers={"content-type": "text/plain"}).status_code == 201


def test_an_operation_for_head_is_served(shop: httpx2.Client) -> None:
    assert shop.head("/pets/none").status_code == 404
    assert (
        shop.head(f"/pets/{shop.post('/pets', json={'kind': 'woof', 'barks': True}).json()['id']}").status_code == 204
    )


def test_http_authentication_of_another_scheme_is_taken(shop: httpx2.Client) -> None:
    assert shop.get("/digest", headers={"Authorization": "Digest username=ann"}).status_code == 204
    assert shop.get("/digest", headers={"Authorization": "Bearer x"}).status_code == 401


@pytest.mark.parametrize("path", ["/endless", "/long", "/many", "/no-value"])
def test_a_schema_that_no_value_can_fit_is_answered_soon(path: str, shop: httpx2.Client) -> None:
    answer = shop.get(path)

    assert answer.status_code == 200
    assert len(answer.content) < 200_000_000


@pytest.mark.parametrize("code", ["abc", "99", "9" * 5000, "418"])
def test_a_code_that_the_document_does_not_have_is_refused(code: str, shop: httpx2.Client) -> None:
    answer = shop.get("/digest", headers={"Authorization": "Digest x", "Prefer": f"code={code}"})

    assert (answer.status_code, f"no response {code[:20]}: " in answer.json()["detail"]) == (404, True)
