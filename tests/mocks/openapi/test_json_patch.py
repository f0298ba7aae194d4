"""PATCH with application/json-patch+json, beside a merge patch on the same operation."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

import bananastand_mocks

DOCUMENT = """
openapi: 3.1.0
info: {title: Boxes, version: "1"}
paths:
  /boxes:
    post:
      requestBody: {content: {application/json: {schema: {$ref: "#/components/schemas/Box"}}}}
      responses: {"201": {content: {application/json: {schema: {$ref: "#/components/schemas/Box"}}}}}
  /boxes/{id}:
    get:
      responses: {"200": {content: {application/json: {schema: {$ref: "#/components/schemas/Box"}}}}}
    patch:
      requestBody:
        content:
          application/merge-patch+json: {schema: {$ref: "#/components/schemas/Box"}}
          application/json-patch+json:
            schema: {type: array, items: {type: object, required: [op, path]}}
      responses:
        "200": {content: {application/json: {schema: {$ref: "#/components/schemas/Box"}}}}
        "422": {description: wrong}
components:
  schemas:
    Box:
      type: object
      properties:
        id: {type: integer, readOnly: true}
        name: {type: string}
        tags: {type: array, items: {type: string}}
        size: {type: object, properties: {width: {type: integer}, height: {type: integer}}}
"""


@pytest.fixture(scope="module")
def http(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx2.Client]:
    path: Path = tmp_path_factory.mktemp("boxes") / "boxes.yaml"
    path.write_text(DOCUMENT)
    with (
        bananastand_mocks.start("falai", openapi=[path]) as server,
        httpx2.Client(base_url=server.endpoint("boxes").base_url, timeout=60) as client,
    ):
        yield client


@pytest.fixture
def address(http: httpx2.Client) -> str:
    box = {"name": "crate", "tags": ["red"], "size": {"width": 2, "height": 3}}
    return f"/boxes/{http.post('/boxes', json=box).json()['id']}"


def patch(http: httpx2.Client, address: str, operations: Any) -> httpx2.Response:
    return http.patch(address, json=operations, headers={"Content-Type": "application/json-patch+json"})


def test_all_six_operations_change_the_resource(http: httpx2.Client, address: str) -> None:
    operations = [
        {"op": "test", "path": "/name", "value": "crate"},
        {"op": "replace", "path": "/name", "value": "box"},
        {"op": "add", "path": "/tags/0", "value": "new"},
        {"op": "copy", "from": "/size/width", "path": "/size/height"},
        {"op": "move", "from": "/tags/1", "path": "/tags/0"},
        {"op": "remove", "path": "/size/width"},
    ]
    answer = patch(http, address, operations)

    assert answer.status_code == 200
    assert http.get(address).json() == answer.json()
    assert {**answer.json(), "id": 0} == {"id": 0, "name": "box", "tags": ["red", "new"], "size": {"height": 2}}


def test_a_failed_test_is_409_and_changes_nothing(http: httpx2.Client, address: str) -> None:
    before = http.get(address).json()
    operations = [{"op": "replace", "path": "/name", "value": "x"}, {"op": "test", "path": "/name", "value": "y"}]

    answer = patch(http, address, operations)

    assert answer.status_code == 409
    assert "operation 1: the test of /name fails" in answer.text
    assert http.get(address).json() == before


@pytest.mark.parametrize(
    ("operations", "text"),
    [
        ([{"op": "remove", "path": "/nothing"}], "operation 0"),
        ([{"op": "fly", "path": "/name"}], "operation 0"),
        ([{"op": "add", "path": "name", "value": 1}], "operation 0"),
        ([{"op": "add", "path": "/tags/9", "value": "x"}], "operation 0"),
        ([{"op": "replace", "path": "", "value": []}], "the patched resource is no object"),
        ([{"op": "add", "path": "/name"}], "operation 0"),
        ([{"op": "test", "path": "/name", "value": "crate"}] * 1001, "at most 1000 operations"),
        ([{"op": "copy", "from": "", "path": "/tags/-"}] * 60, "grows beyond 16 MB"),
        ([{"op": "add"}], "path"),
        ({"name": "x"}, ""),
    ],
)
def test_a_wrong_patch_is_422_and_changes_nothing(
    http: httpx2.Client, address: str, operations: Any, text: str
) -> None:
    before = http.get(address).json()

    answer = patch(http, address, operations)

    assert answer.status_code == 422
    assert text in answer.text
    assert http.get(address).json() == before


def test_the_id_stays_and_a_merge_patch_still_works(http: httpx2.Client, address: str) -> None:
    number = int(address.rpartition("/")[2])

    assert patch(http, address, [{"op": "replace", "path": "/id", "value": 77}]).json()["id"] == number
    merge = {"Content-Type": "application/merge-patch+json"}
    assert http.patch(address, json={"name": "chest"}, headers=merge).json()["name"] == "chest"
    assert http.patch(address, json=[], headers=merge).status_code == 422
