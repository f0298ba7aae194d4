"""app.py as Banana starts it: `python app.py` in a process of its own, on a tiny model, spoken to over HTTP."""

from __future__ import annotations

import base64
import contextlib
import io
import json
import os
import queue
import resource
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import psutil
import pytest
from PIL import Image
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

import tiny

ROOT = Path(__file__).resolve().parents[2]
KEY = "a-secret-api-key-nobody-may-print"


class Answer(NamedTuple):
    status: int
    body: bytes
    kind: str

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def few_files() -> None:
    """What a shell allows as a rule."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (1024, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))


class App:
    """A running app.py, its URL and its log so far."""

    def __init__(self, model: str, folder: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        self._log = folder / "log"
        environment = {k: v for k, v in os.environ.items() if k not in ("HOST", "PYTHONPATH")}
        environment |= {
            "MODEL": model,
            "PORT": str(port),
            "BANANASTAND_DEVICE": "cpu",
            "BANANASTAND_ALLOW_WEBHOOKS": "127.0.0.0/8",
        }
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-u", "app.py"], cwd=ROOT, env=environment, stdout=log, stderr=subprocess.STDOUT,
                preexec_fn=few_files,
            )  # fmt: skip

    @property
    def log(self) -> str:
        return self._log.read_text(errors="replace")

    def wait(self, seconds: float = 120) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            assert self.process.poll() is None, self.log
            with contextlib.suppress(OSError), urllib.request.urlopen(f"{self.url}/_k/status", timeout=5):
                return
            time.sleep(0.1)
        pytest.fail(f"no answer in {seconds} s:\n{self.log}")

    def post(self, path: str, body: bytes | Any) -> Answer:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {KEY}", "X-Banana-API-Key": KEY}
        request = urllib.request.Request(f"{self.url}{path}", data, headers)
        try:
            with urllib.request.urlopen(request, timeout=60) as response:
                return Answer(response.status, response.read(), response.headers["Content-Type"])
        except urllib.error.HTTPError as error:
            with error:
                return Answer(error.code, error.read(), error.headers["Content-Type"])

    def waits_to_say(self, text: str, seconds: float = 20) -> None:
        end = time.monotonic() + seconds
        while text not in self.log:
            assert time.monotonic() < end, f"never printed {text!r}:\n{self.log}"
            time.sleep(0.1)


CARD = """
name = "tiny"
path = "tiny"
pipeline = "StableDiffusionPipeline"
licence = "Apache-2.0"
memory_gb = 0.1
[steps]
default = 4
max = 50
[size]
default = [32, 32]
multiple_of = 8
max = [64, 64]
[guidance]
default = 4.0
max = 20.0
[images]
max = 4
"""


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    folder = tmp_path_factory.mktemp("app")
    tiny.stable_diffusion(folder / "tokenizer").save_pretrained(folder / "tiny")
    (folder / "tiny.toml").write_text(CARD)
    running = App(str(folder / "tiny.toml"), folder)
    try:
        running.wait()
        yield running
    finally:
        running.process.kill()
        running.process.wait()


def picture(text: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(text, validate=True)))


def test_run_answers_the_picture_and_how_it_came_about(app: App) -> None:
    answer = app.post("/", {"prompt": "two small red apples", "seed": 7})

    assert (answer.status, answer.kind) == (200, "application/json")
    assert list(answer.json) == ["output", "images", "model", "mode", "precision", "timings"]
    assert (answer.json["model"], answer.json["mode"]) == ("tiny", "exact")
    (image,) = answer.json["images"]
    assert {k: v for k, v in image.items() if k != "base64"} == {"format": "png", "width": 32, "height": 32, "seed": 7}
    assert image["base64"] == answer.json["output"]
    assert (picture(image["base64"]).format, picture(image["base64"]).size) == ("PNG", (32, 32))
    assert answer.json["timings"]["total"] > 0


def test_the_same_seed_gives_the_same_bytes(app: App) -> None:
    body = {"prompt": "a pear", "seed": 11}

    assert app.post("/", body).json["output"] == app.post("/", body).json["output"]


def test_a_returned_random_seed_paints_the_picture_again(app: App) -> None:
    first = app.post("/", {"prompt": "a pear"}).json["images"][0]

    assert app.post("/", {"prompt": "a pear", "seed": first["seed"]}).json["output"] == first["base64"]


@pytest.mark.parametrize("image_format", ["png", "jpeg", "webp"])
def test_a_picture_has_the_requested_format(app: App, image_format: str) -> None:
    answer = app.post("/", {"prompt": "a pear", "format": image_format, "width": 48, "height": 24})

    assert picture(answer.json["output"]).format == image_format.upper()
    assert picture(answer.json["output"]).size == (48, 24)


@pytest.mark.parametrize("route", ["/", "/stream"])
@pytest.mark.parametrize(
    ("body", "error"),
    [
        ([], {"code": "not_an_object", "field": None}),
        (None, {"code": "not_an_object", "field": None}),
        ({}, {"code": "missing_field", "field": "prompt"}),
        ({"prompt": "a", "seed": -1}, {"code": "out_of_range", "field": "seed"}),
        ({"prompt": "a", "sampler": "x"}, {"code": "unknown_field", "field": "sampler"}),
        ({"prompt": "a", "webhook_url": "http://x"}, {"code": "unknown_field", "field": "webhook_url"}),
    ],
)
def test_a_wrong_body_is_400_and_names_the_field(app: App, route: str, body: Any, error: dict[str, Any]) -> None:
    answer = app.post(route, body)

    assert answer.status == 400
    body = answer.json["error"]
    assert (body["code"], body["field"]) == (error["code"], error["field"])
    assert body["message"]


def test_as_many_files_may_be_open_as_the_system_allows(app: App) -> None:
    limits = psutil.Process(app.process.pid).rlimit(psutil.RLIMIT_NOFILE)

    assert limits[0] == limits[1] > 1024


def test_malformed_json_is_potassiums_own_empty_400(app: App) -> None:
    assert app.post("/", b'{"prompt": ')[:2] == (400, b"")


def test_an_unknown_route_is_404(app: App) -> None:
    assert app.post("/nowhere", {}).status == 404


def test_the_stream_tells_the_queue_the_steps_a_preview_and_the_picture(app: App) -> None:
    answer = app.post("/stream", {"prompt": "a pear", "seed": 5, "num_inference_steps": 5})

    assert (answer.status, answer.kind) == (200, "text/event-stream")
    blocks = answer.body.decode().removesuffix("\n\n").split("\n\n")
    events = [(name.removeprefix("event: "), json.loads(data.removeprefix("data: ")))
            for name, data in (block.split("\n") for block in blocks)]  # fmt: skip
    assert [name for name, _ in events] == ["queued", *["step"] * 5, "result"]
    assert [data["step"] for name, data in events if name == "step"] == [1, 2, 3, 4, 5]
    assert events[4][1]["preview"].startswith("data:image/jpeg;base64,")
    assert (
        events[-1][1]["output"]
        == app.post("/", {"prompt": "a pear", "seed": 5, "num_inference_steps": 5}).json["output"]
    )


@pytest.fixture
def hook(httpserver: HTTPServer) -> queue.Queue[Any]:
    """A receiver at /hook that keeps what it gets; its first answer is 503."""
    got: queue.Queue[Any] = queue.Queue()
    busy = threading.Event()

    def receive(request: Request) -> Response:
        got.put(request.get_json())
        if not busy.is_set():
            busy.set()
            return Response(status=503)
        return Response(status=204)

    httpserver.expect_request("/hook", method="POST").respond_with_handler(receive)
    return got


def posted(hook: queue.Queue[Any], key: str) -> Any:
    """The next delivery that has the key: another test's may still be tried again."""
    while key not in (got := hook.get(timeout=30)):
        pass
    return got


def test_background_posts_the_picture_and_tries_again(app: App, httpserver: HTTPServer, hook: queue.Queue[Any]) -> None:
    answer = app.post("/background", {"prompt": "a pear", "seed": 2, "webhook_url": httpserver.url_for("/hook")})

    assert answer[:1] == (200,)
    assert answer.json == {"started": True}
    first, again = posted(hook, "output"), posted(hook, "output")
    assert first == again
    assert first["output"] == app.post("/", {"prompt": "a pear", "seed": 2}).json["output"]


def test_background_posts_the_error_object(app: App, httpserver: HTTPServer, hook: queue.Queue[Any]) -> None:
    answer = app.post("/background", {"prompt": "", "webhook_url": httpserver.url_for("/hook")})

    assert (answer.status, answer.json) == (200, {"started": True})
    assert posted(hook, "error")["error"]["field"] == "prompt"


def test_background_without_a_webhook_says_the_error_in_the_log(app: App) -> None:
    app.post("/background", {"prompt": "a pear", "width": 31})

    app.waits_to_say('"field": "width"')


def test_a_webhook_that_is_no_text_is_an_error_in_the_log(app: App) -> None:
    app.post("/background", {"prompt": "a pear", "webhook_url": 7})

    app.waits_to_say('"field": "webhook_url"')


def test_a_webhook_that_may_not_be_called_is_logged(app: App) -> None:
    app.post("/background", {"prompt": "a pear", "webhook_url": "http://169.254.169.254/latest"})

    app.waits_to_say("background: webhook not delivered")


def test_a_slow_receiver_does_not_hold_up_the_next_picture(app: App) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes the connection and says nothing
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        app.post("/background", {"prompt": "a pear", "webhook_url": url})
        started = time.monotonic()
        assert app.post("/", {"prompt": "a pear"}).status == 200

    assert time.monotonic() - started < 8


@pytest.mark.parametrize(
    "headers", [{"Host": "evil.test"}, {"Origin": "http://evil.test"}, {"Sec-Fetch-Site": "cross-site"}]
)
def test_pages_of_other_sites_are_refused(app: App, headers: dict[str, str]) -> None:
    request = urllib.request.Request(f"{app.url}/_k/status", headers=headers)

    with pytest.raises(urllib.error.HTTPError) as refused, urllib.request.urlopen(request, timeout=30):
        pass

    assert refused.value.code == 403
    assert json.loads(refused.value.read())["error"]["code"] == "forbidden"


def test_no_key_is_ever_printed(app: App) -> None:
    app.post("/", {"prompt": "a pear"})

    assert KEY not in app.log


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        ("fruitstnad", "cannot start: unknown model 'fruitstnad': did you mean fruitstand?"),
        ("flux1-dev", "cannot start: the weights of flux1-dev are not all here; fetch them with: python download.py"),
    ],
)
def test_a_start_that_fails_says_why_in_one_line_and_ends(model: str, reason: str, tmp_path: Path) -> None:
    broken = App(model, tmp_path)

    assert broken.process.wait(120) == 1
    lines = [line for line in broken.log.splitlines() if "cannot start" in line]
    assert lines == [line for line in lines if line.startswith(reason)]
    assert len(lines) == 1
    assert "Traceback" not in broken.log


def test_our_own_fault_is_500_with_an_id_and_the_traceback_in_the_log(capsys: pytest.CaptureFixture[str]) -> None:
    import app

    class Broken:
        model = tiny.model_file()

        def paint(self, request: Any) -> None:
            raise ZeroDivisionError("a secret of the house")

    status, body = app.paint(Broken(), {"prompt": "a pear"})  # type: ignore[arg-type]

    assert status == 500
    assert body["error"]["code"] == "internal"
    assert "secret" not in json.dumps(body)
    log = capsys.readouterr().err
    assert "ZeroDivisionError: a secret of the house" in log
    assert body["error"]["message"].split()[-1] in log
