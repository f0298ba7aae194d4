"""A document in several files, as generators and large APIs split theirs; and documents without paths."""

from __future__ import annotations

import json
from pathlib import Path

import httpx2
import pytest

import bananastand_mocks
from bananastand_mocks.openapi import DocumentError, OpenApiProvider

FILES = {
    "shop.yaml": """
openapi: 3.1.0
info: {title: Shop, version: "1"}
paths:
  /fruits: {$ref: paths/fruits.yaml}
  /fruits/{id}: {$ref: "paths/fruits.yaml#/one"}
components:
  schemas:
    Id: {type: integer, readOnly: true}
""",
    "paths/fruits.yaml": """
get:
  responses:
    "200":
      content:
        application/json:
          schema: {type: array, items: {$ref: ../schemas/fruit.json}}
          examples: {two: {$ref: ../examples/two.yaml}}
post:
  requestBody: {required: true, content: {application/json: {schema: &fruit {$ref: ../schemas/fruit.json}}}}
  responses: {"201": {content: {application/json: {schema: *fruit}}}}
one:
  get:
    responses: {"200": {content: {application/json: {schema: {$ref: ../schemas/fruit.json}}}}}
""",
    "schemas/fruit.json": json.dumps(
        {
            "type": "object",
            "required": ["name", "origin"],
            "properties": {
                "id": {"$ref": "../shop.yaml#/components/schemas/Id"},
                "name": {"type": "string", "minLength": 2},
                "origin": {"$ref": "place%20names.yaml#/Place"},
                "near": {"$ref": "#/properties/origin"},
            },
        }
    ),
    "schemas/place names.yaml": "Place: {type: string, enum: [sea, hills]}\n",
    "examples/two.yaml": "value: [{id: 7, name: pear, origin: sea}, {id: 9, name: fig, origin: hills}]\n",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
    return tmp_path


def test_a_document_in_several_files_is_served(folder: Path) -> None:
    with bananastand_mocks.start(openapi=[folder / "shop.yaml"]) as server:
        shop = server.endpoint("shop").base_url
        fruits = httpx2.get(f"{shop}/fruits").json()
        created = httpx2.post(f"{shop}/fruits", json={"name": "plum", "origin": "hills"})
        found = httpx2.get(f"{shop}/fruits/{created.json()['id']}").json()
        wrong = httpx2.post(f"{shop}/fruits", json={"name": "p", "origin": "moon", "near": "moon"})
        document = httpx2.get(f"{shop}/openapi.json").json()

    assert [fruit["name"] for fruit in fruits] == ["pear", "fig"]
    assert (created.status_code, found["origin"]) == (201, "hills")
    assert wrong.status_code == 400
    assert all(field in wrong.text for field in ("name", "origin", "near"))
    assert document["paths"]["/fruits"] == {"$ref": "#/x-files/paths~1fruits.yaml"}
    assert set(document["x-files"]) == set(FILES) - {"shop.yaml"}


@pytest.mark.parametrize(
    ("file", "old", "new", "problem"),
    [
        ("schemas/fruit.json", "#/Place", "#/Plaice", r"fruit\.json:1: .*place%20names.yaml#/Plaice names nothing"),
        ("schemas/place names.yaml", "enum: [", "enum: [[", r"place names\.yaml:\d+:\d+: no YAML"),
        ("paths/fruits.yaml", "../schemas/fruit.json}}}}\n", "../../out.json}}}}\n", r"fruits\.yaml:10: .* lies out"),
        ("schemas/place names.yaml", "type: string", "type: strung", r"strung"),
    ],
)  # fmt: skip
def test_what_is_wrong_in_another_file_is_said_with_its_name(
    folder: Path, file: str, old: str, new: str, problem: str
) -> None:
    text = (folder / file).read_text()
    assert old in text
    (folder / file).write_text(text.replace(old, new))

    with pytest.raises(DocumentError, match=problem):
        OpenApiProvider(folder / "shop.yaml")


def test_a_link_that_leads_out_of_the_folder_is_refused(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    outside = tmp_path_factory.mktemp("outside") / "two.yaml"
    outside.write_text("value: []\n")
    (folder / "examples/two.yaml").unlink()
    (folder / "examples/two.yaml").symlink_to(outside)

    with pytest.raises(DocumentError, match=r"\$ref \.\./examples/two\.yaml lies outside of"):
        OpenApiProvider(folder / "shop.yaml")


@pytest.mark.parametrize(
    "parts", ["webhooks: {sold: {post: {responses: {'200': {description: ok}}}}}", "components: {}"]
)
def test_a_document_without_paths_is_served_and_answers_404(parts: str, tmp_path: Path) -> None:
    (tmp_path / "hooks.yaml").write_text(f"openapi: 3.1.0\ninfo: {{title: Hooks, version: '1'}}\n{parts}\n")
    with bananastand_mocks.start(openapi=[tmp_path / "hooks.yaml"]) as server:
        base = server.endpoint("hooks").base_url

        assert httpx2.get(f"{base}/openapi.json").json()["info"]["title"] == "Hooks"
        assert httpx2.post(f"{base}/sold", json={}).status_code == 404


def test_an_operation_without_responses_answers_200(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("openapi: 3.1.0\ninfo: {title: A, version: '1'}\npaths: {/a: {get: {}}}\n")
    with bananastand_mocks.start(openapi=[tmp_path / "a.yaml"]) as server:
        assert httpx2.get(f"{server.endpoint('a').base_url}/a").status_code == 200
