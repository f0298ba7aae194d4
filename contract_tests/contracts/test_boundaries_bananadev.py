"""Banana at its boundaries: cold starts, replicas, deployments, uploads and usage, over HTTP.

The clock starts at 2026-01-01T00:00:00Z.
"""

from __future__ import annotations

import re
from functools import partial
from typing import Any

import httpx2
import pytest
from pytest_httpserver import HTTPServer

from bananastand_mocks import start
from bananastand_mocks.bananadev import BananaDev, BananaDevUpstream
from bananastand_mocks.bananadev.http_runtime import HttpRuntime
from gateway_caller import GatewayCaller
from in_process import InProcess

KEY = "11111111-1111-1111-1111-111111111111"
RUN = {"modelKey": "value", "modelInputs": {"prompt": "a", "width": 64, "height": 64}}
DEPLOY = {"modelKey": "value", "source": "https://git.test/one"}


@pytest.fixture
def call() -> GatewayCaller:
    """The gateway."""
    return GatewayCaller(BananaDevUpstream(), "development")


@pytest.fixture
def banana() -> InProcess:
    """Banana's own API."""
    return InProcess(BananaDev(), kind="empty", headers={"x-banana-api-key": KEY})


def create_project(banana: InProcess, name: str = "stand") -> str:
    return banana("POST", "/v1/projects", json={"name": name}).json()["id"]


def run(banana: InProcess, project: str, **body: Any) -> httpx2.Response:
    return banana("POST", f"/run/{project}/", json={"prompt": "a", **body})


def usage(call: GatewayCaller) -> Any:
    return call.result("GET", "/v1/usage")["summary"]


# Runs ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("idle", "cold_starts"), [(30, 1), (31, 2)])
def test_a_replica_stays_warm_for_the_idle_timeout(idle: int, cold_starts: int, call: GatewayCaller) -> None:
    for seconds in (idle, 0):
        call.result("POST", "/v1/run", RUN)
        call.world.clock.advance(seconds)

    assert (usage(call)["runs"], usage(call)["coldStarts"]) == (2, cold_starts)


def test_a_run_is_counted_when_it_is_due_even_if_nobody_checks_it(call: GatewayCaller) -> None:
    call.world.tasks.finish_after_seconds(90)
    call.world.tasks.fail_next(1, "no memory")
    failing = call.result("POST", "/v1/start", RUN)["callID"]
    call.result("POST", "/v1/start", RUN)
    call.world.clock.advance(89.9)
    assert usage(call)["runs"] == 0
    call.world.clock.advance(0.1)

    found = usage(call)
    assert (found["runs"], found["succeeded"], found["failed"], found["computeSeconds"]) == (2, 1, 1, 180.0)
    answer = call("POST", "/v1/check", {"id": failing, "modelKey": "value"})
    assert "no memory" in answer.json()["message"]


def test_usage_of_one_cold_run(call: GatewayCaller) -> None:
    call.world.tasks.finish_after_seconds(2)
    call.result("POST", "/v1/start", RUN)
    call.world.clock.advance(2)

    counts = {"runs": 1, "succeeded": 1, "failed": 0, "computeSeconds": 2.0}
    assert call.result("GET", "/v1/usage") == {
        "startDate": "2025-12-03",
        "endDate": "2026-01-01",
        "summary": {**counts, "coldStarts": 1},
        "daily": [{"date": "2026-01-01", **counts}],
        "models": [{"modelKey": "value", "runs": 1, "computeSeconds": 2.0}],
    }


@pytest.mark.parametrize(("id", "is_kept"), [("mine", True), ("", False), (5, False)])
def test_a_refused_run_keeps_the_callers_id_if_it_is_text(id: Any, is_kept: bool, banana: InProcess) -> None:
    body = {"apiKey": "wrong", "modelKey": "m", "modelInputs": {}, "id": id}

    refused = banana("POST", "/start/v4", json=body).json()

    assert refused["message"] == "error: Invalid API key"
    assert (refused["id"] == id) is is_kept
    assert isinstance(refused["id"], str)
    assert len(refused["id"]) > 0


def test_a_provoked_error_of_the_queue_has_its_own_status(banana: InProcess) -> None:
    banana.world.faults.next_calls(1, "status", status=500)

    response = banana("POST", "/start/v4", json={"apiKey": KEY, "modelKey": "m", "modelInputs": {}})

    assert (response.status_code, response.json()) == (500, {"message": "error: Internal server error"})


def test_a_body_nested_deeper_than_a_hundred_levels_is_refused(banana: InProcess) -> None:
    def create(levels: int) -> httpx2.Response:
        content = b'{"name": "a", "more": ' + b"[" * (levels - 1) + b"]" * (levels - 1) + b"}"
        return banana("POST", "/v1/projects", content=content, headers={"content-type": "application/json"})

    refused = create(101)

    assert create(100).status_code == 200
    assert (refused.status_code, refused.json()) == (400, {"message": "nested deeper than 100 levels"})


def test_a_new_project_has_the_default_settings(banana: InProcess) -> None:
    project = banana("GET", f"/v1/projects/{create_project(banana)}").json()

    settings = {"minReplicas": 0, "maxReplicas": 3, "inferenceTimeout": 300, "idleTimeout": 30}
    assert {name: project[name] for name in settings} == settings


def test_the_days_and_the_models_of_usage_add_up(call: GatewayCaller) -> None:
    for _ in range(2):
        call.result("POST", "/v1/run", RUN)
    call.world.clock.advance(86_400)
    call.result("POST", "/v1/run", {**RUN, "modelKey": "stable-diffusion"})

    found = call.result("GET", "/v1/usage")

    for name in ("runs", "succeeded", "failed", "computeSeconds"):
        assert sum(day[name] for day in found["daily"]) == pytest.approx(found["summary"][name])
    assert [(row["modelKey"], row["runs"]) for row in found["models"]] == [("stable-diffusion", 1), ("value", 2)]


def test_a_project_takes_no_call_without_a_replica(banana: InProcess) -> None:
    project = create_project(banana)
    assert run(banana, project).status_code == 200
    banana("PUT", f"/v1/projects/{project}", json={"maxReplicas": 0})

    assert run(banana, project).status_code == 400


def test_a_busy_app_answers_423_and_an_unknown_route_404(banana: InProcess) -> None:
    project = create_project(banana)
    assert banana("POST", f"/run/{project}/nothing", json={}).status_code == 404
    assert banana("POST", f"/run/{project}/_k/warmup", json={}).json() == {"warm": True}
    banana.world.settings["bananadev.busy"] = True

    assert (run(banana, project).status_code, run(banana, project).content) == (423, b"")


@pytest.mark.parametrize(("status", "failed"), [(399, 0), (400, 1)])
def test_a_forwarded_call_counts_as_failed_from_status_400(status: int, failed: int, httpserver: HTTPServer) -> None:
    httpserver.expect_request("/").respond_with_json({}, status=status)
    with start("bananadev", "banana-native", runtime=partial(HttpRuntime, url=httpserver.url_for(""))) as server:
        own, gateway = server.endpoint("banana-native"), server.endpoint("bananadev")
        headers = {"x-banana-api-key": own.key}
        project = httpx2.get(f"{own.base_url}/v1/projects", headers=headers).json()["results"][0]["id"]
        answer = httpx2.post(f"{own.base_url}/run/{project}/", json={}, headers=headers)
        found = httpx2.get(f"{gateway.base_url}/v1/usage", params={"api_token": gateway.key}).json()["result"]

    assert answer.status_code == status
    assert (found["summary"]["runs"], found["summary"]["failed"]) == (1, failed)


def test_a_run_url_answers_invalid_json_as_flask_does(banana: InProcess) -> None:
    project = create_project(banana)

    response = banana("POST", f"/run/{project}/", content=b"{", headers={"content-type": "application/json"})

    assert (response.status_code, response.content) == (400, b"")
    assert response.headers["content-type"] == "text/html; charset=utf-8"


@pytest.mark.parametrize(
    ("status", "text"),
    [
        (401, "Invalid API key"),
        (404, "Not found"),
        (418, "banana is a teapot"),
        (429, "Rate limit exceeded"),
        (500, "Internal server error"),
        (503, "Request failed."),
        (504, "Gateway timeout"),
    ],
)
def test_a_provoked_status_has_bananas_text(status: int, text: str, banana: InProcess) -> None:
    project = create_project(banana)
    banana.world.faults.next_calls(2, "status", status=status)

    listed, ran = banana("GET", "/v1/projects"), run(banana, project)

    assert (listed.status_code, listed.json()) == (status, {"message": text})
    assert ran.status_code == status
    assert f"    StatusCode: {status}\n    Message: {text}\n" in ran.text


# Deployments -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reason", "seen"),
    [
        (None, ["queued", "building", "building", "deploying", "deploying", "live"]),
        ("no Dockerfile", ["queued", "building", "building", "failed", "failed", "failed"]),
    ],
)
def test_a_deployment_follows_the_timetable_of_the_settings(
    reason: str | None, seen: list[str], call: GatewayCaller
) -> None:
    call.world.settings["bananadev.build_seconds"] = [1, 2, 3]
    if reason is not None:
        call.world.tasks.fail_next(1, reason)
    call.result("POST", "/v1/deploy", DEPLOY)

    deployments = []
    for seconds in (0.5, 0.5, 1.5, 0.5, 2.5, 0.5):
        call.world.clock.advance(seconds)
        deployments.append(call.result("GET", "/v1/models/value")["deployments"][0])

    assert [deployment["status"] for deployment in deployments] == seen
    finished = "2026-01-01T00:00:03.000Z" if reason else "2026-01-01T00:00:06.000Z"
    assert (deployments[-1]["finishedAt"], deployments[-1].get("message")) == (finished, reason)


def test_a_model_is_addressed_by_its_key_in_lower_case_with_hyphens(call: GatewayCaller) -> None:
    def address(key: str) -> str:
        call.result("POST", "/v1/deploy", {**DEPLOY, "modelKey": key})
        return call.result("GET", "/v1/models/model_key", model_key=key)["url"].rpartition("/")[2]

    assert address("My  Model!") == "my-model"
    assert re.fullmatch("my-model-[0-9a-f]{6}", address("my model"))
    assert address("x" * 41) == "x" * 40
    assert address("?") == "model"


# Uploads ---------------------------------------------------------------------------------------------------------


def upload(banana: InProcess, project: str, content: bytes | None = b"archive") -> str:
    """The key of an upload, filled unless the content is None."""
    key = banana("POST", f"/v1/projects/{project}/upload", json={}).json()["key"]
    if content is not None:
        assert banana("PUT", f"/upload/{key}", content=content, headers={"x-banana-api-key": ""}).status_code == 200
    return key


def build(banana: InProcess, project: str, key: str) -> int:
    return banana("POST", f"/v1/projects/{project}/build", json={"key": key}).status_code


def test_the_last_twenty_uploads_can_be_built(banana: InProcess) -> None:
    project = create_project(banana)
    keys = [upload(banana, project) for _ in range(21)]

    assert [build(banana, project, key) for key in (keys[0], keys[1], keys[20])] == [404, 200, 200]
    again = banana("PUT", f"/upload/{keys[0]}", content=b"again", headers={"x-banana-api-key": ""})
    assert again.status_code == 403


def test_an_upload_is_built_once_it_is_there_and_for_its_own_project(banana: InProcess) -> None:
    project, other = create_project(banana), create_project(banana, "other")

    assert build(banana, project, upload(banana, project, None)) == 404
    assert build(banana, other, upload(banana, project)) == 404
