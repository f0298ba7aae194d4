"""The commands that speak to a stand, as a user types them, against a small server that speaks its API."""

from __future__ import annotations

import base64
import importlib.machinery
import io
import json
import os
import shlex
import sys
import tarfile
import time
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pytest_httpserver import HTTPServer
from typer.testing import CliRunner, Result
from werkzeug import Request, Response

from bananastand.cli._app import build
from bananastand.cli._first_call import first_call
from bananastand.cli._waiting import describe
from bananastand.cli.deploy import _name
from bananastand.cli.run import _inputs

KEY = "5f0c7e52-0000-4000-8000-000000000001"
PNG = b"\x89PNG\r\n\x1a\n" + bytes(100)
Run = Callable[..., Result]


@pytest.fixture
def bananastand(tmp_path: Path, httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs the command in an empty folder, with the key and address that `up` wrote down; in this process."""
    data = tmp_path / "data"
    data.mkdir()
    (data / "client.toml").write_text(f'url = "{httpserver.url_for("").rstrip("/")}"\nkey = "{KEY}"\n')
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("BANANASTAND_")]:
        monkeypatch.delenv(name)
    app = build()

    def run(*arguments: str, status: int = 0, **environment: str) -> Result:
        words = {"COLUMNS": "200", "NO_COLOR": "1", "BANANASTAND_DATA": str(data)}
        done = CliRunner().invoke(app, list(arguments), env=words | environment)
        assert done.exit_code == status, f"{done.output} {done.exception!r}"
        return done

    return run


@pytest.fixture
def stand(httpserver: HTTPServer) -> Iterator[HTTPServer]:
    """The server; what is asked without the key is an error of the test."""
    yield httpserver
    for request, _ in httpserver.log:
        assert request.headers["X-Banana-API-Key"] == KEY


BUILD = {
    "id": "b1", "project": "my-app", "model_key": "mk-1", "state": "live", "error": None, "live": True,
    "created": "2026-11-24T00:00:00Z", "finished": "2026-11-24T00:01:00Z", "source": "/s",
    "url": "http://127.0.0.1:8750/banana/run/my-app",
}  # fmt: skip


def deploys(stand: HTTPServer, **build: Any) -> list[Request]:
    """Answer a deployment; what was asked for."""
    uploads = list[Request]()

    def take(request: Request) -> Response:
        request.get_data()
        uploads.append(request)
        return Response(json.dumps({"build_id": "b1", "project": "my-app"}), content_type="application/json")

    for path in ("archive", "deploy"):
        stand.expect_request(f"/stand/v1/projects/my-app/{path}", method="POST").respond_with_handler(take)
    lines = '{"time": "t", "line": "step 1/2: RUN x"}\n{"time": "t", "line": "live"}\n'
    stand.expect_request("/stand/v1/builds/b1/log", query_string="follow=true").respond_with_data(lines)
    stand.expect_request("/stand/v1/builds/b1", method="GET").respond_with_json({**BUILD, **build})
    return uploads


def test_a_folder_is_packed_built_and_live(bananastand: Run, stand: HTTPServer, tmp_path: Path) -> None:
    uploads = deploys(stand)
    app = tmp_path / "My_App"
    for name in ("app.py", "Dockerfile", "notes.md", ".git/config", "sub/x.py"):
        (app / name).parent.mkdir(parents=True, exist_ok=True)
        (app / name).write_text(name)
    (app / ".dockerignore").write_text("*.md\nDockerfile\n")
    (app / "link.py").symlink_to("app.py")
    (app / "out").symlink_to("/etc/hostname")
    done = bananastand("deploy", str(app), "--env", "A=1", "--secret", "TOKEN", TOKEN="hush-hush")

    (request,) = uploads
    with tarfile.open(fileobj=io.BytesIO(request.get_data())) as tar:
        assert sorted(tar.getnames()) == [".dockerignore", "Dockerfile", "app.py", "link.py", "sub/x.py"]
        assert tar.getmember("link.py").isreg()
    order = json.loads(base64.b64decode(request.headers["X-Stand-Order"]))
    assert (order["environment"], order["secrets"]) == ({"A": "1"}, {"TOKEN": "hush-hush"})
    assert not request.args
    assert "step 1/2: RUN x" in done.stdout
    assert "my-app is live" in done.stdout
    assert "model key  mk-1" in done.stdout
    assert (
        'curl -s -X POST http://127.0.0.1:8750/banana/run/my-app/ -H "X-Banana-API-Key: $BANANASTAND_KEY"'
        in done.stdout
    )
    assert KEY not in done.output
    assert "out is a link that leads outside" in done.stderr


def test_deploy_as_json_is_one_object(bananastand: Run, stand: HTTPServer) -> None:
    uploads = deploys(stand)
    done = bananastand("deploy", "https://example.com/me/my-app.git#main", "--json", "--builder", "process")

    assert uploads[0].get_json() == {
        "source": "https://example.com/me/my-app.git#main", "environment": {}, "secrets": {}, "builder": "process",
        "as_of": None,
    }  # fmt: skip
    assert json.loads(done.stdout) == {
        "project": "my-app", "model_key": "mk-1", "url": BUILD["url"], "build_id": "b1",
        "state": "live", "error": None, "advice": None,
    }  # fmt: skip


def test_a_build_that_fails_ends_with_its_reason(bananastand: Run, stand: HTTPServer) -> None:
    deploys(stand, state="failed", error="there is no CMD")
    done = bananastand("deploy", "image:my-app", status=1)

    assert "error: my-app is not live, its build failed: there is no CMD" in done.stderr


def test_deploy_prints_the_projects_own_example_and_no_key(bananastand: Run, stand: HTTPServer) -> None:
    deploys(stand, example_input={"mode": "fast way", "n": 3, "text": "7", "on": True})
    done = bananastand("deploy", "image:my-app")

    assert """bananastand run my-app -i mode="fast way" -i n=3 -i text='"7"' -i on=true""" in done.stdout
    assert """-d '{"mode": "fast way", "n": 3, "text": "7", "on": true}'""" in done.stdout
    assert KEY not in done.output


@pytest.mark.parametrize(
    ("example", "words"),
    [
        ({"options": {"steps": 4}}, """-d '{"options": {"steps": 4}}'"""),
        ({"image": "x" * 700}, "-d @inputs.json"),
        ({}, "bananastand run my-app\n"),
        (None, 'prompt="a large yellow banana on a purple background"'),
        ({"text": "it's $HOME"}, """-i text='it'"'"'s $HOME'"""),
    ],
)
def test_the_first_call_can_be_pasted_into_a_shell(example: dict[str, Any] | None, words: str) -> None:
    text = first_call("my-app", "http://x", example)
    command = shlex.split(text.splitlines()[0])

    assert words in text
    assert command[:3] == ["bananastand", "run", "my-app"]
    if example and words.startswith(("-i", "--input")):
        assert _inputs(command[4::2], None) == example


def test_a_key_is_printed_where_it_is_asked_for_alone(bananastand: Run, stand: HTTPServer) -> None:
    deploys(stand)

    assert KEY not in bananastand("deploy", "image:my-app", "--json").output
    assert json.loads(bananastand("deploy", "image:my-app", "--json", "--show-key").stdout)["api_key"] == KEY


def test_deploy_passes_the_day_and_the_cpu_on(bananastand: Run, stand: HTTPServer) -> None:
    uploads = deploys(stand)
    bananastand("deploy", "image:my-app", "--as-of", "2023-03-01", "--cpu", "--env", "A=1")

    assert uploads[0].get_json()["as_of"] == "2023-03-01"
    assert uploads[0].get_json()["environment"] == {"A": "1", "BANANASTAND_CPU": "1"}


def test_a_failed_deploy_ends_with_reason_advice_and_the_way_to_the_log(bananastand: Run, stand: HTTPServer) -> None:
    deploys(stand, state="failed", error="the app ended", advice="Add `x`.")

    assert bananastand("deploy", "image:my-app", status=1).stderr.splitlines() == [
        "error: my-app is not live, its build failed: the app ended",
        "advice: Add `x`.",
        "its log: bananastand logs --build b1",
    ]


def test_deploy_prints_the_summary_of_inspect_first(
    bananastand: Run, stand: HTTPServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The summary is another module's; here is one in its place, so that the order is seen."""
    place = types.ModuleType("bananastand.platform.inspection")
    place.__spec__ = importlib.machinery.ModuleSpec(place.__name__, None)
    place.summary = lambda folder: f"{folder.name}: Potassium, Python 3.8"  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, place.__name__, place)
    deploys(stand)
    (tmp_path / "my-app").mkdir()
    (tmp_path / "my-app" / "app.py").touch()

    assert bananastand("deploy", "my-app").stdout.startswith("my-app: Potassium, Python 3.8\n\n")
    assert json.loads(bananastand("deploy", "my-app", "--json").stdout)["state"] == "live"


def test_an_apps_escape_sequences_do_not_reach_the_terminal(bananastand: Run, stand: HTTPServer) -> None:
    evil = "\x1b]0;title\x07\x1b[2Jred\x1b[31m \x9b1mtext\r"
    row = json.dumps({"time": "2026-11-24T00:00:00Z", "line": evil}) + "\n"
    stand.expect_request("/stand/v1/builds/b1/log").respond_with_data(row)
    stand.expect_request("/stand/v1/projects/my-app/logs").respond_with_data(row)
    deploys(stand, state="failed", error=evil)
    stand.expect_request("/stand/v1/projects").respond_with_json({"projects": [PROJECT | {"problem": evil}]})
    for path in ("my-app/call/", "my-app/call/plain"):
        answer = evil if path.endswith("plain") else json.dumps({"error": evil})
        stand.expect_request(f"/stand/v1/projects/{path}").respond_with_data(answer, 500)

    outputs = [
        bananastand("logs", "--build", "b1").output,
        bananastand("logs", "my-app").output,
        bananastand("deploy", "image:my-app", status=1).output,
        bananastand("ps").output,
        bananastand("run", "my-app", status=1).output,
        bananastand("run", "my-app", "--route", "plain", status=1).output,
    ]
    for output in outputs:
        assert "red" in output
        assert not set("\x1b\x07\x9b\r") & set(output)


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--env", "A"], "--env takes K=V, not A"),
        (["--secret", "NOT_THERE"], "there is no such environment variable; export NOT_THERE=... first"),
        (["--secret", "A=b"], "--secret takes the name of an environment variable"),
    ],
)
def test_deploy_with_wrong_words(words: list[str], reason: str, bananastand: Run) -> None:
    assert reason in bananastand("deploy", ".", *words, status=2).stderr


def test_a_folder_that_is_not_there_is_told_before_anything_is_asked(bananastand: Run) -> None:
    assert "there is no folder or file my-ap here" in bananastand("deploy", "my-ap", status=2).stderr


def test_run_sends_inputs_and_keeps_the_picture(bananastand: Run, stand: HTTPServer, tmp_path: Path) -> None:
    body = {"prompt": "a red apple", "seed": 7, "tags": ["a"]}
    answer = {"output": base64.b64encode(PNG).decode(), "n": 1}
    stand.expect_request("/stand/v1/projects/my-app/call/", method="POST", json=body).respond_with_json(answer)
    words = ["run", "my-app", "-d", '{"seed": 1}', "-i", "prompt=a red apple", "-i", "seed=7", "-i", 'tags=["a"]']

    assert "108 bytes in out.png" in bananastand(*words, "-o", "out.png").stderr
    assert (tmp_path / "out.png").read_bytes() == PNG
    assert json.loads(bananastand(*words).stdout)["output"].endswith("(144 characters; -o FILE keeps a picture)")
    assert json.loads(bananastand(*words, "--json").stdout) == answer


def test_run_shows_an_apps_error(bananastand: Run, stand: HTTPServer) -> None:
    stand.expect_request("/stand/v1/projects/my-app/call/other").respond_with_json({"error": {"message": "no"}}, 500)
    stand.expect_request("/stand/v1/projects/my-app/call/").respond_with_json({"a": 1})

    assert "my-app answered 500: no" in bananastand("run", "my-app", "--route", "/other", status=1).stderr
    assert "nothing in the answer is a picture" in bananastand("run", "my-app", "-o", "x.png", status=1).stderr
    assert "-i takes NAME=VALUE, not x" in bananastand("run", "my-app", "-i", "x", status=2).stderr


def test_run_says_why_a_project_was_never_live(bananastand: Run, stand: HTTPServer) -> None:
    stand.expect_request("/stand/v1/projects/my-app").respond_with_json(PROJECT | {"deployment": None})
    builds = [BUILD | {"state": "failed", "error": "there is no CMD", "advice": "Write one."}]
    stand.expect_request("/stand/v1/projects/my-app/builds").respond_with_json({"builds": builds})
    stand.expect_request("/stand/v1/projects/new").respond_with_json(PROJECT | {"deployment": None})
    stand.expect_request("/stand/v1/projects/new/builds").respond_with_json({"builds": []})

    assert bananastand("run", "my-app", status=1).stderr.splitlines() == [
        "error: my-app was never live: its build failed: there is no CMD",
        "advice: Write one.",
        "its log: bananastand logs --build b1",
    ]
    assert "Deploy it: bananastand deploy FOLDER --name new" in bananastand("run", "new", status=1).stderr


def test_run_names_the_apps_own_error(bananastand: Run, stand: HTTPServer) -> None:
    lines = ["Traceback (most recent call last):", '  File "/app/app.py", line 9, in f', "ValueError: no mode"]
    rows = "".join(json.dumps({"time": "2999-01-01T00:00:00Z", "line": line}) + "\n" for line in lines)
    stand.expect_request("/stand/v1/projects/my-app/logs", query_string="last=200").respond_with_data(rows)
    stand.expect_request("/stand/v1/projects/my-app/call/host").respond_with_json({"error": {"message": "failed"}}, 500)
    stand.expect_request("/stand/v1/projects/my-app/call/potassium").respond_with_data("\n".join(lines), 500)

    assert bananastand("run", "my-app", "--route", "host", status=1).stderr.splitlines() == [
        "error: my-app answered 500: failed",
        "the app printed: ValueError: no mode (/app/app.py:9)",
        "its log: bananastand logs my-app",
    ]
    own = bananastand("run", "my-app", "--route", "potassium", status=1).stderr
    assert own.splitlines()[0] == "error: my-app answered 500: ValueError: no mode (/app/app.py:9)"


def test_run_prints_a_stream_as_it_comes(bananastand: Run, stand: HTTPServer) -> None:
    def pieces() -> Iterator[bytes]:
        yield b"data: 0\n\n"
        yield b"data: 1\n\n"

    def answer(request: Request) -> Response:
        return Response(pieces(), content_type="text/event-stream")

    stand.expect_request("/stand/v1/projects/my-app/call/events").respond_with_handler(answer)

    done = bananastand("run", "my-app", "--route", "/events")
    assert done.stdout == "data: 0\n\ndata: 1\n\n"
    assert done.stderr == "", "nothing is added where nobody watches"


def test_run_gives_up_after_its_timeout(bananastand: Run, stand: HTTPServer) -> None:
    def slow(request: Request) -> Response:
        time.sleep(2)
        return Response("{}")

    stand.expect_request("/stand/v1/projects/my-app/call/").respond_with_handler(slow)

    text = bananastand("run", "my-app", "--timeout", "0.2", status=1).stderr
    assert text.splitlines()[0] == "error: my-app did not answer in 0.2 s: the call is cancelled"


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"deployment": None}, "waiting for the build"),
        ({"deployment": "b1", "ready": 0, "replicas": 0}, "queued"),
        ({"deployment": "b1", "ready": 0, "replicas": 1}, "starting a replica: loading weights"),
        ({"deployment": "b1", "ready": 1, "running": 1, "queued": 2}, "running, 2 more in the queue"),
        ({"deployment": "b1", "ready": 0, "problem": "no model"}, "the app does not start: no model"),
    ],
)
def test_what_a_waiting_call_waits_for(row: dict[str, Any], words: str) -> None:
    assert describe(row, "\x1b[1mloading weights") == words


PROJECT = {
    "name": "my-app", "model_key": "mk-1", "ready": 1, "replicas": 2, "queued": 0, "running": 1, "problem": None,
    "url": "http://x", "min_replicas": 0, "max_replicas": 3, "idle_timeout": 30, "concurrency": 1,
    "inference_timeout": 300, "deployment": "b1", "host": "bananastand",
}  # fmt: skip


def test_ps_builds_and_scale_are_plain_tables(bananastand: Run, stand: HTTPServer) -> None:
    stand.expect_request("/stand/v1/projects").respond_with_json({"projects": [PROJECT]})
    stand.expect_request("/stand/v1/projects/my-app/replicas").respond_with_json(
        {"replicas": [{"id": "r1", "port": 9}]}
    )
    stand.expect_request("/stand/v1/projects/my-app/builds").respond_with_json({"builds": [BUILD]})
    change = {"min_replicas": 1, "max_replicas": 5, "idle_timeout": 60}
    stand.expect_request("/stand/v1/projects/my-app", method="PATCH", json=change).respond_with_json(PROJECT | change)

    assert bananastand("ps").stdout.splitlines()[1].split() == ["my-app", "mk-1", "1", "2", "0", "1", "http://x"]
    assert json.loads(bananastand("ps", "--json").stdout) == [PROJECT]
    assert bananastand("ps", "my-app").stdout.splitlines()[1].split() == ["r1", "9"]
    assert bananastand("builds", "my-app").stdout.splitlines()[1].split()[:3] == ["*", "b1", "live"]
    scaled = bananastand("scale", "my-app", "--min", "1", "--max", "5", "--idle", "60").stdout
    assert scaled.splitlines()[1].split() == ["my-app", "1", "5", "60", "1", "300", "bananastand"]


def test_scale_changes_what_a_replica_needs_of_a_machine(bananastand: Run, stand: HTTPServer) -> None:
    change = {"gpus": 2.0, "memory_mb": 24 * 1024, "labels": "gpu=a100,zone=b"}
    stand.expect_request("/stand/v1/projects/my-app", method="PATCH", json=change).respond_with_json(PROJECT | change)
    none = {"gpus": None, "gpu_memory_gb": None, "memory_mb": None, "labels": ""}
    stand.expect_request("/stand/v1/projects/other", method="PATCH", json=none).respond_with_json(PROJECT | none)

    options = ("--gpus", "2", "--memory", "24", "--on", "gpu=a100", "--on", "zone=b")
    heading, row = bananastand("scale", "my-app", *options).stdout.splitlines()[:2]
    assert heading.split()[-4:] == ["GPUS", "MEMORY", "MB", "LABELS"]
    assert row.split()[-3:] == ["2.0", "24576", "gpu=a100,zone=b"]
    options = ("--gpus", "auto", "--memory", "0", "--gpu-memory", "0", "--on", "")
    assert "GPUS" not in bananastand("scale", "other", *options).stdout
    for option, value in (("--gpus", "many"), ("--gpus", "inf"), ("--gpu-memory", "inf"), ("--memory", "1e999")):
        assert f"{option} " in bananastand("scale", "my-app", option, value, status=2).stderr


def test_ps_names_the_node_and_address_of_replicas_on_other_machines(bananastand: Run, stand: HTTPServer) -> None:
    stand.expect_request("/stand/v1/projects/my-app/replicas").respond_with_json(
        {"replicas": [{"id": "r1", "node": "gpu-7", "address": "127.0.0.1:4000", "port": 4000}]}
    )

    assert bananastand("ps", "my-app").stdout.splitlines()[1].split() == ["r1", "gpu-7", "127.0.0.1:4000"]


def test_logs_are_followed(bananastand: Run, stand: HTTPServer) -> None:
    rows = '{"time": "2026-11-24T00:00:00.5Z", "replica": "r1", "line": "ready"}\n'
    stand.expect_request("/stand/v1/projects/my-app/logs", query_string="follow=true").respond_with_data(rows)
    stand.expect_request("/stand/v1/builds/b1/log", query_string="").respond_with_data('{"time": "t", "line": "x"}\n')

    assert bananastand("logs", "my-app", "-f").stdout == "2026-11-24T00:00:00 r1  ready\n"
    assert bananastand("logs", "--build", "b1", "--json").stdout == '{"time": "t", "line": "x"}\n'
    assert "name a project, or a build" in bananastand("logs", status=2).stderr


def test_rollback_cancel_and_rm(bananastand: Run, stand: HTTPServer) -> None:
    stand.expect_request("/stand/v1/projects/my-app/rollback", json={"build_id": "b0"}).respond_with_json(
        {"build_id": "b0"}
    )
    stand.expect_request("/stand/v1/builds/b1/cancel", method="POST").respond_with_json({**BUILD, "state": "cancelled"})
    stand.expect_request("/stand/v1/projects/my-app", method="DELETE").respond_with_json({"removed": "my-app"})

    assert bananastand("rollback", "my-app", "b0").stdout == "my-app is at build b0\n"
    assert bananastand("cancel", "b1").stdout == "build b1: cancelled\n"
    bananastand("rm", "my-app", status=1)
    assert bananastand("rm", "my-app", "--yes").stdout == "my-app is deleted\n"


def test_keys(bananastand: Run, stand: HTTPServer) -> None:
    key = {"id": "k1", "name": "ci", "created": "now", "revoked": None}
    new = {**key, "key": "secret", "api_token": "at_r1"}
    stand.expect_request("/stand/v1/keys", method="POST", json={"name": "ci"}).respond_with_json(new)
    stand.expect_request("/stand/v1/keys", method="GET").respond_with_json({"keys": [key]})
    stand.expect_request("/stand/v1/keys/k1", method="DELETE").respond_with_json({"revoked": "k1"})

    assert bananastand("keys", "create", "ci").stdout == "key        secret\napi_token  at_r1\nid         k1\n"
    assert bananastand("keys", "list").stdout.splitlines()[1].split() == ["k1", "ci", "now"]
    assert bananastand("keys", "revoke", "k1").stdout == "key k1 is revoked\n"


def test_what_the_stand_refuses_is_said(bananastand: Run, httpserver: HTTPServer) -> None:
    error = {"error": {"code": "not_found", "message": "there is no project x"}}
    httpserver.expect_request("/stand/v1/projects/x/builds").respond_with_json(error, 404)
    httpserver.expect_request("/stand/v1/projects/y/builds").respond_with_data("<html>", 502)
    httpserver.expect_request("/stand/v1/projects/z/builds").respond_with_data("hello")

    assert bananastand("builds", "x", status=2).stderr == (
        "error: there is no project x\nbananastand ps lists the projects\n"
    )
    assert "answered 502: <html>" in bananastand("builds", "y", status=1).stderr
    assert "something that is not JSON; check that the URL" in bananastand("builds", "z", status=1).stderr


def test_where_the_stand_is_and_whose_key_it_gets(bananastand: Run, httpserver: HTTPServer) -> None:
    """The key of the file goes to the stand of the file, and to no other."""
    assert "no key for http://127.0.0.1:1" in bananastand("ps", "--url", "http://127.0.0.1:1", status=2).stderr
    refused = bananastand("ps", BANANASTAND_URL="127.0.0.1:1", BANANASTAND_KEY="x", status=1).stderr
    assert "no platform answers at http://127.0.0.1:1" in refused
    assert "bananastand up starts one" in refused
    httpserver.expect_request("/stand/v1/projects").respond_with_json({"projects": []})
    bananastand("ps", "--key", "mine")
    assert httpserver.log[-1][0].headers["X-Banana-API-Key"] == "mine"


def test_init_writes_a_repository(bananastand: Run, tmp_path: Path) -> None:
    assert "bananastand deploy ." in bananastand("init", "my-app").stdout

    names = sorted(entry.name for entry in (tmp_path / "my-app").iterdir())
    assert names == [
        ".dockerignore", ".gitignore", "Dockerfile", "app.py", "banana_config.json", "download.py", "model",
        "requirements.txt",
    ]  # fmt: skip
    written = "".join((tmp_path / "my-app" / name).read_text() for name in names if name != "model")
    assert "@" not in written.replace("@app.", "")
    assert json.loads((tmp_path / "my-app" / "banana_config.json").read_text())["version"] == "1"
    assert "is there already and not empty" in bananastand("init", "my-app", status=2).stderr
    assert "Bad_Name is no name for a project" in bananastand("init", "Bad_Name", status=2).stderr
    bananastand("init", "xl", "--model", "stabilityai/sdxl-turbo")
    assert 'MODEL = "stabilityai/sdxl-turbo"' in (tmp_path / "xl" / "app.py").read_text()
    assert not (tmp_path / "xl" / "model").exists()
    assert "is no model of the hub" in bananastand("init", "z", "--model", "../x", status=2).stderr


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("https://github.com/o/My_App.git#main:sub", "my-app"), ("git@github.com:o/app.git", "app"),
        ("git@host:app", "app"), ("image:ghcr.io/o/app:1.2", "app"), ("ghcr.io/o/app@sha256:00", "app"),
        ("image:app", "app"), ("localhost:5000/app", "app"), ("app:latest", "app"), ("/srv/app.tar.gz", "app"),
        ("a" * 50, "a" * 40),
    ],
)  # fmt: skip
def test_a_project_is_named_after_its_source(source: str, name: str) -> None:
    assert _name(source) == name
