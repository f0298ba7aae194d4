"""Banana's own API at its boundaries: what a world remembers, replicas, uploads, and waits.

Sources: FACTS 1.1 to 1.3.
"""

from __future__ import annotations

import re
import time
from functools import partial
from typing import Any

import httpx2
import pytest
from pytest_httpserver import HTTPServer

from bananastand.banana_api import uploads
from bananastand_mocks import start as start_server
from bananastand_mocks.bananadev import BananaDev, BananaDevUpstream, state
from bananastand_mocks.bananadev.http_runtime import HttpRuntime
from bananastand_mocks.running import RunningServer
from gateway_caller import GatewayCaller
from in_process import InProcess

KEY = "11111111-1111-1111-1111-111111111111"
WEIGHT = 8 * len('"xxxxxxxxxxx"')  # bytes that a run with these inputs counts


@pytest.fixture
def call() -> InProcess:
    return InProcess(BananaDev(), kind="development", headers={"x-banana-api-key": KEY})


def start(call: InProcess, inputs: Any = "x" * 11, **more: Any) -> str:
    body = {"apiKey": KEY, "modelKey": "value", "modelInputs": inputs, "startOnly": True, **more}
    return call("POST", "/start/v4/", json=body).json()["callID"]


def message(call: InProcess, name: str) -> str:
    return call("POST", "/check/v4/", json={"apiKey": KEY, "callID": name}).json()["message"]


def project(call: InProcess) -> Any:
    return call("GET", "/v1/projects").json()["results"][0]


def usage_of(world: Any) -> Any:
    (row,) = state.usage_rows(world).values()
    return row


def test_the_newest_runs_that_fit_are_remembered(call: InProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state, "RUNS_BYTES", 3 * WEIGHT)
    names = [start(call) for _ in range(4)]
    assert [message(call, name) for name in names] == ["error: Run not found", "success", "success", "success"]
    names += [start(call) for _ in range(120)]
    assert list(state.runs(call.world)) == names[-3:]


def test_the_newest_run_is_remembered_however_large(call: InProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state, "RUNS_BYTES", WEIGHT - 1)
    first, second = start(call), start(call)
    assert [message(call, first), message(call, second)] == ["error: Run not found", "success"]


def test_the_last_2000_runs_are_remembered_and_an_id_leads_to_its_newest(call: InProcess) -> None:
    old = [start(call, id="mine"), start(call, id="other")]
    again = start(call, id="mine")
    for number in range(1997):
        run = {**state.runs(call.world)[again], "callID": f"call_{number}", "id": f"id-{number}"}
        state.keep_run(call.world, run)
    assert message(call, old[0]) == "success"
    start(call)
    assert message(call, old[0]) == "error: Run not found"
    assert message(call, "mine") == "success"
    start(call)
    assert message(call, "other") == "error: Run not found"


def test_a_model_without_a_name_has_its_key_as_name(call: InProcess) -> None:
    assert project(call)["name"] == "value"


def test_one_replica_takes_call_after_call_and_costs_nothing(call: InProcess) -> None:
    id = project(call)["id"]
    call("PUT", f"/v1/projects/{id}", json={"maxReplicas": 1, "minReplicas": 1})
    for _ in range(2):
        assert call("POST", f"/run/{id}/", json={"prompt": "a"}).status_code == 200
    counts = {"runs": 2, "succeeded": 2, "failed": 0, "computeSeconds": 0.0, "coldStarts": 0}
    assert usage_of(call.world) == counts


def test_computed_seconds_have_three_digits(call: InProcess) -> None:
    call.world.tasks.finish_after_seconds(0.12345)
    start(call)
    call.world.clock.advance(1)
    assert usage_of(call.world)["computeSeconds"] == 0.123


def test_the_documented_run_is_done_at_the_first_check_and_not_cold() -> None:
    call = GatewayCaller(BananaDevUpstream(), "documents")
    checked = call("POST", "/v1/check", {"id": "value", "modelKey": "value"}).json()
    assert checked["message"] == "success"
    assert usage_of(call.world)["coldStarts"] == 0


def test_a_world_holds_calls_for_50_seconds(call: InProcess) -> None:
    settings = call.world.settings
    assert (settings["bananadev.hold_seconds"], settings["bananadev.long_poll_seconds"]) == (50, 50)
    assert (state.SETTINGS["bananadev.hold_seconds"], state.SETTINGS["bananadev.long_poll_seconds"]) == (50, 50)


def test_an_uploads_key_is_an_archive_below_its_project(call: InProcess) -> None:
    id = project(call)["id"]
    key = call("POST", f"/v1/projects/{id}/upload", json={}).json()["key"]
    assert re.fullmatch(re.escape(id) + r"/[0-9a-f]{32}\.tar\.gz", key)


def test_an_announced_upload_takes_no_room(call: InProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "UPLOADS_BYTES", 7)
    where = f"/v1/projects/{project(call)['id']}"
    key, _ = (call("POST", f"{where}/upload", json={}).json()["key"] for _ in range(2))
    assert call("PUT", f"/upload/{key}", content=b"archive").status_code == 200
    assert call("POST", f"{where}/build", json={"key": key}).status_code == 200


def test_a_forwarded_run_is_begun_at_its_very_moment(httpserver: HTTPServer) -> None:
    httpserver.expect_request("/").respond_with_json({"yellow": True})
    with start_server("banana-native", runtime=partial(HttpRuntime, url=httpserver.url_for(""))) as server:
        native = server.endpoint("banana-native")
        server.default.tasks.finish_after_seconds(10)
        with httpx2.Client(base_url=native.base_url) as http:
            body = {"apiKey": native.key, "modelKey": "value", "modelInputs": {}, "startOnly": True}
            query = {"apiKey": native.key, "callID": http.post("/start/v4/", json=body).json()["callID"]}
            server.default.clock.advance(10)
            checked = http.post("/check/v4/", json={**query, "longPoll": True}).json()
    assert (checked["message"], checked["modelOutputs"]) == ("success", [{"yellow": True}])


@pytest.fixture
def real(mock_server: RunningServer) -> Any:
    stand = mock_server.stand(virtual=False)
    yield stand
    mock_server.asgi.worlds.remove(stand.world)


def test_a_hold_shorter_than_a_second_is_waited_for(real: Any) -> None:
    native = real.endpoint("banana-native")
    real.world.settings["bananadev.hold_seconds"] = 0.9
    real.tasks.finish_after_seconds(0.01)
    body = {"apiKey": native.key, "modelKey": "value", "modelInputs": {"prompt": "a", "width": 64, "height": 64}}
    assert httpx2.post(f"{native.base_url}/start/v4/", json=body).json()["finished"] is True


def test_a_start_that_only_starts_waits_for_nothing(real: Any) -> None:
    native = real.endpoint("banana-native")
    real.tasks.finish_after_seconds(30)
    body = {"apiKey": native.key, "modelKey": "value", "modelInputs": "a", "startOnly": True}
    seconds: list[float] = []
    for _ in range(3):
        began = time.monotonic()
        assert httpx2.post(f"{native.base_url}/start/v4/", json=body).json()["finished"] is False
        seconds.append(time.monotonic() - began)
    assert min(seconds) < 0.9
