"""LowCodeAPI at its boundaries: its definition and metadata, its envelopes and what a token opens, over HTTP."""

from __future__ import annotations

from typing import Any

import pytest

from bananastand_mocks.bananadev import BananaDevUpstream
from bananastand_mocks.falai import FalAIUpstream
from bananastand_mocks.lowcodeapi.gateway import Gateway
from in_process import InProcess

UPSTREAMS: Any = {"bananadev": BananaDevUpstream, "falai": FalAIUpstream}
EXAMPLES = {"string": "", "number": 0, "boolean": False, "object": {}, "array": []}
TOKEN = {"api_token": "at_r0123456789abcdef0123456789abcdef"}


@pytest.fixture(params=UPSTREAMS)
def name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def call(name: str) -> InProcess:
    return InProcess(Gateway(UPSTREAMS[name]()))


def test_the_definition_gives_an_empty_example_of_each_type(name: str, call: InProcess) -> None:
    operations = [
        operation for methods in call("GET", "/definition").json()["paths"].values() for operation in methods.values()
    ]
    parameters = [parameter["schema"] for operation in operations for parameter in operation["parameters"]]
    bodies = [
        operation["requestBody"]["content"]["application/json"]["schema"]
        for operation in operations
        if "requestBody" in operation
    ]

    assert parameters
    assert [
        schema for schema in parameters if schema != {"type": schema["type"], "example": EXAMPLES[schema["type"]]}
    ] == []
    assert bodies
    for schema in bodies:
        assert schema["example"] == {key: EXAMPLES[field["type"]] for key, field in schema["properties"].items()}


def test_the_definition_describes_an_operation(name: str, call: InProcess) -> None:
    definition = call("GET", "/definition").json()
    operation = definition["paths"]["/v1/models"]["get"]

    assert (definition["openapi"], definition["security"]) == ("3.0.0", [{"ApiToken": []}])
    assert [server["url"] for server in definition["servers"]] == ["http://mock", f"https://api.lowcodeapi.com/{name}"]
    assert definition["components"] == {
        "securitySchemes": {"ApiToken": {"type": "apiKey", "in": "query", "name": "api_token"}}
    }
    assert operation["tags"] == ["Models"]
    assert operation["security"] == [{"ApiToken": []}]
    assert operation["responses"] == {"401": {"description": "API token required", "content": {"application/json": {}}}}
    assert "requestBody" not in operation
    assert call("POST", "/definition").json() == definition


def test_the_definition_marks_a_parameter_of_the_path(name: str, call: InProcess) -> None:
    place = "model_key" if name == "bananadev" else "model_id"
    parameters = call("GET", "/definition").json()["paths"][f"/v1/models/{place}"]["get"]["parameters"]

    assert [(row["in"], row["required"]) for row in parameters if row["name"] == place] == [("path", True)]
    listed = call("GET", "/definition").json()["paths"]["/v1/models"]["get"]["parameters"]
    assert {(row["in"], row["required"]) for row in listed} <= {("query", False)}


def test_the_definition_marks_required_fields_of_a_body() -> None:
    call = InProcess(Gateway(BananaDevUpstream()))
    body = call("GET", "/definition").json()["paths"]["/v1/run"]["post"]["requestBody"]

    assert body["required"] is True
    properties = body["content"]["application/json"]["schema"]["properties"]
    assert {key: value.get("required", False) for key, value in properties.items()} == {
        "modelKey": True, "modelInputs": True,
    }  # fmt: skip


def test_the_metadata_lists_each_address_once(name: str, call: InProcess) -> None:
    metadata = call("GET", "/metadata").json()

    assert metadata["message"] == f"API metadata for {name}"
    assert metadata["res"]["Models"]["id"] == "models"
    paths = metadata["res"]["Models"]["paths"]
    assert paths[:2] == ["/v1/models", "/v1/models~get"]
    assert len(paths) == len(set(paths))
    assert "/" not in paths
    assert call("POST", "/metadata").status_code == 404


def test_the_envelope_of_a_success(name: str, call: InProcess) -> None:
    body = call("GET", "/v1/models", params=TOKEN).json()

    assert list(body) == ["message", "provider", "result", "response_headers"]
    assert (body["message"], body["provider"]) == ("Request completed", name)
    assert body["response_headers"]["content-type"] == "application/json"


def test_the_envelope_of_an_error(name: str, call: InProcess) -> None:
    place = "model_key" if name == "bananadev" else "model_id"
    answer = call("GET", f"/v1/models/{place}", params={**TOKEN, place: "none"})

    assert answer.status_code == 404
    body = answer.json()
    assert list(body) == ["message", "provider", "error", "headers"]
    message = "Model not found" if name == "bananadev" else "Error received from the falai API"
    assert (body["message"], body["provider"]) == (message, name)
    assert call("GET", f"/v1/models/{place}", params=TOKEN).json()["error"] == body["error"], "as of the word null"


def test_a_401_shows_the_request(name: str, call: InProcess) -> None:
    answer = call("GET", "/v1/models", params={"search": "a"}, headers={"x-own": "b"})

    body = answer.json()
    assert body["message"] == "A valid API token is required to access this API."
    assert (body["provider"], body["error"]["code"]) == (name, 401)
    logged = body["error"]["logging"]
    assert (logged["method"], logged["status_code"], logged["message"]) == ("GET", 401, body["message"])
    assert logged["path"].endswith("/v1/models")
    assert (logged["query"], logged["headers"]["x-own"]) == ({"search": "a"}, "b")
