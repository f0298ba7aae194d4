"""The mock keeps each claim of claims/bananadev.yaml, over HTTP. A test has the name of its claim."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from bananastand_mocks.bananadev import BananaDevUpstream
from bananastand_mocks.server import Server
from gateway_caller import TOKEN, GatewayCaller
from tinymock import ask

RUN = {"modelKey": "value", "modelInputs": {"prompt": "a ripe banana", "width": 64, "height": 64}}
DEPLOY = {"modelKey": "new", "source": "https://git.test/new"}


@pytest.fixture
def call() -> GatewayCaller:
    return GatewayCaller(BananaDevUpstream(), "development")


def start(call: GatewayCaller, **changes: Any) -> Any:
    return call.result("POST", "/v1/start", {**RUN, **changes})


def check(call: GatewayCaller, name: str, model: str = "value") -> Any:
    return call("POST", "/v1/check", {"id": name, "modelKey": model})


def test_bananadev_auth_token_in_query(call: GatewayCaller):
    carried = {"authorization": f"Bearer {TOKEN}", "x-banana-api-key": TOKEN, "api_token": TOKEN}
    assert call.send("GET", "/v1/account", headers=carried).status_code == 401
    assert call.send("POST", "/v1/run", json={**RUN, "api_token": TOKEN}).status_code == 401
    assert call("POST", "/v1/run", {**RUN, "api_token": "wrong"}).status_code == 200


def test_bananadev_auth_token_missing(call: GatewayCaller):
    for answer in (call.send("GET", "/v1/models"), call.send("GET", "/v1/models?api_token=YOUR_API_TOKEN")):
        assert answer.status_code == 401
        assert answer.json()["message"] == "A valid API token is required to access this API."


def test_bananadev_auth_token_unknown(call: GatewayCaller):
    answer = call.send("GET", "/v1/models?api_token=at_rffffffffffffffffffffffffffffffff")
    assert (answer.status_code, answer.json()["message"]) == (403, "Invalid api_token")


def test_bananadev_auth_not_connected(call: GatewayCaller):
    call.world.expel("banana", "11111111-1111-1111-1111-111111111111")
    answer = call("GET", "/v1/models")
    assert answer.status_code == 403
    assert answer.json()["message"] == (
        "No access token is associated with this api_token, authorize your bananadev with LowCodeAPI."
    )


def test_bananadev_envelope_success(call: GatewayCaller):
    for answer in (call("GET", "/v1/account"), call("POST", "/v1/deploy", DEPLOY)):
        assert answer.status_code == 200
        assert set(answer.json()) == {"message", "provider", "result", "response_headers"}
        assert answer.json()["provider"] == "bananadev"


def test_bananadev_envelope_message(call: GatewayCaller):
    begun = call("POST", "/v1/start", {**RUN, "startOnly": True}).json()
    assert (begun["result"]["message"], begun["message"]) == ("", "Request completed")
    assert call("GET", "/v1/account").json()["message"] == "Request completed"
    assert check(call, begun["result"]["callID"]).json()["message"] == "success"


def test_bananadev_envelope_error(call: GatewayCaller):
    answer = call("GET", "/v1/models/model_key", model_key="nobody")
    assert answer.status_code == 404
    assert answer.json() == {
        "message": "Model not found",
        "provider": "bananadev",
        "error": {"message": "Model not found"},
        "headers": {"content-type": "application/json"},
    }


def test_bananadev_envelope_malformed_before_auth(call: GatewayCaller):
    broken = {"content": b'{"modelKey":', "headers": {"content-type": "application/json"}}
    for path in ("/v1/run", f"/v1/run?api_token={TOKEN}"):
        answer = call.send("POST", path, **broken)
        assert (answer.status_code, set(answer.json())) == (400, {"message"})


def test_bananadev_address_unknown(call: GatewayCaller):
    for answer in (call("GET", "/v1/nothing"), call("DELETE", "/v1/models"), call.send("GET", "/v1/run")):
        assert (answer.status_code, answer.json()) == (404, {"message": "Not Found"})
    answer = asyncio.run(ask(Server(["bananadev"]), "GET", f"/lowcodeapi/nobody/v1/models?api_token={TOKEN}"))
    assert (answer.status, answer.json()) == (404, {"message": "Not Found"})


def test_bananadev_address_no_question_mark(call: GatewayCaller):
    assert call.send("GET", f"/v1/models&api_token={TOKEN}").json() == call("GET", "/v1/models").json()
    assert call.send("POST", f"/v1/run&api_token={TOKEN}", json=RUN).status_code == 200


def test_bananadev_address_strict_urls(call: GatewayCaller):
    call.world.settings["lowcodeapi.strict_urls"] = True
    for answer in (call.send("GET", f"/v1/models&api_token={TOKEN}"),
                   call.send("POST", f"/v1/run&api_token={TOKEN}", json=RUN)):  # fmt: skip
        assert (answer.status_code, answer.json()) == (404, {"message": "Not Found"})
    assert call("GET", "/v1/models").status_code == 200


def test_bananadev_address_empty_pairs(call: GatewayCaller):
    assert call.send("POST", f"/v1/start?&api_token={TOKEN}", json=RUN).status_code == 200
    detail = call.send("GET", f"/v1/models/model_key?model_key=value&&api_token={TOKEN}")
    assert detail.json()["result"]["modelKey"] == "value"
    assert call.send("GET", f"/v1/usage?...&api_token={TOKEN}").json() == call("GET", "/v1/usage").json()


def test_bananadev_address_base():
    server = Server(["bananadev"])
    for path in ("/lowcodeapi/bananadev", "/lowcodeapi/bananadev/", "/lowcodeapi/bananadev/?api_token=YOUR_API_TOKEN"):
        answer = asyncio.run(ask(server, "GET", path, key=None))
        where = "https://lowcodeapi.com?redirected_from=zoo.test/bananadev"
        assert (answer.status, answer.headers["location"]) == (302, where)


def test_bananadev_models_path_parameter(call: GatewayCaller):
    in_query = call.result("GET", "/v1/models/model_key", model_key="stable-diffusion")
    assert in_query["modelKey"] == "stable-diffusion"
    assert call.result("GET", "/v1/models/stable-diffusion") == in_query


def test_bananadev_models_unknown(call: GatewayCaller):
    unknown = {**RUN, "modelKey": "nobody"}
    for answer in (call("POST", "/v1/start", unknown), call("POST", "/v1/run", unknown),
                   call("GET", "/v1/models/nobody"), check(call, "value", "nobody")):  # fmt: skip
        assert (answer.status_code, answer.json()["message"]) == (404, "Model not found")
    assert call("POST", "/v1/deploy", {"modelKey": "nobody", "source": "x"}).status_code == 200


def test_bananadev_models_deployments_newest_first(call: GatewayCaller):
    ids = [call.result("POST", "/v1/deploy", DEPLOY)["deploymentId"] for _ in range(3)]
    listed = call.result("GET", "/v1/models/new")["deployments"]
    assert [row["deploymentId"] for row in listed] == ids[::-1]


def test_bananadev_start_start_only(call: GatewayCaller):
    begun = start(call, startOnly=True)
    assert begun["callID"].startswith("call_")
    assert (begun["finished"], begun["modelOutputs"]) == (False, None)


@pytest.mark.parametrize("fields", [{}, {"startOnly": False}, {"startOnly": "value"}, {"startOnly": "true"}])
def test_bananadev_start_start_only_default(call: GatewayCaller, fields: Any):
    assert start(call, **fields)["finished"] is True


def test_bananadev_start_hold(call: GatewayCaller):
    call.world.tasks.finish_after_seconds(90)
    begun = start(call)
    assert (begun["finished"], begun["modelOutputs"]) == (False, None)
    call.world.clock.advance(90)
    assert len(check(call, begun["callID"]).json()["result"]["modelOutputs"]) == 1


def test_bananadev_start_finished(call: GatewayCaller):
    begun = start(call)
    assert (begun["finished"], begun["callID"], len(begun["modelOutputs"])) == (True, "", 1)
    assert begun["modelOutputs"][0]["images"][0]["width"] == 64


def test_bananadev_check_id_or_call_id(call: GatewayCaller):
    begun = start(call, startOnly=True)
    by_id, by_call = check(call, begun["id"]), check(call, begun["callID"])
    assert by_id.json()["result"] == by_call.json()["result"]
    assert by_id.json()["message"] == "success"


def test_bananadev_check_running(call: GatewayCaller):
    call.world.tasks.finish_after_polls(1)
    answer = check(call, start(call, startOnly=True)["callID"]).json()
    assert (answer["message"], answer["result"]["message"]) == ("running", "running")
    assert answer["result"]["modelOutputs"] is None


def test_bananadev_check_success(call: GatewayCaller):
    begun = start(call, startOnly=True)
    first, later = (check(call, begun["callID"]).json()["result"] for _ in range(2))
    assert first["message"] == "success"
    assert len(first["modelOutputs"]) == 1
    assert later == first


def test_bananadev_check_other_model(call: GatewayCaller):
    begun = start(call, startOnly=True)
    answer = check(call, begun["callID"], "stable-diffusion")
    assert (answer.status_code, answer.json()["message"]) == (404, "Run not found")


def test_bananadev_run_waits(call: GatewayCaller):
    ran = call.result("POST", "/v1/run", RUN)
    assert (ran["finished"], len(ran["modelOutputs"])) == (True, 1)


def test_bananadev_usage_counts(call: GatewayCaller):
    for model in ("value", "value", "stable-diffusion"):
        call.result("POST", "/v1/run", {**RUN, "modelKey": model})
    call.world.tasks.fail_next()
    failed = start(call, startOnly=True)
    call.world.clock.advance(86400)
    for _ in range(2):
        check(call, failed["callID"])
    call.result("POST", "/v1/run", RUN)

    usage = call.result("GET", "/v1/usage")
    assert [(row["date"], row["runs"], row["failed"]) for row in usage["daily"]] == [
        ("2026-01-01", 4, 1),
        ("2026-01-02", 1, 0),
    ]
    assert [(row["modelKey"], row["runs"]) for row in usage["models"]] == [("stable-diffusion", 1), ("value", 4)]
    assert (usage["summary"]["runs"], usage["summary"]["succeeded"], usage["summary"]["failed"]) == (5, 4, 1)


def test_bananadev_usage_window(call: GatewayCaller):
    call.result("POST", "/v1/run", RUN)

    def runs(**days: str) -> int:
        return call.result("GET", "/v1/usage", **days)["summary"]["runs"]

    assert runs(startDate="2026-01-01", endDate="2026-01-01") == 1
    assert runs(startDate="2026-01-01T23:00:00Z", endDate="2026-01-03") == 1
    assert runs(startDate="2026-01-02", endDate="2026-01-03") == 0
    assert runs(startDate="2025-12-01", endDate="2025-12-31") == 0
    call.world.clock.advance(29 * 86400)
    assert runs() == 1
    call.world.clock.advance(86400)
    assert runs() == 0


def test_bananadev_usage_inverted(call: GatewayCaller):
    assert call("GET", "/v1/usage", startDate="2026-01-02", endDate="2026-01-01").status_code == 400


def test_bananadev_deploy_creates(call: GatewayCaller):
    call.result("POST", "/v1/deploy", DEPLOY)
    call.result("POST", "/v1/deploy", DEPLOY)
    call.result("POST", "/v1/deploy", {**DEPLOY, "modelKey": "value"})
    listed = [model["modelKey"] for model in call.result("GET", "/v1/models")["models"]]
    assert listed == ["value", "stable-diffusion", "new"]
    assert [len(call.result("GET", f"/v1/models/{key}")["deployments"]) for key in ("new", "value")] == [2, 2]


def test_bananadev_deploy_lifecycle(call: GatewayCaller):
    assert call.result("POST", "/v1/deploy", DEPLOY)["status"] == "queued"
    seen: list[str] = []
    for seconds in (0, 1, 20, 10):
        call.world.clock.advance(seconds)
        seen.append(call.result("GET", "/v1/models/new")["status"])
    assert seen == ["queued", "building", "deploying", "live"]

    call.world.tasks.fail_next(1, "no Dockerfile")
    call.result("POST", "/v1/deploy", DEPLOY)
    call.world.clock.advance(60)
    assert call.result("GET", "/v1/models/new")["deployments"][0]["status"] == "failed"


@pytest.mark.parametrize("sent", [{"HF_TOKEN": "x", "nested": {"gpu": [1, 2]}}, "value", {}])
def test_bananadev_deploy_environment(call: GatewayCaller, sent: Any):
    call.result("POST", "/v1/deploy", {**DEPLOY, "environment": sent})
    assert call.result("GET", "/v1/models/new")["deployment"]["environment"] == sent


def test_bananadev_limits_none(call: GatewayCaller):
    assert {call("GET", "/v1/models").status_code for _ in range(100)} == {200}
    call.world.limits.set("bananadev", 1, 60)
    assert [call("GET", "/v1/models").status_code for _ in range(2)] == [200, 429]
