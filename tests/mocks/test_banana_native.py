"""Banana's own API: the queue, projects, the CLI's way to deploy, run URLs, the log of a build."""

from __future__ import annotations

import io
import json
import tarfile
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2
import pytest
from websockets.sync.client import connect

from bananastand.banana_api import uploads
from bananastand_mocks.bananadev import state
from bananastand_mocks.running import Endpoint, MockSession, RunningServer


@pytest.fixture
def http(banana_native: Endpoint) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=banana_native.base_url, headers={"X-Banana-API-Key": banana_native.key}) as client:
        yield client


def start(http: httpx2.Client, path: str = "/start/v4/", **changes: Any) -> Any:
    body = {"apiKey": http.headers["X-Banana-API-Key"], "modelKey": "value", "modelInputs": {"prompt": "x"}, **changes}
    answer = http.post(path, json=body, headers={"X-Banana-API-Key": ""})
    assert answer.status_code == 200
    return answer.json()


def check(http: httpx2.Client, call: str, **more: Any) -> Any:
    body = {"apiKey": http.headers["X-Banana-API-Key"], "callID": call, **more}
    return http.post("/check/v4/", json=body).json()


@pytest.mark.parametrize("path", ["/start/v4", "/start/v4/", "/start/v3", "/start/v3/"])
def test_a_start_that_ends_within_the_hold_brings_its_outputs(http: httpx2.Client, path: str) -> None:
    answer = start(http, path, id="mine")

    assert sorted(answer) == ["apiVersion", "callID", "created", "finished", "id", "message", "modelOutputs"]
    assert (answer["id"], answer["callID"], answer["finished"], answer["message"]) == ("mine", "", True, "")
    assert len(answer["modelOutputs"]) == 1


def test_start_only_gives_a_call_id_that_check_knows(http: httpx2.Client, stand: MockSession) -> None:
    stand.tasks.finish_after_polls(1)
    answer = start(http, startOnly=True)

    assert uuid.UUID(answer["callID"].removeprefix("call_")).version == 4
    assert check(http, answer["callID"])["message"] == "running"
    assert check(http, answer["callID"])["message"] == "success"
    assert "callID" not in check(http, answer["callID"])


CREATED = [1684444779, 1684444779.5, 1684444779000, "1684444779", None, True, [1], {"at": 1}]


@pytest.mark.parametrize("created", CREATED)
def test_start_and_check_take_any_json_as_created(http: httpx2.Client, created: Any) -> None:
    """Python's SDK sends a fraction before 3.0.1, Rust's milliseconds."""
    started = start(http, startOnly=True, created=created)

    assert (started["message"], type(started["created"])) == ("", int)
    assert check(http, started["callID"], created=created)["message"] == "success"


def test_the_second_version_answers_without_outputs(http: httpx2.Client) -> None:
    answer = start(http, "/start/v2")

    assert sorted(answer) == ["apiVersion", "callID", "created", "id", "message"]
    assert len(check(http, answer["callID"])["modelOutputs"]) == 1


@pytest.mark.parametrize(
    "changes", [{"apiKey": "wrong"}, {"modelKey": "nobody"}, {"modelKey": 1}, {"startOnly": "yes"}]
)
def test_failures_of_the_queue_are_200_with_error_in_the_message(http: httpx2.Client, changes: Any) -> None:
    answer = start(http, **changes)

    assert "error" in answer["message"].lower()
    assert (answer["finished"], answer["modelOutputs"]) == (False, None)


def test_a_body_that_is_not_json_is_a_failure_of_the_queue_too(http: httpx2.Client) -> None:
    answer = http.post("/start/v4/", content=b"{", headers={"content-type": "application/json"})

    assert (answer.status_code, answer.json()["message"]) == (200, "error: The body is not valid JSON")


def test_projects_are_listed_read_and_changed_in_part(http: httpx2.Client) -> None:
    first = http.get("/v1/projects?anything=1").json()["results"][0]
    changed = http.put(f"/v1/projects/{first['id']}", json={"maxReplicas": 2}).json()

    assert changed == {**first, "maxReplicas": 2}
    assert http.get(f"/v1/projects/{first['id']}").json() == changed
    assert http.put(f"/v1/projects/{first['id']}", json={"maxReplicas": "2"}).status_code == 400
    assert http.get("/v1/projects/nobody").json() == {"message": "Project not found"}


def test_a_wrong_key_is_401_as_json(http: httpx2.Client) -> None:
    answer = http.get("/v1/projects", headers={"X-Banana-API-Key": "wrong"})

    assert (answer.status_code, answer.json()) == (401, {"message": "Invalid API key"})


def test_the_cli_deploys_with_nothing_but_200(http: httpx2.Client, stand: MockSession, banana_native: Endpoint) -> None:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz") as tar:
        tar.addfile(tarfile.TarInfo("app.py"))
    created = http.post("/v1/projects", json={"name": "my app"})
    project = created.json()["id"]
    upload = http.post(f"/v1/projects/{project}/upload", json={})
    early = http.post(f"/v1/projects/{project}/build", json={"key": upload.json()["key"]})
    put = httpx2.put(upload.json()["uploadUrl"], content=archive.getvalue())
    build = http.post(f"/v1/projects/{project}/build", json={"key": upload.json()["key"]})
    stand.clock.advance(60)

    assert [response.status_code for response in (created, upload, put, build)] == [200, 200, 200, 200]
    assert early.status_code == 404
    assert list(stand.world.blobs.values()) == [archive.getvalue()]
    url = banana_native.base_url.replace("http:", "ws:") + f"/ws/logs/{build.json()['id']}"
    with connect(url, additional_headers={"X-Banana-API-Key": banana_native.key}) as log:
        lines = [json.loads(frame) for frame in log]
    assert lines[0] == {"t": "2026-01-01T00:00:00.000Z", "m": "Build queued"}
    assert lines[-1] == {"t": "2026-01-01T00:00:31.000Z", "m": "Your model is live"}


def test_an_address_nobody_asked_for_takes_no_archive(http: httpx2.Client) -> None:
    assert http.put("/upload/invented.tar.gz", content=b"x").status_code == 403


def test_a_project_is_called_by_its_run_url(http: httpx2.Client) -> None:
    answer = http.post("/run/value/", json={"prompt": "x", "width": 64, "height": 64})

    assert answer.json()["images"][0]["width"] == 64
    assert http.post("/run/value/_k/warmup", json={}).json() == {"warm": True}


def test_errors_of_a_run_url_are_three_indented_lines(http: httpx2.Client, stand: MockSession) -> None:
    unknown_key = http.post("/run/value/", json={}, headers={"X-Banana-API-Key": "wrong"})
    stand.faults.next_calls(1, "status", "call_project", status=503)
    passing = http.post("/run/value/", json={})

    assert unknown_key.status_code == 401
    assert unknown_key.headers["content-type"] == "text/plain; charset=utf-8"
    assert unknown_key.text == (
        "An error occured.\n    Type: UserError\n    StatusCode: 401\n    Message: Invalid API key\n"
    )
    assert (
        passing.text == "An error occured.\n    Type: BananaError\n    StatusCode: 503\n    Message: Request failed.\n"
    )


def test_no_replicas_busy_timed_out_and_unknown_handlers(http: httpx2.Client, stand: MockSession) -> None:
    project = http.get("/v1/projects").json()["results"][0]["id"]
    unknown = http.post("/run/value/nobody", json={})
    stand.world.settings["bananadev.busy"] = True
    busy = http.post("/run/value/", json={})
    stand.world.settings["bananadev.busy"] = False
    stand.tasks.finish_after_seconds(301)
    late = http.post("/run/value/", json={})
    http.put(f"/v1/projects/{project}", json={"maxReplicas": 0})
    full = http.post("/run/value/", json={})

    assert (unknown.status_code, unknown.headers["content-type"]) == (404, "text/html; charset=utf-8")
    assert (busy.status_code, busy.content) == (423, b"")
    assert (late.status_code, "Gateway timeout" in late.text) == (504, True)
    assert (full.status_code, "You have no available replicas" in full.text) == (400, True)


def test_a_real_clock_is_waited_for_within_the_hold(mock_server: Any) -> None:
    stand = mock_server.stand(virtual=False)
    native = stand.endpoint("banana-native")
    stand.tasks.finish_after_seconds(0.2)
    with httpx2.Client(base_url=native.base_url, headers={"X-Banana-API-Key": native.key}) as http:
        held = start(http)
        stand.world.settings["bananadev.hold_seconds"] = 0.0
        sent_away = start(http)
        polled = check(http, sent_away["callID"], longPoll=True)

    assert held["finished"] is True
    assert sent_away["finished"] is False
    assert polled["message"] == "success"
    mock_server.asgi.worlds.remove(stand.world)


@pytest.mark.parametrize("failing", [False, True])
def test_a_run_that_many_wait_for_is_counted_once(mock_server: RunningServer, failing: bool) -> None:
    stand = mock_server.stand(virtual=False)
    native = stand.endpoint("banana-native")
    stand.tasks.finish_after_seconds(0.3)
    if failing:
        stand.tasks.fail_next()
    with httpx2.Client(base_url=native.base_url, headers={"X-Banana-API-Key": native.key}) as http:
        call = start(http, startOnly=True)["callID"]
        with ThreadPoolExecutor(4) as pool:
            seen = list(pool.map(lambda _: check(http, call, longPoll=True)["message"], range(4)))
    (day,) = stand.world.table("bananadev.usage").values()
    mock_server.asgi.worlds.remove(stand.world)

    assert set(seen) == {"error: the task was set to fail" if failing else "success"}
    assert day["runs"] == 1


def test_a_held_call_sees_that_its_clock_was_moved_and_that_its_world_began_anew(mock_server: RunningServer) -> None:
    stand = mock_server.stand(virtual=False)
    native = stand.endpoint("banana-native")
    stand.tasks.finish_after_seconds(30)
    keyed = {"X-Banana-API-Key": native.key}
    with httpx2.Client(base_url=native.base_url, headers=keyed) as http, ThreadPoolExecutor(1) as pool:
        held = pool.submit(start, http)
        time.sleep(0.3)
        stand.clock.advance(30)
        moved = held.result(5)
        stand.tasks.finish_after_seconds(30)
        held = pool.submit(start, http)
        time.sleep(0.3)
        stand.reset()
        anew = held.result(5)
    usage = stand.world.table("bananadev.usage")
    mock_server.asgi.worlds.remove(stand.world)

    assert (moved["finished"], anew["finished"]) == (True, False)
    assert usage == {}


def test_the_log_of_a_build_is_kept_from_other_keys(banana_native: Endpoint) -> None:
    from websockets.exceptions import InvalidStatus

    url = banana_native.base_url.replace("http:", "ws:") + "/ws/logs/nobody"
    with pytest.raises(InvalidStatus), connect(url, additional_headers={"X-Banana-API-Key": banana_native.key}):
        pass


def test_a_log_ends_when_its_reader_leaves(
    http: httpx2.Client, stand: MockSession, banana_native: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[float] = []
    run_due = stand.clock.run_due
    monkeypatch.setattr(stand.clock, "run_due", lambda: looks.append(time.monotonic()) or run_due())
    build = state.deployments(stand.world)
    stand.world.clock.after(0, "bananadev.deployment", id="x")  # so that something is due
    build["x"] = {"modelKey": "value", "status": "queued", "failure": None, "createdAt": "", "source": "",
                  "environment": {}}  # fmt: skip
    url = banana_native.base_url.replace("http:", "ws:") + "/ws/logs/x"
    with connect(url, additional_headers={"X-Banana-API-Key": banana_native.key}):
        time.sleep(0.3)
    time.sleep(0.3)
    seen = len(looks)
    time.sleep(0.5)

    assert seen > 2
    assert len(looks) - seen <= 1


def test_a_log_ends_with_its_build_and_is_read_in_its_own_world_only(
    http: httpx2.Client, stand: MockSession, banana_native: Endpoint, mock_server: RunningServer
) -> None:
    from websockets.exceptions import InvalidStatus

    (build, _) = state.deployments(stand.world)
    state.deployments(stand.world)[build]["status"] = "queued"
    keyed = {"X-Banana-API-Key": banana_native.key}
    other = f"{mock_server.url}/w/default/banana/ws/logs/{build}".replace("http:", "ws:")
    with pytest.raises(InvalidStatus), connect(other, additional_headers=keyed):
        pass
    url = banana_native.base_url.replace("http:", "ws:") + f"/ws/logs/{build}"
    with connect(url, additional_headers=keyed) as log:
        time.sleep(0.1)
        stand.reset()
        assert list(log) == []


def test_an_upload_of_before_a_reset_is_refused(http: httpx2.Client, stand: MockSession) -> None:
    project = http.get("/v1/projects").json()["results"][0]["id"]
    upload = http.post(f"/v1/projects/{project}/upload", json={}).json()
    stand.reset()

    assert httpx2.put(upload["uploadUrl"], content=b"x").status_code == 403


def test_what_a_world_keeps_is_bounded(
    http: httpx2.Client, stand: MockSession, bananadev: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state, "RUNS_BYTES", 100_000)
    monkeypatch.setattr(uploads, "UPLOADS_BYTES", 2500)
    for _ in range(20):
        start(http, modelInputs={"prompt": "x" * 2000}, startOnly=True)
    large = start(http, modelInputs={"prompt": "x" * 200_000}, startOnly=True)
    assert list(state.runs(stand.world)) == [large["callID"]]

    project = http.get("/v1/projects").json()["results"][0]["id"]
    for _ in range(4):
        httpx2.put(http.post(f"/v1/projects/{project}/upload", json={}).json()["uploadUrl"], content=b"x" * 1000)
    assert [len(blob) for blob in stand.world.blobs.values()] == [1000, 1000]

    request = {"params": {"api_token": bananadev.key}, "json": {"modelKey": "value", "source": "x"}}
    for _ in range(60):
        httpx2.post(f"{bananadev.base_url}/v1/deploy", **request)
        stand.clock.advance(60)
    stored = [row for row in state.deployments(stand.world).values() if row["modelKey"] == "value"]
    assert len(stored) == 50
    assert set(stand.world.table("bananadev.logs")) <= set(state.deployments(stand.world))


def test_no_world_changes_the_settings_of_another(stand: MockSession, mock_server: RunningServer) -> None:
    other = mock_server.stand()
    stand.world.settings["bananadev.build_seconds"][0] = 500.0

    assert other.world.settings["bananadev.build_seconds"] == [1.0, 20.0, 10.0]
    mock_server.asgi.worlds.remove(other.world)
