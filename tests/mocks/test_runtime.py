"""The runtime that forwards to a Potassium app."""

from __future__ import annotations

import base64
import io
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import httpx2
import pytest
from PIL import Image
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from bananastand_mocks import start
from bananastand_mocks.bananadev import state
from bananastand_mocks.bananadev.http_runtime import HttpRuntime
from bananastand_mocks.running import RunningServer

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def server(httpserver: HTTPServer) -> Iterator[RunningServer]:
    with start(runtime=partial(HttpRuntime, url=httpserver.url_for(""))) as running:
        yield running


def post(server: RunningServer, path: str, body: dict[str, object]) -> httpx2.Response:
    where = server.endpoint("bananadev")
    return httpx2.post(f"{where.base_url}{path}", params={"api_token": where.key}, json=body, timeout=60)


def test_a_run_is_what_the_app_answers(server: RunningServer, httpserver: HTTPServer) -> None:
    httpserver.expect_request("/", method="POST", json={"prompt": "x"}).respond_with_json({"output": "a picture"})

    answer = post(server, "/v1/run", {"modelKey": "value", "modelInputs": {"prompt": "x"}})

    assert answer.json()["result"]["modelOutputs"] == [{"output": "a picture"}]


def test_an_app_that_fails_or_is_not_there_fails_the_run(server: RunningServer, httpserver: HTTPServer) -> None:
    httpserver.expect_request("/").respond_with_data("Traceback", status=500)
    failed = post(server, "/v1/run", {"modelKey": "value", "modelInputs": {}})
    httpserver.stop()
    gone = post(server, "/v1/run", {"modelKey": "value", "modelInputs": {}})
    httpserver.start()

    assert failed.json()["message"] == "error: the app answered 500 without JSON"
    assert gone.json()["message"].startswith("error: the app at http://localhost")


def test_a_run_that_outlasts_the_hold_goes_on_and_is_checked(server: RunningServer, httpserver: HTTPServer) -> None:
    def slow(request: Request) -> Response:
        time.sleep(0.3)
        return Response('{"output": 1}', content_type="application/json")

    httpserver.expect_request("/").respond_with_handler(slow)
    server.default.world.settings["bananadev.hold_seconds"] = 0.01
    started = post(server, "/v1/run", {"modelKey": "value", "modelInputs": {}}).json()["result"]
    body = {"apiKey": server.endpoint("banana-native").key, "callID": started["callID"], "longPoll": True}

    done = httpx2.post(f"{server.endpoint('banana-native').base_url}/check/v4", json=body, timeout=60).json()

    assert started["finished"] is False
    assert done["modelOutputs"] == [{"output": 1}]
    assert len(httpserver.log) == 1


def test_a_run_url_passes_the_apps_own_answers_through(server: RunningServer, httpserver: HTTPServer) -> None:
    httpserver.expect_request("/paint").respond_with_json({"n": 1})
    httpserver.expect_request("/busy").respond_with_data("", status=423)
    native = server.endpoint("banana-native")

    with httpx2.Client(base_url=native.base_url, headers={"X-Banana-API-Key": native.key}) as http:
        painted = http.post("/run/value/paint", json={})
        busy = http.post("/run/value/busy", json={})

    assert painted.json() == {"n": 1}
    assert (busy.status_code, busy.content) == (423, b"")


@pytest.mark.parametrize("answer", ["{", "NaN", '"\\ud800"', "[" * 200 + "]" * 200])
def test_what_is_no_json_fails_the_run_and_passes_on_the_run_url(
    server: RunningServer, httpserver: HTTPServer, answer: str
) -> None:
    httpserver.expect_request("/").respond_with_data(answer, content_type="application/json")
    native = server.endpoint("banana-native")

    ran = post(server, "/v1/run", {"modelKey": "value", "modelInputs": {}})
    called = httpx2.post(f"{native.base_url}/run/value/", headers={"X-Banana-API-Key": native.key}, json={})

    assert (ran.status_code, ran.json()["message"]) == (200, "error: the app answered 200 without JSON")
    assert (called.status_code, called.text) == (200, answer)


@pytest.mark.parametrize("status", [400, 404, 409, 422, 429, 500])
def test_an_apps_own_refusal_is_no_breach_of_ours(server: RunningServer, httpserver: HTTPServer, status: int) -> None:
    httpserver.expect_request("/paint").respond_with_json({"error": {"code": "bad_request"}}, status=status)
    native = server.endpoint("banana-native")

    answer = httpx2.post(f"{native.base_url}/run/value/paint", headers={"X-Banana-API-Key": native.key}, json={})

    assert (answer.status_code, answer.json()) == (status, {"error": {"code": "bad_request"}})
    assert server.default.world.breaches == []


def test_a_run_of_before_a_reset_is_not_taken_for_one_of_after_it(
    server: RunningServer, httpserver: HTTPServer
) -> None:
    def echo(request: Request) -> Response:
        if request.json == {"n": 1}:
            time.sleep(0.4)
        return Response(request.get_data(), content_type="application/json")

    httpserver.expect_request("/").respond_with_handler(echo)
    stand = server.stand(seed=5)
    where = stand.endpoint("bananadev")

    def start(n: int) -> str:
        body = {"modelKey": "value", "modelInputs": {"n": n}, "startOnly": True}
        answer = httpx2.post(f"{where.base_url}/v1/start", params={"api_token": where.key}, json=body)
        return answer.json()["result"]["callID"]

    first = start(1)
    stand.reset()
    second = start(2)
    until, seen = time.monotonic() + 20, None
    while seen is None and time.monotonic() < until:
        time.sleep(0.2)
        query = {"modelKey": "value", "id": second}
        checked = httpx2.post(f"{where.base_url}/v1/check", params={"api_token": where.key}, json=query)
        seen = checked.json()["result"]["modelOutputs"]

    assert first == second, "the same seed gives the same ids"
    assert seen == [{"n": 2}]
    (day,) = stand.world.table("bananadev.usage").values()
    assert day["runs"] == 1


def test_a_run_nobody_asks_for_ends_all_the_same(server: RunningServer, httpserver: HTTPServer) -> None:
    httpserver.expect_request("/").respond_with_json({"output": "x" * 1000})
    post(server, "/v1/start", {"modelKey": "value", "modelInputs": {}, "startOnly": True})
    world, until = server.default.world, time.monotonic() + 20
    while state.work(world) and time.monotonic() < until:
        time.sleep(0.05)

    (run,) = state.runs(world).values()
    assert run["state"] == "succeeded"
    assert world.table("bananadev.sizes")["runs"] > 1000


@pytest.mark.slow
def test_a_run_through_lowcodeapi_is_painted_by_the_embedded_model(tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {**os.environ, "PORT": str(port), "BANANASTAND_DEVICE": "cpu"}
    with (tmp_path / "log").open("wb") as log:
        app = subprocess.Popen(
            [sys.executable, "-u", "app.py"], cwd=ROOT, env=environment, stdout=log, stderr=subprocess.STDOUT
        )
    try:
        until = time.monotonic() + 240
        while True:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            assert app.poll() is None, (tmp_path / "log").read_text()
            assert time.monotonic() < until, (tmp_path / "log").read_text()
            time.sleep(0.2)
        with start("bananadev", runtime=partial(HttpRuntime, url=f"http://127.0.0.1:{port}")) as server:
            inputs = {"prompt": "a large yellow banana on a purple background", "seed": 1}
            answer = post(server, "/v1/run", {"modelKey": "value", "modelInputs": inputs})
    finally:
        app.terminate()
        app.wait(20)

    output = answer.json()["result"]["modelOutputs"][0]
    image = Image.open(io.BytesIO(base64.b64decode(output["output"]))).convert("RGB")
    red, green, blue = image.getpixel((3, 3))
    assert output["model"] == "fruitstand"
    assert image.size == (128, 128)
    assert blue > green, "the background is purple"
    assert red > green, "the background is purple"
