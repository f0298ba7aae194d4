"""The gateway: token, addresses, envelope, and what it says of itself."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from bananastand_mocks.server import Server, create_app
from tinymock import Response, ask

TOKEN = "at_r0123456789abcdef0123456789abcdef"


@pytest.fixture
def server() -> Server:
    return Server(virtual=True, seed=1, strict=True)


def call(server: Any, method: str, target: str, body: Any = None, **options: Any) -> Response:
    return asyncio.run(ask(server, method, target, body, key=None, **options))


def test_the_token_is_wanted_in_the_query_and_nowhere_else(server: Server) -> None:
    header = {"authorization": f"Bearer {TOKEN}"}
    refused = call(server, "GET", "/lowcodeapi/bananadev/v1/models", headers=header)

    assert refused.status == 401
    assert refused.json()["message"] == "A valid API token is required to access this API."
    assert refused.json()["error"]["code"] == 401
    assert refused.json()["error"]["logging"]["path"] == "/lowcodeapi/bananadev/v1/models"
    assert TOKEN not in refused.content.decode()
    assert call(server, "GET", "/lowcodeapi/bananadev/v1/models?api_token=YOUR_API_TOKEN").status == 401
    assert call(server, "GET", f"/lowcodeapi/bananadev/v1/models?api_token={TOKEN}").status == 200


def test_a_token_nobody_has_and_an_account_that_is_not_connected_are_403(server: Server) -> None:
    unknown = call(server, "GET", "/lowcodeapi/bananadev/v1/models?api_token=at_rffff")
    server.worlds.default.credentials["banana"].clear()
    unconnected = call(server, "GET", f"/lowcodeapi/bananadev/v1/models?api_token={TOKEN}")

    assert (unknown.status, unknown.json()["message"]) == (403, "Invalid api_token")
    assert unconnected.status == 403
    assert unconnected.json()["message"] == (
        "No access token is associated with this api_token, authorize your bananadev with LowCodeAPI."
    )


def test_a_body_that_is_not_json_is_refused_before_the_token(server: Server) -> None:
    answer = call(server, "POST", "/lowcodeapi/bananadev/v1/start", b"{oops")
    bare = call(server, "POST", "/lowcodeapi/bananadev/v1/start", b'"oops"')

    assert (answer.status, list(answer.json())) == (400, ["message"])
    assert (bare.status, list(bare.json())) == (400, ["message"])


def test_addresses_without_a_question_mark_work_unless_urls_are_strict(server: Server) -> None:
    """A:26 and A:83 write them so."""
    target = f"/lowcodeapi/bananadev/v1/models&api_token={TOKEN}"
    assert call(server, "GET", target).status == 200

    server.worlds.default.settings["lowcodeapi.strict_urls"] = True
    assert (call(server, "GET", target).status, call(server, "GET", target).json()) == (404, {"message": "Not Found"})
    assert TOKEN not in str([entry.dump() for entry in server.worlds.default.journal])


@pytest.mark.parametrize("query", ["?&api_token=T", "?model_key=value&&api_token=T", "?...&api_token=T"])
def test_empty_and_unknown_pairs_change_nothing(server: Server, query: str) -> None:
    assert call(server, "GET", f"/lowcodeapi/bananadev/v1/account{query.replace('T', TOKEN)}").status == 200


def test_a_path_parameter_travels_in_the_query_or_in_the_path_and_is_null_when_left_out(server: Server) -> None:
    base, token = "/lowcodeapi/bananadev/v1/models", f"api_token={TOKEN}"

    old = call(server, "GET", f"{base}/model_key?model_key=value&{token}").json()
    new = call(server, "GET", f"{base}/value?{token}").json()
    missing = call(server, "GET", f"{base}/model_key?{token}")

    assert old == new
    assert (missing.status, missing.json()["message"]) == (404, "Model not found")


@pytest.mark.parametrize("target", ["/lowcodeapi/bananadev", "/lowcodeapi/bananadev/", "/lowcodeapi/falai/"])
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_the_base_redirects_without_a_token(server: Server, method: str, target: str) -> None:
    answer = call(server, method, target)

    provider = target.split("/")[2]
    assert (answer.status, answer.content) == (302, b"")
    assert answer.headers["location"] == f"https://lowcodeapi.com?redirected_from=zoo.test/{provider}"


def test_unknown_providers_paths_and_methods_are_404_and_never_405(server: Server) -> None:
    for method, target in [("GET", "/lowcodeapi/nobody/v1"), ("GET", "/lowcodeapi/bananadev/v2"),
                           ("PUT", f"/lowcodeapi/bananadev/v1/models?api_token={TOKEN}")]:  # fmt: skip
        answer = call(server, method, target)
        assert (answer.status, answer.json()) == (404, {"message": "Not Found"})


def test_the_gateway_answers_for_itself(server: Server) -> None:
    assert call(server, "GET", "/lowcodeapi/").json() == {"res": {"message": "LowCodeAPI"}}
    assert call(server, "GET", "/lowcodeapi/health-check").json() == {"status": "ok"}
    assert call(server, "GET", "/lowcodeapi/nobody/definition").json() == {
        "message": "Invalid request for OpenAPI specs"
    }
    assert call(server, "GET", "/lowcodeapi/nobody/metadata").status == 422


def test_the_definition_is_openapi_3_0_keyed_by_literal_addresses(server: Server) -> None:
    definition = call(server, "GET", "/lowcodeapi/bananadev/definition").json()

    assert definition["openapi"] == "3.0.0"
    assert "/v1/models/{model_key}" not in definition["paths"]
    assert definition["paths"]["/v1/models/model_key"]["get"]["parameters"] == [
        {
            "name": "model_key",
            "in": "path",
            "description": "",
            "required": True,
            "schema": {"type": "string", "example": ""},
        }
    ]
    body = definition["paths"]["/v1/check"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert body["example"] == {"id": "", "modelKey": ""}
    assert body["properties"]["modelKey"]["required"] is True


def test_the_metadata_lists_addresses_and_methods(server: Server) -> None:
    metadata = call(server, "GET", "/lowcodeapi/bananadev/metadata").json()

    assert metadata["message"] == "API metadata for bananadev"
    assert "/v1/start~post" in metadata["res"]["Runs"]["paths"]


def test_browsers_are_answered_with_their_own_origin(server: Server) -> None:
    answer = call(server, "GET", "/lowcodeapi/bananadev/", headers={"origin": "http://page.test"})

    assert answer.headers["access-control-allow-origin"] == "http://page.test"
    assert answer.headers["access-control-allow-credentials"] == "true"


def test_one_provider_is_an_application_of_its_own_with_keys_of_ones_own() -> None:
    app = create_app("bananadev", keys={"lowcodeapi": "at_mine"}, journal=0)

    assert call(app, "GET", "/v1/models?api_token=at_mine").status == 200
    assert call(app, "GET", f"/v1/models?api_token={TOKEN}").status == 403
    assert len(app.worlds.default.journal) == 0
    with pytest.raises(ValueError, match="there is no provider nobody"):
        create_app("nobody")
