"""What the gateway says of itself, and what it hands on; called in process."""

from __future__ import annotations

from typing import Any

import pytest

from bananastand.contracts.schemas import Schemas
from bananastand_mocks.bananadev import BananaDevUpstream
from bananastand_mocks.falai import FalAIUpstream
from bananastand_mocks.lowcodeapi.definition import EXAMPLES, _type
from bananastand_mocks.lowcodeapi.gateway import Gateway
from in_process import InProcess

UPSTREAMS: Any = {"bananadev": BananaDevUpstream, "falai": FalAIUpstream}
TOKEN = {"api_token": "at_r0123456789abcdef0123456789abcdef"}


@pytest.fixture(params=UPSTREAMS)
def name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def call(name: str) -> InProcess:
    return InProcess(Gateway(UPSTREAMS[name]()))


def test_examples_of_a_definition_are_empty_values_of_their_type(name: str, call: InProcess) -> None:
    assert EXAMPLES == {"string": "", "number": 0, "integer": 0, "boolean": False, "object": {}, "array": []}
    assert [_type(each, Schemas({})) for each in ({"type": ["string", "null"]}, {})] == ["string", "object"]
    for methods in call("GET", "/definition").json()["paths"].values():
        for described in methods.values():
            for each in described["parameters"]:
                assert each["schema"] == {"type": each["schema"]["type"], "example": EXAMPLES[each["schema"]["type"]]}
            if "requestBody" in described:
                schema = described["requestBody"]["content"]["application/json"]["schema"]
                assert schema["example"] == {key: EXAMPLES[of["type"]] for key, of in schema["properties"].items()}


def test_the_definition_of_an_operation(name: str, call: InProcess) -> None:
    whole = call("GET", "/definition").json()
    told = whole["paths"]["/v1/models"]["get"]

    assert (whole["openapi"], whole["security"]) == ("3.0.0", [{"ApiToken": []}])
    assert whole["servers"] == [{"description": "LowCodeAPI", "url": f"https://api.lowcodeapi.com/{name}"}]
    assert whole["components"] == {
        "securitySchemes": {"ApiToken": {"type": "apiKey", "in": "query", "name": "api_token"}}
    }
    assert told["tags"] == ["AI Cloud"]
    assert told["security"] == [{"ApiToken": []}]
    assert told["responses"] == {"401": {"description": "API token required", "content": {"application/json": {}}}}
    assert "requestBody" not in told
    assert call("POST", "/definition").json() == whole


def test_a_place_in_the_path_is_told_as_one(name: str, call: InProcess) -> None:
    place = "model_key" if name == "bananadev" else "model_id"
    told = call("GET", "/definition").json()["paths"][f"/v1/models/{place}"]["get"]["parameters"]

    assert [(each["in"], each["required"]) for each in told if each["name"] == place] == [("path", True)]
    listed = call("GET", "/definition").json()["paths"]["/v1/models"]["get"]["parameters"]
    assert {(each["in"], each["required"]) for each in listed} <= {("query", False)}


def test_what_a_body_requires_is_told() -> None:
    call = InProcess(Gateway(BananaDevUpstream()))
    body = call("GET", "/definition").json()["paths"]["/v1/run"]["post"]["requestBody"]

    assert body["required"] is True
    properties = body["content"]["application/json"]["schema"]["properties"]
    assert {key: each.get("required", False) for key, each in properties.items()} == {
        "modelKey": True, "modelInputs": True,
    }  # fmt: skip


def test_the_metadata(name: str, call: InProcess) -> None:
    told = call("GET", "/metadata").json()

    assert told["message"] == f"API metadata for {name}"
    assert told["res"]["AI Cloud"]["id"] == name
    paths = told["res"]["AI Cloud"]["paths"]
    assert {"/v1/models", "/v1/models~get"} <= set(paths)
    assert len(paths) == len(set(paths))
    assert "/" not in paths
    assert call("POST", "/metadata").status_code == 404


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE"])
def test_the_base_leads_to_the_site(method: str, name: str, call: InProcess) -> None:
    answer = call(method, "/")

    assert (answer.status_code, answer.content) == (302, b"")
    assert answer.headers["location"] == f"https://lowcodeapi.com?redirected_from=mock/{name}"


def test_the_envelope_of_a_success(name: str, call: InProcess) -> None:
    whole = call("GET", "/v1/models", params=TOKEN).json()

    assert list(whole) == ["message", "provider", "result", "response_headers"]
    assert (whole["message"], whole["provider"]) == ("Request completed", name)
    assert whole["response_headers"]["content-type"] == "application/json"


def test_the_envelope_of_an_error(name: str, call: InProcess) -> None:
    place = "model_key" if name == "bananadev" else "model_id"
    answer = call("GET", f"/v1/models/{place}", params={**TOKEN, place: "none"})

    assert answer.status_code == 404
    whole = answer.json()
    assert list(whole) == ["message", "provider", "error", "headers"]
    told = "Model not found" if name == "bananadev" else "Error received from the falai API"
    assert (whole["message"], whole["provider"]) == (told, name)
    assert call("GET", f"/v1/models/{place}", params=TOKEN).json()["error"] == whole["error"], "as of the word null"


@pytest.mark.parametrize(
    ("query", "status"), [({}, 401), ({"api_token": "wrong"}, 401), ({"api_token": "at_wrong"}, 403), (TOKEN, 200)]
)
def test_what_a_token_opens(query: dict[str, str], status: int, call: InProcess) -> None:
    assert call("GET", "/v1/models", params=query).status_code == status


def test_a_401_shows_the_request(name: str, call: InProcess) -> None:
    answer = call("GET", "/v1/models", params={"search": "a"}, headers={"x-own": "b"})

    told = answer.json()
    assert told["message"] == "A valid API token is required to access this API."
    assert (told["provider"], told["error"]["code"]) == (name, 401)
    shown = told["error"]["logging"]
    assert (shown["method"], shown["status_code"], shown["message"]) == ("GET", 401, told["message"])
    assert shown["path"].endswith("/v1/models")
    assert (shown["query"], shown["headers"]["x-own"]) == ({"search": "a"}, "b")


def test_addresses_without_a_question_mark(call: InProcess) -> None:
    token = TOKEN["api_token"]
    assert call("GET", f"/v1/models&api_token={token}").status_code == 200
    call.world.settings["lowcodeapi.strict_urls"] = True
    assert call("GET", f"/v1/models&api_token={token}").status_code == 404


def test_an_account_without_the_providers_key(name: str, call: InProcess) -> None:
    call.world.credentials[UPSTREAMS[name]().credential.kind] = []

    answer = call("GET", "/v1/models", params=TOKEN)

    assert (answer.status_code, answer.json()["message"]) == (
        403, f"No access token is associated with this api_token, authorize your {name} with LowCodeAPI.",
    )  # fmt: skip
