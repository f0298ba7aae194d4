"""The mock keeps each claim of claims/banana-native.yaml, over HTTP. A test has the name of its claim."""

from __future__ import annotations

import json
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2
import pytest
from websockets.sync.client import connect

from bananastand_mocks.bananadev import BananaDev
from bananastand_mocks.running import Endpoint, MockSession, RunningServer
from in_process import InProcess

KEY = "11111111-1111-1111-1111-111111111111"
RUN = {"apiKey": KEY, "modelKey": "value", "modelInputs": {"prompt": "a ripe banana", "width": 64, "height": 64}}
STARTED = {"id", "message", "created", "apiVersion", "callID", "finished", "modelOutputs"}


@pytest.fixture
def call() -> InProcess:
    return InProcess(BananaDev(), kind="development", headers={"x-banana-api-key": KEY})


def start(call: InProcess, path: str = "/start/v4/", **changes: Any) -> Any:
    answer = call("POST", path, json={**RUN, **changes}, headers={"x-banana-api-key": ""})
    assert answer.status_code == 200
    return answer.json()


def check(call: InProcess, name: str, path: str = "/check/v4/", **more: Any) -> Any:
    answer = call("POST", path, json={"apiKey": KEY, "callID": name, **more}, headers={"x-banana-api-key": ""})
    assert answer.status_code == 200
    return answer.json()


def project(call: InProcess) -> Any:
    return call("GET", "/v1/projects").json()["results"][0]


def test_banana_native_start_key_in_body(call: InProcess):
    begun = start(call, startOnly=True)
    assert check(call, begun["callID"])["message"] == "success"
    in_header = {name: value for name, value in RUN.items() if name != "apiKey"}
    assert "error" in call("POST", "/start/v4/", json=in_header).json()["message"]


@pytest.mark.parametrize(
    "changes", [{"apiKey": "wrong"}, {"modelKey": "nobody"}, {"modelKey": 1}, {"startOnly": "yes"}]
)
def test_banana_native_start_failures_are_200(call: InProcess, changes: Any):
    assert "error" in start(call, **changes)["message"].lower()
    assert "error" in check(call, "call_nobody")["message"].lower()
    call.world.tasks.fail_next(1, "CUDA out of memory")
    assert start(call)["message"] == "error: CUDA out of memory"


@pytest.mark.parametrize("version", ["v2", "v3", "v4"])
def test_banana_native_start_slash(call: InProcess, version: str):
    for slash in ("", "/"):
        begun = start(call, f"/start/{version}{slash}", startOnly=True)
        assert check(call, begun["callID"], f"/check/{version}{slash}")["message"] == "success"


def test_banana_native_start_finished(call: InProcess):
    ended = start(call)
    assert set(ended) == STARTED
    assert (ended["finished"], ended["message"], ended["callID"]) == (True, "", "")
    assert ended["modelOutputs"][0]["images"][0]["width"] == 64


def test_banana_native_start_pending(call: InProcess):
    call.world.tasks.finish_after_seconds(61)
    begun = start(call)
    assert set(begun) == STARTED
    assert (begun["finished"], begun["modelOutputs"]) == (False, None)
    assert uuid.UUID(begun["callID"].removeprefix("call_")).version == 4


def test_banana_native_start_start_only(call: InProcess):
    begun = start(call, startOnly=True)
    assert (begun["finished"], begun["modelOutputs"]) == (False, None)
    assert begun["callID"].startswith("call_")


def test_banana_native_start_v2(call: InProcess):
    begun = start(call, "/start/v2")
    assert set(begun) == STARTED - {"finished", "modelOutputs"}
    assert len(check(call, begun["callID"], "/check/v2")["modelOutputs"]) == 1


def test_banana_native_start_id_echoed(call: InProcess):
    assert start(call, id="mine")["id"] == "mine"
    assert uuid.UUID(start(call)["id"]).version == 4
    begun = start(call, startOnly=True)
    assert check(call, begun["callID"], id="another")["id"] == "another"


def test_banana_native_check_messages(call: InProcess):
    call.world.tasks.finish_after_polls(1)
    begun = start(call, startOnly=True)
    running, done = check(call, begun["callID"]), check(call, begun["callID"])
    assert (running["message"], running["modelOutputs"]) == ("running", None)
    assert (done["message"], len(done["modelOutputs"])) == ("success", 1)
    assert set(running) == set(done) == {"id", "message", "created", "apiVersion", "modelOutputs"}


def test_banana_native_check_long_poll(mock_server: RunningServer):
    stand = mock_server.stand(virtual=False)
    where = stand.endpoint("banana-native")
    stand.tasks.finish_after_seconds(0.3)
    with httpx2.Client(base_url=where.base_url) as http:
        body = {**RUN, "apiKey": where.key, "startOnly": True}
        query_body = {"apiKey": where.key, "callID": http.post("/start/v4/", json=body).json()["callID"]}
        at_once = http.post("/check/v4/", json=query_body).json()
        held = http.post("/check/v4/", json={**query_body, "longPoll": True}).json()
        stand.world.settings["bananadev.long_poll_seconds"] = 0.05
        query_body["callID"] = http.post("/start/v4/", json=body).json()["callID"]
        cut_short = http.post("/check/v4/", json={**query_body, "longPoll": True}).json()
    mock_server.asgi.worlds.remove(stand.world)

    assert [row["message"] for row in (at_once, held, cut_short)] == ["running", "success", "running"]
    assert mock_server.default.world.settings["bananadev.long_poll_seconds"] == 50


def test_banana_native_projects_key_in_header(call: InProcess):
    assert call("GET", "/v1/projects").status_code == 200
    for key, text in (("wrong", "Invalid API key"), ("", "An API key is required")):
        answer = call("GET", "/v1/projects", headers={"x-banana-api-key": key})
        assert (answer.status_code, answer.json()) == (401, {"message": text})
    assert call("GET", "/v1/projects/nobody").json() == {"message": "Project not found"}


def test_banana_native_projects_partial_update(call: InProcess):
    before = project(call)
    changed = call("PUT", f"/v1/projects/{before['id']}", json={"maxReplicas": 2, "colour": "yellow"})
    assert (changed.status_code, changed.json()) == (200, {**before, "maxReplicas": 2})
    assert project(call) == changed.json()


def test_banana_native_deploy_all_200(call: InProcess):
    project = call("POST", "/v1/projects", json={"name": "my-app"})
    where = f"/v1/projects/{project.json()['id']}"
    upload = call("POST", f"{where}/upload", json={})
    put = call("PUT", upload.json()["uploadUrl"].removeprefix("http://mock"), content=b"archive",
               headers={"x-banana-api-key": ""})  # fmt: skip
    build = call("POST", f"{where}/build", json={"key": upload.json()["key"]})
    assert [response.status_code for response in (project, upload, put, build)] == [200, 200, 200, 200]
    assert set(upload.json()) == {"uploadUrl", "key"}
    assert build.json()["id"] in call.world.table("bananadev.deployments")


def test_banana_native_deploy_log(banana_native: Endpoint, stand: MockSession):
    with httpx2.Client(base_url=banana_native.base_url, headers={"X-Banana-API-Key": banana_native.key}) as http:
        where = f"/v1/projects/{http.get('/v1/projects').json()['results'][0]['id']}"
        upload = http.post(f"{where}/upload", json={}).json()
        httpx2.put(upload["uploadUrl"], content=b"archive")
        build = http.post(f"{where}/build", json={"key": upload["key"]}).json()["id"]
    url = banana_native.base_url.replace("http:", "ws:") + f"/ws/logs/{build}"
    with connect(url, additional_headers={"X-Banana-API-Key": banana_native.key}) as log:
        first = json.loads(log.recv(timeout=10))
        stand.clock.advance(60)
        rest = [json.loads(frame) for frame in log]
    assert first == {"t": "2026-01-01T00:00:00.000Z", "m": "Build queued"}
    assert rest[-1] == {"t": "2026-01-01T00:00:31.000Z", "m": "Your model is live"}
    assert {frozenset(item) for item in rest} == {frozenset(("t", "m"))}


def refused(answer: httpx2.Response) -> tuple[int, str]:
    return answer.status_code, answer.text


def test_banana_native_run_no_replicas(mock_server: RunningServer):
    stand = mock_server.stand(virtual=False)
    where = stand.endpoint("banana-native")
    stand.tasks.finish_after_seconds(0.5)
    full = (
        "An error occured.\n    Type: UserError\n    StatusCode: 400\n"
        "    Message: You have no available replicas to process this request\n"
    )
    with httpx2.Client(base_url=where.base_url, headers={"X-Banana-API-Key": where.key}) as http:
        one = http.get("/v1/projects").json()["results"][0]["id"]
        http.put(f"/v1/projects/{one}", json={"maxReplicas": 1})
        with ThreadPoolExecutor(2) as pool:
            both = list(pool.map(lambda _: refused(http.post("/run/value/", json={})), range(2)))
        http.put(f"/v1/projects/{one}", json={"maxReplicas": 0})
        none = refused(http.post("/run/value/", json={}))
    mock_server.asgi.worlds.remove(stand.world)

    assert sorted(status for status, _ in both) == [200, 400]
    assert (400, full) in both
    assert none == (400, full)


def test_banana_native_run_busy(call: InProcess):
    call.world.settings["bananadev.busy"] = True
    answer = call("POST", "/run/value/", json={})
    assert (answer.status_code, answer.content) == (423, b"")


def test_banana_native_run_timeout(call: InProcess):
    call("PUT", f"/v1/projects/{project(call)['id']}", json={"inferenceTimeout": 10})
    call.world.tasks.finish_after_seconds(10)
    assert call("POST", "/run/value/", json={}).status_code == 200
    call.world.tasks.finish_after_seconds(11)
    answer = call("POST", "/run/value/", json={})
    assert (answer.status_code, "Gateway timeout" in answer.text) == (504, True)


def test_banana_native_run_unknown_key(call: InProcess):
    assert call("POST", "/run/value/", json={}, headers={"x-banana-api-key": "wrong"}).status_code == 401
    assert call("POST", "/run/value/nobody", json={}).status_code == 404
    assert call("POST", "/run/nobody/", json={}).status_code == 404


@pytest.mark.parametrize(
    ("status", "kind", "text"),
    [(401, "UserError", "Invalid API key"), (418, "UserError", "banana is a teapot"),
     (503, "BananaError", "Request failed."), (504, "BananaError", "Gateway timeout")],
)  # fmt: skip
def test_banana_native_run_error_text(call: InProcess, status: int, kind: str, text: str):
    call.world.faults.next_calls(1, "status", "call_project", status=status)
    answer = call("POST", "/run/value/", json={})
    expected = f"An error occured.\n    Type: {kind}\n    StatusCode: {status}\n    Message: {text}\n"
    assert refused(answer) == (status, expected)
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    call.world.tasks.fail_next(1)
    assert "Type: PotassiumError\n    StatusCode: 500" in call("POST", "/run/value/", json={}).text


def test_banana_native_run_warmup(call: InProcess):
    call.world.tasks.fail_next(1)
    answer = call("POST", "/run/value/_k/warmup", json={})
    assert (answer.status_code, answer.json()) == (200, {"warm": True})
    assert call.world.tasks.failures == 1, "no handler ran"
    call.world.tasks.failures = 0
    call("POST", "/run/value/", json={})
    (day,) = call.world.table("bananadev.usage").values()
    assert (day["runs"], day["coldStarts"]) == (1, 0)
