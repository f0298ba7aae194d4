"""`bananastand up`: Banana's APIs, the stand's own, the page, the guard, from outside."""

from __future__ import annotations

import base64
import io
import json
import re
import stat
import tarfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from websockets.sync.client import connect

from servers import free_port
from stands import Up

FRONT = free_port()


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    with Up(tmp_path_factory.mktemp("up") / "data", fronts=[[FRONT, "app"]], mocks=True) as running:
        assert running.deploy(secrets={"TOKEN": "hush-hush"}, environment={"VERSION": "1"})["state"] == "live"
        yield running


def model_key(up: Up) -> str:
    return up.http.get("/stand/v1/projects/app").json()["model_key"]


def token(up: Up) -> dict[str, str]:
    return {"api_token": f"at_r{up.key.replace('-', '')}"}


def test_the_first_start_writes_a_key_for_this_user_alone_and_prints_none_without_a_terminal(up: Up) -> None:
    path = up.data / "client.toml"

    assert up.key not in up.log, "what is printed may be kept in a journal"
    assert token(up)["api_token"] not in up.log
    assert str(path) in up.log
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(up.data.stat().st_mode) == 0o700
    assert f'url = "http://127.0.0.1:{up.port}"' in path.read_text()


def test_banana_start_and_check_finish_calls(up: Up) -> None:
    body = {"apiKey": up.key, "modelKey": model_key(up), "modelInputs": {"prompt": "x"}, "id": "mine"}

    finished = up.http.post("/banana/start/v4/", json=body).json()
    begun = up.http.post("/banana/start/v4", json={**body, "startOnly": True}).json()
    checked = up.http.post("/banana/check/v4/", json={"apiKey": up.key, "callID": begun["callID"], "longPoll": True})

    assert finished["finished"] is True
    assert finished["modelOutputs"][0]["got"] == {"prompt": "x"}
    assert (begun["finished"], begun["id"]) == (False, "mine")
    assert checked.json()["message"] == "success"
    assert checked.json()["modelOutputs"][0]["got"] == {"prompt": "x"}


def test_a_name_works_wherever_a_key_does_and_a_wrong_key_nowhere(up: Up) -> None:
    body = {"apiKey": up.key, "modelKey": "app", "modelInputs": {}}

    assert up.http.post("/banana/start/v4", json=body).json()["finished"] is True
    for key in ("11111111-1111-1111-1111-111111111111", ""):
        refused = up.http.post("/banana/start/v4", json={**body, "apiKey": key}).json()
        assert "error" in refused["message"]
    unknown = up.http.post("/banana/start/v4", json={**body, "modelKey": "nobody"}).json()
    assert unknown["message"] == "error: Model not found"


def test_an_app_that_fails_is_named_in_the_message(up: Up) -> None:
    begun = up.http.post("/stand/v1/projects/app/call/fails", json={})
    run = up.http.post("/banana/run/app/fails", json={}, headers={"X-Banana-API-Key": up.key})

    assert begun.status_code == run.status_code == 500
    assert begun.json() == run.json() == {"error": {"message": "the handler failed"}}


def test_the_run_url_answers_as_the_app_does_and_counts_a_request_id_once(up: Up) -> None:
    headers = {"X-Banana-API-Key": up.key, "X-Banana-Request-Id": "00000000-0000-4000-8000-000000000001"}

    first = up.http.post("/banana/run/app/", json={"n": 1}, headers=headers)
    second = up.http.post("/banana/run/app/", json={"n": 1}, headers=headers)
    refused = up.http.post("/banana/run/app/", json={"n": 1}, headers={"X-Banana-API-Key": "no"})

    assert first.status_code == 200
    assert first.json() == second.json()
    assert refused.status_code == 401
    assert "Type: UserError" in refused.text


def test_where_all_replicas_are_at_work_the_run_url_refuses_and_the_stands_own_call_waits(up: Up) -> None:
    up.http.patch("/stand/v1/projects/app", json={"max_replicas": 0}).raise_for_status()
    refused = up.http.post("/banana/run/app/", json={}, headers={"X-Banana-API-Key": up.key})
    waited = up.http.post("/stand/v1/projects/app/call/", json={})
    up.http.patch("/stand/v1/projects/app", json={"max_replicas": 3}).raise_for_status()

    assert refused.status_code == 400
    assert "You have no available replicas to process this request" in refused.text
    assert waited.status_code == 503
    assert waited.text == "app may have no replica: its maxReplicas is 0; bananastand scale app --max 3 allows some"
    assert up.http.post("/stand/v1/projects/app/call/", json={}).json()["version"] == "1"


def test_lowcodeapi_runs_lists_and_counts(up: Up) -> None:
    base = "/lowcodeapi/bananadev/v1"
    ran = up.http.post(f"{base}/run", params=token(up), json={"modelKey": "app", "modelInputs": {"a": 1}}).json()
    begun = up.http.post(
        f"{base}/start", params=token(up), json={"modelKey": model_key(up), "modelInputs": {}, "startOnly": True}
    ).json()["result"]
    payload = {"id": begun["callID"], "modelKey": "app"}
    limit = time.monotonic() + 20
    while (checked := up.http.post(f"{base}/check", params=token(up), json=payload).json())["message"] == "running":
        assert time.monotonic() < limit
    models = up.http.get(f"{base}/models", params=token(up)).json()["result"]["models"]
    account = up.http.get(f"{base}/account", params=token(up)).json()["result"]
    usage = up.http.get(f"{base}/usage", params=token(up)).json()["result"]

    assert ran["result"]["modelOutputs"][0]["got"] == {"a": 1}
    assert checked["result"]["modelOutputs"][0]["got"] == {}
    (model,) = [candidate for candidate in models if candidate["name"] == "app"]
    assert (model["status"], model["url"]) == ("live", f"http://127.0.0.1:{up.port}/banana/run/app")
    assert "hush-hush" not in json.dumps(models)
    assert account["apiKeys"] == 1
    assert usage["summary"]["succeeded"] >= 2
    assert up.http.get(f"{base}/models", params={"api_token": "at_r" + "0" * 32}).status_code == 403


def test_the_documents_deploy_builds_and_goes_live(up: Up) -> None:
    body = {"modelKey": "by-document", "source": "small", "environment": {"VERSION": "9"}}
    created = up.http.post("/lowcodeapi/bananadev/v1/deploy", params=token(up), json=body).json()["result"]
    up.http.get(f"/stand/v1/builds/{created['deploymentId']}/log?follow=true")
    run = up.http.post("/stand/v1/projects/by-document/call/", json={}).json()

    assert created["status"] == "queued"
    assert run["version"] == "9"
    up.http.delete("/stand/v1/projects/by-document").raise_for_status()


def test_the_clis_flow_creates_uploads_builds_and_reads_the_log(up: Up) -> None:
    key = {"X-Banana-API-Key": up.key}
    project = up.http.post("/banana/v1/projects", json={"name": "My App"}, headers=key).json()
    upload = up.http.post(f"/banana/v1/projects/{project['id']}/upload", json={}, headers=key).json()
    put = httpx2.put(upload["uploadUrl"], content=archive())
    build = up.http.post(f"/banana/v1/projects/{project['id']}/build", json={"key": upload["key"]}, headers=key).json()
    with connect(f"ws://127.0.0.1:{up.port}/banana/ws/logs/{build['id']}", additional_headers=key) as socket:
        frames = [json.loads(frame) for frame in socket]

    assert project["name"] == "my-app"
    assert put.status_code == 200
    assert re.fullmatch(r"builds .*/uploads/.*\.tar\.gz", frames[1]["m"])
    assert frames[-1]["m"].startswith("live; ")
    assert up.http.get("/stand/v1/projects/my-app").json()["deployment"] == build["id"]
    up.http.delete("/stand/v1/projects/my-app").raise_for_status()
    assert list((up.data / "uploads").iterdir()) == []


def test_projects_over_bananas_management_api(up: Up) -> None:
    key = {"X-Banana-API-Key": up.key}
    (row,) = [
        project
        for project in up.http.get("/banana/v1/projects", headers=key).json()["results"]
        if project["name"] == "app"
    ]

    changed = up.http.put(f"/banana/v1/projects/{row['id']}", json={"idleTimeout": 7}, headers=key)
    refused = up.http.put(f"/banana/v1/projects/{row['id']}", json={"maxReplicas": 10_001}, headers=key)

    assert changed.json()["idleTimeout"] == 7
    assert up.http.get("/stand/v1/projects/app").json()["idle_timeout"] == 7
    assert refused.status_code == 400
    assert "max_replicas: must be a whole number" in refused.json()["message"]
    up.http.patch("/stand/v1/projects/app", json={"idle_timeout": 30})


def streaming(up: Up) -> list[tuple[str, dict[str, str]]]:
    """The addresses of the handler that streams, each with what it wants of a caller."""
    return [
        (f"http://127.0.0.1:{up.port}/stand/v1/projects/app/call/events", dict(up.http.headers)),
        (f"http://127.0.0.1:{up.port}/banana/run/app/events", {"x-banana-api-key": up.key}),
        (f"http://127.0.0.1:{FRONT}/events", {}),
    ]


def test_events_stream_through_the_stands_call_bananas_run_url_and_the_front(up: Up) -> None:
    for url, headers in streaming(up):
        with httpx2.stream("POST", url, json={"events": 4}, headers=headers, timeout=30) as answer:
            pieces = list(answer.iter_bytes())
        assert answer.headers["content-type"] == "text/event-stream"
        assert len(pieces) > 1
        assert b"".join(pieces).count(b"data: ") == 4


def test_a_stream_that_breaks_off_ends_in_the_middle_for_its_caller_too(up: Up) -> None:
    for url, headers in streaming(up):
        with httpx2.stream("POST", url, json={"events": 2, "then": "crash"}, headers=headers, timeout=30) as answer:
            pieces = answer.iter_bytes()
            assert next(pieces).startswith(b"data: 0")
            with pytest.raises(httpx2.RemoteProtocolError):
                list(pieces)


def test_a_caller_that_leaves_a_stream_frees_its_replica(up: Up) -> None:
    for url, headers in streaming(up):
        with httpx2.stream("POST", url, json={"events": 2000}, headers=headers, timeout=30) as answer:
            assert next(answer.iter_bytes()).startswith(b"data: 0")
        until = time.monotonic() + 20  # the stream itself would take 100 seconds
        while any(replica["running"] for replica in up.http.get("/stand/v1/projects/app/replicas").json()["replicas"]):
            assert time.monotonic() < until, url
            time.sleep(0.05)


def test_a_front_needs_no_key_but_refuses_other_hosts_and_origins(up: Up) -> None:
    url = f"http://127.0.0.1:{FRONT}/"

    assert httpx2.post(url, json={"n": 2}).json()["got"] == {"n": 2}
    assert httpx2.get(f"{url}readyz").json() == {"ready": True}
    assert httpx2.get(f"{url}nothing").status_code == 404, "the app's own answer"
    assert httpx2.post(url, json={}, headers={"host": "evil.test"}).status_code == 403
    assert httpx2.post(url, json={}, headers={"origin": "http://evil.test"}).status_code == 403


@pytest.mark.parametrize("path", ["/", "/metrics", "/banana/v1/projects", "/lowcodeapi/bananadev/v1/models",
                                  "/stand/v1/status", "/nothing", "/_stand/"])  # fmt: skip
def test_every_route_refuses_other_hosts_and_foreign_origins(up: Up, path: str) -> None:
    for headers in ({"host": "rebound.test"}, {"origin": "http://evil.test"}, {"origin": "null"}):
        answer = up.http.get(path, headers=headers)
        assert answer.status_code == 403, headers
        assert answer.json()["error"]["code"] == "forbidden"


def test_the_mocks_keep_their_keys_and_cors(up: Up) -> None:
    params = {"api_token": "at_r0123456789abcdef0123456789abcdef"}
    answer = up.http.get("/lowcodeapi/falai/v1/models", params=params, headers={"origin": "http://any.test"})

    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == "http://any.test"
    assert up.http.get("/_stand/").status_code == 200
    assert up.http.get("/lowcodeapi/bananadev/v1/models", params=params).status_code == 403


def test_the_page_tells_what_there_is_and_escapes_it(up: Up) -> None:
    assert up.deploy("odd", "<script>alert(1)</script>", environment={"CRASH_AT_START": "1"})["state"] == "failed"
    page = httpx2.get(f"http://127.0.0.1:{up.port}/")
    up.http.delete("/stand/v1/projects/odd").raise_for_status()

    assert page.status_code == 200
    assert "<h2>app</h2>" in page.text
    assert "<script" not in page.text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page.text
    assert "prefers-color-scheme:dark" in page.text
    assert "src=" not in page.text
    assert "href=" not in page.text
    assert page.headers["content-security-policy"].startswith("default-src 'none'")
    assert up.key not in page.text
    assert "hush-hush" not in page.text


def test_metrics_count_builds_and_calls(up: Up) -> None:
    up.http.post("/stand/v1/projects/app/call/", json={}).raise_for_status()
    text = httpx2.get(f"http://127.0.0.1:{up.port}/metrics").text

    for line in (
        r'bananastand_builds_total\{state="live"\} [1-9]',
        r'bananastand_calls_total\{project="app",state="succeeded"\} [1-9]',
        r'bananastand_replicas\{project="app",state="ready"\} [1-9]',
        r'bananastand_calls_queued\{project="app"\} 0',
        r'bananastand_start_seconds_count\{project="app"\} [1-9]',
        r'bananastand_call_wait_seconds_count\{project="app"\} [1-9]',
        r'bananastand_cards\{use="free"\} ',
    ):
        assert re.search(line, text), line


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "message"),
    [
        ("GET", "/projects/nobody", None, 404, "there is no project nobody"),
        ("GET", "/builds/nothing", None, 404, "there is no build nothing"),
        ("GET", "/nothing", None, 404, "Not Found"),
        ("PUT", "/projects/app", b"{}", 405, "Method Not Allowed"),
        ("PATCH", "/projects/app", b"[1]", 400, "the body must be a JSON object"),
        ("PATCH", "/projects/app", b"{", 400, "the body is not JSON"),
        ("PATCH", "/projects/app", b"[" * 100_000, 400, "the body is not JSON"),
        ("PATCH", "/projects/app", b'{"min_replicas": 99999}', 400, "min_replicas: must be a whole number from 0 to"),
        ("PATCH", "/projects/app", b" " * (2**20 + 1), 413, "the body is longer than 1048576 bytes"),
        ("POST", "/projects/BAD NAME/deploy", b'{"source": "."}', 400, "a project's name has 1 to 63 of a-z"),
        ("POST", "/projects/app/deploy", b"{}", 400, "source: must name"),
        ("POST", "/projects/app/deploy", b'{"source": ".", "environment": {"A=B": "c"}}', 400, "environment: 'A=B'"),
        ("POST", "/projects/app/deploy", b'{"source": ".", "secrets": {"A": 1}}', 400, "secrets.A: must be text"),
        ("POST", "/projects/app/deploy", b'{"source": ".", "builder": "magic"}', 400, "builder: must be process"),
        ("POST", "/projects/app/archive", b"", 400, "the body must be a tar.gz archive"),
        ("POST", "/projects/app/rollback", b'{"build_id": "x"}', 400, "no such version"),
        ("GET", "/projects/app/logs?follow=perhaps", None, 400, "follow: Input should be a valid boolean"),
        ("DELETE", "/keys/nothing", None, 404, "there is no valid key nothing"),
        ("POST", "/keys", b'{"name": ""}', 400, "a key's name has"),
    ],
)
def test_bad_request_error_states_the_reason(
    up: Up, method: str, path: str, body: Any, status: int, message: str
) -> None:
    answer = up.http.request(method, f"/stand/v1{path}", content=body)

    assert answer.status_code == status, answer.text
    assert answer.json()["error"]["message"].startswith(message)


@pytest.mark.parametrize("headers", [{}, {"authorization": "Bearer wrong"}, {"x-banana-api-key": ""}])
def test_the_stands_own_api_wants_a_key(up: Up, headers: dict[str, str]) -> None:
    for method, path in (
        ("GET", "/status"),
        ("GET", "/keys"),
        ("DELETE", "/projects/app"),
        ("POST", "/projects/x/archive"),
    ):
        answer = httpx2.request(method, f"http://127.0.0.1:{up.port}/stand/v1{path}", headers=headers)
        assert answer.status_code == 401
        assert answer.json()["error"]["code"] == "unauthorized"


def test_keys_are_made_used_and_revoked(up: Up) -> None:
    created = up.http.post("/stand/v1/keys", json={"name": "laptop"}).json()
    theirs = {"authorization": f"Bearer {created['key']}"}
    before = httpx2.get(f"http://127.0.0.1:{up.port}/stand/v1/status", headers=theirs)
    up.http.delete(f"/stand/v1/keys/{created['id']}").raise_for_status()
    after = httpx2.get(f"http://127.0.0.1:{up.port}/stand/v1/status", headers=theirs)

    assert (before.status_code, after.status_code) == (200, 401)
    assert created["key"] not in up.http.get("/stand/v1/keys").text


def test_an_archive_is_deployed_and_its_log_followed(up: Up) -> None:
    created = up.http.post(
        "/stand/v1/projects/packed/archive", content=archive(), headers=order({"environment": {"VERSION": "5"}})
    ).json()
    with up.http.stream("GET", f"/stand/v1/builds/{created['build_id']}/log?follow=true") as answer:
        lines = [json.loads(line) for line in answer.iter_lines()]

    assert set(lines[0]) == {"time", "line"}
    assert lines[-1]["line"].startswith("live; ")
    assert up.http.post("/stand/v1/projects/packed/call/", json={}).json()["version"] == "5"
    replicas = up.http.get("/stand/v1/projects/packed/replicas").json()["replicas"]
    assert [replica["state"] for replica in replicas] == ["ready"]
    logs = [json.loads(line) for line in up.http.get("/stand/v1/projects/packed/logs").text.splitlines()]
    assert {"time", "replica", "line"} == set(logs[0])
    up.http.delete("/stand/v1/projects/packed").raise_for_status()


@pytest.mark.parametrize(
    ("sent", "message"),
    [
        ("@", "x-stand-order is not base64"), ("W10=", "x-stand-order must be a JSON object"),
        ("Wy", "x-stand-order is not base64"), ("eA==", "x-stand-order is not JSON"),
        ("eyJidWlsZGVyIjogIm1hZ2ljIn0=", "builder: must be process"),
        ("eyJlbnZpcm9ubWVudCI6IFtdfQ==", "environment: must be an object"),
    ],
)  # fmt: skip
def test_an_archive_with_wrong_words_is_refused(up: Up, sent: str, message: str) -> None:
    answer = up.http.post("/stand/v1/projects/app/archive", content=archive(), headers={"x-stand-order": sent})

    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["message"].startswith(message)


def order(words: dict[str, Any]) -> dict[str, str]:
    return {"x-stand-order": base64.b64encode(json.dumps(words).encode()).decode()}


def archive() -> bytes:
    created = io.BytesIO()
    with tarfile.open(fileobj=created, mode="w:gz") as tar:
        tar.addfile(tarfile.TarInfo("app.py"))
    return created.getvalue()


def test_those_who_wait_are_told_that_the_stand_stops_and_their_call_is_done_at_the_next_start(tmp_path: Path) -> None:
    first = Up(tmp_path / "data")
    first.deploy()
    payload, key = {"seconds": 0.8, "prompt": "x"}, model_key(first)
    call, answers = f"http://127.0.0.1:{first.port}/stand/v1/projects/app/call/", list[httpx2.Response]()
    run = f"http://127.0.0.1:{first.port}/banana/run/app/"
    headers = {"x-banana-api-key": first.key}
    threads = [
        threading.Thread(
            target=lambda at=at: answers.append(httpx2.post(at, json=payload, headers=headers, timeout=20))
        )
        for at in (call, run)
    ]
    for thread in threads:
        thread.start()
    time.sleep(0.4)
    assert first.stop() == 0, first.log
    for thread in threads:
        thread.join()

    assert [answer.status_code for answer in answers] == [503, 503]
    calls = re.findall(
        r"the call (\S+) is kept, and done when it starts again", "".join(answer.text for answer in answers)
    )
    assert len(calls) == 2
    second = Up(tmp_path / "data")
    for call in calls:
        body = {"apiKey": second.key, "modelKey": key, "callID": call, "longPoll": True}
        checked = second.http.post("/banana/check/v4/", json=body).json()
        assert checked["modelOutputs"][0]["got"] == payload
    assert second.stop() == 0
